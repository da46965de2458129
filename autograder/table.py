"""The table of chapters and exercises: what is taught where, what it is worth and how long it takes.

It is read from `exercises/`, one file a module. An exercise's name joins its stub, reference, checks, mistakes,
alternatives, notebook cells and points. A file says:

    chapter, title    of the chapter: the stem of its file, and its heading
    requires          modules of earlier chapters that this one uses
    ["module.name"]   one table an exercise:
      visible, hidden         points of its two grade cells
      minutes                 how long it takes
      difficulty, importance  1 to 3
      see                     the label of the section that teaches it
      forbids, because        library names that would do its work, "package" or "package.words" in any spelling;
                              instructors see a flag with the sentence, and no point is taken (`policies`)
"""
import difflib
import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("exercises")


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
    found = [read(path) for path in FOLDER.glob("*.toml")]
    return {chapter.name: chapter for chapter in sorted(found, key=lambda chapter: chapter.name)}


def read(path: Path) -> Chapter:
    """Read the file of one module.

    Raises:
        ValueError: an exercise is of another module, or a value is not what it may be.
    """
    row = tomllib.loads(path.read_text(encoding="utf-8"))
    name, title, requires = row.pop("chapter"), row.pop("title"), tuple(row.pop("requires"))
    exercises = tuple(Exercise(name=e, chapter=name, **values) for e, values in row.items())
    for exercise in exercises:
        if exercise.module != path.stem:
            raise ValueError(f"{path.name}: exercise {exercise.name} must be of module {path.stem}")
    return Chapter(name, path.stem, title, requires, exercises)


def path_of(module: str) -> Path:
    """The file of a module's exercises."""
    return FOLDER / f"{module}.toml"


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
