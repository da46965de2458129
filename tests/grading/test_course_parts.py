"""The pieces of the course command: the configuration, what an assignment holds, and the leak scanner."""
import json
import os
import random
import subprocess
import sys
import zipfile

import pytest

from autograder import given, limits
from autograder.course import assignment, leaks
from autograder.course import config as course_config
from autograder.course import write as course
from autograder.course.config import Course, Points
from autograder.engine.sandbox import Limits
from autograder.strip import regions
from autograder.table import chapters
from tests.conftest import ROOT

TABLE = chapters()
EVERYTHING = {name: {e.name: Points(e.visible, e.hidden) for e in c.exercises} for name, c in TABLE.items()}


@pytest.fixture(scope="module")
def made():
    """The files of every assignment."""
    return {name: assignment.files(chapter, EVERYTHING[name]) for name, chapter in TABLE.items()}


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def config(tmp_path, text=""):
    path = tmp_path / "course.toml"
    course_config.write_template(path)
    path.write_text(path.read_text("utf-8") + text, encoding="utf-8")
    return path


def test_the_template_is_the_table(tmp_path):
    read = course_config.read(config(tmp_path))
    assert read.assignments == EVERYTHING
    assert read.secret != course_config.read(config(tmp_path / "other")).secret


def test_the_time_limit_stands_in_one_place(tmp_path, monkeypatch):
    """Whatever does not say another has the limit of `check`."""
    monkeypatch.setattr(course, "SECONDS", 7)
    monkeypatch.setattr(course_config, "SECONDS", 7)
    path = config(tmp_path)
    assert course_config.read(path).check_seconds == 7
    shorter = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("check_seconds")]
    path.write_text("\n".join(shorter), "utf-8")
    assert course_config.read(path).check_seconds == limits.seconds() == Limits().cpu == limits.SECONDS
    assert Limits() == Limits.of(limits.SECONDS)
    course._write_settings(tmp_path, path, course_config.read(path))
    written = (tmp_path / "nbgrader_config.py").read_text("utf-8")
    assert 'COURSE.get("check_seconds", 7)' in written and 'COURSE.get("cell_seconds", 120)' in written
    assert "EXCLUDE_OVERWRITING" not in written and '"gptlib/attention.py"' in written
    compile(written, "nbgrader_config.py", "exec")


@pytest.mark.parametrize(
    "old, new, words",
    [
        ('course_id = "gpt-lineage"', 'course_id = "my course"', "course_id must be letters"),
        ('run = "graded"', 'run = "some"', 'run must be "graded" or "all"'),
        ("check_seconds = 20", "check_seconds = 0", "check_seconds must be a positive number"),
        ("visible = 2", "visible = -1", "not negative"),
        ("attention.attend", "attention.attent", "has no exercise 'attention.attent'"),
        ("[assignments.05_attention]", "[assignments.06_attention]", "no chapter with exercises is called"),
        ("check_seconds", "chek_seconds", "unknown key 'chek_seconds'"),
        ('private_checks = ""', 'private_checks = "nowhere"', "must be a folder"),
        ('run = "graded"', "run = graded", "is not valid TOML"),
    ],
)
def test_a_wrong_configuration_is_explained(tmp_path, old, new, words):
    path = config(tmp_path)
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        course_config.read(path)


def test_an_assignment_holds_its_stub_what_it_requires_and_nothing_later(made):
    always = {n for n in given.listed() if n.split("/")[0] not in assignment.BY_CHAPTER}
    for name, files in made.items():
        chapter = TABLE[name]
        there = {p.removeprefix("gptlib/") for p in files if p.startswith("gptlib/")}
        own = {f"{module}.py" for module in (chapter.module, *chapter.requires)}
        assert there - set(given.listed()) == own and always <= there
        assert files[f"gptlib/{chapter.module}.py"] == (ROOT / "gptlib" / f"{chapter.module}.py").read_bytes()
        assert not [p for p in files if "hidden" in p or "course" in p or "solutions" in p or "leaks" in p]
        assert [p for p in files if "visible/" in p] == ["autograder/visible/__init__.py",
                                                         f"autograder/visible/{chapter.module}.py"]  # fmt: skip


