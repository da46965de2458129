"""What the engine enters is what nbgrader's own converter enters: every row of every table, every file."""
import json
import shutil
import sqlite3
import subprocess
import sys

import pytest

pytest.importorskip("nbgrader")

import nbformat
from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, BaseConverter
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    AssignLatePenalties,
    GetGrades,
    LimitOutput,
    NbGraderPreprocessor,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)

from autograder.engine import commit, feedback, rebuild
from autograder.engine.commit import Committer, Graded
from autograder.engine.nbgrader_steps import configuration
from autograder.engine.notebook import enter_verdicts
from autograder.engine.verdicts import HUMAN

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # of nbgrader's converter
NAME = "ps"
CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "a-course"
c.Autograde.exclude_overwriting = {"ps": ["own.py"]}
c.LateSubmissionPlugin.penalty_method = "zero"
c.LimitOutput.max_lines = 50
"""


def cell(kind, name, text, **settings):
    """A cell of the assignment, graded in some way if it has a name."""
    made = {"cell_type": kind, "id": name or f"plain-{len(text)}", "metadata": {}, "source": text}
    if kind == "code":
        made |= {"outputs": [], "execution_count": None}
    if name:
        own = {"grade": False, "solution": False, "task": False, "locked": False, "schema_version": 3, "grade_id": name}
        made["metadata"]["nbgrader"] = own | settings
    return made


def book(*cells):
    """A notebook."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": list(cells)}


LOCKED = {"grade": True, "locked": True}
CELLS = [
    cell("markdown", "", "# A problem set"), cell("code", "", "import math"),
    cell("code", "first", "check(1)", points=2, **LOCKED), cell("code", "second", "check(2)", points=3, **LOCKED),
    cell("code", "third", "check(3)", points=1.5, **LOCKED),
    cell("markdown", "essay", "Write *here*.", grade=True, solution=True, points=4),
    cell("code", "free", "# your code", solution=True),
    cell("markdown", "task", "Draw something.", task=True, locked=True, points=2),
    cell("code", "", "print('the end')"),
]  # fmt: skip
OTHER = [cell("code", "another", "check(4)", points=1, **LOCKED)]


class EnterVerdicts(NbGraderPreprocessor):
    """The engine's step among nbgrader's."""

    result: dict = {}

    def preprocess(self, nb, resources):
        """Fill in the outputs."""
        enter_verdicts(list(nb.cells), self.result)
        return nb, resources


class SaveVerdicts(SaveAutoGrades):
    """nbgrader's step; what the engine could not decide is left to a person."""

    def preprocess_cell(self, cell, resources, cell_index):
        """Save one cell."""
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if EnterVerdicts.result["cells"].get(name, {}).get("verdict") == HUMAN:
            grade = self.gradebook.find_grade(name, self.notebook_id, self.assignment_id, self.student_id)
            grade.auto_score, grade.needs_manual_grade = None, True
            self.gradebook.db.commit()
        return cell, resources


class OnePass(Autograde):
    """nbgrader's converter without its second pass, in which a kernel would run the notebook."""

    def convert_single_notebook(self, notebook_filename):
        """Convert a notebook."""
        self._init_preprocessors()
        BaseConverter.convert_single_notebook(self, notebook_filename)


