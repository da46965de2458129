"""A course that an earlier version wrote, written anew in mid-term: what was handed in before counts as it should."""
import csv
import re
import shutil

import pytest

from autograder.course.assignment import stub
from autograder.table import chapters
from tests.grading import old_names
from tests.grading.course_kit import Term

pytest.importorskip("nbgrader")
CHAPTER, LEFT = "09_gpt1", "gpt.finetune_loss"
POINTS = {e.name: e.points for e in chapters()[CHAPTER].exercises}
EARNED = {"whole": sum(POINTS.values()), "half": sum(POINTS.values()) - POINTS[LEFT], "nothing": 0}


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    """Learners work in the release of then, whole folders are handed in, and the course is written anew."""
    term = Term(tmp_path_factory.mktemp("regenerated"))
    solved = old_names.shown("solutions/gpt.py")
    then = term.home / "then"
    then.mkdir()
    old_names.unpack(then)
    term.course.mkdir()
    code = "import sys, pathlib; from autograder.course_config import write_template as w; w(pathlib.Path(sys.argv[1]))"
    term.run(f"PYTHONPATH={then} python -c '{code}' {term.course}/course.toml", then)
    settings = term.course / "course.toml"
    head, *tables = re.split(r"(?m)^(?=\[)", settings.read_text("utf-8"))
    settings.write_text(head + next(t for t in tables if CHAPTER in t), encoding="utf-8")
    term.run(f"PYTHONPATH={then} python -m autograder course --out {term.course}", then)
    term.run(f"PYTHONPATH={then} nbgrader generate_assignment {CHAPTER}", term.course)
    for name, left in (("whole", ()), ("half", (LEFT,)), ("nothing", POINTS)):
        folder = term.course / "submitted" / name / CHAPTER
        shutil.copytree(term.course / "release" / CHAPTER, folder)
        assert (folder / "gptlib" / "data.py").exists() and (folder / "gptlib" / "download.py").exists()
        (folder / "gptlib" / "gpt.py").write_text(stub(solved, "gpt", left), encoding="utf-8")
    term.run(f"python -m autograder course --out {term.course}")
    return term


def exported(term: Term) -> dict[str, float]:
    """Everybody's points."""
    term.run("nbgrader export --to grades.csv", term.course)
    with open(term.course / "grades.csv", encoding="utf-8") as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}


def test_the_engine_gives_what_was_earned(term):
    term.run(f"python -m autograder grade {term.course} {CHAPTER}", term.course)
    assert exported(term) == EARNED


def test_so_does_plain_nbgrader(term):
    said = term.run(f"nbgrader autograde {CHAPTER} --force", term.course)
    assert said.count("Removing existing assignment") == len(EARNED)
    assert exported(term) == EARNED
