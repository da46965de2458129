"""A worker: runs the questions of one submission after the other, with a zygote that it keeps warm.

`python -m autograder.engine.work` is such a process. It reads a setting and then tasks, each a line of JSON, and
answers each task with a line. When whoever started it is gone it ends at once, and its sandbox with it.
"""
import dataclasses
import gc
import json
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from autograder.engine.question import UNSURE, KeptChild, Outcome, Question, grade
from autograder.engine.records import Records, key_of
from autograder.engine.sandbox import EngineFailed, Limits, Zygote
from autograder.engine.verdicts import HUMAN, RETRY, ZERO
from autograder.strip import build_reference

TRIES = 3
MACHINE_FAILED = "The grading machine failed, not your code. Your instructor will grade this again."
OTHER = "has another version of the engine, of PyTorch or of the hidden checks than the command that asks it"


@dataclass(frozen=True)
class Setting:
    """What all questions of a run share; `given` are the files of the course that every submission is run with."""

    tier: str
    limits: Limits
    secret: str
    hidden: str
    records: str
    given: Mapping[str, str] = field(default_factory=dict)

    def line(self) -> bytes:
        """The setting as a line of JSON."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Setting":
        """The setting in a line of JSON."""
        row = json.loads(line)
        return cls(**(row | {"limits": Limits(**row["limits"])}))


@dataclass(frozen=True)
class Task:
    """The questions of one submission, all of the same files and cells."""

    learner: str
    questions: tuple[Question, ...]

    def line(self, given: Mapping[str, str]) -> bytes:
        """The task as a line of JSON, without the files that the setting holds."""
        first = self.questions[0]
        files = {name: text for name, text in first.files.items() if given.get(name) != text}
        asked = [[q.name, q.suite, q.key] for q in self.questions]
        return json.dumps([self.learner, files, first.cells, asked]).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes, given: Mapping[str, str]) -> "Task":
        """The task in a line of JSON."""
        learner, own, cells, asked = json.loads(line)
        files, pairs = {**given, **own}, tuple((name, text) for name, text in cells)
        return cls(learner, tuple(Question(name, suite, files, key, pairs) for name, suite, key in asked))

    def recorded(self, records: Records) -> list[dict[str, Any]] | None:
        """Its verdicts if all of them were recorded before."""
        rows = []
        for question in self.questions:
            row = records.get(question.key)
            if row is None:
                return None
            rows.append(row)
        return rows

    def failed(self, records: Records) -> list[dict[str, Any]]:
        """Its verdicts when the machine gave up: those that were recorded, and RETRY."""
        return [records.get(q.key) or not_run(q) for q in self.questions]


def not_run(question: Question) -> dict[str, Any]:
    """The row of a question that the machine could not run."""
    return {"key": question.key, "verdict": RETRY, "passed": False, "text": "", "message": MACHINE_FAILED}


class Worker:
    """Runs questions, and replaces its zygote when it is lost."""

    def __init__(self, setting: Setting) -> None:
        torch.set_num_threads(1)
        os.environ["OMP_NUM_THREADS"] = "1"
        if (place := str(build_reference())) not in sys.path:
            sys.path.insert(0, place)  # checks that import gptlib mean the reference
        self.setting, self.zygote = setting, None  # type: tuple[Setting, Zygote | None]
        self.kept_child = KeptChild()
        self.records = Records(Path(setting.records))

    def run_task(self, task: Task) -> list[dict[str, Any]]:
        """Run what is not recorded yet of a submission."""
        rows = [self.records.get(question.key) or self.run(question) for question in task.questions]
        self.kept_child.close()
        return rows

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
            except (EngineFailed, Exception) as error:  # of engine or machine: what learners' code raises is an outcome
                print(f"{question.name}: {type(error).__name__}: {error}; run again", file=sys.stderr, flush=True)
                self.close()
        return not_run(question)

    def once(self, question: Question) -> Outcome:
        """Run a question."""
        if self.zygote is None:
            self.zygote = Zygote(self.setting.tier, self.setting.given)
        setting = self.setting
        return grade(self.zygote, question, setting.limits, setting.secret, setting.hidden, self.kept_child)

    def close(self) -> None:
        """End the zygote."""
        self.kept_child.close()
        if self.zygote is not None:
            self.zygote.close()
            self.zygote = None


def listen(lines: "queue.SimpleQueue[bytes]", idle: threading.Event) -> None:
    """Pass lines on; at their end, that is when the other side is gone, end the process whatever it is doing.

    One that is doing nothing has two seconds to end its zygote.
    """
    for line in sys.stdin.buffer:
        lines.put(line)
    if idle.is_set():
        lines.put(b"")
        time.sleep(2)
    end()


def end() -> None:
    """End this process and leave nothing behind."""
    if place := os.environ.get("WORKER_FOLDER"):
        shutil.rmtree(place, ignore_errors=True)
    os._exit(0)


def serve() -> None:
    """Run tasks until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a check prints is no answer
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    idle = threading.Event()
    threading.Thread(target=listen, args=(lines, idle), daemon=True).start()
    setting = Setting.read(lines.get())
    if place := os.environ.get("WORKER_FOLDER"):
        tempfile.tempdir = place
    worker, same = Worker(setting), None
    gc.freeze()  # what is there by now stays: no need to look through it for garbage
    while True:
        idle.set()
        if not (line := lines.get()):
            worker.close()
            end()
        idle.clear()
        task = Task.read(line, setting.given)
        if same is None:
            one = task.questions[0]
            same = one.key == key_of(one, setting.limits, setting.tier, setting.secret, Path(setting.hidden))
        answer: Any = worker.run_task(task) if same else {"error": OTHER}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    serve()