def converted(course, graded):
    """Let nbgrader's own converter enter it."""
    folder = course / "submitted" / graded.learner / NAME
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / f"{NAME}.ipynb").write_text(json.dumps(graded.book))
    for name, data in graded.files.items():
        (folder / name).write_bytes(data)
    config = configuration(course)
    config.Autograde.sanitize_preprocessors = [
        OverwriteKernelspec, OverwriteCells, EnterVerdicts, ClearMetadataPreprocessor, LimitOutput, SaveVerdicts,
        AssignLatePenalties,
    ]  # fmt: skip
    EnterVerdicts.result = graded.result
    place = CourseDirectory(config=config)
    place.assignment_id, place.student_id = NAME, graded.learner
    app = OnePass(coursedir=place, config=config)
    app.force = True
    app.start()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A course with an assignment of two notebooks, due at new year."""
    course = tmp_path_factory.mktemp("made") / "course"
    source = course / "source" / NAME
    (source / "data" / "deep").mkdir(parents=True)
    (course / "nbgrader_config.py").write_text(CONFIG)
    (source / f"{NAME}.ipynb").write_text(json.dumps(book(*CELLS)))
    (source / "extra.ipynb").write_text(json.dumps(book(*OTHER)))
    (source / "own.py").write_text("# yours\n")
    (source / "data" / "given.py").write_text("given = 1\n")
    (source / "data" / "deep" / "numbers.json").write_text("[1]\n")
    subprocess.run([sys.executable, "-m", "nbgrader", "generate_assignment", NAME], cwd=course, check=True)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "a-course") as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate="2026-01-01 00:00:00 UTC")
        gradebook.add_student("eve", first_name="Eve", last_name="Adams")
    return course


@pytest.fixture
def pair(made, tmp_path):
    """The course twice: for nbgrader and for the engine."""
    for name in ("nbgrader", "engine"):
        shutil.copytree(made, tmp_path / name)
    return tmp_path / "nbgrader", tmp_path / "engine"


def template(course):
    """The assignment's notebook."""
    return rebuild.Template(json.loads((course / "source" / NAME / f"{NAME}.ipynb").read_text()))


def graded(course, learner, cells, answers=None, files=None, **more):
    """A graded submission: `cells` by name a message, points, or a verdict."""
    rows = {}
    for name, found in cells.items():
        row = {"verdict": "GRADED", "text": f"{name} was run", "message": "", "flags": []}
        more_of_it = {"points": found} if isinstance(found, float) else {"message": found}
        rows[name] = row | (found if isinstance(found, dict) else more_of_it)
    result = {"cells": rows, "notices": ["Hello.", "Nothing else."], "missing": "This cell was not run."} | more
    shared = template(course)
    came = [{"cell_type": "code" if name in ("free", "x") else "markdown", "source": text,
             "metadata": {"nbgrader": {"grade_id": name}} if name != "x" else {}}
            for name, text in (answers or {}).items()]  # fmt: skip
    return Graded(learner, result, rebuild.rebuilt(shared, came), files or {"own.py": b"mine = 1\n"})


def rows(course):
    """All rows of all tables, with names in the place of numbers that are drawn."""
    with sqlite3.connect(course / "gradebook.db") as db:
        db.row_factory = sqlite3.Row
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {table: [dict(row) for row in db.execute(f"SELECT * FROM {table}")] for table in tables}
    names = {}
    for table, key in (("submitted_assignment", "student_id"), ("submitted_notebook", "notebook_id")):
        for row in found[table]:
            own = (row[key], names.get(row["assignment_id"], row["assignment_id"]))
            names[row["id"]] = repr(own)
    for table in ("submitted_assignment", "submitted_notebook", "grade", "comment"):
        for row in found[table]:
            del row["id"]
    return {table: sorted(json.dumps({k: names.get(v, v) for k, v in row.items()}) for row in kept)
            for table, kept in found.items()}  # fmt: skip


def files(course):
    """What lies in autograded/, each file with its mode and content, notebooks as they are read."""
    place = course / "autograded"
    return {path.relative_to(place).as_posix(): (path.stat().st_mode, content(path)) for path in place.rglob("*")}


def content(path):
    """What a file holds."""
    if path.suffix == ".ipynb":
        return nbformat.v4.reads(path.read_text("utf-8"))
    return path.read_bytes() if path.is_file() else None


