"""`check("attention.attend")`: load what the learner's file says now, run the checks, say what is wrong."""
import os
import re
from pathlib import Path
from typing import Any

from autograder import fingerprints, renamed, source
from autograder.checks import Failed, wrap
from autograder.limits import TimeUp, quiet, seconds, time_limit
from autograder.suites import checks_of, run, run_one, sentence
from autograder.table import Exercise, exercise


class CheckFailed(AssertionError):
    """A check did not pass; in a notebook only the message is shown, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check(name: str, suite: str = "visible") -> None:
    """Check what gptlib's file says now of an exercise, and print each claim that holds.

    Args:
        name: the exercise, e.g. "attention.attend".
        suite: "visible", or "hidden": the checks that run where grading happens.

    Raises:
        LookupError: no exercise has that name.
        CheckFailed: the first check that fails; the message says what to look at.
    """
    row = exercise(name)
    found = checks_of(name, suite)
    if not found and suite == "hidden":
        if os.environ.get("NBGRADER_EXECUTION") == "autograde":  # a cell without an error gets full marks
            raise CheckFailed(f"{name}: no hidden checks here. Grade in the course's folder, with its configuration.")
        print(f"{name}: these checks run when your work is graded.")
        return
    try:
        with quiet():
            implementation, path = source.load(row)
        print(f"{name} in {_shown(path)}")
        with quiet(), time_limit(seconds()):
            run(found, implementation, passed=lambda text: print("  ✓ " + wrap(text).replace("\n", "\n    ")))
    except source.Unusable as error:
        raise CheckFailed(f"✗ {error}") from None
    except TimeUp as error:
        raise CheckFailed(_failure(error, wrap(_too_slow()), row, path)) from None
    except NotImplementedError as error:
        raise CheckFailed(not_written(error, row, str(path))) from None
    except Failed as error:
        text = error.text() + (named(row, implementation) if suite == "visible" else "")
        raise CheckFailed(_failure(error, text + renamed.told(row, source.read(path)), row, path)) from None
    except (Exception, SystemExit) as error:
        text = f"Your code raised {type(error).__name__}: {error}\n{source.blame(error, path)}".rstrip()
        raise CheckFailed(_failure(error, text + renamed.told(row, source.read(path)), row, path)) from None
    kind = "checks" if suite == "visible" else "hidden checks"
    print(f"{name} passes its {kind}.")


def _shown(path: Path) -> str:
    """The whole path for a learner; in the book, where it would be the builder's, only its end."""
    return f"{path.parent.name}/{path.name}" if os.environ.get("COURSE_STATIC") else str(path)


def _too_slow() -> str:
    return (
        f"Your code was still running after {seconds():g} s and was stopped. "
        "Does a loop never end? Does it call itself for ever?"
    )


def not_written(error: NotImplementedError, row: Exercise, path: str) -> str:
    """What to tell someone who has not begun an exercise, or one that it needs."""
    missing = str(error)
    if missing == row.name or not missing:
        return (
            f"✗ {row.name} is not written yet. Open {path}, find `{row.function}`, and replace the line "
            "`raise NotImplementedError(…)` by your code. Then run this cell again."
        )
    if not re.fullmatch(r"\w+\.\w+", missing):  # an error of some library, not of an exercise
        return f"✗ {row.name}\n  Your code raised NotImplementedError: {missing}"
    return (
        f"✗ {row.name} uses {missing}, which is not written yet. Write that one first, or take it from the "
        f"solutions with `python -m autograder fill {missing}`."
    )


def _failure(error: BaseException, text: str, row: Exercise, path: Path) -> str:
    own = source.source_of(row, path) if os.environ.get("NBGRADER_EXECUTION") else None
    return failure(error, text, row, path.name, own)


def failure(error: BaseException, text: str, row: Exercise, file: str, own: str | None) -> str:
    """The message about a check that failed, with the learner's own source where work is graded."""
    title = wrap(getattr(error, "sentence", row.title)).replace("\n", "\n  ")
    lines = [f"✗ {title}", *(f"  {line}" for line in text.splitlines())]
    if own is not None:
        lines += ["", f"Your code in {file}:", own]
    return "\n".join(lines)


def named(row: Exercise, implementation: Any) -> str:
    """The registered mistake that gives the outputs of the visible checks, as lines to add to the message."""
    failures = []
    try:
        with quiet(), time_limit(seconds()):
            for one in checks_of(row.name):
                try:
                    run_one(one, implementation)
                except Failed as failure:
                    failures.append((one.__name__, failure))
    except (Exception, TimeUp):
        return ""
    rows = fingerprints.mistakes(row.name, failures)
    if not rows:
        return ""
    clauses = ", or when ".join(found["mistake"] for found in rows)
    return "\n" + wrap(f"This is what comes out when {clauses}.") + f"\nRead: {rows[0]['link']}"


__all__ = ["CheckFailed", "check", "sentence"]
