"""Enter verdicts into nbgrader by its own converter: one writer, and the same result however often it is run."""
import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbgrader import utils
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    AssignLatePenalties,
    LimitOutput,
    NbGraderPreprocessor,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)
from sqlalchemy.exc import SQLAlchemyError
from traitlets import Unicode
from traitlets.config import Config, PyFileConfigLoader

from autograder.engine.nbgrader_steps import Entered, KeptLookups, OnePass, swapped
from autograder.engine.verdicts import HUMAN, write

CLEAN, RESULTS, DONE = "private/engine/submitted", "private/engine/results", "private/engine/entered"


class EnterVerdicts(NbGraderPreprocessor):
    """Write what the engine found into the outputs of grade cells, from which nbgrader takes points and feedback."""

    results = Unicode("", help="The folder with results: ASSIGNMENT/LEARNER.json").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Fill in the outputs of one notebook."""
        names = resources["nbgrader"]
        path = Path(self.results) / names["assignment"] / f"{names['student']}.json"
        found = json.loads(path.read_text("utf-8"))
        resources["verdicts"] = found["cells"]
        notices = found["notices"]
        for cell in nb.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if not utils.is_grade(cell) or utils.is_solution(cell) or cell.cell_type != "code":
                continue  # what a person grades stays as it came
            row = found["cells"].get(name, {"text": "", "message": found["missing"]})
            cell.outputs = outputs(row, notices)
            notices = []
        return nb, resources


def outputs(row: dict[str, Any], notices: list[str]) -> list[Any]:
    """The outputs of a grade cell, plain text only; an error output is what takes the points away."""
    text = "".join(f"Note: {line}\n" for line in notices) + row["text"]
    found: list[dict[str, Any]] = [{"output_type": "stream", "name": "stdout", "text": text + "\n"}] if text else []
    if row.get("points") is not None and not row["message"]:  # a part of the cell's points, by nbgrader's own rule
        shown = {"text/plain": str(float(row["points"]))}
        found.append({"output_type": "execute_result", "data": shown, "metadata": {}, "execution_count": 1})
    if row["message"]:
        lines = row["message"].split("\n")
        failed = {"ename": "CheckFailed", "evalue": lines[0], "traceback": [row["message"]]}
        found.append({"output_type": "error"} | failed)
    return [nbformat.from_dict(one) for one in found]


class SaveVerdicts(SaveAutoGrades):
    """Save points as nbgrader does; leave to a person what the engine could not decide."""

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> tuple[Any, Any]:
        """Save one cell."""
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if resources["verdicts"].get(name, {}).get("verdict") == HUMAN:
            grade = self.gradebook.find_grade(name, self.notebook_id, self.assignment_id, self.student_id)
            grade.auto_score, grade.needs_manual_grade = None, True
            self.gradebook.db.commit()
        return cell, resources


class NotEntered(Exception):
    """The gradebook could not be written; nothing is lost, and entering may be tried again.

    Args:
        said: why.
        soon: it is the database that does not answer, so that waiting may help.
    """

    def __init__(self, said: str, soon: bool) -> None:
        super().__init__(said)
        self.soon = soon


def address(db: str) -> str:
    """The address of a database as SQLAlchemy wants it: PostgreSQL is spoken to by psycopg 3."""
    for short in ("postgres://", "postgresql://"):
        if db.startswith(short):
            return "postgresql+psycopg://" + db.removeprefix(short)
    return db


@contextlib.contextmanager
def only_writer(course: Path) -> Iterator[None]:
    """Be the only one that writes a course's gradebook; wait for another to end."""
    place = course / "private" / "engine" / "writer.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w") as file:
        try:
            import fcntl
        except ImportError:  # no lock on Windows
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("Another command is writing this gradebook; waiting for it.", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def configuration(course: Path, db: str = "") -> Config:
    """The course's nbgrader configuration, with the engine's steps in the place of a kernel.

    Args:
        course: the course's folder.
        db: the address of the gradebook, if it is not the one of the course's configuration.
    """
    before = dict(os.environ)
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    os.environ.clear()  # what it sets is for nbgrader's kernels; no code runs in one here
    os.environ.update(before)
    config.CourseDirectory.root = str(course)
    if db:
        config.CourseDirectory.db_url = address(db)
    config.Autograde.sanitize_preprocessors = [
        OverwriteKernelspec, OverwriteCells, EnterVerdicts, ClearMetadataPreprocessor, LimitOutput, SaveVerdicts,
        AssignLatePenalties,
    ]  # fmt: skip
    config.EnterVerdicts.results = str(course / RESULTS)
    return config


class Committer:
    """The single writer of a course's gradebook."""

    def __init__(self, course: Path, assignment: str, db: str = "") -> None:
        self.course, self.assignment = course, assignment
        self.config, self.elsewhere = configuration(course, db), bool(db)
        self.coursedir = CourseDirectory(config=self.config)
        self.gradebook = hashlib.sha256(str(self.coursedir.db_url).encode()).hexdigest()[:16]
        self.kept = KeptLookups()
        self.pauses = [1, 2, 4, 8, 16, 32]  # seconds to wait for a database in this whole run

    def ready(self) -> str:
        """What must be done before any grade can be entered, or nothing; a database that does not answer may yet."""
        with contextlib.suppress(SQLAlchemyError, OSError), Gradebook(self.coursedir.db_url) as book:
            try:
                book.find_assignment(self.assignment)
            except MissingEntry:
                where = f" --db {self.coursedir.db_url}" if self.elsewhere else ""
                return (f"the gradebook has no assignment {self.assignment}. Run `nbgrader generate_assignment "
                        f"{self.assignment}{where}` in {self.course} first")  # fmt: skip
        return ""

    def enter(self, learner: str, result: dict[str, Any], files: dict[str, bytes]) -> bool:
        """Enter one learner's verdicts, unless exactly these were entered before; say whether it was done.

        Args:
            learner: whose they are.
            result: verdicts by grade cell, and notices.
            files: the clean submission.

        Raises:
            NotEntered: the gradebook cannot be written.
        """
        goal = self.course / CLEAN / learner / self.assignment
        own = {k: v.decode("latin-1") for k, v in files.items()}
        text = json.dumps([result, own, self.gradebook], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        mark = self.course / DONE / self.assignment / f"{learner}.json"
        shown = self.course / "autograded" / learner / self.assignment
        if mark.exists() and json.loads(mark.read_text("utf-8")) == digest and shown.is_dir():
            return False
        mark.unlink(missing_ok=True)
        shutil.rmtree(goal, ignore_errors=True)
        for name, data in files.items():
            (goal / name).parent.mkdir(parents=True, exist_ok=True)
            (goal / name).write_bytes(data)
        write(self.course / RESULTS / self.assignment / f"{learner}.json", result)
        while True:
            try:
                self.convert(learner)
                break
            except NotEntered as error:
                if not (error.soon and self.pauses):
                    raise
                time.sleep(self.pauses.pop(0))
        write(mark, digest)
        return True

    def try_to_enter(self, learner: str, result: dict[str, Any], files: dict[str, bytes]) -> bool:
        """Enter one learner's verdicts; where that is not possible say so, for it can be run again."""
        try:
            self.enter(learner, result, files)
        except NotEntered as error:
            print(f"RETRY {learner}: the gradebook could not be written ({error}); run the same command again")
            return False
        return True

    def convert(self, learner: str) -> None:
        """Let nbgrader's converter enter what lies ready of a learner."""
        said = FirstLines()
        log = logging.getLogger("autograder.engine")
        log.handlers, log.propagate = [said], False
        log.setLevel(logging.ERROR)
        with self.kept.used(), swapped(
            self.coursedir, submitted_directory=CLEAN, assignment_id=self.assignment, student_id=learner
        ):
            here = os.getcwd()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # nbgrader's own, about its database sessions
                    app = OnePass(coursedir=self.coursedir, config=self.config)
                    app.force, app.log, app.exporter_class = True, log, Entered
                    app.start()
            except (NbGraderException, SystemExit, SQLAlchemyError, OSError) as error:
                self.kept.close()
                why = " ".join(" ".join(said.lines or [f"{error}"]).split())[:300]
                raise NotEntered(why, isinstance(error, SQLAlchemyError) or "database" in why) from error
            finally:
                os.chdir(here)


class FirstLines(logging.Handler):
    """Keeps the first lines of what a logger is told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first line of a message."""
        if len(self.lines) < 3:
            self.lines.append(record.getMessage().strip().split("\n")[0])
