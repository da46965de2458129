"""The table of chapters and exercises, read from exercises.toml."""
import difflib
import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("exercises.toml")


@dataclass(frozen=True)
class Exercise:
    """One exercise: where it stands, what it is worth, how long it takes."""

    name: str
    chapter: str
    title: str
    visible: int
    hidden: int
    minutes: int
    difficulty: int
    importance: int
    see: str
    forbids: tuple[str, ...] = ()
    because: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*", self.name):
            raise ValueError(f"an exercise is named module.function, got {self.name!r}")
        for field in ("difficulty", "importance"):
            if getattr(self, field) not in (1, 2, 3):
                raise ValueError(f"{self.name}: {field} must be 1, 2 or 3, got {getattr(self, field)!r}")
        for field in ("visible", "hidden", "minutes"):
            if getattr(self, field) < 0:
                raise ValueError(f"{self.name}: {field} must not be negative, got {getattr(self, field)!r}")
        object.__setattr__(self, "forbids", tuple(self.forbids))
        for rule in self.forbids:
            if not re.fullmatch(r"[a-z]\w*(\.\w+)?", rule):
                raise ValueError(f"{self.name}: forbids lists package or package.words, got {rule!r}")
        if bool(self.forbids) != bool(self.because):
            raise ValueError(f"{self.name}: forbids needs a sentence in because, and the other way round")

    @property
    def module(self) -> str:
        """The gptlib module that holds the exercise."""
        return self.name.split(".")[0]

    @property
    def function(self) -> str:
        """The name of the function or class inside its module."""
        return self.name.split(".")[1]

    @property
    def points(self) -> int:
        """Points of both grade cells together."""
        return self.visible + self.hidden


@dataclass(frozen=True)
class Chapter:
    """One chapter with exercises: the stem of its file, its module and what else it needs."""

    name: str
    module: str
    title: str
    requires: tuple[str, ...]
    exercises: tuple[Exercise, ...]


@functools.cache
def chapters() -> dict[str, Chapter]:
    """Read the table: chapters in book order, by the stem of their file."""
    found = {}
    for name, row in tomllib.loads(FILE.read_text(encoding="utf-8")).items():
        exercises = tuple(Exercise(name=e, chapter=name, **values) for e, values in row["exercises"].items())
        for exercise in exercises:
            if exercise.module != row["module"]:
                raise ValueError(f"{name}: exercise {exercise.name} must be of module {row['module']}")
        requires = tuple(row.get("requires", ()))
        found[name] = Chapter(name, row["module"], row["title"], requires, exercises)
    return dict(sorted(found.items()))


def exercises() -> dict[str, Exercise]:
    """Map every exercise's name to its row, in book order."""
    return {e.name: e for chapter in chapters().values() for e in chapter.exercises}


def exercise(name: str) -> Exercise:
    """Look one exercise up.

    Raises:
        LookupError: no exercise has that name; the message lists the nearest names.
    """
    known = exercises()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4) or list(known)
    raise LookupError(f"no exercise is called {name!r}; did you mean {' or '.join(near)}?")