def test_points_come_from_the_course_and_answers_stay_out(made):
    for name, files in made.items():
        cells = json.loads(files[f"{name}.ipynb"])["cells"]
        total = sum(c["metadata"]["nbgrader"]["points"] for c in cells if "nbgrader" in c["metadata"])
        assert total == sum(e.points for e in TABLE[name].exercises)
        assert not [c for c in cells if "answer" in c["metadata"].get("tags", ())]


def test_an_exercise_left_out_comes_filled_in_without_points():
    chapter = TABLE["05_attention"]
    chosen = {"attention.attend": Points(1, 9.5)}
    files = assignment.files(chapter, chosen)
    text = files["gptlib/attention.py"].decode()
    assert text.count("NotImplementedError(") == 1 and 'NotImplementedError("attention.attend")' in text
    cells = json.loads(files["05_attention.ipynb"])["cells"]
    worth = [c["metadata"]["nbgrader"]["points"] for c in cells if "nbgrader" in c["metadata"]]
    assert worth == [1, 9.5]
    assert sum(c["source"] == assignment.FILLED_IN for c in cells) == len(chapter.exercises) - 1


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="imports gptlib.later, which the assignment lacks"):
        assignment.library(TABLE["05_attention"], EVERYTHING["05_attention"], "from gptlib import later")


def test_an_assignment_stands_alone_and_its_set_up_cell_installs_nothing(made, tmp_path):
    name = "05_attention"
    folder = write(tmp_path / "anywhere", made[name])
    cells = json.loads(made[name][f"{name}.ipynb"])["cells"]
    setup = next("".join(c["source"]) for c in cells if "setup" in c["metadata"].get("tags", ()))
    guard = "import subprocess\ndef no(*a, **k): raise RuntimeError('a process was started')\nsubprocess.Popen = no\n"
    end = "\nimport gptlib.attention, autograder\nprint(gptlib.attention.__file__, autograder.__file__)\n"
    end += "check('attention.attend')"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-c", guard + setup + end]
    done = subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True)
    assert str(folder / "gptlib" / "attention.py") in done.stdout
    assert str(folder / "autograder" / "__init__.py") in done.stdout
    assert "attention.attend is not written yet" in done.stderr


def private(tmp_path, body):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "attention.py").write_text(
        "import torch\nfrom autograder.checks import checks, same\n\n\n"
        f'@checks("attention.attend")\ndef mine(attend, generator):\n    """A check of my own."""\n    {body}\n'
    )
    chosen = {"05_attention": {"attention.attend": Points(1, 1)}}
    return Course("x", "s" * 16, private_checks=folder, assignments=chosen)


def test_private_checks_join_the_hidden_ones(tmp_path):
    choice = private(tmp_path, "x = torch.ones(1, 2)\n    same(attend(x, x, x), x, 'one key')")
    hidden = course.hidden_checks(choice)
    assert course.gate(choice, hidden, tmp_path) == ""
    folder = write(tmp_path / "hidden", hidden)
    code = "from autograder.suites import checks_of as of; "
    code += "print([f.__name__ for f in of('attention.attend', 'hidden')])"
    env = os.environ | {"AUTOGRADER_HIDDEN": str(folder)}
    names = subprocess.run([sys.executable, "-c", code], env=env, text=True, capture_output=True, check=True).stdout
    assert "'mine'" in names and names.count(",") >= 1


def test_a_private_check_that_the_reference_fails_is_refused(tmp_path):
    choice = private(tmp_path, "x = torch.ones(1, 2)\n    same(attend(x, x, x), x + 1, 'one key')")
    said = course.gate(choice, course.hidden_checks(choice), tmp_path)
    assert "attention.attend, hidden" in said and "A check of my own." in said


