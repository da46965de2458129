"""One run over one assignment of any kind: take submissions in, grade them, enter what came out, count."""
import collections
import contextlib
import hashlib
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from autograder.engine import collect, intake, rebuild, seen
from autograder.engine.commit import Committer, Graded, only_writer
from autograder.engine.pool import Stopped
from autograder.engine.verdicts import REJECTED, RETRY

NEVER_RUN = "This cell was not run."
NO_NAME = "this name is not a plain one or not on the course's roster (roster.txt)"
Cells = dict[str, dict[str, Any]]  # by grade cell, what was found: its verdict, text and message


class Grader(Protocol):
    """What one kind of assignment does with its submissions; the rest of a run is the same for all kinds."""

    name: str
    source: intake.Source

    def take(self, learner: str, folder: Path) -> intake.Job:
        """Take one submission in, without running any of it.

        Raises:
            Rejected: with a reason for the learner.
        """

    def grade(self, jobs: Iterable[intake.Job], most: int, anew: bool) -> Iterator[tuple[intake.Job, Cells]]:
        """Give each submission with what was found, in any order; submissions are taken when there is room for them.

        Args:
            jobs: the submissions.
            most: how many there are at most.
            anew: whether to grade what has no record; if not, its verdict is RETRY.
        """

    def files(self, job: intake.Job) -> dict[str, bytes]:
        """The learner's own files that are kept with the notebook, by path."""

    def line(self, job: intake.Job, cells: Cells) -> str:
        """What to print about a graded submission, or nothing."""


@dataclass(frozen=True)
class Plan:
    """What a run does, and for whom.

    Args:
        student: the only learner, if there is one.
        shard: which part of how many.
        grades: whether submissions are graded, or only what others graded is entered.
        enters: whether grades are entered.
        db: the gradebook's address, if it is not the one of the course's configuration.
    """

    student: str | None = None
    shard: tuple[int, int] = (1, 1)
    grades: bool = True
    enters: bool = True
    db: str = ""


class Run:
    """One run. It holds few submissions at a time, however many there are."""

    def __init__(self, course: Path, grader: Grader, plan: Plan) -> None:
        self.course, self.grader, self.plan = course, grader, plan
        self.counts = collections.Counter[str]()
        self.writer: Committer | None = None

    def go(self) -> int:
        """Grade everybody whom the plan names; 1 when something must be run again.

        Raises:
            Stopped: the gradebook does not have the assignment, or no worker can go on.
        """
        learners = self.learners()
        progress = Progress(len(learners))
        with contextlib.ExitStack() as stack:
            if self.plan.enters:
                stack.enter_context(only_writer(self.course))
                self.writer = Committer(self.course, self.grader.name, self.grader.source.template, self.plan.db)
                if missing := self.writer.ready():
                    raise Stopped(missing)
            taken = self.taken(learners, progress)
            for job, cells in self.grader.grade(taken, len(learners), self.plan.grades):
                self.finish(job, cells)
                progress.step()
        progress.end()
        print("  ".join(f"{self.counts[what]} {what}" for what in sorted(self.counts)) or "There is nothing to grade.")
        if not self.plan.enters:
            i, n = self.plan.shard
            print(f"Part {i} of {n} is run. When all are, enter them with --commit.")
        return 1 if self.counts[RETRY] else 0

    def learners(self) -> list[str]:
        """All who handed something in and whom the plan names, in order."""
        found = {place.parent.name for place in self.course.glob(f"submitted/*/{self.grader.name}")}
        found |= {place.stem for place in self.course.glob(f"{collect.RECEIPTS}/{self.grader.name}/*.json")}
        i, n = self.plan.shard
        return sorted(name for name in found if number(name) % n == i - 1 and self.plan.student in (None, name))

    def taken(self, learners: list[str], progress: "Progress") -> Iterator[intake.Job]:
        """Take in one submission after the other, when somebody asks for it; one that is refused stops no other."""
        for learner in learners:
            try:
                job = self.take_in(learner)
            except intake.Rejected as error:
                self.refuse(learner, str(error))
            except OSError as error:
                self.refuse(learner, f"The submission cannot be read: {error.strerror}.")
            else:
                yield job
                continue
            progress.step()

    def take_in(self, learner: str) -> intake.Job:
        """Take one submission in.

        Raises:
            Rejected: with a reason for the learner.
        """
        if not collect.on_roster(self.course, learner):
            raise intake.Rejected(NO_NAME)
        place = self.course / "submitted" / learner / self.grader.name
        receipt = (collect.receipts(self.course, self.grader.name, learner) or [{}])[-1]
        refused = receipt.get("refused", "")
        if refused and not place.exists():
            raise intake.Rejected(refused)
        job = self.grader.take(learner, place)
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
            self.enter(Graded(learner, result, rebuild.rebuilt(self.grader.source.template, [])))

    def finish(self, job: intake.Job, cells: Cells) -> None:
        """Count a submission's verdicts, and enter them if this run does."""
        verdicts = {row["verdict"] for row in cells.values()}
        if RETRY in verdicts:
            self.counts[RETRY] += 1
            why = "the machine failed" if self.plan.grades else "not all of it has been run yet"
            print(f"RETRY {job.learner}: {why}; run the same command again")
            return
        if line := self.grader.line(job, cells):
            print(line, flush=True)
        if self.writer:
            received = seen.stamp(self.course, self.grader.name, job.learner, job.receipt)
            result = {"cells": cells, "notices": job.notices, "missing": NEVER_RUN, "receipt": job.receipt,
                      "received": received}  # fmt: skip
            files = self.grader.files(job)
            if job.timestamp:
                files["timestamp.txt"] = job.timestamp.encode()
            if not self.enter(Graded(job.learner, result, job.notebook, files)):
                return
        self.counts.update(verdicts)

    def enter(self, graded: Graded) -> bool:
        """Enter one learner's verdicts; say whether it could be done."""
        assert self.writer
        done = self.writer.try_to_enter(graded)
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
