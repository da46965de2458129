"""Run questions: in this process, or in several that each keep a zygote warm. Any of them may be killed."""
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from autograder.engine.question import HUMAN, RETRY, ZERO, Outcome, Question, grade
from autograder.engine.records import Records
from autograder.engine.sandbox import Gone, Limits, Zygote
from autograder.strip import build_reference

TRIES = 3
NOBODY = "The grading machine failed, not your code. Your instructor will grade this again."
UNSURE = "Two runs of this code gave different results, so a person has to look at it."


@dataclass(frozen=True)
class Setting:
    """What all questions of a run share."""

    tier: str
    limits: Limits
    secret: str
    hidden: str
    records: str


class Worker:
    """Runs questions one after the other, with a zygote that it replaces when it is lost."""

    def __init__(self, setting: Setting) -> None:
        torch.set_num_threads(1)
        import sys

        if (place := str(build_reference())) not in sys.path:
            sys.path.insert(0, place)  # checks that import gptlib mean the reference
        self.setting, self.zygote = setting, None  # type: tuple[Setting, Zygote | None]
        self.records = Records(Path(setting.records))

    def run(self, question: Question) -> dict[str, Any]:
        """Run a question and record its verdict. A limit or a crash counts only if it happens twice."""
        for _ in range(TRIES):
            try:
                outcome = self.once(question)
                if outcome.verdict == ZERO:
                    again = self.once(question)
                    if (again.verdict, again.passed) != (outcome.verdict, outcome.passed):
                        outcome = replace(again, verdict=HUMAN, passed=False, message=f"{UNSURE}\n\n{again.message}")
                return self.records.put(question.key, question, self.setting.tier, outcome)
            except Gone:
                self.close()
        return {"key": question.key, "verdict": RETRY, "passed": False, "text": "", "message": NOBODY}

    def once(self, question: Question) -> Outcome:
        """Run a question."""
        if self.zygote is None:
            self.zygote = Zygote(self.setting.tier)
        return grade(self.zygote, question, self.setting.limits, self.setting.secret, self.setting.hidden)

    def close(self) -> None:
        """End the zygote."""
        if self.zygote is not None:
            self.zygote.close()
            self.zygote = None


_worker: Worker | None = None


def _begin(setting: Setting) -> None:
    global _worker
    os.environ["OMP_NUM_THREADS"] = "1"
    _worker = Worker(setting)


def _run(question: Question) -> dict[str, Any]:
    assert _worker is not None
    return _worker.run(question)


def run_all(questions: list[Question], setting: Setting, workers: int) -> Iterator[dict[str, Any]]:
    """Run questions, and give each verdict as it comes; what was recorded before is not run again."""
    records, left = Records(Path(setting.records)), {}
    for question in questions:
        if row := records.get(question.key):
            yield row
        else:
            left[question.key] = question
    if workers == 1 or len(left) < 2 * workers:
        worker = Worker(setting)
        try:
            for question in left.values():
                yield worker.run(question)
        finally:
            worker.close()
        return
    for _ in range(TRIES):
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (setting,)) as pool:
            try:
                for done in as_completed([pool.submit(_run, question) for question in left.values()]):
                    row = done.result()
                    del left[row["key"]]
                    yield row
            except BrokenProcessPool:  # a worker was killed: begin again with what is left
                left = {key: q for key, q in left.items() if records.get(key) is None}
        if not left:
            return
    for key in left:
        yield {"key": key, "verdict": RETRY, "passed": False, "text": "", "message": NOBODY}
