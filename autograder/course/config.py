"""The one file an instructor edits: course.toml, read into a `Course` and written once as a commented template."""
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.capstone import Capstone
from autograder.course import capstones
from autograder.limits import SECONDS
from autograder.table import Chapter, chapters

CELL_SECONDS = 120  # for one cell of a notebook that plain nbgrader runs
HEAD = """\
# Your course. Edit this file, then run the course command again: it rewrites source/ and nbgrader_config.py
# and never touches submissions, grades or files you changed yourself. It holds the secret: keep it private.

# The name of the course in nbgrader and in its exchange: letters, digits, - and _.
course_id = "gpt-lineage"

# Seeds the random inputs of the hidden checks, so that nobody can prepare for them. Drawn at random for you.
# The same secret gives the same inputs when you grade again.
secret = "{secret}"

# The folder through which nbgrader hands assignments out and takes them in. A relative path starts in the
# course's folder, good for a first try; on a hub name one where every learner may write, outside this folder.
exchange = "exchange"

# A folder with hidden checks of your own: FOLDER/attention.py adds to the hidden grade cells of the module
# `attention`. A relative path starts at this file. Empty: none.
private_checks = ""

# Which cells run when a notebook is graded. "graded": the set-up cell, the grade cells, and `%%implement`
# cells, which takes seconds a learner. "all": every cell; needed if you add cells that depend on others.
run = "graded"

# Seconds before one check, and one cell, is stopped and counts 0.
check_seconds = {check_seconds}
cell_seconds = {cell_seconds}

# One table an assignment, one line an exercise, with the points of its visible and its hidden grade cell.
# Remove a line and that function comes filled in, without points. Remove a table and the chapter is left out.
"""
PLAIN = {"course_id", "secret", "exchange", "private_checks", "run", "check_seconds", "cell_seconds", "assignments",
         "capstones"}  # fmt: skip


@dataclass(frozen=True)
class Points:
    """What the two grade cells of one exercise are worth."""

    visible: float
    hidden: float

    def __post_init__(self) -> None:
        for name in ("visible", "hidden"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ValueError(f"{name} points must be a number that is not negative, got {value!r}")


@dataclass(frozen=True)
class Course:
    """An instructor's choices; `assignments` maps chapter → exercise → points, in book order."""

    course_id: str
    secret: str
    exchange: str = "exchange"
    private_checks: Path | None = None
    run: str = "graded"
    check_seconds: float = SECONDS
    cell_seconds: float = CELL_SECONDS
    assignments: Mapping[str, Mapping[str, Points]] = field(default_factory=dict)
    capstones: Mapping[str, Capstone] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.course_id):
            raise ValueError(f"course_id must be letters, digits, - and _, got {self.course_id!r}")
        if len(self.secret) < 16:
            raise ValueError(f"secret must have at least 16 characters, got {len(self.secret)}")
        if self.run not in ("graded", "all"):
            raise ValueError(f'run must be "graded" or "all", got {self.run!r}')
        for name in ("check_seconds", "cell_seconds"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise ValueError(f"{name} must be a positive number of seconds, got {value!r}")
        if self.private_checks is not None and not self.private_checks.is_dir():
            raise ValueError(f"private_checks must be a folder, got {self.private_checks}")


def template(table: Mapping[str, Chapter]) -> str:
    """The first course.toml: every chapter with exercises, points from the table, a fresh random secret."""
    lines = [HEAD.format(secret=secrets.token_hex(24), check_seconds=SECONDS, cell_seconds=CELL_SECONDS)]
    for chapter in table.values():
        lines.append(f"[assignments.{chapter.name}]   # {chapter.title}")
        lines += [
            f'"{e.name}" = {{ visible = {e.visible}, hidden = {e.hidden} }}' for e in chapter.exercises
        ]
        lines.append("")
    return "\n".join([*lines, capstones.template()])


def write_template(path: Path, table: Mapping[str, Chapter] | None = None) -> None:
    """Write a first course.toml that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(template(chapters() if table is None else table))


def read(path: Path, table: Mapping[str, Chapter] | None = None) -> Course:
    """Read course.toml.

    Raises:
        ValueError: the file is not TOML, or a key, chapter, exercise or value is not what it may be.
    """
    table = chapters() if table is None else table
    try:
        row = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from None
    if unknown := set(row) - PLAIN:
        raise ValueError(f"{path}: unknown key {sorted(unknown)[0]!r}; known are {', '.join(sorted(PLAIN))}")
    for needed in ("course_id", "secret"):
        if not isinstance(row.get(needed), str):
            raise ValueError(f"{path}: {needed} must be a text in quotes, got {row.get(needed)!r}")
    folder = row.pop("private_checks", "")
    private = (path.parent / Path(folder).expanduser()).resolve() if folder else None
    chosen = capstones.chosen(row.get("capstones", {}), path)
    made = {"private_checks": private, "assignments": _assignments(row, table, path), "capstones": chosen}
    return Course(**{**row, **made})


def _assignments(
    row: dict[str, Any], table: Mapping[str, Chapter], path: Path
) -> dict[str, dict[str, Points]]:
    chosen = row.get("assignments", {})
    for name in chosen:
        if name not in table:
            raise ValueError(f"{path}: no chapter with exercises is called {name!r}; there are {', '.join(table)}")
    found = {}
    for chapter in table.values():
        if chapter.name not in chosen:
            continue
        known = [e.name for e in chapter.exercises]
        for name in chosen[chapter.name]:
            if name not in known:
                raise ValueError(f"{path}: {chapter.name} has no exercise {name!r}; it has {', '.join(known)}")
        found[chapter.name] = {n: _points(chosen[chapter.name][n], n) for n in known if n in chosen[chapter.name]}
    return {name: points for name, points in found.items() if points}


def _points(value: Any, name: str) -> Points:
    if not isinstance(value, dict) or set(value) != {"visible", "hidden"}:
        raise ValueError(f"{name} needs {{ visible = 2, hidden = 3 }}, got {value!r}")
    return Points(**value)