def enter(pair, *all_graded):
    """Enter submissions both ways; the second way is the engine's."""
    theirs, ours = pair
    for one in all_graded:
        converted(theirs, one)
    committer = Committer(ours, NAME, template(ours))
    assert committer.ready() == ""
    for one in all_graded:
        assert committer.enter(one)
    committer.close()
    assert rows(theirs) == rows(ours)
    assert files(theirs) == files(ours) and files(ours)


def by_hand(pair, statement):
    """What a person does in the formgrader."""
    for course in pair:
        with sqlite3.connect(course / "gradebook.db") as db:
            assert db.execute(statement).rowcount


IN_TIME, LATE = {"timestamp.txt": b"2025-12-31 10:00:00 UTC"}, {"timestamp.txt": b"2026-01-01 02:00:00 +0100"}
LATER = {"timestamp.txt": b"2026-01-02 00:00:00.123456 UTC"}


def test_first_submissions(pair):
    course = pair[1]
    long = {"message": "\n".join(f"line {i}" for i in range(200)), "text": "\n".join(f"{i}" for i in range(200))}
    enter(
        pair,
        graded(course, "ada", dict.fromkeys(("first", "second", "third"), "")),
        graded(course, "bob", {"first": "✗ wrong\nvery", "second": 1.25, "third": {"verdict": HUMAN}},
               {"essay": "My <b>essay</b>", "free": "x = 1", "x": "mine()"}, IN_TIME | {"own.py": "ü".encode()}),
        graded(course, "cyd", {"first": "", "second": long, "third": {"text": ""}}, {"free": "# your code"}, LATE),
        graded(course, "dan", {}, missing="✗ Not graded: it cannot be read", files={"own.py": b""}),
        graded(course, "eve", {"first": "", "second": 0.0}, {"essay": ""}, LATER | {"own.py": b"1"}),
    )  # fmt: skip
    with Gradebook(f"sqlite:///{pair[1] / 'gradebook.db'}", "a-course") as book:
        scores = {who: book.find_submission(NAME, who).score for who in ("ada", "bob", "cyd", "dan", "eve")}
        assert scores == {"ada": 6.5, "bob": 1.25, "cyd": 3.5, "dan": 0, "eve": 2}
        late = [book.find_submission(NAME, who).late_submission_penalty for who in ("bob", "cyd", "eve")]
        assert late == [0, 3.5, 2]
        assert book.find_grade("third", NAME, NAME, "bob").needs_manual_grade


def test_later_submissions_after_a_person_was_there(pair):
    course = pair[1]
    enter(pair, graded(course, "ada", {"first": "", "second": "no"}, {"essay": "a"}, LATE),
          graded(course, "bob", {"first": "", "second": "no"}, None, IN_TIME))  # fmt: skip
    grade = "UPDATE grade SET manual_score = 1.5, extra_credit = 0.5, needs_manual_grade = 0 WHERE cell_id IN "
    by_hand(pair, grade + "(SELECT id FROM base_cell WHERE name IN ('second', 'essay', 'another', 'task'))")
    by_hand(pair, "UPDATE comment SET manual_comment = 'Good.'")
    by_hand(pair, "UPDATE submitted_notebook SET flagged = 1")
    enter(pair, graded(course, "ada", {"first": "no", "second": ""}, {"essay": "b", "free": "2"}),
          graded(course, "bob", {"first": 1.0, "second": "no", "third": {"verdict": HUMAN}}, {"free": "y"}, LATER))
    for when in (60 * 24 * 9, None):  # minutes more than the others have
        by_hand(pair, "UPDATE submitted_assignment SET extension = "
                      + (f"'1970-01-{1 + when // 1440:02} 00:00:00.000000'" if when else "NULL"))  # fmt: skip
        enter(pair, graded(course, "ada", {"first": "", "second": f"{when}"}, None, LATE),
              graded(course, "bob", {"first": "", "second": f"{when}"}, None, LATER))  # fmt: skip


