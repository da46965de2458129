"""How a chapter is graded: each of its grade cells that calls `check` is a question, run in a sandbox."""
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder.course.assignment import CHECK
from autograder.course.config import Course
from autograder.engine import intake, pool, records, work
from autograder.engine.question import Question
from autograder.engine.run import Cells
from autograder.engine.sandbox import Limits
from autograder.table import Chapter

SHOWN = ("verdict", "text", "message", "flags")  # of a record, what the gradebook and a person see


class ChapterGrader:
    """Grades submissions of one chapter.

    Args:
        course: the course's folder.
        chapter: its row of the table.
        settings: the course's.
        tier: how learners' code is held.
        workers: how many processes run it.
        dask: the address of a Dask cluster that runs it instead, or nothing.

    Raises:
        ValueError: the course's folder has no such assignment.
    """

    def __init__(
        self, course: Path, chapter: Chapter, settings: Course, tier: str, workers: int, dask: str = ""
    ) -> None:
        self.name, self.module, self.workers, self.dask = chapter.name, chapter.module, workers, dask
        self.source = intake.Source(course / "source" / chapter.name, chapter.name)
        self.hidden = course / "private" / "hidden"
        limits = Limits.of(settings.check_seconds)
        where = str(course / "private" / "engine" / "records")
        own = dict(self.source.given)
        own.pop(f"gptlib/{chapter.module}.py", None)
        self.setting = work.Setting(tier, limits, settings.secret, str(self.hidden), where, own)
        self.cells = grade_cells(self.source.template.book)

    def take(self, learner: str, folder: Path) -> intake.Job:
        """Take one submission in."""
        return intake.take(learner, folder, self.source, self.module)

    def grade(self, jobs: Iterable[intake.Job], most: int, anew: bool) -> Iterator[tuple[intake.Job, Cells]]:
        """Run the questions of submissions, or look up what others ran."""
        asked: dict[str, tuple[intake.Job, dict[str, Question]]] = {}

        def tasks() -> Iterator[work.Task]:
            for job in jobs:
                asked[job.learner] = job, self.questions(job)
                yield work.Task(job.learner, tuple(asked[job.learner][1].values()))

        if anew:
            found = pool.run_all(tasks(), self.setting, min(self.workers, most) or 1, self.dask)
        else:
            store = records.Records(Path(self.setting.records))
            found = ((task, task.failed(store)) for task in tasks())
        for task, rows in found:
            job, questions = asked.pop(task.learner)
            by_key = {row["key"]: row for row in rows}
            yield job, {cell: {n: by_key[q.key][n] for n in SHOWN if n in by_key[q.key]}
                        for cell, q in questions.items()}  # fmt: skip

    def questions(self, job: intake.Job) -> dict[str, Question]:
        """The questions of a submission by grade cell."""
        asked = [Question(exercise, suite, job.files, "", job.cells) for exercise, suite in self.cells.values()]
        setting = self.setting
        keys = records.keys_of(asked, setting.limits, setting.tier, setting.secret, self.hidden)
        return {cell: replace(question, key=key)
                for cell, question, key in zip(self.cells, asked, keys, strict=True)}  # fmt: skip

    def files(self, job: intake.Job) -> dict[str, bytes]:
        """The file that learners edit."""
        module = f"gptlib/{self.module}.py"
        return {module: job.files[module].encode("utf-8", "surrogateescape")} if module in job.files else {}

    def line(self, job: intake.Job, cells: Cells) -> str:
        """Nothing: a class has hundreds of submissions, and the gradebook shows each."""
        return ""


def grade_cells(template: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The grade cells of a notebook that call `check`, as exercise and suite by their names in nbgrader."""
    found = {}
    for cell in template["cells"]:
        settings = cell["metadata"].get("nbgrader", {})
        match = CHECK.search("".join(cell["source"]))
        if settings.get("grade") and cell["cell_type"] == "code" and match:
            found[settings["grade_id"]] = (match[1], match[2] or "visible")
    return found
