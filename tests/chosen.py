"""What is too slow to do for every chapter each time is done for some, which the commit decides, and for all by a flag.

Chosen are the chapters that the newest commits have changed, and a slice that moves on with every commit. What is left
out is listed when the tests end. `EVERY_CHAPTER=1` leaves out nothing; with it, the tests run every night.
"""
import functools
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from autograder.table import chapters

ROOT = Path(__file__).parents[1]
MOST, SLICE = 6, 2  # chapters: chosen in all, and of those that no commit has changed
DAYS = 3  # of commits, where there is no branch to compare with
EVERYWHERE = ("autograder/engine/", "autograder/course/", "tests/grading/")
LESS_OFTEN = {
    "tests/book/test_runs.py": "the notebook as it stands, run by nbval at the smoke budget",
    "tests/grading/test_engine_equivalence.py": "points of the engine and of plain nbgrader, cell by cell",
    "tests/grading/test_engine_same.py": "every mistake and other right answer in the engine, not one an exercise",
    "tests/test_invariants.py": "hidden checks under a second course secret",
}
T = TypeVar("T")


def notebooks() -> list[str]:
    """Every chapter, with exercises or without."""
    return sorted(path.stem for path in (ROOT / "chapters").glob("[0-9]*.md"))


@functools.cache
def chosen() -> frozenset[str]:
    """The chapters for which everything is done."""
    names = turned(notebooks())
    if os.environ.get("EVERY_CHAPTER"):
        return frozenset(names)
    files = changed()
    new = [name for name in names if any(belongs(file, name) for file in files)]
    others = [name for name in names if name not in new]
    many = MOST if any(file.startswith(EVERYWHERE) for file in files) else min(MOST, len(new) + SLICE)
    return frozenset([*new, *others][:many])


def summary(ran: Iterable[str]) -> list[str]:
    """What was left out, and for which chapters.

    Args:
        ran: the names of the tests that ran.
    """
    files = {name.partition("::")[0] for name in ran}
    found = []
    for file, what in LESS_OFTEN.items():
        names = notebooks() if "test_runs" in file else list(chapters())
        missing = [name for name in names if name not in chosen()]
        found += [f"{what}: not {', '.join(missing)}"] if missing and file in files else []
    return found


def belongs(file: str, chapter: str) -> bool:
    """Whether a file of the repository is one of a chapter's: page, module, checks, mistakes and so on."""
    path = PurePosixPath(file)
    if path.parts[0] == "chapters":
        return path.stem == chapter
    row = chapters().get(chapter)
    return path.parts[0] in ("solutions", "gptlib", "autograder") and row is not None and path.stem == row.module


def turned(items: Sequence[T]) -> list[T]:
    """The items in their order, but from another one on with every commit."""
    count = git("rev-list", "--count", "HEAD")
    start = (int(count[0]) * SLICE if count else 0) % len(items)
    return [*items[start:], *items[:start]]


def changed() -> set[str]:
    """The files that differ from the main branch or are not committed; on it, those that its last days changed."""
    base = next((found[0] for name in ("origin/main", "main") if (found := git("merge-base", "HEAD", name))), "")
    if base and (base,) != git("rev-parse", "HEAD"):
        return {*git("diff", "--name-only", base), *git("ls-files", "--others", "--exclude-standard")}
    newest = git("log", "-1", "--format=%ct")
    since = int(newest[0]) - DAYS * 86400 if newest else 0
    recent = git("log", f"--since={since}", "--name-only", "--format=") if newest else []
    return {*recent, *git("diff", "--name-only", "HEAD"), *git("ls-files", "--others", "--exclude-standard")}


@functools.cache
def git(*words: str) -> tuple[str, ...]:
    """The lines that a command of git prints; none where it fails or there is no git."""
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ()
    return tuple(filter(None, done.stdout.splitlines())) if done.returncode == 0 else ()
