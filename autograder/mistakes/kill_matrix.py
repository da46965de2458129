"""Run every registered mistake against both suites: who catches what.

`python -m autograder.mistakes.kill_matrix` writes build/kill_matrix.json, from which the book makes its page.
"""
import functools
import json
import sys
from dataclasses import dataclass
from typing import Any

from autograder import sideeffects
from autograder.limits import TimeUp, quiet, time_limit
from autograder.mistakes import Mistake, mistakes_of
from autograder.strip import ROOT, build_reference
from autograder.suites import checks_of, run
from autograder.table import chapters


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
    """The rows of one module, computed once."""
    return [row(m) for m in mistakes_of(module)]


def main(argv: list[str] | None = None) -> int:
    """Write build/kill_matrix.json."""
    sys.path.insert(0, str(build_reference()))
    rows = [vars(r) for c in chapters().values() for r in matrix(c.module)]
    path = ROOT / "build" / "kill_matrix.json"
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(rows)} mistakes, {sum(r['hidden'] is not None for r in rows)} caught: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
