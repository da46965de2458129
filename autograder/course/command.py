"""What the commands of a course have in common: `python -m autograder NAME COURSE ASSIGNMENT …`."""
import argparse
from collections.abc import Sequence
from pathlib import Path

from autograder.course import config
from autograder.course.config import Course


def parser(name: str, doc: str | None, example: str = "05_attention") -> argparse.ArgumentParser:
    """A parser with the course's folder and the assignment's name; options of the command's own are added to it."""
    made = argparse.ArgumentParser(prog=f"python -m autograder {name}", description=doc)
    made.add_argument("course", type=folder, help="the course's folder")
    made.add_argument("assignment", help=f"for example {example}")
    return made


def folder(text: str) -> Path:
    """A folder named on the command line, in full."""
    return Path(text).expanduser().resolve()


def settings(course: Path, name: str, kinds: Sequence[str] = ("assignment",)) -> Course:
    """Read the settings of a course that has an assignment.

    Args:
        course: its folder.
        name: of the assignment.
        kinds: what it may be: "assignment", "capstone".

    Raises:
        ValueError: it is no course, its course.toml is wrong, or it has no such assignment.
    """
    try:
        found = config.read(course / "course.toml")
    except OSError as error:
        raise ValueError(f"{course} is no course: {error.strerror} ({error.filename})") from None
    rows = {"assignment": found.assignments, "capstone": found.capstones}
    known = [one for kind in kinds for one in rows[kind]]
    if name not in known:
        raise ValueError(f"course.toml has no {' or '.join(kinds)} {name!r}; it has {', '.join(known) or 'none'}")
    return found
