"""`python -m autograder grade COURSE ASSIGNMENT`: take in, run, enter, report."""
import argparse
import collections
import contextlib
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder.course import command
from autograder.course.assignment import CHECK
from autograder.course.config import Course
from autograder.engine import collect, crew, doctor, intake, records, seen, work
from autograder.engine.commit import Committer, alone
from autograder.engine.question import Question
from autograder.engine.sandbox import MEANING, TIERS, Limits
from autograder.engine.verdicts import REJECTED, RETRY
from autograder.table import Chapter, chapters

NEVER_RUN = "This cell was not run."
ENTER, RUN, BOTH = "enter", "run", "both"


def main(argv: list[str]) -> int:
    """Grade an assignment's submissions in sandboxes, and enter the points into nbgrader's gradebook."""
    parser = command.parser("grade", main.__doc__)
    parser.add_argument("--student", help="grade only this learner")
    parser.add_argument("--tier", choices=TIERS, help="how learners' code is held (default: the best this machine has)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--db", default="", help="the gradebook's address, for example postgresql://…")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--shard", type=shard, metavar="I/N", help="run the I-th of N parts and enter nothing")
    part.add_argument("--commit", action="store_true", help="run nothing, enter what other commands have run")
    part.add_argument("--dask", default="", metavar="ADDRESS", help="run on a Dask cluster, tcp://HOST:8786")
    options = parser.parse_args(argv)
    course = options.course
    try:
        settings = command.settings(course, options.assignment)
        if options.workers < 1:
            raise ValueError(f"--workers must be at least 1, got {options.workers}")
        tier = options.tier or doctor.best()
    except (OSError, ValueError) as error:
        print(f"Nothing was graded: {error}")
        return 2
    print(f"Tier {tier}: {MEANING[tier]}.")
    if tier == "T0":
        print("WARNING: T0 runs learners' code in your account. `python -m autograder doctor` says how to get T1.")
    run = Run(course, chapters()[options.assignment], settings, tier, options.workers)
    run.db, run.dask, run.shard = options.db, options.dask, options.shard or (1, 1)
    run.kind = RUN if options.shard else ENTER if options.commit else BOTH
    try:
        return run.go(options.student)
    except crew.Stopped as error:
        print(f"Stopped: {error}")
        return 2
    except KeyboardInterrupt:
        print("\nStopped. What was run is kept; the same command goes on from there.")
        return 130