def test_what_was_changed_in_the_source_after_the_release_is_put_back(pair):
    for course in pair:
        path = course / "source" / NAME / f"{NAME}.ipynb"
        changed = json.loads(path.read_text())
        changed["cells"][2]["source"], changed["cells"][3]["metadata"]["nbgrader"]["points"] = "pass", 300
        changed["cells"][5]["source"], changed["metadata"]["kernelspec"]["name"] = "Write there.", "other"
        changed["cells"][0]["source"] = ["# A new\n", "title"]
        path.write_text(json.dumps(changed))
    course = pair[1]
    enter(pair, graded(course, "ada", {"first": "", "second": ""}, {"free": "1"}),
          graded(course, "bob", {"first": "no"}, {"essay": "Write *here*."}))  # fmt: skip
    assert "check(1)" in (pair[1] / "autograded" / "ada" / NAME / f"{NAME}.ipynb").read_text()


def test_a_cell_that_the_gradebook_does_not_have_is_named(pair):
    path = pair[1] / "source" / NAME / f"{NAME}.ipynb"
    path.write_text(path.read_text().replace('"grade_id": "second"', '"grade_id": "new"'))
    assert "has no cell new of assignment ps. Run `nbgrader generate_assignment ps`" in Committer(
        pair[1], NAME, template(pair[1])
    ).ready()


@pytest.mark.parametrize("line", ["c.AssignLatePenalties.enabled = False", "c.LimitOutput.enabled = False",
                                  "c.CourseDirectory.autograded_directory = 'marked'", "c.Autograde.permissions = 664",
                                  "c.CourseDirectory.groupshared = True", "c.CourseDirectory.ignore = ['*.json']",
                                  "c.Autograde.exclude_overwriting = {}"])  # fmt: skip
def test_the_courses_own_settings_of_nbgrader_count(pair, line):
    for course in pair:
        with (course / "nbgrader_config.py").open("a") as file:
            file.write(line + "\n")
    enter_without_files = "marked" in line
    one = graded(pair[1], "ada", {"first": "", "second": {"text": "x\n" * 99}}, {"free": "1"}, LATE | {"own.py": b"1"})
    if enter_without_files:
        converted(pair[0], one)
        assert Committer(pair[1], NAME, template(pair[1])).enter(one)
        assert not (pair[1] / "autograded").exists()
        for course in pair:
            (course / "marked").rename(course / "autograded")
        assert rows(pair[0]) == rows(pair[1]) and files(pair[0]) == files(pair[1])
    else:
        enter(pair, one)


def test_a_student_whom_the_gradebook_must_not_make_is_not_made(pair):
    with (pair[1] / "nbgrader_config.py").open("a") as file:
        file.write("c.Autograde.create_student = False\n")
    committer = Committer(pair[1], NAME, template(pair[1]))
    before = rows(pair[1])
    with pytest.raises(commit.NotEntered, match="No student with ID 'ada' exists"):
        committer.enter(graded(pair[1], "ada", {"first": ""}))
    assert rows(pair[1]) == before and not (pair[1] / "autograded" / "ada" / NAME).exists()
    assert committer.enter(graded(pair[1], "eve", {"first": ""}))


def test_hooks_are_called(pair):
    with (pair[1] / "nbgrader_config.py").open("a") as file:
        file.write("import builtins\nbuiltins.hooked = []\n"
                   "c.Autograde.pre_convert_hook = lambda **names: builtins.hooked.append(('before', names))\n"
                   "c.Autograde.post_convert_hook = lambda **names: builtins.hooked.append(('after', names))\n")
    assert Committer(pair[1], NAME, template(pair[1])).enter(graded(pair[1], "ada", {"first": ""}))
    import builtins

    path = str(pair[1] / "autograded" / "ada" / NAME / f"{NAME}.ipynb")
    names = {"assignment": NAME, "student": "ada", "notebooks": [path]}
    assert builtins.hooked == [("before", names), ("after", names)]
    del builtins.hooked


