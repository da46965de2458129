"""Enter what was found into nbgrader: one writer, and the same result however often it is run."""
import contextlib
import hashlib
import json
import logging
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import MissingEntry
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy.exc import SQLAlchemyError

from autograder.engine.given_files import GivenFiles
from autograder.engine.gradebook import AssignmentGrades, Entry
from autograder.engine.nbgrader_steps import configuration, swapped
from autograder.engine.notebook import EnteredNotebook
from autograder.engine.rebuild import Template
from autograder.engine.verdicts import write

RESULTS, DONE, GIVEN = "private/engine/results", "private/engine/entered", "private/engine/given"


class NotEntered(Exception):
    """The gradebook could not be written; nothing is lost, and entering may be tried again.

    Args:
        said: why.
        soon: it is the database that does not answer, so that waiting may help.
    """

    def __init__(self, said: str, soon: bool) -> None:
        super().__init__(said)
        self.soon = soon


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


@dataclass(frozen=True)
class Graded:
    """What is entered for one learner.

    Args:
        learner: whose it is.
        result: verdicts by grade cell, and notices.
        book: the rebuilt notebook.
        files: the learner's own files that are kept with it, by path.
    """

    learner: str
    result: Mapping[str, Any]
    book: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)


class Committer:
    """The single writer of the grades of a course's assignment.

    Args:
        course: the course's folder.
        assignment: its name.
        template: its notebook.
        db: the address of the gradebook, if it is not the one of the course's configuration.
    """

    def __init__(self, course: Path, assignment: str, template: Template, db: str = "") -> None:
        self.course, self.assignment, self.template, self.elsewhere = course, assignment, template, bool(db)
        self.said = FirstLines()
        log = logging.getLogger("autograder.engine")
        log.handlers, log.propagate = [self.said], False
        log.setLevel(logging.ERROR)
        config = configuration(course, db)
        self.coursedir = CourseDirectory(config=config)
        self.app = Autograde(coursedir=self.coursedir, config=config)
        self.app.log = log
        self.gradebook = hashlib.sha256(str(self.coursedir.db_url).encode()).hexdigest()[:16]
        self.notebook: EnteredNotebook | None = None
        self.grades: AssignmentGrades | None = None
        self.given = GivenFiles(self.app, assignment, course / GIVEN)
        self.pauses = [1, 2, 4, 8, 16, 32]  # seconds to wait for a database in this whole run

    def ready(self) -> str:
        """What must be done before any grade can be entered, or nothing; a database that does not answer may yet."""
        with contextlib.suppress(SQLAlchemyError, OSError):
            try:
                self.open()
            except MissingEntry as error:
                what = "assignment" if self.grades is None else f"{error} of assignment"
                where = f" --db {self.coursedir.db_url}" if self.elsewhere else ""
                return (f"the gradebook has no {what} {self.assignment}. Run `nbgrader generate_assignment "
                        f"{self.assignment}{where}` in {self.course} first")  # fmt: skip
        return ""

    def open(self) -> tuple[EnteredNotebook, AssignmentGrades]:
        """Read what all learners of the assignment share, once."""
        if self.notebook is None or self.grades is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # nbgrader's own, about its database sessions
                url, course_id = self.coursedir.db_url, self.coursedir.course_id
                self.grades = AssignmentGrades(url, course_id, self.assignment)
                self.notebook = EnteredNotebook(self.template, self.app, self.resources(""))
        return self.notebook, self.grades

    def resources(self, learner: str) -> dict[str, Any]:
        """What nbgrader's steps want to know."""
        return {"nbgrader": {"assignment": self.assignment, "notebook": self.assignment, "student": learner,
                             "db_url": self.coursedir.db_url}}  # fmt: skip

    def enter(self, graded: Graded) -> bool:
        """Enter one learner's verdicts, unless exactly these were entered before; say whether it was done.

        Raises:
            NotEntered: the gradebook cannot be written.
        """
        learner, digest = graded.learner, self.digest(graded)
        mark = self.course / DONE / self.assignment / f"{learner}.json"
        if mark.exists() and json.loads(mark.read_text("utf-8")) == digest and self.place(learner).is_dir():
            return False
        mark.unlink(missing_ok=True)
        write(self.course / RESULTS / self.assignment / f"{learner}.json", graded.result)
        while True:
            try:
                self.enter_once(graded)
                break
            except NotEntered as error:
                if not (error.soon and self.pauses):
                    raise
                time.sleep(self.pauses.pop(0))
        write(mark, digest)
        return True

    def digest(self, graded: Graded) -> str:
        """The SHA-256 of all that is entered for a learner."""
        texts = {name: data.decode("latin-1") for name, data in graded.files.items()}
        own = self.template.others(graded.book)
        text = json.dumps([graded.result, own, texts, self.template.digest, self.gradebook], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def try_to_enter(self, graded: Graded) -> bool:
        """Enter one learner's verdicts; where that is not possible say so, for it can be run again."""
        try:
            self.enter(graded)
        except NotEntered as error:
            print(f"RETRY {graded.learner}: the gradebook could not be written ({error}); run the same command again")
            return False
        return True

    def place(self, learner: str) -> Path:
        """The folder in autograded/."""
        course = self.coursedir
        return Path(course.format_path(course.autograded_directory, learner, self.assignment))

    def enter_once(self, graded: Graded) -> None:
        """Write a learner's folder, and the rows of the gradebook."""
        place = self.place(graded.learner)
        self.said.lines.clear()
        try:
            with swapped(self.coursedir, assignment_id=self.assignment, student_id=graded.learner):
                self.app.notebooks = [str(place / f"{self.assignment}.ipynb")]
                self.app.run_pre_convert_hook()
                self.fill(place, graded)
                self.app.run_post_convert_hook()
        except (NbGraderException, SystemExit, SQLAlchemyError, OSError) as error:
            shutil.rmtree(place, ignore_errors=True)
            self.close()
            why = " ".join(" ".join(self.said.lines or [f"{error}"]).split())[:300]
            raise NotEntered(why, isinstance(error, SQLAlchemyError) or "database" in why) from error

    def fill(self, place: Path, graded: Graded) -> None:
        """Write the files, then the rows, then the penalty of a submission that may be late."""
        notebook, grades = self.open()
        filled = notebook.filled(graded.book, graded.result)
        self.given.put(place, {**graded.files, f"{self.assignment}.ipynb": filled.text.encode()})
        stamp = graded.files.get("timestamp.txt")
        when = utils.parse_utc(stamp.decode()) if stamp else None
        entry = Entry(graded.learner, when, filled.scores, filled.comments)
        grades.enter(entry, self.assignment, self.app.create_student)
        if grades.has_due_date:
            AssignLatePenalties(parent=self.app)(NotebookNode(cells=[]), self.resources(graded.learner))

    def close(self) -> None:
        """Close all connections; what is read next looks at the database anew."""
        if self.grades is not None:
            self.grades.close()
        self.grades = self.notebook = None


class FirstLines(logging.Handler):
    """Keeps the first lines of what a logger is told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first line of a message."""
        if len(self.lines) < 3:
            self.lines.append(record.getMessage().strip().split("\n")[0])
