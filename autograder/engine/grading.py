"""`python -m autograder grade COURSE ASSIGNMENT`: take in, run, enter, report."""
import argparse
import collections
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder import course_config
from autograder.assignment import CHECK, dump
from autograder.engine import doctor, intake, receipts, records, work
from autograder.engine.commit import Committer
from autograder.engine.question import REJECTED, RETRY, Question
from autograder.engine.sandbox import MEANING, TIERS, Limits
from autograder.table import Chapter, chapters

NEVER_RUN = "This cell was not run."


def main(argv: list[str]) -> int:
    """Grade an assignment's submissions in sandboxes, and enter the points into nbgrader's gradebook."""
    parser = argparse.ArgumentParser(prog="python -m autograder grade", description=main.__doc__)
    parser.add_argument("course", type=Path, help="the course's folder")
    parser.add_argument("assignment", help="for example 05_attention")
    parser.add_argument("--student", help="grade only this learner")
    parser.add_argument("--tier", choices=TIERS, help="how learners' code is held (default: the best this machine has)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    options = parser.parse_args(argv)
    course = options.course.expanduser().resolve()
    try:
        settings = course_config.read(course / "course.toml")
        if options.assignment not in settings.assignments:
            raise ValueError(f"course.toml has no assignment {options.assignment!r}")
        if options.workers < 1:
            raise ValueError(f"--workers must be at least 1, got {options.workers}")
        tier = options.tier or doctor.best()
    except (OSError, ValueError) as error:
        print(f"Nothing was graded: {error}")
        return 2
    print(f"Tier {tier}: {MEANING[tier]}.")
    if tier == "T0":
        print("WARNING: T0 runs learners' code in your account. `python -m autograder doctor` says how to get T1.")
    return Run(course, chapters()[options.assignment], settings, tier, options.workers).go(options.student)


class Run:
    """One run of the engine over one assignment."""

    def __init__(
        self, course: Path, chapter: Chapter, settings: course_config.Course, tier: str, workers: int
    ) -> None:
        self.course, self.chapter, self.workers = course, chapter, workers
        self.hidden = course / "private" / "hidden"
        limits = Limits(cpu=max(int(settings.check_seconds), 1), wall=max(3 * settings.check_seconds, 10))
        where = str(course / "private" / "engine" / "records")
        self.setting = work.Setting(tier, limits, settings.secret, str(self.hidden), where)
        template = json.loads((course / "source" / chapter.name / f"{chapter.name}.ipynb").read_text("utf-8"))
        self.template: dict[str, Any] = template
        self.cells = grade_cells(template)

    def go(self, only: str | None = None) -> int:
        """Grade everybody, or one learner; 1 when something must be run again."""
        jobs, refused = self.take_in(only)
        asked = {learner: self.questions(job) for learner, job in jobs.items()}
        found = self.run({q.key: q for mine in asked.values() for q in mine.values()})
        writer, counts = Committer(self.course, self.chapter.name), collections.Counter[str]()
        for learner, reason in refused.items():
            counts[REJECTED] += 1
            print(f"REJECTED {learner!r:.80}: {reason}")
            if self.known(learner):
                result = {"cells": {}, "notices": [], "missing": f"✗ Not graded: {reason}"}
                files = {f"{self.chapter.name}.ipynb": dump(intake.rebuilt(self.template, []))}
                writer.enter(learner, result, files)
        for learner, job in jobs.items():
            rows = {cell: found[q.key] for cell, q in asked[learner].items()}
            if any(row["verdict"] == RETRY for row in rows.values()):
                counts[RETRY] += 1
                print(f"RETRY {learner}: the machine failed; run the same command again")
                continue
            counts.update({row["verdict"] for row in rows.values()})
            self.enter(writer, job, rows)
        print("  ".join(f"{counts[verdict]} {verdict}" for verdict in sorted(counts)) or "There is nothing to grade.")
        return 1 if counts[RETRY] else 0

    def take_in(self, only: str | None) -> tuple[dict[str, intake.Job], dict[str, str]]:
        """Take in every submission; one that is refused stops no other."""
        jobs, refused = {}, {}
        name, source = self.chapter.name, self.course / "source" / self.chapter.name
        for place in sorted(self.course.glob(f"submitted/*/{name}")):
            learner = place.parent.name
            if only and learner != only:
                continue
            try:
                if not self.known(learner):
                    raise intake.Rejected("this name is not on the course's roster (roster.txt)")
                jobs[learner] = intake.take(learner, place, source, name, self.chapter.module)
            except intake.Rejected as error:
                refused[learner] = str(error)
            except OSError as error:
                refused[learner] = f"The submission cannot be read: {error.strerror}."
        return jobs, refused

    def known(self, learner: str) -> bool:
        """Whether a learner may get a row in the gradebook: a plain name, and on the roster if there is one."""
        roster = self.course / "roster.txt"
        try:
            intake.check_name(learner)
        except intake.Rejected:
            return False
        return not roster.exists() or learner in roster.read_text("utf-8").split()

    def questions(self, job: intake.Job) -> dict[str, Question]:
        """The questions of a submission by grade cell."""
        found = {}
        for cell, (exercise, suite) in self.cells.items():
            question = Question(exercise, suite, job.files, "", job.cells)
            setting = self.setting
            key = records.key_of(question, setting.limits, setting.tier, setting.secret, self.hidden)
            found[cell] = replace(question, key=key)
        return found

    def run(self, questions: dict[str, Question]) -> dict[str, dict[str, Any]]:
        """Run what is not recorded yet, with a line of progress."""
        found, start = {}, time.monotonic()
        for row in work.run_all(list(questions.values()), self.setting, self.workers):
            found[row["key"]] = row
            if len(found) % 25 == 0 or len(found) == len(questions):
                rate = len(found) / max(time.monotonic() - start, 1e-3)
                left = (len(questions) - len(found)) / rate
                print(f"{len(found)} of {len(questions)} questions, {rate:.1f} a second, {left:.0f} s left", flush=True)
        return found

    def enter(self, writer: Committer, job: intake.Job, rows: dict[str, dict[str, Any]]) -> None:
        """Enter one learner's verdicts."""
        shown = ("verdict", "text", "message", "flags")
        cells = {cell: {name: row[name] for name in shown if name in row} for cell, row in rows.items()}
        result = {"cells": cells, "notices": job.notices, "missing": NEVER_RUN, "receipt": job.receipt,
                  "received": receipts.stamp(self.course, self.chapter.name, job.learner, job.receipt)}  # fmt: skip
        files = {f"{self.chapter.name}.ipynb": dump(job.notebook)}
        module = f"gptlib/{self.chapter.module}.py"
        if module in job.files:
            files[module] = job.files[module].encode("utf-8", "surrogateescape")
        if job.timestamp:
            files["timestamp.txt"] = job.timestamp.encode()
        writer.enter(job.learner, result, files)


def grade_cells(template: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The grade cells of a notebook that call `check`, as exercise and suite by their names in nbgrader."""
    found = {}
    for cell in template["cells"]:
        settings = cell["metadata"].get("nbgrader", {})
        match = CHECK.search("".join(cell["source"]))
        if settings.get("grade") and cell["cell_type"] == "code" and match:
            found[settings["grade_id"]] = (match[1], match[2] or "visible")
    return found