def test_the_same_is_entered_once_and_anything_else_again(pair):
    course = pair[1]
    committer = Committer(course, NAME, template(course))
    one = graded(course, "ada", {"first": ""}, {"free": "1"})
    assert committer.enter(one) and not committer.enter(one)
    others = [graded(course, "ada", {"first": "no"}, {"free": "1"}), graded(course, "ada", {"first": "no"}),
              graded(course, "ada", {"first": "no"}, None, LATE), graded(course, "ada", {"first": "no"}, {"x": "y"})]
    assert all(committer.enter(other) and not committer.enter(other) for other in others)
    shutil.rmtree(course / "autograded" / "ada")
    assert committer.enter(others[-1])
    path = course / "source" / NAME / f"{NAME}.ipynb"
    path.write_text(path.read_text().replace("the end", "an end"))
    assert Committer(course, NAME, template(course)).enter(graded(course, "ada", {"first": "no"}, {"x": "y"}))


def test_given_files_are_stored_once_and_mended(pair):
    course = pair[1]
    committer = Committer(course, NAME, template(course))
    for who in ("ada", "bob"):
        assert committer.enter(graded(course, who, {"first": ""}))
    ada, bob = (course / "autograded" / who / NAME / "data" / "given.py" for who in ("ada", "bob"))
    assert ada.samefile(bob) and ada.read_text() == "given = 1\n" and ada.stat().st_mode & 0o777 == 0o444
    ada.chmod(0o644)
    ada.write_text("spoiled\n")
    assert Committer(course, NAME, template(course)).enter(graded(course, "ada", {"first": "no"}))
    assert ada.read_text() == "given = 1\n" and bob.read_text() == "spoiled\n"


def test_files_are_copies_where_links_are_refused(pair, monkeypatch):
    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    enter(pair, graded(pair[1], "ada", {"first": ""}))


def test_notebooks_that_are_entered_are_valid(pair):
    course = pair[1]
    assert Committer(course, NAME, template(course)).enter(
        graded(course, "ada", {"first": "no", "second": 1.0}, {"essay": "ü \ud83d\ude00", "free": "1", "x": "2"})
    )
    nbformat.validate(nbformat.read(course / "autograded" / "ada" / NAME / f"{NAME}.ipynb", 4), relax_add_props=True)


def test_feedback_pages_are_those_of_nbgraders_own_steps(pair, monkeypatch):
    """Cells that learners share are rendered once, and points are asked for at once: the pages are the same."""
    course = pair[1]
    committer = Committer(course, NAME, template(course))
    for i, who in enumerate(("ada", "bob", "cyd", "eve")):
        cells, answers = {"first": "", "second": float(i), "third": "no"}, {"essay": f"Essay {i % 2}", "x": "# own"}
        assert committer.enter(graded(course, who, cells, answers | {"free": f"x = {i % 2}"}, LATE))
    essays = "(SELECT id FROM base_cell WHERE name = 'essay')"
    by_hand((course,), f"UPDATE grade SET manual_score = 1.5 WHERE cell_id IN {essays}")
    by_hand((course,), "UPDATE comment SET manual_comment = 'Good **work**.' WHERE auto_comment IS NULL")
    pages = []
    for plain in (False, True):
        if plain:
            monkeypatch.setattr(feedback.Pages, "once", lambda self, cell, render: render())
            monkeypatch.setattr(feedback, "GetGradesAtOnce", GetGrades)
            monkeypatch.setattr(feedback.ReadForThis, "__deepcopy__", nbformat.NotebookNode.__deepcopy__, raising=False)
        assert feedback.write(course, NAME) == 4
        pages.append({path.parent.parent.name: path.read_text() for path in sorted(course.glob("feedback/*/*/*.html"))})
        shutil.rmtree(course / "feedback")
    assert pages[0] == pages[1] and len(set(pages[0].values())) == 4
    assert all(words in pages[0]["bob"] for words in ("Essay 1", "Good <strong>work", "Late submission"))
