"""`python -m autograder grade`: everyone gets the points of plain nbgrader, and bad submissions stop nobody."""
import csv
import html
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from autograder.course import config as course_config
from autograder.course import leaks
from autograder.course import write as course
from tests.conftest import ROOT
from tests.grading.course_kit import (
    BY_EXCHANGE,
    BY_ZIP,
    CHAPTER,
    DIRECT,
    EXPECTED,
    FULL,
    Term,
    edit_notebook,
    graded,
    module,
    solve,
    unreadable,
)

pytest.importorskip("nbgrader")
HONEST = BY_EXCHANGE | BY_ZIP | DIRECT


def linked(folder):
    """The module is a link to a file of the instructor's."""
    solve(folder)
    module(folder).unlink()
    module(folder).symlink_to("/etc/passwd")


def shadowed(folder):
    """Files that would stand in the way of real modules."""
    for name in ("torch.py", "sitecustomize.py", "conftest.py", "gptlib/math.py"):
        (folder / name).write_text("raise SystemExit\n")
    os.mkfifo(folder / "pipe")


def renamed(folder):
    """Right, under other names."""
    solve(folder)
    (folder / f"{CHAPTER}.ipynb").rename(folder / "My attention (2).ipynb")
    module(folder).rename(module(folder).with_name("Attention.py"))


def metadata(folder):
    """Metadata of no known kind everywhere."""
    solve(folder)

    def spoil(cells):
        for i, cell in enumerate(graded(cells)):
            cell["metadata"]["nbgrader"] |= {"schema_version": i * 50, "points": -1}
        cells[0]["metadata"] = "none"
        cells.append({"cell_type": "code", "metadata": {"nbgrader": 3}, "source": [1, None, "x = 1"]})
        cells.append(7)

    edit_notebook(folder, spoil)


def deep(folder):
    """A notebook that nests 200,000 deep."""
    (folder / f"{CHAPTER}.ipynb").write_text("[" * 200_000)


def old(folder):
    """A notebook of format 3."""
    (folder / f"{CHAPTER}.ipynb").write_text(json.dumps({"nbformat": 3, "worksheets": []}))


def latin(folder):
    """Bytes that are not UTF-8."""
    (folder / f"{CHAPTER}.ipynb").write_bytes(b"\xff\xfe{}")


def script(folder):
    """A script in everything that is shown."""
    solve(folder)
    text = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    edit_notebook(folder, lambda cells: [c.update(source=text) for c in cells if "nbgrader" not in c["metadata"]])
    source = module(folder).read_text("utf-8")
    new = f"raise ValueError({text!r})\n    return x.unflatten"
    module(folder).write_text(source.replace("return x.unflatten", new))


def bad_time(folder):
    """A time that is none."""
    solve(folder)
    (folder / "timestamp.txt").write_text("yesterday")


def kernel_killer(folder):
    """Ends every process it can."""
    solve(folder)
    with module(folder).open("a") as file:
        file.write("\nimport os\nos._exit(0)\n")


HOSTILE = {
    "linked": (linked, 0), "shadowed": (shadowed, 0), "renamed": (renamed, FULL), "metadata": (metadata, FULL),
    "deep": (deep, 0), "old": (old, 0), "latin": (latin, 0), "script": (script, None), "bad_time": (bad_time, FULL),
    "kernel_killer": (kernel_killer, 0), "unreadable": (unreadable, 0),
}  # fmt: skip
REFUSED = ("deep", "old", "latin", "unreadable")


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    term = Term(tmp_path_factory.mktemp("engine"))
    term.set_chapters([CHAPTER])
    term.run(f"python -m autograder course --out {term.course}")
    term.choose(check_seconds="3")
    early = term.run(f"python -m autograder grade {term.course} {CHAPTER}", ok=(2,))
    assert f"Run `nbgrader generate_assignment {CHAPTER}`" in early
    term.run(f"nbgrader generate_assignment {CHAPTER}", term.course)
    for name, work in HONEST.items():
        term.hand_in(name, work)
    for name, (work, _) in HOSTILE.items():
        term.hand_in(name, work)
    shutil.copytree(term.course / "release" / CHAPTER, term.course / "submitted" / "a;b" / CHAPTER)
    term.said = term.run(f"python -m autograder grade {term.course} {CHAPTER}")
    return term


def scores(term):
    term.run("nbgrader export --to grades.csv", term.course)
    with open(term.course / "grades.csv", encoding="utf-8") as file:
        return {r["student_id"]: float(r["score"]) for r in csv.DictReader(file) if r["assignment"] == CHAPTER}


def test_everyone_gets_the_points_of_plain_nbgrader(term):
    found = scores(term)
    assert {n: found[n] for n in EXPECTED} == EXPECTED


