"""The engine gives the points that plain `nbgrader autograde` gives, cell by cell.

This is looked at for the chosen chapters. Handed in are the solution, the stub, every other exercise solved, and files
with one wrong implementation of each exercise: a few of them, all with EVERY_FORM=1.
"""
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from autograder import strip
from autograder.course.assignment import stub
from autograder.mistakes import mistakes_of
from autograder.table import chapters
from tests.chosen import chosen
from tests.conftest import ROOT
from tests.grading.course_kit import Term

pytest.importorskip("nbgrader")
FEW = 3
CHAPTERS = [name for name in chapters() if name in chosen()]
PACK = '''


def _pack():
    import sys
    import types

    kept = types.ModuleType("gptlib._kept")
    kept.__package__, sys.modules["gptlib._kept"] = "gptlib", kept
    exec(compile({reference!r}, "kept", "exec"), kept.__dict__)
    space = {{"__name__": "gptlib._wrong", "mistake": lambda *args, **kwargs: lambda function: function}}
    exec(compile({wrong!r}, "wrong", "exec"), space)
    return space


_wrong = _pack()
'''


def packed(module: str, forms: dict[str, str]) -> str:
    """A learner's file with a wrong implementation of each exercise, the rest as it is in the solution."""
    reference = strip.reference((ROOT / "solutions" / f"{module}.py").read_text("utf-8"))
    wrong = (ROOT / "autograder" / "mistakes" / f"{module}.py").read_text("utf-8")
    for old, new in ((f"from gptlib import {module} as", "from gptlib import _kept as"),
                     (f"from gptlib.{module} import", "from gptlib._kept import"),
                     ("from autograder.mistakes import mistake\n", "")):  # fmt: skip
        wrong = wrong.replace(old, new)
    lines = [f'{name.split(".")[1]} = _wrong["{form}"]' for name, form in forms.items()]
    return "\n".join([reference + PACK.format(reference=reference, wrong=wrong), *lines, ""])


def submissions(module: str, names: list[str]) -> dict[str, str]:
    """Learners' files by name."""
    text = (ROOT / "solutions" / f"{module}.py").read_text("utf-8")
    found = {"right": text, "stub": stub(text, module, names), "half": stub(text, module, names[::2])}
    forms = {name: [m.form for m in mistakes_of(module) if m.exercise == name] for name in names}
    most = max(map(len, forms.values()))
    chosen = range(most) if os.environ.get("EVERY_FORM") else range(0, most, -(-most // FEW))
    for i in chosen:
        found[f"wrong{i:02}"] = packed(module, {name: known[i % len(known)] for name, known in forms.items()})
    return found


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    term = Term(tmp_path_factory.mktemp("equal"))
    term.set_chapters(CHAPTERS)
    term.choose(check_seconds="10")
    term.run(f"python -m autograder course --out {term.course}")
    return term


def scores(course: Path, chapter: str) -> dict[tuple[str, str], float]:
    """The points of each learner's grade cells."""
    with sqlite3.connect(course / "gradebook.db") as book:
        rows = book.execute(
            "SELECT a.student_id, b.name, g.auto_score FROM grade g JOIN submitted_notebook n ON g.notebook_id = n.id "
            "JOIN notebook k ON n.notebook_id = k.id JOIN submitted_assignment a ON n.assignment_id = a.id "
            "JOIN base_cell b ON g.cell_id = b.id WHERE k.name = ?", (chapter,),
        ).fetchall()  # fmt: skip
    return {(learner, cell): score for learner, cell, score in rows}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_points_are_those_of_plain_nbgrader(term, chapter):
    course, row = term.course, chapters()[chapter]
    names = [e.name for e in row.exercises]
    term.run(f"nbgrader generate_assignment {chapter}", course)
    for learner, text in submissions(row.module, names).items():
        folder = course / "submitted" / learner / chapter
        shutil.copytree(course / "release" / chapter, folder)
        (folder / "gptlib" / f"{row.module}.py").write_text(text, "utf-8")
    term.run(f"nbgrader autograde {chapter}", course)
    plain = scores(course, chapter)
    with sqlite3.connect(course / "gradebook.db") as book:
        book.execute("UPDATE grade SET auto_score = -1")
    term.run(f"python -m autograder grade {course} {chapter}")
    engine = scores(course, chapter)
    assert engine == plain
    assert {score for (learner, _), score in plain.items() if learner == "stub"} == {0}
    assert sum(score for (learner, _), score in plain.items() if learner == "right") == sum(
        e.points for e in row.exercises
    )
    hidden = [s for (learner, cell), s in plain.items() if learner.startswith("wrong") and cell.endswith("-hidden")]
    assert hidden and not any(hidden)
