"""The engine against plain nbgrader on the same submissions: CPU-seconds of all processes, start-up apart.

The submissions are copies of the solved attention chapter, each with a comment of its own, so that nothing is
taken from a record. Each command runs for a few submissions, then for many more, the two ways in turn: the
difference is what a submission costs, the rest is what starting the command costs. The engine gets five times as many
more, else what a start costs now and then would hide what a submission does. Of several rounds the median counts.
The same for an assignment of a single exercise, because what checks compute differs much from exercise to exercise.
"""
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.machine import cpu_seconds

CHAPTER, FEW, ONE = "05_attention", 2, ("attention.attend",)
COUNT, ROUNDS = int(os.environ.get("BENCH_SUBMISSIONS", "12")), int(os.environ.get("BENCH_ROUNDS", "3"))
MORE = {"plain": COUNT, "engine": 5 * COUNT}
LINES = {
    "plain": (f"nbgrader autograde {CHAPTER}", f"nbgrader generate_feedback {CHAPTER} --force"),
    "engine": (
        "python -m autograder grade {course} " + f"{CHAPTER} --workers 1 --tier T1",
        "python -m autograder feedback {course} " + CHAPTER,
    ),
}


def checks_alone(names: Sequence[str], rounds: int = 10) -> float:
    """CPU-seconds of the same checks in one process, on the reference, with no isolation at all: what is the least."""
    import importlib

    from autograder.engine.question import _inputs
    from autograder.suites import SUITES, checks_of, run
    from autograder.table import exercise
    from tests.conftest import ROOT

    start = 0.0
    for number in range(rounds + 1):
        for name in names:
            row = exercise(name)
            implementation = getattr(importlib.import_module(f"gptlib.{row.module}"), row.function)
            for suite in SUITES:
                with _inputs("s", f"{number}", str(ROOT / "autograder" / "hidden")):
                    run(checks_of(name, suite), implementation)
        if not number:
            start = time.process_time()
    return (time.process_time() - start) / rounds


def questions(source: Path, names: Sequence[str], rounds: int = 10) -> dict[str, float]:
    """CPU-seconds of all grade cells of one submission in a warm tier T1: judge, and children with their zygote.

    Each has the files that an assignment is run with, those of the course's `source` folder, and a solution.
    """
    from autograder.engine import intake
    from autograder.engine.question import KeptChild, Question, grade
    from autograder.engine.sandbox import Limits, Zygote
    from autograder.suites import SUITES
    from tests.conftest import ROOT
    from tests.grading.course_kit import SOLVED

    given = dict(intake.given(source))
    zygote, kept_child = Zygote("T1", given), KeptChild()
    hidden = str(ROOT / "autograder" / "hidden")
    first = 0.0
    try:
        start = time.process_time()
        for number in range(rounds + 1):
            files = given | {"gptlib/attention.py": f"{SOLVED}# {number}\n"}
            for name in names:
                for suite in SUITES:
                    found = grade(zygote, Question(name, suite, files, f"{number}"), Limits(), "s", hidden, kept_child)
                    assert found.passed, found.message
            kept_child.close()
            if not number:  # the first submission imports what checks need
                first, start = spent(zygote), time.process_time()
        return {"judge": (time.process_time() - start) / rounds, "children": (spent(zygote) - first) / rounds}
    finally:
        zygote.close()


def spent(zygote) -> float:
    """CPU-seconds of a zygote's processes, with the children that it has reaped."""
    ticks, found, family = os.sysconf("SC_CLK_TCK"), 0.0, {zygote.process.pid}
    fields = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields[int(entry)] = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
    while more := {pid for pid, row in fields.items() if int(row[1]) in family} - family:
        family |= more
    for pid in family:
        found += sum(map(int, fields[pid][11:15])) / ticks
    return found


def measure() -> dict:
    """Grade the same submissions both ways, each in a course of its own, and give feedback; the median of rounds."""
    import torch

    from tests.grading.course_kit import NAMES

    torch.set_num_threads(1)  # as the engine's processes do
    counts = {"rounds": ROUNDS} | {f"{way}_submissions": count for way, count in MORE.items()}
    return counts | assignment(NAMES) | {"one_exercise": assignment(ONE)}


def assignment(names: Sequence[str]) -> dict[str, float]:
    """The numbers of an assignment of these exercises."""
    from tests.grading.course_kit import Term

    with tempfile.TemporaryDirectory() as home:
        terms = {way: Term(Path(home) / way) for way in LINES}
        for term in terms.values():
            term.set_exercises(names)
            term.run(f"python -m autograder course --out {term.course}")
            term.run(f"nbgrader generate_assignment {CHAPTER}", term.course)
        rounds = [one_round(terms, names, number) for number in range(ROUNDS)]
    found = {name: round(statistics.median(one[name] for one in rounds), 4) for name in rounds[0]}
    whole = {way: found[f"{way}_grade"] + found[f"{way}_feedback"] for way in LINES}
    found["cells_ratio"] = round(found["plain_grade"] / (found["cells_judge"] + found["cells_children"]), 4)
    return found | {"whole_ratio": round(whole["plain"] / whole["engine"], 4)}


def one_round(terms: dict, names: Sequence[str], number: int) -> dict[str, float]:
    """What a submission costs, and what starting a command does, each way."""
    used: dict = {}
    found: dict[str, float] = {}
    for first in (True, False):
        for way, term in terms.items():
            for i in range(FEW) if first else range(FEW, FEW + MORE[way]):
                hand_in(term, f"round{number}learner{i}")
            for what, line in zip(("grade", "feedback"), LINES[way], strict=True):
                line = line.format(course=term.course)
                used[way, what, first] = cpu_seconds(lambda t=term, line=line: t.run(line, t.course))
    for way in terms:
        before = number * (FEW + MORE[way])  # feedback writes the pages of all who were there once more
        for what, pages, again in (("grade", FEW, 0), ("feedback", before + FEW, FEW)):
            few, many = used[way, what, True], used[way, what, False]
            each = (many - few) / (MORE[way] + again - FEW)
            found |= {f"{way}_{what}": each, f"{way}_{what}_start": few - pages * each}
    cells = questions(terms["engine"].course / "source" / CHAPTER, names)
    found |= {f"cells_{part}": seconds for part, seconds in cells.items()}
    return found | {"checks_alone": checks_alone(names)}


def hand_in(term, learner: str) -> None:
    """Hand in a solved chapter with a comment of its own."""
    from tests.grading.course_kit import module, solve

    def work(folder):
        solve(folder)
        module(folder).write_text(f"{module(folder).read_text('utf-8')}# {learner}\n", encoding="utf-8")

    term.hand_in(learner, work)
