"""`python -m autograder grade` and `capstone`: grade an assignment's submissions, of whichever kind it is."""
import argparse
import os
import re
from collections.abc import Sequence

from autograder.course import command
from autograder.course.config import Course
from autograder.engine import doctor
from autograder.engine.capstone import CapstoneGrader
from autograder.engine.chapter import ChapterGrader
from autograder.engine.pool import Stopped
from autograder.engine.run import Grader, Plan, Run
from autograder.engine.sandbox import MEANING, TIERS
from autograder.table import chapters

SANDBOXED = ("tier", "workers", "dask")  # options about how learners' code is run


def main(argv: list[str]) -> int:
    """Grade an assignment's submissions, code in sandboxes, and enter the points into nbgrader's gradebook."""
    return grade(parser("grade", main.__doc__, "05_attention").parse_args(argv), ("assignment", "capstone"))


def capstone(argv: list[str]) -> int:
    """Grade the weights of a capstone on hidden text, and enter the points into nbgrader's gradebook."""
    return grade(parser("capstone", capstone.__doc__, "13_capstone_gpt").parse_args(argv), ("capstone",))


def parser(name: str, doc: str | None, example: str) -> argparse.ArgumentParser:
    """The options of both commands."""
    made = command.parser(name, doc, example)
    made.add_argument("--student", help="grade only this learner")
    made.add_argument("--tier", choices=TIERS, help="how learners' code is held (default: the best this machine has)")
    made.add_argument("--workers", type=int, help="processes that run learners' code (default: all cores)")
    made.add_argument("--db", default="", help="the gradebook's address, for example postgresql://…")
    part = made.add_mutually_exclusive_group()
    part.add_argument("--shard", type=shard, metavar="I/N", help="run the I-th of N parts and enter nothing")
    part.add_argument("--commit", action="store_true", help="run nothing, enter what other commands have run")
    part.add_argument("--dask", metavar="ADDRESS", help="run learners' code on a Dask cluster, tcp://HOST:8786")
    return made


def shard(text: str) -> tuple[int, int]:
    """The numbers in `3/8`."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 1 to N, got {text!r}")
    return int(match[1]), int(match[2])


def grade(options: argparse.Namespace, kinds: Sequence[str]) -> int:
    """Grade what the options name; the exit status.

    Args:
        options: of `parser`.
        kinds: which kinds of assignments the command is for.
    """
    plan = Plan(options.student, options.shard or (1, 1), not options.commit, not options.shard, options.db)
    try:
        settings = command.settings(options.course, options.assignment, kinds)
        grader = grader_of(options, settings)
    except (OSError, ValueError) as error:
        print(f"Nothing was graded: {error}")
        return 2
    try:
        return Run(options.course, grader, plan).go()
    except Stopped as error:
        print(f"Stopped: {error}")
        return 2
    except KeyboardInterrupt:
        print("\nStopped. What was run is kept; the same command goes on from there.")
        return 130


def grader_of(options: argparse.Namespace, settings: Course) -> Grader:
    """What grades an assignment of this name.

    Raises:
        ValueError: an option does not fit, or the course has no folder for it.
    """
    if row := settings.capstones.get(options.assignment):
        for name in SANDBOXED:
            if getattr(options, name) is not None:
                raise ValueError(f"--{name} is about learners' code, and a capstone has none: leave it out")
        return CapstoneGrader(options.course, row, settings)
    workers = (os.cpu_count() or 1) if options.workers is None else options.workers
    if workers < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    tier = options.tier or doctor.best()
    print(f"Tier {tier}: {MEANING[tier]}.")
    if tier == "T0":
        print("WARNING: T0 runs learners' code in your account. `python -m autograder doctor` says how to get T1.")
    chapter = chapters()[options.assignment]
    return ChapterGrader(options.course, chapter, settings, tier, workers, options.dask or "")