def shard(text: str) -> tuple[int, int]:
    """The numbers in `3/8`."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 1 to N, got {text!r}")
    return int(match[1]), int(match[2])


class Run:
    """One run of the engine over one assignment. It holds few submissions at a time, however many there are."""

    db, dask, shard, kind = "", "", (1, 1), BOTH

    def __init__(
        self, course: Path, chapter: Chapter, settings: Course, tier: str, workers: int
    ) -> None:
        self.course, self.chapter, self.workers = course, chapter, workers
        self.source = course / "source" / chapter.name
        self.hidden = course / "private" / "hidden"
        limits = Limits(cpu=max(int(settings.check_seconds), 1), wall=max(3 * settings.check_seconds, 10))
        where = str(course / "private" / "engine" / "records")
        own = dict(intake.given(self.source))
        own.pop(f"gptlib/{chapter.module}.py", None)
        self.setting = work.Setting(tier, limits, settings.secret, str(self.hidden), where, own)
        template = json.loads((self.source / f"{chapter.name}.ipynb").read_text("utf-8"))
        self.template: dict[str, Any] = template
        self.cells = grade_cells(template)
        self.counts = collections.Counter[str]()
        self.jobs: dict[str, tuple[intake.Job, dict[str, Question]]] = {}
        self.writer: Committer | None = None

    def go(self, only: str | None = None) -> int:
        """Grade everybody, or one learner; 1 when something must be run again."""
        learners = [name for name in self.learners() if only in (None, name)]
        progress = Progress(len(learners))
        with contextlib.ExitStack() as stack:
            if self.kind != RUN:
                stack.enter_context(alone(self.course))
                self.writer = Committer(self.course, self.chapter.name, self.db)
                if missing := self.writer.ready():
                    raise crew.Stopped(missing)
            tasks = self.tasks(learners, progress)
            if self.kind == ENTER:
                store = records.Records(Path(self.setting.records))
                found: crew.Found = ((task, task.failed(store)) for task in tasks)
            else:
                workers = min(self.workers, len(learners)) or 1
                found = crew.run_all(tasks, self.setting, workers, self.dask)
            for task, rows in found:
                self.finish(task, rows)
                progress.step()
        progress.end()
        print("  ".join(f"{self.counts[what]} {what}" for what in sorted(self.counts)) or "There is nothing to grade.")
        if self.kind == RUN:
            i, n = self.shard
            print(f"Part {i} of {n} is run. When all are, enter them with --commit.")
        return 1 if self.counts[RETRY] else 0

    def learners(self) -> list[str]:
        """All who handed something in and belong to this part, in order."""
        found = {place.parent.name for place in self.course.glob(f"submitted/*/{self.chapter.name}")}
        found |= {place.stem for place in self.course.glob(f"{collect.RECEIPTS}/{self.chapter.name}/*.json")}
        i, n = self.shard
        return sorted(name for name in found if number(name) % n == i - 1)

    def tasks(self, learners: list[str], progress: "Progress") -> Iterator[work.Task]:
        """Take in one submission after the other, when somebody asks for it; one that is refused stops no other."""
        for learner in learners:
            try:
                job = self.take_in(learner)
            except intake.Rejected as error:
                self.refuse(learner, str(error))
            except OSError as error:
                self.refuse(learner, f"The submission cannot be read: {error.strerror}.")
            else:
                asked = self.questions(job)
                self.jobs[learner] = job, asked
                yield work.Task(learner, tuple(asked.values()))
                continue
            progress.step()

    def take_in(self, learner: str) -> intake.Job:
        """Take in one submission.

        Raises:
            Rejected: with a reason for the learner.
        """
        if not collect.on_roster(self.course, learner):
            raise intake.Rejected("this name is not a plain one or not on the course's roster (roster.txt)")
        place = self.course / "submitted" / learner / self.chapter.name
        receipt = (collect.receipts(self.course, self.chapter.name, learner) or [{}])[-1]
        refused = receipt.get("refused", "")
        if refused and not place.exists():
            raise intake.Rejected(refused)
        job = intake.take(learner, place, self.source, self.chapter.name, self.chapter.module)
        job.notices.extend(receipt.get("notices", ()))
        if refused:
            job.notices.append(f"A later archive was refused, so the earlier submission counts. {refused}")
        return job

    def refuse(self, learner: str, reason: str) -> None:
        """Report a submission that cannot be graded, and enter that."""
        self.counts[REJECTED] += 1
        print(f"REJECTED {learner!r:.80}: {reason}")
        if self.writer and collect.on_roster(self.course, learner):
            result = {"cells": {}, "notices": [], "missing": f"✗ Not graded: {reason}"}
            empty = intake.written(intake.rebuilt(self.template, []))
            self.enter(learner, result, {f"{self.chapter.name}.ipynb": empty})

    def questions(self, job: intake.Job) -> dict[str, Question]:
        """The questions of a submission by grade cell."""
        found = {}
        for cell, (exercise, suite) in self.cells.items():
            question = Question(exercise, suite, job.files, "", job.cells)
            setting = self.setting
            key = records.key_of(question, setting.limits, setting.tier, setting.secret, self.hidden)
            found[cell] = replace(question, key=key)
        return found

    def finish(self, task: work.Task, rows: list[dict[str, Any]]) -> None:
        """Count a submission's verdicts, and enter them if this command does."""
        job, asked = self.jobs.pop(task.learner)
        if any(row["verdict"] == RETRY for row in rows):
            self.counts[RETRY] += 1
            why = "not all of it has been run yet" if self.kind == ENTER else "the machine failed"
            print(f"RETRY {job.learner}: {why}; run the same command again")
            return
        by_key, shown = {row["key"]: row for row in rows}, ("verdict", "text", "message", "flags")
        cells = {cell: {n: by_key[q.key][n] for n in shown if n in by_key[q.key]} for cell, q in asked.items()}
        if self.writer:
            received = seen.stamp(self.course, self.chapter.name, job.learner, job.receipt)
            result = {"cells": cells, "notices": job.notices, "missing": NEVER_RUN, "receipt": job.receipt,
                      "received": received}  # fmt: skip
            files = {f"{self.chapter.name}.ipynb": intake.written(job.notebook)}
            module = f"gptlib/{self.chapter.module}.py"
            if module in job.files:
                files[module] = job.files[module].encode("utf-8", "surrogateescape")
            if job.timestamp:
                files["timestamp.txt"] = job.timestamp.encode()
            if not self.enter(job.learner, result, files):
                return
        self.counts.update({row["verdict"] for row in rows})

    def enter(self, learner: str, result: dict[str, Any], files: dict[str, bytes]) -> bool:
        """Enter one learner's verdicts; say whether it could be done."""
        assert self.writer
        done = self.writer.try_to_enter(learner, result, files)
        if not done:
            self.counts[RETRY] += 1
        return done


def number(learner: str) -> int:
    """A number that puts a learner into the same part however many others there are."""
    return int(hashlib.sha256(learner.encode("utf-8", "surrogateescape")).hexdigest(), 16)


class Progress:
    """A line now and then: how many are done, how fast, how long the others will take."""

    def __init__(self, total: int, every: float = 2.0) -> None:
        self.total, self.every, self.done = total, every, 0
        self.start = self.said = time.monotonic()

    def step(self) -> None:
        """One more is done."""
        self.done += 1
        if time.monotonic() - self.said > self.every and self.done < self.total:
            self.say()

    def say(self) -> None:
        """Print the line; in a terminal over the last one."""
        self.said = time.monotonic()
        rate = self.done / max(self.said - self.start, 1e-3)
        left = (self.total - self.done) / rate if rate else 0
        line = f"{self.done} of {self.total} submissions, {rate:.1f} a second, {left:.0f} s left"
        print(line, end="\r" if sys.stdout.isatty() else "\n", flush=True)

    def end(self) -> None:
        """Print the last line."""
        if self.total:
            seconds = time.monotonic() - self.start
            print(f"{self.done} of {self.total} submissions in {seconds:.0f} s", flush=True)


def grade_cells(template: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The grade cells of a notebook that call `check`, as exercise and suite by their names in nbgrader."""
    found = {}
    for cell in template["cells"]:
        settings = cell["metadata"].get("nbgrader", {})
        match = CHECK.search("".join(cell["source"]))
        if settings.get("grade") and cell["cell_type"] == "code" and match:
            found[settings["grade_id"]] = (match[1], match[2] or "visible")
    return found
