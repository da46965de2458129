"""Which files of the course some code uses, so that what was computed with them is good until one of them changes."""
import functools
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from autograder import given
from autograder.course import imports

AUTOGRADER = Path(__file__).parent
ELSEWHERE = ("course", "engine", "review", "mistakes", "alternatives")  # packages that no check and no cell imports
BY_NAME = re.compile(r"""["']gptlib\.(\w+)["']""")  # import_module("gptlib.bpe")


def library(code: Sequence[str], modules: Collection[str], folder: Path) -> Iterator[Path]:
    """The files of gptlib that some code and some of its modules use.

    Other files than Python's come with the Python file of their name, or where their name is said; one that has no such
    file comes with its package.

    Args:
        code: Python.
        modules: those that are used in any case.
        folder: the complete gptlib.
    """
    texts = read(folder)
    needed = imports.needed(texts, "gptlib", code, ["__init__.py", *(f"{module}.py" for module in modules)])
    while more := {f"{name}.py" for path in needed for name in BY_NAME.findall(texts[path])} & texts.keys() - needed:
        needed |= imports.needed(texts, "gptlib", [], more)
    yield from (folder / name for name in needed)
    said = "\n".join([*code, *(texts[name] for name in needed)])
    for path in folder.rglob("*.*"):
        name = path.relative_to(folder)
        twin = name.with_suffix(".py").as_posix()
        if path.suffix in given.KINDS and path.suffix != ".py" and name.with_name("__init__.py").as_posix() in needed:
            if twin in needed or twin not in texts or f'"{path.stem}"' in said:
                yield path


def grader(code: Sequence[str], folder: Path = AUTOGRADER) -> Iterator[Path]:
    """The files of autograder that some code uses, but for checks and their table, which are found by name."""
    texts = {name: text for name, text in read(folder).items() if name.split("/")[0] not in ELSEWHERE}
    for name in imports.needed(texts, "autograder", code, ["__init__.py"]):
        yield folder / name
        yield from (path for path in (folder / name).parent.glob("*.toml") if f'"{path.name}"' in texts[name])


def checks(modules: Collection[str], folder: Path = AUTOGRADER) -> list[Path]:
    """The files of some modules' checks."""
    return [folder / suite / f"{module}.py" for suite in ("visible", "hidden") for module in sorted(modules)]


@functools.cache
def read(folder: Path) -> dict[str, str]:
    """The Python files of a package by path, read once in a process."""
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in sorted(folder.rglob("*.py"))}
