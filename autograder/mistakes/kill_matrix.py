"""Run every registered mistake against both suites: who catches what. What was found is kept as long as it holds.

`python -m autograder.mistakes.kill_matrix` does so for all modules, side by side.
"""
import functools
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder import kept, sideeffects, uses
from autograder.limits import TimeUp, quiet, time_limit
from autograder.mistakes import Mistake, mistakes_of
from autograder.strip import build_reference
from autograder.suites import checks_of, run
from autograder.table import chapters, path_of


@dataclass(frozen=True)
class Row:
    """One mistake in one code form, and the sentence of the check of each suite that caught it."""

    exercise: str
    mistake: str
    form: str
    expected_visible: bool
    visible: str | None
    hidden: str | None


def caught_by(implementation: Any, exercise: str, suite: str, seconds: float = 8) -> str | None:
    """The sentence of the check that fails for an implementation, or None when all pass."""
    try:
        with quiet(), time_limit(seconds):
            run(checks_of(exercise, suite), implementation)
    except (Exception, TimeUp) as error:
        return getattr(error, "sentence", sideeffects.SENTENCE)
    return None


def row(one: Mistake) -> Row:
    """Run one mistake against both suites."""
    visible, hidden = (caught_by(one.implementation, one.exercise, suite) for suite in ("visible", "hidden"))
    return Row(one.exercise, one.when, one.form, one.visible, visible, hidden)


@functools.cache
def matrix(module: str) -> list[Row]:
    """The rows of one module."""
    rows = kept.kept(f"kill_matrix/{module}", key_of(module), lambda: [vars(row(m)) for m in mistakes_of(module)])
    return [Row(**values) for values in rows]


def known(module: str) -> list[dict] | None:
    """The rows of one module, as they were kept; None if they are not those of now."""
    return kept.found(f"kill_matrix/{module}", key_of(module))


def key_of(module: str, *more: str) -> str:
    """The digest of what a module's mistakes do in its checks, and of more.

    Args:
        module: its name.
        more: what else a result depends on.
    """
    folder = Path(__file__).parent
    ours = [folder / f"{module}.py", folder / "__init__.py", Path(__file__), *uses.checks([module])]
    code = [path.read_text(encoding="utf-8") for path in ours]
    library = uses.library(code, [module], build_reference() / "gptlib")
    return kept.digest([*ours, path_of(module), *library, *uses.grader(code)], more)


def all_of_them(at_once: int) -> None:
    """Fill the matrix of every module, some side by side."""
    missing = [chapter.module for chapter in chapters().values() if known(chapter.module) is None]
    if missing:
        fresh = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        with ProcessPoolExecutor(min(at_once, len(missing)), fresh) as pool:
            for module, rows in zip(missing, pool.map(matrix, missing), strict=True):
                print(f"{module}: {len(rows)} mistakes, {sum(r.hidden is not None for r in rows)} caught", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run the mistakes of every module."""
    sys.path.insert(0, str(build_reference()))
    all_of_them(kept.at_once(memory=1 << 30))
    return 0


if __name__ == "__main__":
    sys.exit(main())
