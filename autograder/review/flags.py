"""`python -m autograder flags COURSE ASSIGNMENT`: library calls that would do an exercise's work, for a person."""
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from autograder import policies
from autograder.course import command
from autograder.review import tables
from autograder.review.submissions import Work, works
from autograder.table import Chapter, Exercise, chapters

NOTE = "A flag is no verdict and takes no point away: read the code, ask the learner. Who means to hide a call can."


@dataclasses.dataclass(frozen=True)
class Flag:
    """One thing to look at."""

    learner: str
    exercise: str
    seen: str  # where: a line of the file, a cell, or while the code ran
    name: str
    rule: str
    because: str


def main(argv: list[str]) -> int:
    """List the library calls that would do an exercise's work, for a person to look at; no points change."""
    parser = command.parser("flags", main.__doc__)
    parser.add_argument("--out", type=Path, help="where to write the list (default: COURSE/private/review/…-flags.csv)")
    options = parser.parse_args(argv)
    course = options.course
    try:
        command.settings(course, options.assignment)
        chapter = chapters()[options.assignment]
        taken = list(works(course, chapter))
    except ValueError as error:
        print(f"Nothing was looked at: {error}")
        return 2
    found = [flag for work in taken for flag in (*of_text(work, chapter), *of_run(course, work.learner, chapter))]
    for flag in found:
        print(f"{flag.learner}  {flag.exercise}  {flag.seen}: {flag.name}\n    {flag.because}")
    out = options.out or course / "private" / "review" / f"{chapter.name}-flags.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    head = [field.name for field in dataclasses.fields(Flag)]
    out.write_text(tables.write([head, *map(dataclasses.astuple, found)]), "utf-8-sig", newline="")
    learners = len({flag.learner for flag in found})
    print(f"{len(found)} flags of {learners} among {len(taken)} submissions, in {out}.\n{NOTE}")
    return 0


def of_text(work: Work, chapter: Chapter) -> Iterator[Flag]:
    """What the text of a submission names."""
    names = tuple(row.name for row in chapter.exercises)
    for row in chapter.exercises:
        texts = [("", work.text), *(("the cell, ", text) for name, text in work.cells if name == row.name)]
        for place, text in texts:
            try:
                for found in policies.scan(text, row, names):
                    yield Flag(work.learner, row.name, f"{place}line {found.line}", found.name, found.rule, row.because)
            except ValueError as error:
                yield Flag(work.learner, row.name, place or "the file", "", "", f"Not looked at: {error}.")


def of_run(course: Path, learner: str, chapter: Chapter) -> Iterator[Flag]:
    """What the engine saw while the code ran, from the last result of `grade`."""
    path = course / "private" / "engine" / "results" / chapter.name / f"{learner}.json"
    try:
        cells = json.loads(path.read_text("utf-8"))["cells"].values()
    except (OSError, ValueError):
        return
    rows = {row.name: row for row in chapter.exercises}
    seen = {(flag["exercise"], flag["name"]) for cell in cells for flag in cell.get("flags", ())}
    for exercise, name in sorted(seen):
        row: Exercise | None = rows.get(exercise)
        if row and (rule := policies.broken_by_call(row.forbids, name)):
            yield Flag(learner, exercise, "while it ran", name, rule, row.because)
