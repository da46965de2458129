"""Enter verdicts into nbgrader by its own converter: one writer, and the same result however often it is run."""
import hashlib
import json
import logging
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbgrader import utils
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    LimitOutput,
    NbGraderPreprocessor,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)
from traitlets import Unicode
from traitlets.config import Config, PyFileConfigLoader

from autograder.engine.question import HUMAN
from autograder.engine.records import write

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
    found = [nbformat.v4.new_output("stream", name="stdout", text=text + "\n")] if text else []
    if row["message"]:
        lines = row["message"].split("\n")
        found.append(nbformat.v4.new_output("error", ename="CheckFailed", evalue=lines[0], traceback=[row["message"]]))
    return found


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


def configuration(course: Path) -> Config:
    """The course's nbgrader configuration, with the engine's steps in the place of a kernel."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.root = str(course)
    config.Autograde.sanitize_preprocessors = [
        ClearOutput, DeduplicateIds, OverwriteKernelspec, OverwriteCells, CheckCellMetadata
    ]  # fmt: skip
    config.Autograde.autograde_preprocessors = [
        EnterVerdicts, ClearMetadataPreprocessor, LimitOutput, SaveVerdicts, AssignLatePenalties, CheckCellMetadata
    ]  # fmt: skip
    config.EnterVerdicts.results = str(course / RESULTS)
    return config


class Committer:
    """The single writer of a course's gradebook."""

    def __init__(self, course: Path, assignment: str) -> None:
        self.course, self.assignment = course, assignment
        self.config = configuration(course)
        self.coursedir = CourseDirectory(config=self.config)

    def enter(self, learner: str, result: dict[str, Any], files: dict[str, bytes]) -> bool:
        """Enter one learner's verdicts, unless exactly these were entered before; say whether it was done.

        Args:
            learner: whose they are.
            result: verdicts by grade cell, and notices.
            files: the clean submission.
        """
        goal = self.course / CLEAN / learner / self.assignment
        text = json.dumps([result, {k: v.decode("latin-1") for k, v in files.items()}], sort_keys=True)
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
        with utils.temp_attrs(
            self.coursedir, submitted_directory=CLEAN, assignment_id=self.assignment, student_id=learner
        ):
            app = Autograde(coursedir=self.coursedir, config=self.config)
            app.force, app.log = True, logging.getLogger("autograder.engine")
            app.log.setLevel(logging.ERROR)
            here = os.getcwd()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # nbgrader's own, about its database sessions
                    app.start()
            except SystemExit as error:
                raise RuntimeError(f"nbgrader could not enter the grades of {learner}") from error
            finally:
                os.chdir(here)
        write(mark, digest)
        return True
