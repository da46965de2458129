"""The submissions of an assignment as the engine takes them in: the learner's file and the notebook's answers."""
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from autograder import course_config
from autograder.engine import intake
from autograder.table import Chapter, chapters


@dataclasses.dataclass(frozen=True)
class Work:
    """What one learner wrote."""

    learner: str
    text: str  # the module's file
    cells: tuple[tuple[str, str], ...]  # (exercise, text) of `%%implement` cells


def assignment(course: Path, name: str) -> Chapter:
    """The chapter of an assignment.

    Raises:
        ValueError: the course has no such assignment.
    """
    try:
        settings = course_config.read(course / "course.toml")
    except OSError as error:
        raise ValueError(f"{course} is no course: {error.strerror} ({error.filename})") from None
    if name not in settings.assignments:
        raise ValueError(f"course.toml has no assignment {name!r}; it has {', '.join(settings.assignments)}")
    return chapters()[name]


def works(course: Path, chapter: Chapter) -> Iterator[Work]:
    """Every submission that can be taken in, by learner."""
    source = course / "source" / chapter.name
    for place in sorted(course.glob(f"submitted/*/{chapter.name}")):
        try:
            job = intake.take(place.parent.name, place, source, chapter.name, chapter.module)
        except (intake.Rejected, OSError):
            continue  # `grade` has named it and said why
        yield Work(job.learner, job.files.get(f"gptlib/{chapter.module}.py", ""), job.cells)
