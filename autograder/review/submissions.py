"""The submissions of an assignment as the engine takes them in: the learner's file and the notebook's answers."""
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from autograder.engine import intake
from autograder.table import Chapter


@dataclasses.dataclass(frozen=True)
class Work:
    """What one learner wrote."""

    learner: str
    text: str  # the module's file
    cells: tuple[tuple[str, str], ...]  # (exercise, text) of `%%implement` cells


def works(course: Path, chapter: Chapter) -> Iterator[Work]:
    """Every submission that can be taken in, by learner."""
    source = intake.Source(course / "source" / chapter.name, chapter.name)
    for place in sorted(course.glob(f"submitted/*/{chapter.name}")):
        try:
            job = intake.take(place.parent.name, place, source, chapter.module)
        except (intake.Rejected, OSError):
            continue  # `grade` has named it and said why
        yield Work(job.learner, job.files.get(f"gptlib/{chapter.module}.py", ""), job.cells)
