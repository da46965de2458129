"""Grading a capstone: weights measured on hidden text, refused with a reason, points in the gradebook."""
import contextlib
import io
import json
import math
import shutil
import sqlite3
import subprocess
import sys
import zipfile

import pytest
import torch

from autograder import capstone
from autograder.course import config as course_config
from autograder.course import write as course
from autograder.engine import capstone as engine
from autograder.engine import grading
from autograder.engine.commit import Committer, NotEntered
from autograder.engine.run import Plan
from autograder.engine.run import Run as GradingRun
from autograder.learner import submit
from gptlib import data, gpt2
from gptlib.capstone import gpt as capstone_gpt
from gptlib.capstone import hand_in
from gptlib.data import token_files
from gptlib.training import Run
from tests.conftest import ROOT
from tests.library.test_capstone import WRONG, manifest, tensors_changed

pytest.importorskip("nbgrader")
NAME = "13_capstone_gpt"
END = capstone_gpt.preset("cpu-quick").tokens
WORDS = "I took the smallest preset, for my laptop is old. <script>alert(1)</script>"


def submission(folder, source="shakespeare", zero=False, tool=None):
    """A tiny GPT whose final norm gives one constant vector, so that it says how often each letter occurs."""
    train = data.shakespeare("train")["Hamlet"]
    symbols = "".join(sorted(set().union(*data.shakespeare().values())))
    tool = tool or token_files.tokenizer("characters", symbols)
    config = {"n_layers": 1, "d_model": 8, "n_heads": 1, "vocab_size": tool.vocab_size, "context_length": 32}
    model = gpt2.GPT2(config, torch.Generator().manual_seed(0))
    counts = torch.bincount(torch.tensor(tool.encode(train)), minlength=tool.vocab_size) + 0.1
    with torch.no_grad():
        for parameter in model.final_norm.parameters():
            parameter.zero_()
        model.final_norm.bias[0] = 0.0 if zero else 1.0
        model.token_embedding.weight[:, 0] = (counts / counts.sum()).log()
    chosen = capstone_gpt.Preset("tiny", "", "cpu", 1, source, "characters", 0, config, {"steps": 1})
    folder.mkdir(parents=True)
    tokens = folder.parent / "tokens"
    if not tokens.exists():
        token_files.write(tokens, {s: lambda: [train] for s in token_files.SPLITS}, tool, "hamlet")
    (folder.parent / "log.csv").write_text("step\n")
    run = Run([{"step": 1, "tokens": 512, "held_out": 3.4}], 3.4, 0)
    hand_in.pack(folder, model, chosen, run, tokens, folder.parent, 4.8, [])
    shutil.rmtree(folder / "hugging_face")
    return folder


