"""`status`: how far a learner is, exercise by exercise, over all chapters.

What has not been begun is told by reading the file. Everything else is checked in a process of its own, so that
code which never ends, or takes Python down with it, costs its own exercise and nothing else.
"""
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder import given, source
from autograder.learner import editing
from autograder.learner.workbench import named
from autograder.limits import TimeUp, quiet, seconds, time_limit
from autograder.strip import ROOT
from autograder.table import Exercise, chapters, exercise

DONE, VISIBLE, BEGUN, TODO, BROKEN = "done", "passes the visible checks", "begun", "to do", "cannot be read"
MARKS = {DONE: "●", VISIBLE: "◕", BEGUN: "◔", TODO: "○", BROKEN: "✗"}


@dataclass(frozen=True)
class Progress:
    """The state of one exercise; `filled` says that its code came from the solutions."""

    exercise: Exercise
    state: str
    filled: bool = False
    note: str = ""


def progress(rows: Sequence[Exercise], hidden: bool = True) -> list[Progress]:
    """Find out how far some exercises are.

    Args:
        rows: their rows of the table.
        hidden: whether the hidden checks are tried too, where they are at hand; only they can say "done".

    Returns:
        One entry for each row, in the same order. Nothing that a learner's file holds raises an error.
    """
    found, texts = {}, {}
    for row in rows:
        texts[row], at_rest = _read(row)
        if at_rest:
            found[row] = at_rest
    for name, (state, note) in _judged([r.name for r in rows if r not in found], hidden).items():
        row = exercise(name)
        found[row] = Progress(row, state, editing.FROM_SOLUTIONS in texts[row], note)
    return [found[row] for row in rows]


def _read(row: Exercise) -> tuple[str, Progress | None]:
    """The learner's text of an exercise, and its state if no check is needed to tell."""
    try:
        own = editing.get(editing.read(source.path_of(row.module)), row.function)
    except source.Unusable as error:
        return "", Progress(row, BROKEN, note=str(error).splitlines()[0])
    except LookupError:
        return "", Progress(row, BEGUN, note=f"the file has no `{row.function}`")
    if f'raise NotImplementedError("{row.name}")' not in own:
        return own, None
    return own, Progress(row, TODO if editing.untouched(own, row) else BEGUN)


def _judged(names: list[str], hidden: bool) -> dict[str, tuple[str, str]]:
    """State and note of exercises by name; whichever takes its process down is named, and the rest go on."""
    found: dict[str, tuple[str, str]] = {}
    while left := [name for name in names if name not in found]:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report"
            command = [sys.executable, "-P", "-m", "autograder.learner.progress", str(report), str(int(hidden)), *left]
            try:
                code: int | None = subprocess.run(
                    command, env=_environment(), timeout=60 + (2 * seconds() + 5) * len(left),
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                ).returncode
            except subprocess.TimeoutExpired:
                code = None
            lines = report.read_text(encoding="utf-8").splitlines() if report.exists() else []
        found |= {name: (state, note) for name, state, note in map(json.loads, lines)}
        guilty = next((name for name in left if name not in found), None)
        if guilty:
            found[guilty] = (BEGUN, "it never ends" if code is None else "running it ends Python itself")
    return found


def _environment() -> dict[str, str]:
    """Variables under which another Python sees the same gptlib and the same checks."""
    spec = importlib.util.find_spec("gptlib")
    places = [str(Path(p).parent) for p in spec.submodule_search_locations or ()] if spec else []
    paths = [*places, str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def _judge(report: Path, hidden: bool, names: list[str]) -> None:
    """Run the checks of some exercises, and write a line about each as soon as it is known."""
    for name in names:
        state, note = _checked(exercise(name), hidden)
        with report.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([name, state, note]) + "\n")


def _checked(row: Exercise, hidden: bool) -> tuple[str, str]:
    from autograder.suites import checks_of  # PyTorch is imported here, in a process of its own

    note = _failure(row, "visible")
    if note is not None:
        return BEGUN, note
    if not hidden or not checks_of(row.name, "hidden"):
        return VISIBLE, ""
    return (DONE, "") if _failure(row, "hidden") is None else (VISIBLE, "fails a hidden check")


def _failure(row: Exercise, suite: str) -> str | None:
    """A few words on why an exercise does not pass a suite (there may be none to say), or None if it passes."""
    from autograder.suites import checks_of, run

    try:
        with quiet(shown=False), time_limit(seconds()):
            implementation, _ = source.load(row)
            run(checks_of(row.name, suite), implementation)
    except NotImplementedError as error:
        return f"needs {error}" if str(error) and str(error) != row.name else ""
    except TimeUp:
        return f"still running after {seconds():g} s"
    except source.Unusable as error:
        return str(error).splitlines()[0]
    except (Exception, SystemExit, KeyboardInterrupt):
        return ""
    return None


def status(names: Sequence[str] = (), hidden: bool = False) -> list[Progress]:
    """Print and return the progress of all exercises, or of the chapters, modules and exercises named.

    Raises:
        LookupError: a name is none of these.
    """
    every = [e for chapter in chapters().values() for e in chapter.exercises]
    wanted = set(named(list(names)) if names else every)
    found = progress([e for e in every if e in wanted], hidden)
    tables = 0
    for chapter in chapters().values():
        rows = [p for p in found if p.exercise.chapter == chapter.name]
        if rows:
            print(_table(f"{chapter.name}  {chapter.title}", rows))
            tables += 1
    if tables > 1:
        print(_sums("All chapters", found))
    for name in given.edited():
        print(f"gptlib/{name} is given, and not as the course has it: `{given.COMMAND}` puts it back and keeps yours.")
    return found


def _table(title: str, rows: list[Progress]) -> str:
    lines = [_sums(title, rows)]
    for r in rows:
        words = r.state + (" (from the solutions)" if r.filled else "") + (f": {r.note}" if r.note else "")
        worth = f"{r.exercise.points:>2} points {r.exercise.minutes:>3} min"
        lines.append(f"  {MARKS[r.state]} {r.exercise.name:<32} {worth}  {words}")
    return "\n".join(lines)


def _sums(title: str, rows: list[Progress]) -> str:
    passed = [r for r in rows if r.state in (DONE, VISIBLE)]
    points, minutes = sum(r.exercise.points for r in passed), sum(r.exercise.minutes for r in rows if r not in passed)
    total = sum(r.exercise.points for r in rows)
    return (f"{title}: {len(passed)} of {len(rows)} exercises pass, {points} of {total} points"
            + (f", about {minutes} minutes to go" if minutes else ""))


def main(argv: list[str]) -> int:
    """Show how far you are: `status`, `status 05_attention`, `status attention.attend`."""
    try:
        status(argv, hidden=True)
    except LookupError as error:
        print(error.args[0])
        return 2
    except KeyboardInterrupt:
        print("Stopped.")
        return 130
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _judge(Path(sys.argv[1]), sys.argv[2] == "1", sys.argv[3:])
