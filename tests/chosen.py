"""What is too slow to do for every chapter each time is done for some, which the commit decides, and for all by a flag.

Chosen are the chapters that the newest commits have changed, and a slice that moves on with every commit. Both are
listed when the tests end, and so is what was left out. `EVERY_CHAPTER=1` leaves out nothing: CI sets it every night.
"""
import functools
import os
import subprocess
import time
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
WITHOUT_EXERCISES = ("tests/book/test_runs.py",)  # done for chapters that have no exercises as well
T = TypeVar("T")
# All processes of a run that goes on past midnight choose the same.
DAY = int(os.environ.setdefault("TESTS_BEGAN", str(int(time.time())))) // 86400


def notebooks() -> list[str]:
    """Every chapter, with exercises or without."""
    return sorted(path.stem for path in (ROOT / "chapters").glob("[0-9]*.md"))


@functools.cache
def chosen() -> frozenset[str]:
    """The chapters for which everything is done."""
    names = turned(notebooks())
    if os.environ.get("EVERY_CHAPTER"):
        return frozenset(names)
    files = changed()[1]
    if files is None or any(file.startswith(EVERYWHERE) for file in files):
        many = MOST
    else:
        many = SLICE + sum(any(belongs(file, name) for file in files) for name in names)
    names.sort(key=lambda name: not any(belongs(file, name) for file in files or ()))
    return frozenset(names[: min(many, MOST)])


def summary(ran: Iterable[str]) -> list[str]:
    """What was done for which chapters, and what was left out, one a line; nothing if nothing was left out.

    Args:
        ran: the names of the tests that ran.
    """
    files, found = {name.partition("::")[0] for name in ran}, []
    for file, what in LESS_OFTEN.items():
        names = notebooks() if file in WITHOUT_EXERCISES else list(chapters())
        missing = [name for name in names if name not in chosen()]
        found += [f"{what}: not {', '.join(missing)}"] if missing and file in files else []
    return [f"done for {', '.join(sorted(chosen()))} ({changed()[0]})", *found] if found else []


def belongs(file: str, chapter: str) -> bool:
    """Whether a file of the repository is one of a chapter's: page, module, checks, mistakes and so on."""
    path = PurePosixPath(file)
    if path.parts[0] == "chapters":
        return path.stem == chapter
    row = chapters().get(chapter)
    return path.parts[0] in ("solutions", "gptlib", "autograder") and row is not None and path.stem == row.module


def turned(items: Sequence[T]) -> list[T]:
    """The items in their order, but from another one on with every commit; every day where commits are not known."""
    turn = int(git("rev-list", "--count", "HEAD")[0]) if has_history() else DAY
    start = turn * SLICE % max(1, len(items))
    return [*items[start:], *items[:start]]


@functools.cache
def changed() -> tuple[str, set[str] | None]:
    """Since when files are looked at, and which have changed since then, if that can be known.

    On a branch, those are the files changed since it left the main branch; on that, those of its last days. What is not
    committed counts as changed.
    """
    if not has_history():
        return "this checkout has no history, so which files are new is unknown", None
    mine = {*git("diff", "--name-only", "HEAD"), *git("ls-files", "--others", "--exclude-standard")}
    base = next((found[0] for name in ("origin/main", "main") if (found := git("merge-base", "HEAD", name))), "")
    if base and (base,) != git("rev-parse", "HEAD"):
        return f"changed since {base[:7]}, and a turning slice", mine | {*git("diff", "--name-only", base, "HEAD")}
    since = int(git("log", "-1", "--format=%ct")[0]) - DAYS * 86400
    # A first commit has changed nothing.
    recent = git("-c", "log.showRoot=false", "log", f"--since={since}", "--name-only", "--format=")
    return f"changed in the last {DAYS} days of commits, and a turning slice", mine | {*recent}


@functools.cache
def has_history() -> bool:
    """Whether this is a clone that has all commits, not a copy of files or a shallow clone."""
    return git("rev-parse", "--is-shallow-repository", "--show-prefix") == ("false",) and bool(git("log", "-1"))


@functools.cache
def git(*words: str) -> tuple[str, ...]:
    """The lines that a command of git prints; none where it fails or there is no git."""
    command = ["git", "-c", f"safe.directory={ROOT}", *words]  # in a container, another user may have made the clone
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    except OSError:
        return ()
    return tuple(filter(None, done.stdout.splitlines())) if done.returncode == 0 else ()
