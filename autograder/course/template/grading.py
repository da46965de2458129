"""Steps of nbgrader that this course replaces: mend what came back, run what is graded, release feedback.

nbgrader 0.9.6 stops the whole batch at one duplicated grade cell, never grades a deleted one, gives 0 to a
right answer that prints a warning, and stops releasing feedback at a learner who uploaded a zip file.
"""
import copy
from pathlib import Path
from typing import Any

import nbformat
from nbgrader import utils
from nbgrader.exchange.default import ExchangeReleaseFeedback
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from traitlets import Bool

SOURCE = Path(__file__).resolve().parents[1] / "source"


def grade_id(cell: Any) -> str | None:
    """The name nbgrader knows a cell by."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


class MendNotebook(NbGraderPreprocessor):
    """Give every grade cell of the assignment back its settings; add what was deleted, drop copies."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Mend one notebook; the text of ordinary cells stays as the learner wrote it."""
        names = resources["nbgrader"]
        path = SOURCE / names["assignment"] / f"{names['notebook']}.ipynb"
        wanted = {grade_id(c): c for c in nbformat.read(path, as_version=4).cells if grade_id(c)}
        seen = set()
        for cell in reversed(nb.cells):
            name = grade_id(cell)
            if name in wanted and name not in seen:
                seen.add(name)
                cell.metadata.nbgrader = copy.deepcopy(wanted[name].metadata.nbgrader)
            elif "nbgrader" in cell.metadata:
                self.log.warning("Cell %r of %s is a copy or unknown; it is not graded", name, names["student"])
                del cell.metadata["nbgrader"]
        for name in wanted:
            if name not in seen:
                self.log.warning("Cell %r of %s was missing; it is put back", name, names["student"])
                nb.cells.append(copy.deepcopy(wanted[name]))
        return nb, resources


class ExecuteGraded(Execute):
    """Run only the cells that grades depend on, and show stderr without scoring it."""

    everything = Bool(False, help="Run every cell of the notebook.").tag(config=True)

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Run one cell if it is graded, sets the notebook up, or writes an exercise."""
        if not (self.everything or self.counts(cell)):
            return cell, resources
        cell, resources = super().preprocess_cell(cell, resources, index)
        here = f"{Path(resources['metadata']['path']).resolve()}/"
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                output.name = "stdout"
                output.text = output.text.replace(here, "")  # learners need not know where you keep the course
            elif output.output_type == "error":
                output.traceback = [line.replace(here, "") for line in output.traceback]
                output.evalue = output.evalue.replace(here, "")
        return cell, resources

    @staticmethod
    def counts(cell: Any) -> bool:
        """Whether a grade can depend on the cell."""
        return (
            utils.is_grade(cell)
            or utils.is_solution(cell)
            or "setup" in cell.metadata.get("tags", ())
            or cell.source.lstrip().startswith("%%implement")
        )


class ReleaseFeedback(ExchangeReleaseFeedback):
    """Release feedback to those who submitted through the exchange; the others cannot get it there."""

    def copy_files(self) -> None:
        """Copy the feedback of everyone whose submission carries the exchange's secret."""
        course = self.coursedir
        folders = (Path(course.root) / course.feedback_directory).glob(f"*/{course.assignment_id}")
        others = [f.parent.name for f in folders if not (f / "submission_secret.txt").exists()]
        if others:
            self.log.info("Not submitted through the exchange, send them their page: %s", ", ".join(sorted(others)))
        course.student_id_exclude = ",".join(filter(None, [course.student_id_exclude, *others]))
        super().copy_files()
