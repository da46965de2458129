"""nbgrader as the engine uses it: with the course's settings, and without what it does again for every learner."""
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbgrader import utils
from nbgrader.api import BaseCell, Comment, Grade, Gradebook, SubmittedNotebook
from nbgrader.converters import GenerateFeedback
from nbgrader.preprocessors import GetGrades
from sqlalchemy import select
from sqlalchemy.orm import scoped_session, sessionmaker
from traitlets.config import Config, PyFileConfigLoader


def address(db: str) -> str:
    """The address of a database as SQLAlchemy wants it: PostgreSQL is spoken to by psycopg 3."""
    for short in ("postgres://", "postgresql://"):
        if db.startswith(short):
            return "postgresql+psycopg://" + db.removeprefix(short)
    return db


def configuration(course: Path, db: str = "") -> Config:
    """The course's nbgrader configuration.

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
    return config


@contextlib.contextmanager
def swapped(owner: Any, **news: Any) -> Iterator[None]:
    """Give an object other attributes for a while, whatever happens meanwhile."""
    before = {name: getattr(owner, name) for name in news}
    try:
        for name, new in news.items():
            setattr(owner, name, new)
        yield
    finally:
        for name, old in before.items():
            setattr(owner, name, old)


class KeptLookups:
    """What nbgrader looks up again for every learner, kept for the length of a command.

    Every `Gradebook` still has a session of its own, but the database engine and its connections stay, and that the
    tables and the course are there is seen at the first opening.
    """

    def __init__(self) -> None:
        self.engines: dict[tuple, Any] = {}

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Let nbgrader use what is kept."""
        first = Gradebook.__init__

        def opened(book: Any, db_url: str, course_id: str = "default_course", authenticator: Any = None) -> None:
            engine = self.engines.get((db_url, course_id))
            if engine is None:
                first(book, db_url, course_id, authenticator)
                self.engines[db_url, course_id] = book.engine
                return
            book.engine, book.course_id, book.authenticator = engine, course_id, authenticator
            book.db = scoped_session(sessionmaker(autoflush=True, bind=engine, future=True))

        with swapped(Gradebook, __init__=opened, close=lambda book: book.db.remove()):
            yield

    def close(self) -> None:
        """Close all connections; the next opening looks at the database anew."""
        for engine in self.engines.values():
            engine.dispose()
        self.engines.clear()


class GetGradesAtOnce(GetGrades):
    """Put points and comments of all cells into a notebook with a query for each kind, not one for each cell."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Fill in one notebook."""
        names = resources["nbgrader"]
        with Gradebook(names["db_url"]) as book:
            of = book.find_submission_notebook(names["notebook"], names["assignment"], names["student"]).id
            cells = select(BaseCell.name, Grade.score, Grade.max_score).join(Grade, Grade.cell_id == BaseCell.id)
            scores = {name: row for name, *row in book.db.execute(cells.where(Grade.notebook_id == of))}
            texts = select(BaseCell.name, Comment.comment).join(Comment, Comment.cell_id == BaseCell.id)
            comments = {name: text for name, text in book.db.execute(texts.where(Comment.notebook_id == of))}
            whole = SubmittedNotebook
            sums = select(whole.score, whole.max_score, whole.late_submission_penalty).where(whole.id == of)
            score, most, late = book.db.execute(sums).one()
        for cell in nb.cells:
            own = cell.metadata.get("nbgrader", {})
            if utils.is_solution(cell) or utils.is_task(cell):
                own["comment"] = comments[own["grade_id"]]
            if utils.is_grade(cell) or utils.is_task(cell):
                own["score"], own["points"] = scores[own["grade_id"]]
        late = late or 0
        names |= {"score": score - late, "max_score": most, "late_penalty": late}
        return nb, resources


class PagesOnly(GenerateFeedback):
    """Feedback is a page for each notebook; the learner has the other files, and nbgrader releases none of them."""

    def init_assignment(self, assignment_id: str, student_id: str) -> None:
        """Copy nothing."""