def answered(path):
    """The release's notebook with one written answer in it."""
    book = json.loads(path.read_text())
    for cell in book["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "capstone-gpt-choices":
            cell["source"] = WORDS
    return json.dumps(book)


def nbgrader(out, *words):
    return subprocess.run([sys.executable, "-m", "nbgrader", *words], cwd=out, text=True, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout  # fmt: skip


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    """A course of the capstone alone, and what some learners handed in."""
    out = tmp_path_factory.mktemp("term") / "course"
    course_config.write_template(out / "course.toml", {})
    text = (out / "course.toml").read_text().replace("bits = 3.2\n", "bits = 4\n")
    (out / "course.toml").write_text(text)
    assert course.write(out) == 0
    nbgrader(out, "generate_assignment", NAME)
    good = submission(out.parent / "good" / "files")
    release = out / "release" / NAME / f"{NAME}.ipynb"
    learners = {
        "ada": None, "zero": lambda goal: weights_of(goal, out.parent / "zeros"),
        "pickle": WRONG["pickle"][0], "nan": tensors_changed(lambda t: t["final_norm.bias"].fill_(math.nan)),
        "cut": WRONG["cut short"][0], "missing": WRONG["missing"][0], "link": WRONG["link"][0],
        "stories": lambda goal: manifest(goal, source="tinystories"),
        "strange": lambda goal: manifest(goal, tokenizer__symbols="".join(map(chr, range(200, 284)))),
        "famous": lambda goal: manifest(goal, preset="cpu-quick", curve=[[END, 0.5]]),
        "boaster": lambda goal: manifest(goal, bits_per_byte=0.9),
    }  # fmt: skip
    for name, change in learners.items():
        goal = out / "submitted" / name / NAME
        goal.mkdir(parents=True)
        for file in hand_in.FILES:
            shutil.copy(good / file, goal / file)
        (goal / f"{NAME}.ipynb").write_text(answered(release))
        if change:
            change(goal)
    (out / "submitted" / "ada" / NAME / "timestamp.txt").write_text("2026-01-02 03:04:05 UTC")
    (out / "submitted" / "missing" / NAME / f"{NAME}.ipynb").write_text("{")
    (out / "submitted" / "a;b" / NAME).mkdir(parents=True)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert grading.capstone([str(out), NAME]) == 0
    return out, said.getvalue()


def weights_of(goal, folder):
    """Weights that know nothing: every letter alike."""
    made = submission(folder / "files", zero=True)
    for file in hand_in.FILES:
        shutil.copy(made / file, goal / file)


def rows(out):
    with sqlite3.connect(out / "gradebook.db") as db:
        return {(who, cell): (auto, manual, bool(by_hand)) for who, cell, auto, manual, by_hand in db.execute(
            "SELECT a.student_id, b.name, g.auto_score, g.manual_score, g.needs_manual_grade "
            "FROM grade g JOIN submitted_notebook n ON g.notebook_id = n.id "
            "JOIN submitted_assignment a ON n.assignment_id = a.id "
            "JOIN grade_cells c ON g.cell_id = c.id JOIN base_cell b ON c.id = b.id")}  # fmt: skip


def test_the_loss_is_measured_anew_on_hidden_text(term):
    """A model that only knows Hamlet's letters: its bits are a sum that can be done by hand."""
    out, said = term
    works = data.shakespeare("held-out")
    secret = course_config.read(out / "course.toml").secret
    hidden = engine.pieces("\n\n".join(works.values()), secret, f"{NAME} shakespeare")
    assert len(hidden) == engine.PIECES and {len(piece) for piece in hidden} == {engine.LENGTH}
    train, symbols = data.shakespeare("train")["Hamlet"], set().union(*data.shakespeare().values())
    chances = {c: train.count(c) + 0.1 for c in symbols}
    total = sum(chances.values())
    needed = sum(-math.log2(chances[c] / total) for piece in hidden for c in piece[1:])
    needed = (needed + len(hidden) * math.log2(len(symbols))) / (engine.PIECES * engine.LENGTH)
    judge = engine.Judge(engine.modules(), capstone.capstones()[NAME], secret)
    found, base = judge.measure(hand_in.read(out / "submitted" / "ada" / NAME, gpt2.GPT2), hidden)
    assert found == pytest.approx(needed, rel=1e-4) and base == engine.letters("".join(hidden)) < needed
    assert rows(out)["ada", "capstone-gpt-loss"] == (0.0, None, False), "letters alone earn nothing"


@pytest.mark.parametrize("name, verdict, words", [
    ("zero", "GRADED", "0 of 10 points; bits per byte on hidden text: 6.39"),
    ("pickle", "ZERO-WITH-REASON", "is a pickle"),
    ("nan", "ZERO-WITH-REASON", "not finite"),
    ("cut", "ZERO-WITH-REASON", "its head says"),
    ("missing", "ZERO-WITH-REASON", "cannot be read"),
    ("link", "ZERO-WITH-REASON", "cannot be read"),
    ("strange", "ZERO-WITH-REASON", "cannot write the hidden text"),
    ("stories", "NEEDS-HUMAN", "no hidden text of that kind"),
    ("famous", "NEEDS-HUMAN", "suspiciously good"),
    ("boaster", "GRADED", "you measured 0.900"),
])  # fmt: skip
def test_each_submission_gets_its_verdict_and_stops_nobody(term, name, verdict, words):
    out, said = term
    line = next(line for line in said.splitlines() if f" {name}: " in line)
    assert line.startswith(verdict) and words in line
    auto, _, by_hand = rows(out)[name, "capstone-gpt-loss"]
    assert (auto is None and by_hand) if verdict == "NEEDS-HUMAN" else (auto == 0.0 and not by_hand)


def test_who_claims_too_much_is_told(term):
    text = (term[0] / "autograded" / "boaster" / NAME / f"{NAME}.ipynb").read_text()
    assert "much better than ours" in text and "letter frequencies alone need" in text


def test_names_that_are_not_plain_get_no_row(term):
    out, said = term
    assert "REJECTED 'a;b'" in said and not [who for who, _ in rows(out) if who == "a;b"]


def test_written_answers_wait_for_a_person_and_hold_no_script(term):
    out, _ = term
    cells = ("capstone-gpt-choices", "capstone-gpt-curve", "capstone-gpt-experiment")
    assert rows(out)["ada", cells[0]] == (None, None, True)
    text = (out / "autograded" / "ada" / NAME / f"{NAME}.ipynb").read_text()
    assert "my laptop is old" in text and "<script>alert" not in text
    assert not [p.name for p in (out / "autograded").rglob("*.safetensors")]


def test_a_part_of_the_points_reaches_the_grades(term):
    out, _ = term
    path = out / "course.toml"
    text = path.read_text()
    try:
        path.write_text(text.replace("bits = 4\n", "bits = 4.4\n").replace("suspicious = 1.3", "suspicious = 0"))
        settings = course_config.read(path)
        grader = engine.CapstoneGrader(out, settings.capstones[NAME], settings)
        grader.judge.measure = lambda came, hidden: (4.5, 4.9)
        with contextlib.redirect_stdout(io.StringIO()):
            assert GradingRun(out, grader, Plan(student="ada")).go() == 0
        assert rows(out)["ada", "capstone-gpt-loss"] == (8.0, None, False)
    finally:
        path.write_text(text)


def test_a_second_run_measures_nothing_again(term, monkeypatch):
    out, said = term
    monkeypatch.setattr(engine.Judge, "judge", lambda *_: pytest.fail("measured again"))
    with contextlib.redirect_stdout(io.StringIO()) as again:
        assert grading.capstone([str(out), NAME]) == 0
    assert timeless(again.getvalue()) == timeless(said)


def timeless(said):
    """What was printed, without rates and times."""
    lines = [line for line in said.splitlines() if "a second" not in line]
    return [line.partition(" submissions in ")[0] for line in lines]


def test_hidden_pieces_are_the_courses_own_and_the_same_again():
    text = "".join(f"{i}\n" for i in range(20_000))
    first, other = engine.pieces(text, "a" * 16, "x"), engine.pieces(text, "b" * 16, "x")
    assert first == engine.pieces(text, "a" * 16, "x") != other and all(piece in text for piece in first)
    assert engine.pieces(text, "a" * 16, "y") != first and engine.pieces("short", "a" * 16, "x") == ["short"]


def test_letters_alone():
    assert engine.letters("abab") == 1 and engine.letters("aaaa") == 0 and engine.letters("éé") == 1


def test_plain_nbgrader_gives_nothing_for_the_loss_and_says_what_does(monkeypatch, tmp_path, capsys):
    folder = submission(tmp_path / "good" / "files")
    capstone.look(folder)
    assert "bits per byte" in capsys.readouterr().out
    (folder / "model.safetensors").write_bytes(b"")
    capstone.look(folder)
    assert "would be refused" in capsys.readouterr().out
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(RuntimeError, match="autograder capstone COURSE"):
        capstone.look(folder)


def test_the_release_is_the_notebook_alone_and_its_points_are_the_courses(term):
    out, _ = term
    assert [p.name for p in (out / "release" / NAME).rglob("*") if p.is_file()] == [f"{NAME}.ipynb"]
    table = capstone.capstones()[NAME]
    cells = json.loads((ROOT / "chapters" / f"{NAME}.ipynb").read_text())["cells"]
    points = [c["metadata"]["nbgrader"]["points"] for c in cells if capstone.is_loss(c)]
    assert points == [table.loss]
    assert course.find_leaks(out, course_config.read(out / "course.toml")) == []


@pytest.mark.parametrize("old, new, words", [
    ("loss = 10", "loss = -1", "loss must be a number of at least 0"),
    ("loss = 10", "lost = 10", "knows no 'lost'"),
    ("[capstones.13_capstone_gpt]", "[capstones.99_other]", "no capstone is called '99_other'"),
    ("loss = 10", 'texts.tinystories = { file = "nowhere.txt", bits = 1 }', "there is no such file"),
    ("loss = 10", 'texts.tinystories = "nowhere.txt"', "needs { file"),
])  # fmt: skip
def test_a_wrong_choice_is_explained(tmp_path, old, new, words):
    course_config.write_template(tmp_path / "course.toml", {})
    text = (tmp_path / "course.toml").read_text()
    assert old in text
    (tmp_path / "course.toml").write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=words):
        course_config.read(tmp_path / "course.toml", {})


def test_a_text_of_the_instructors_own_serves_for_other_sources(tmp_path):
    course_config.write_template(tmp_path / "course.toml", {})
    (tmp_path / "stories.txt").write_text("Once upon a time.\n" * 20)
    line = 'texts.tinystories = { file = "stories.txt", bits = 1.5 }\nloss = 10'
    path = tmp_path / "course.toml"
    path.write_text(path.read_text().replace("loss = 10", line))
    chosen = course_config.read(path, {}).capstones[NAME]
    judge = engine.Judge(engine.modules(), chosen, "x" * 16)
    assert judge.hidden("tinystories") == (["Once upon a time.\n" * 20], 1.5) and judge.hidden("web") is None


def test_grading_names_what_is_missing(tmp_path, capsys):
    course_config.write_template(tmp_path / "course.toml", {})
    assert grading.capstone([str(tmp_path), NAME]) == 2 and "generate_assignment" in capsys.readouterr().out
    assert grading.capstone([str(tmp_path), "14_other"]) == 2 and "no capstone" in capsys.readouterr().out


def test_what_submit_packs_is_collected_and_graded(term, tmp_path, capsys):
    """One command of the learner, then nbgrader's zip_collect and the grader."""
    course_folder = tmp_path / "course"
    shutil.copytree(term[0], course_folder, ignore=shutil.ignore_patterns("submitted", "autograded"))
    weights = term[0].parent / "good" / "files"
    archive = course_folder / "downloaded" / NAME / "archive"
    path = submit.pack(NAME, "grace", tmp_path, course_folder / "release" / NAME / f"{NAME}.ipynb", weights)
    with zipfile.ZipFile(path) as packed:
        assert packed.namelist() == [f"{NAME}/{name}" for name in (f"{NAME}.ipynb", *capstone.HANDED_IN)]
    said = capsys.readouterr().out
    assert "parameters, preset tiny" in said and "bits per byte" in said
    archive.mkdir(parents=True)
    shutil.copy(path, archive)
    nbgrader(course_folder, "zip_collect", NAME)
    assert grading.capstone([str(course_folder), NAME]) == 0
    assert "GRADED grace" in capsys.readouterr().out
    for weights, says in ((None, "--weights FOLDER"), (tmp_path, "no model.safetensors")):
        with pytest.raises(ValueError, match=says):
            submit.pack(NAME, "grace", tmp_path, path, weights)


@pytest.fixture
def copy(term, tmp_path):
    """The course with nothing graded, and two submissions."""
    out = tmp_path / "course"
    shutil.copytree(term[0], out, ignore=shutil.ignore_patterns("submitted", "autograded", "engine"))
    with sqlite3.connect(out / "gradebook.db") as db:
        for table in ("grade", "comment", "submitted_notebook", "submitted_assignment", "student"):
            db.execute(f"DELETE FROM {table}")
    for name in ("ada", "zero"):
        shutil.copytree(term[0] / "submitted" / name, out / "submitted" / name)
    return out


def graded(out, *words, command=grading.main, code=0):
    """What the command prints."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert command([str(out), NAME, *words]) == code, said.getvalue()
    return said.getvalue()


def entered(out, learner):
    """What was entered of a learner's loss."""
    result = json.loads((out / "private/engine/results" / NAME / f"{learner}.json").read_text())
    return result, result["cells"].get("capstone-gpt-loss")


def test_grade_sees_that_it_is_a_capstone(copy):
    said = graded(copy)
    assert "GRADED ada" in said and "GRADED zero" in said and "2 of 2 submissions" in said and "Tier" not in said
    before = rows(copy)
    assert timeless(graded(copy, command=grading.capstone)) == timeless(said) and rows(copy) == before


def test_a_refused_submission_enters_its_reason(copy):
    (copy / "submitted" / "ada" / NAME / "many").mkdir()
    for i in range(2001):
        (copy / "submitted" / "ada" / NAME / "many" / f"{i}").touch()
    (copy / "submitted" / "grace").mkdir()
    (copy / "submitted" / "grace" / NAME).write_text("not a folder")
    said = graded(copy)
    assert "REJECTED 'ada': The submission has more than 2000 files" in said and "1 GRADED  2 REJECTED" in said
    for learner, why in (("ada", "more than 2000 files"), ("grace", "not a folder")):
        result, _ = entered(copy, learner)
        assert why in result["missing"]
        assert rows(copy)[learner, "capstone-gpt-loss"] == (0.0, None, False)
        assert why in (copy / "autograded" / learner / NAME / f"{NAME}.ipynb").read_text()


def test_who_is_not_on_the_roster_gets_no_row(copy):
    (copy / "roster.txt").write_text("zero\n")
    assert "REJECTED 'ada': this name is not a plain one or not on the course's roster" in graded(copy)
    assert {who for who, _ in rows(copy)} == {"zero"}


def test_one_learner_and_a_gradebook_elsewhere(copy):
    elsewhere = f"sqlite:///{copy / 'other.db'}"
    assert f"Run `nbgrader generate_assignment {NAME} --db" in graded(copy, "--db", elsewhere, code=2)
    nbgrader(copy, "generate_assignment", NAME, "--force", "--db", elsewhere)
    assert "1 of 1 submissions" in graded(copy, "--student", "zero", "--db", elsewhere)
    assert rows(copy) == {}
    (copy / "other.db").rename(copy / "gradebook.db")
    assert {who for who, _ in rows(copy)} == {"zero"}


def test_receipts_say_what_came_and_when_it_was_first_seen(copy):
    graded(copy)
    first, _ = entered(copy, "ada")
    seen = copy / "private/engine/seen" / NAME / "ada.json"
    known = json.loads(seen.read_text())
    assert known == {first["receipt"]: first["received"]} and len(first["receipt"]) == 64
    seen.write_text(json.dumps({first["receipt"]: "2026-01-01T00:00:00+00:00"}))
    graded(copy)
    assert entered(copy, "ada")[0]["received"] == "2026-01-01T00:00:00+00:00"
    weights = copy / "submitted" / "ada" / NAME / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    graded(copy)
    other, _ = entered(copy, "ada")
    assert other["receipt"] != first["receipt"] and len(json.loads(seen.read_text())) == 2


def test_parts_are_run_and_then_entered(copy):
    first = graded(copy, "--shard", "1/2") + graded(copy, "--shard", "2/2")
    assert "Part 2 of 2 is run" in first and first.count("GRADED ada") == 1 and rows(copy) == {}
    assert "2 GRADED" in graded(copy, "--commit")
    weights = copy / "submitted" / "ada" / NAME / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    said = graded(copy, "--commit", code=1)
    assert "RETRY ada: not all of it has been run yet" in said and "1 GRADED  1 RETRY" in said


def test_a_gradebook_that_cannot_be_written_is_no_verdict(copy, monkeypatch):
    def fail(*_):
        raise NotEntered("locked", soon=False)

    monkeypatch.setattr(Committer, "enter", fail)
    said = graded(copy, code=1)
    assert "RETRY ada: the gradebook could not be written" in said and "2 RETRY" in said


def test_a_machine_that_fails_at_one_is_no_verdict_and_stops_nobody(copy, monkeypatch):
    judge = engine.Judge.judge
    monkeypatch.setattr(engine.Judge, "judge", lambda s, place: judge(s, place) if "zero" in str(place) else 1 / 0)
    said = graded(copy, code=1)
    assert "RETRY ada: the machine failed" in said and "1 GRADED  1 RETRY" in said
    monkeypatch.undo()
    assert "2 GRADED" in graded(copy)


def test_files_that_were_not_taken_are_named(copy):
    place = copy / "submitted" / "ada" / NAME
    (place / f"{NAME}.ipynb").rename(place / "My capstone.ipynb")
    (place / "model (1).safetensors").touch()
    graded(copy)
    text = (copy / "autograded" / "ada" / NAME / f"{NAME}.ipynb").read_text()
    assert "was called 'My capstone.ipynb'; it was graded as" in text and "my laptop is old" in text
    assert "Not taken, because the assignment has no such file: 'model (1).safetensors'" in text


@pytest.mark.parametrize("option", ["--tier=T0", "--workers=2", "--dask=tcp://h:1"])
def test_options_about_code_are_not_for_weights(copy, option):
    said = graded(copy, option, code=2)
    assert "is about learners' code, and a capstone has none" in said


def test_the_command_for_capstones_knows_no_chapters(copy):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert grading.capstone([str(copy), "05_attention"]) == 2
        assert grading.main([str(copy), "05_attention"]) == 2
    assert "no capstone '05_attention'" in said.getvalue()
    assert "no assignment or capstone '05_attention'" in said.getvalue()