def test_a_private_check_for_no_assignment_is_refused(tmp_path):
    choice = private(tmp_path, "pass")
    (choice.private_checks / "gpt.py").write_text("")
    with pytest.raises(ValueError, match="no assignment of this course has a module 'gpt'"):
        course.hidden_checks(choice)


ANSWER = regions((ROOT / "solutions" / "attention.py").read_text("utf-8"))["attend"]
HIDDEN = (ROOT / "autograder" / "hidden" / "attention.py").read_text("utf-8")


def plant_plain(folder):
    (folder / "notes.py").write_text(ANSWER)


def plant_notebook(folder):
    cell = {"cell_type": "code", "metadata": {}, "source": ANSWER.splitlines(keepends=True), "outputs": []}
    (folder / "a.ipynb").write_text(json.dumps({"cells": [cell]}))


def plant_html(folder):
    lines = "\n".join(f'<span class="n">{line}</span>' for line in ANSWER.replace("<", "&lt;").splitlines())
    (folder / "a.html").write_text(f"<pre>{lines}</pre>".replace("key", "<span>key</span>"))


def plant_zip(folder):
    with zipfile.ZipFile(folder / "a.zip", "w") as file:
        file.writestr("solutions/attention.py", ANSWER)


def plant_reindented(folder):
    (folder / "a.md").write_text("\n".join("        " + line.strip() for line in ANSWER.splitlines()))


def plant_hidden(folder):
    (folder / "a.py").write_text(HIDDEN)


def plant_secret(folder):
    (folder / "log.txt").write_text("seed=0123456789abcdef0123")


def test_the_search_finds_what_stands_in_a_text_and_nothing_else():
    chance = random.Random(1)
    text = "".join(chance.choices("abc", k=4000))
    at = [(chance.randrange(3900), chance.randrange(16, 60)) for _ in range(300)]
    there = [text[start : start + length] for start, length in at]
    other = [chance.choice((passage[:-1] + "d", "d" + passage[1:])) for passage in there]
    search = leaks.Search([leaks.Secret("x", tuple(there)), leaks.Secret("y", tuple(other))])
    assert search.within(text) == set(there)
    assert search.within("d".join(text)) == search.within("") == set()


@pytest.mark.parametrize(
    "plant", [plant_plain, plant_notebook, plant_html, plant_zip, plant_reindented, plant_hidden, plant_secret]
)
def test_a_planted_leak_is_found(tmp_path, plant):
    plant(tmp_path)
    assert leaks.scan(tmp_path, leaks.everything(ROOT, secret="0123456789abcdef0123"))


def test_every_answer_and_every_hidden_check_would_be_found(tmp_path):
    secrets = leaks.everything(ROOT)
    names = {s.what for s in secrets}
    for path in (ROOT / "solutions").glob("*.py"):
        text = path.read_text("utf-8")
        for function in regions(text):
            assert f"the answer of {path.stem}.{function}" in names
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    for path in (ROOT / "autograder" / "hidden").glob("[a-z]*.py"):
        (tmp_path / f"hidden_{path.name}").write_bytes(path.read_bytes())
    assert {leak.what for leak in leaks.scan(tmp_path, secrets)} == names


def test_assignments_give_nothing_away(made, tmp_path):
    choice = Course("x", "0123456789abcdef0123", assignments=EVERYTHING)
    for name, files in made.items():
        write(tmp_path / "source" / name, files)
    write(tmp_path / "private" / "hidden", course.hidden_checks(choice))
    assert [str(leak) for leak in course.find_leaks(tmp_path, choice)] == []


def test_the_built_book_gives_nothing_away():
    book = ROOT / "_build" / "html"
    if not book.exists():
        pytest.skip("the book is not built (make book)")
    assert [str(leak) for leak in leaks.scan(book, leaks.everything(ROOT))] == []
