"""A learner's grades in nbgrader's gradebook: the rows that nbgrader's converter writes, in one transaction.

The converter looks every cell up for every learner, and commits after each. Here what an assignment consists of is
read once; tables, names and defaults are nbgrader's own.
"""
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbgrader import api
from nbgrader.api import Gradebook, new_uuid
from nbgrader.converters.base import NbGraderException
from sqlalchemy import Connection, Insert, Update, bindparam, create_engine, insert, select, update

STUDENT, SUBMISSION, NOTEBOOK, GRADE, COMMENT = (
    kind.__table__ for kind in (api.Student, api.SubmittedAssignment, api.SubmittedNotebook, api.Grade, api.Comment)
)


@dataclass(frozen=True)
class Entry:
    """What is entered for one learner.

    Args:
        learner: the student's id.
        timestamp: when it was submitted, if that is known.
        scores: points of grade cells by name; None where a person has to give them.
        comments: automatic comments on cells by name.
    """

    learner: str
    timestamp: datetime.datetime | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    comments: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Cells:
    """The cells of a notebook of an assignment that get a grade or a comment: ids by name."""

    name: str
    grades: Mapping[str, str]
    comments: Mapping[str, str]


class AssignmentGrades:
    """The grades of one assignment. To be closed.

    Args:
        url: the database.
        course: its id in nbgrader.
        assignment: its name.

    Raises:
        MissingEntry: the gradebook does not have the assignment.
    """

    def __init__(self, url: str, course: str, assignment: str) -> None:
        self.notebooks: dict[str, Cells] = {}
        with Gradebook(url, course) as book:  # which makes tables and course where there are none
            row = book.find_assignment(assignment)
            self.id, self.has_due_date = row.id, row.duedate is not None
            for notebook in row.notebooks:
                grades = {cell.name: cell.id for cell in (*notebook.grade_cells, *notebook.task_cells)}
                comments = {cell.name: cell.id for cell in (*notebook.solution_cells, *notebook.task_cells)}
                self.notebooks[notebook.id] = Cells(notebook.name, grades, comments)
        self.engine = create_engine(url, future=True)
        self.found = (
            select(STUDENT.c.id, SUBMISSION.c.id)
            .select_from(STUDENT.outerjoin(
                SUBMISSION, (SUBMISSION.c.student_id == STUDENT.c.id) & (SUBMISSION.c.assignment_id == self.id)))
            .where(STUDENT.c.id == bindparam("learner"))
        )  # fmt: skip

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def enter(self, entry: Entry, notebook: str, create_student: bool = True) -> None:
        """Enter one learner's grades of a notebook; of others that the assignment has, none came.

        Args:
            entry: the grades.
            notebook: its name.
            create_student: whether someone whom the gradebook does not know gets into it.

        Raises:
            NbGraderException: it does not know the learner, and may not.
        """
        with self.engine.begin() as db:
            known = db.execute(self.found, {"learner": entry.learner}).first()
            if known is None:
                if not create_student:
                    raise NbGraderException(f"No student with ID '{entry.learner}' exists in the database")
                db.execute(insert(STUDENT), {"id": entry.learner})
            if known is None or known[1] is None:
                self.add(db, entry, notebook)
            else:
                self.change(db, entry, notebook, known[1])

    def add(self, db: Connection, entry: Entry, notebook: str) -> None:
        """Enter a first submission."""
        submission = new_uuid()
        row = {"id": submission, "assignment_id": self.id, "student_id": entry.learner, "timestamp": entry.timestamp}
        ids = {one: new_uuid() for one in self.notebooks}
        db.execute(insert(SUBMISSION), row)
        db.execute(insert(NOTEBOOK), [
            {"id": new, "assignment_id": submission, "notebook_id": one, "late_submission_penalty": None}
            for one, new in ids.items()
        ])  # fmt: skip
        for one, cells in self.notebooks.items():
            came = cells.name == notebook
            scores = entry.scores if came else dict.fromkeys(cells.grades, 0.0)
            comments = entry.comments if came else {}
            many(db, insert(GRADE), [
                {"cell_id": cell, "notebook_id": ids[one], "auto_score": scores.get(name),
                 "needs_manual_grade": scores.get(name) is None}
                for name, cell in cells.grades.items()
            ])  # fmt: skip
            many(db, insert(COMMENT), [
                {"cell_id": cell, "notebook_id": ids[one], "auto_comment": comments.get(name)}
                for name, cell in cells.comments.items()
            ])  # fmt: skip

    def change(self, db: Connection, entry: Entry, notebook: str, submission: str) -> None:
        """Enter another grading of a submission.

        Points and comments that a person gave stay; where there are such points, a person has to look again.
        """
        if entry.timestamp is not None:
            db.execute(update(SUBMISSION).where(SUBMISSION.c.id == submission).values(timestamp=entry.timestamp))
        rows = db.execute(select(NOTEBOOK.c.id, NOTEBOOK.c.notebook_id).where(NOTEBOOK.c.assignment_id == submission))
        for own, one in rows.all():
            cells = self.notebooks[one]
            if cells.name != notebook:
                nothing = {"auto_score": 0.0, "needs_manual_grade": False}
                db.execute(update(GRADE).where(GRADE.c.notebook_id == own).values(nothing))
                continue
            db.execute(update(NOTEBOOK).where(NOTEBOOK.c.id == own).values(late_submission_penalty=None))
            names = {cell: name for name, cell in cells.grades.items()}
            known = db.execute(select(GRADE.c.cell_id, GRADE.c.manual_score).where(GRADE.c.notebook_id == own)).all()
            many(db, CHANGE_GRADE, [
                {"of": own, "cell": cell, "score": score, "by_hand": score is None or manual is not None}
                for cell, manual in known if (name := names[cell]) in entry.scores for score in [entry.scores[name]]
            ])  # fmt: skip
            many(db, CHANGE_COMMENT, [
                {"of": own, "cell": cells.comments[name], "text": text}
                for name, text in entry.comments.items() if name in cells.comments
            ])  # fmt: skip


CHANGE_GRADE = (
    update(GRADE)
    .where((GRADE.c.notebook_id == bindparam("of")) & (GRADE.c.cell_id == bindparam("cell")))
    .values(auto_score=bindparam("score"), needs_manual_grade=bindparam("by_hand"))
)
CHANGE_COMMENT = (
    update(COMMENT)
    .where((COMMENT.c.notebook_id == bindparam("of")) & (COMMENT.c.cell_id == bindparam("cell")))
    .values(auto_comment=bindparam("text"))
)


def many(db: Connection, statement: Insert | Update, rows: list[dict[str, Any]]) -> None:
    """Insert or change rows, if there are any."""
    if rows:
        db.execute(statement, rows)
