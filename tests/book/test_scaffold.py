"""The ten steps of the contributor's page, followed to the letter in a copy of the repository."""
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from autograder import kept
from chapters._book import scaffold
from tests.conftest import ROOT

PAGE = (ROOT / "chapters" / "contributor.md").read_text(encoding="utf-8")
STEPS = re.split(r"^ ?\d+\. ", PAGE.partition("## How to add a chapter")[2].partition("\n## ")[0], flags=re.M)[1:]
COMMANDS = [line.strip() for step in STEPS for block in re.findall(r"```bash\n(.*?)```", step, re.S)
            for line in block.strip().splitlines()]
LEAVE_OUT = shutil.ignore_patterns(".venv", ".git", "build", "_build", "_generated", "__pycache__", ".*_cache")


def run(command: str, folder):
    """Run a command of the page with this Python, in the copy and on nothing but the copy."""
    assert command.startswith("python "), command
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV", "GPTLIB", "COURSE"))}
    settings |= {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    shell = f'"{sys.executable}"' + command.removeprefix("python")
    done = subprocess.run(shell, shell=True, cwd=folder, env=settings, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A clone in which what is computed once for each module has been computed."""
    folder = tmp_path_factory.mktemp("scaffold") / "course"
    shutil.copytree(ROOT, folder, ignore=LEAVE_OUT)
    if kept.FOLDER.exists():
        shutil.copytree(kept.FOLDER, folder / kept.FOLDER.relative_to(ROOT))
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "course"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return folder


def test_there_are_ten_steps_and_the_commands_stand_in_three_of_them():
    assert len(STEPS) == 10
    assert [("```bash" in step) for step in STEPS] == [True, *[False] * 7, True, True]


@pytest.mark.slow
def test_the_ten_steps_make_a_chapter_that_passes_all_its_tests(copy):
    for command in COMMANDS:
        code, output = run(command, copy)
        assert code == 0, f"{command}\n{output}"
    passed = re.search(r"(\d+) passed", output)
    assert passed and int(passed[1]) >= 20, output

    stub = (copy / "gptlib" / "echo.py").read_text(encoding="utf-8")
    assert 'raise NotImplementedError("echo.example")' in stub and "SOLUTION" not in stub
    cells = json.loads((copy / "chapters" / "90_echo.ipynb").read_text(encoding="utf-8"))["cells"]
    assert [c["metadata"]["nbgrader"]["points"] for c in cells if "nbgrader" in c["metadata"]] == [2, 3]
    assert any("**n-grams (1948)**" in "".join(c["source"]) for c in cells)
    toc = (copy / "_toc.yml").read_text(encoding="utf-8")
    assert toc.index("chapters/13_capstone_gpt") < toc.index("chapters/90_echo") < toc.index("chapters/instructor")
    code, output = run(COMMANDS[0], copy)
    assert code == 1 and "already" in output


@pytest.mark.parametrize(("arguments", "words"), [
    (("9_echo", "echo", "An echo", "ngram"), "NN_NAME"),
    (("90_echo", "e-cho", "An echo", "ngram"), "MODULE"),
    (("90_echo", "echo", 'An "echo"', "ngram"), "TITLE"),
    (("90_echo", "echo", "An echo", "nobody"), "nobody"),
    (("27_echo", "echo", "An echo", "ngram"), "belongs to 27_vit"),
    (("06_again", "attention", "Again"), "there is solutions/attention.py"),
])
def test_a_name_that_breaks_its_rule_is_refused_and_nothing_is_written(arguments, words):
    before = {path: path.stat().st_mtime_ns for path in ROOT.glob("*/*.*")}
    with pytest.raises(ValueError, match=re.escape(words)):
        scaffold.scaffold(*arguments)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list(ROOT.glob("chapters/*echo*"))


def test_a_chapter_goes_after_the_last_one_with_a_smaller_number():
    toc = "root: x\n    - file: chapters/01_a\n  - file: chapters/05_b\n      - file: chapters/instructor\n"
    assert "01_a\n    - file: chapters/03_c\n  - file" in scaffold.with_toc_line(toc, "03_c")
    assert "05_b\n  - file: chapters/09_d\n      -" in scaffold.with_toc_line(toc, "09_d")
    with pytest.raises(ValueError, match="00_z"):
        scaffold.with_toc_line(toc, "00_z")


def test_a_node_gets_its_chapter_wherever_it_stands():
    text = '[nodes.a]\ngist = "x"\n\n[nodes.b]\ngist = "y"\n'
    assert scaffold.with_chapter(text, "a", "02_a") == text.replace('"x"\n', '"x"\nchapter = "02_a"\n')
    assert scaffold.with_chapter(text, "b", "03_b") == text.replace('"y"\n', '"y"\nchapter = "03_b"\n')