def test_bad_submissions_get_their_verdict_and_stop_nobody(term):
    found = scores(term)
    wanted = {name: points for name, (_, points) in HOSTILE.items() if points is not None}
    assert {n: found[n] for n in wanted} == wanted
    for name in REFUSED:
        assert re.search(rf"REJECTED '{name}': The (notebook|file) is", term.said)
    assert "REJECTED 'a;b'" in term.said and "a;b" not in found
    assert set(found) == set(EXPECTED) | set(HOSTILE)


def test_nothing_of_a_link_or_a_foreign_file_is_taken(term):
    for folder in ("autograded", "private/engine"):
        for path in (term.course / folder).rglob("*"):
            if path.is_file():
                assert b"root:x:0" not in path.read_bytes()
                assert path.name not in ("torch.py", "sitecustomize.py", "conftest.py", "pipe")


def test_feedback_is_from_records_and_holds_no_live_script(term):
    term.run(f"python -m autograder feedback {term.course} {CHAPTER}")
    for name in ("wrong", "loop", "script", "deep", "renamed", "tampered"):
        page = (term.course / "feedback" / name / CHAPTER / f"{CHAPTER}.html").read_text("utf-8")
        assert "Content-Security-Policy" in page and "<script>alert" not in page and "<img src=x" not in page
        words = html.unescape(re.sub(r"<[^>]*>", "", page))
        wanted = {"wrong": "scores = query @ key", "loop": "s of computing", "script": "<script>alert",
                  "deep": "damaged", "renamed": "was graded as", "tampered": "not written yet"}[name]  # fmt: skip
        assert wanted in words, name
        assert len(page) < 3 << 20
        if name != "deep":  # of which there is no notebook
            assert page.count("<math") > 20
    secrets = course.secrets_of(term.course, course_config.read(term.course / "course.toml"), CHAPTER)
    for name in ("stub", "deep", "tampered"):
        assert leaks.scan(term.course / "feedback" / name, secrets) == []


def content(term):
    """All rows of grades, without what SQLite or the clock decide."""
    with sqlite3.connect(term.course / "gradebook.db") as db:
        return sorted(db.execute(
            "SELECT a.student_id, b.name, g.auto_score, g.manual_score, g.needs_manual_grade, g.extra_credit "
            "FROM grade g JOIN submitted_notebook n ON g.notebook_id = n.id "
            "JOIN submitted_assignment a ON n.assignment_id = a.id "
            "JOIN grade_cells c ON g.cell_id = c.id JOIN base_cell b ON c.id = b.id"
        ).fetchall())  # fmt: skip


def test_a_second_run_changes_nothing_and_runs_nothing(term):
    before, files = content(term), sorted((term.course / "private/engine/records").rglob("*.json"))
    times = [p.stat().st_mtime_ns for p in files]
    assert before and all(row[2] is not None and not row[4] for row in before)
    term.run(f"python -m autograder grade {term.course} {CHAPTER}")
    assert content(term) == before
    assert [p.stat().st_mtime_ns for p in sorted((term.course / "private/engine/records").rglob("*.json"))] == times


def test_killed_at_any_point_a_second_run_gives_the_same_grades(term):
    """What a kill leaves behind: no mark of having entered, no folder, a missing verdict, half of one; then kill -9."""
    before = content(term)
    engine = term.course / "private" / "engine"
    marks = sorted((engine / "entered" / CHAPTER).glob("*.json"))
    marks[0].unlink()
    shutil.rmtree(term.course / "autograded" / marks[1].stem)
    records = sorted((engine / "records").rglob("*.json"))
    records[0].unlink()
    records[1].write_text(records[1].read_text()[:50])
    (term.course / "autograded" / marks[2].stem / CHAPTER / f"{CHAPTER}.ipynb").unlink()
    marks[2].unlink()
    line = [sys.executable, "-m", "autograder", "grade", str(term.course), CHAPTER, "--workers", "1"]
    with subprocess.Popen(line, cwd=ROOT, env=term.env, stdout=subprocess.DEVNULL) as process:
        while not marks[0].exists() and process.poll() is None:
            time.sleep(0.05)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    term.run(f"python -m autograder grade {term.course} {CHAPTER}")
    assert content(term) == before and not [p for p in marks if not p.exists()]


def test_points_given_by_hand_survive_and_a_late_fix_counts(term):
    path = term.course / "submitted" / "stub" / CHAPTER
    solve(path)
    said = term.run(f"python -m autograder grade {term.course} {CHAPTER} --student stub")
    assert "1 of 1 submissions" in said and scores(term)["stub"] == FULL
