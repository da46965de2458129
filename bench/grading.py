"""The engine against plain `nbgrader autograde` on the same submissions: CPU-seconds a submission, all processes.

The submissions are copies of the solved attention chapter, each with a comment of its own, so that nothing is
taken from a record. Fixed costs (starting Python, importing) are part of both numbers.
"""
import os
import tempfile
from pathlib import Path

COURSE, CHAPTER, COUNT = "course", "05_attention", int(os.environ.get("BENCH_SUBMISSIONS", "10"))


def cpu(run, line: str) -> float:
    """CPU-seconds of a command and all that it started and waited for."""
    before = os.times()
    run(line)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def questions(files: dict[str, str], names: list[str]) -> dict[str, float]:
    """CPU-seconds of all grade cells of one submission in a warm tier T1: judge and children."""
    import time

    from autograder.engine.question import Question, grade
    from autograder.engine.sandbox import Limits, Zygote
    from autograder.suites import SUITES
    from tests.conftest import ROOT

    zygote, used = Zygote("T1"), {}
    try:
        for _ in range(2):  # the first round imports what checks need
            start, child = time.process_time(), 0.0
            for name in names:
                for suite in SUITES:
                    child += grade(zygote, Question(name, suite, files, "bench"), Limits(), "s",
                                   str(ROOT / "autograder" / "hidden")).cpu  # fmt: skip
            used = {"judge": round(time.process_time() - start, 3), "children": round(child, 3)}
    finally:
        zygote.close()
    return used


def measure() -> dict:
    """Grade the same submissions both ways, each in a course of its own."""
    from tests.course_kit import NAMES, Term, module, solve

    found: dict = {"submissions": COUNT}
    for way in ("plain", "engine"):
        with tempfile.TemporaryDirectory() as home:
            term = Term(Path(home))
            term.run(f"python -m autograder course --out {term.course}")
            term.run(f"nbgrader generate_assignment {CHAPTER}", term.course)
            for i in range(COUNT):
                def work(folder, i=i):
                    solve(folder)
                    module(folder).write_text(module(folder).read_text("utf-8") + f"# {i}\n", encoding="utf-8")

                term.hand_in(f"learner{i}", work)
            if way == "plain":
                used = cpu(lambda line, t=term: t.run(line, t.course), f"nbgrader autograde {CHAPTER}")
            else:
                used = cpu(term.run, f"python -m autograder grade {term.course} {CHAPTER} --workers 1")
            found[f"{way}: CPU-seconds a submission, whole command"] = round(used / COUNT, 3)
    from tests.engine_kit import REFERENCE

    found["engine: CPU-seconds of one submission's grade cells, warm"] = questions(REFERENCE, NAMES)
    return found
