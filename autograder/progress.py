"""`status`: how far a learner is, exercise by exercise, over all chapters."""
import ast
from dataclasses import dataclass

from autograder import editing, source
from autograder.limits import TimeUp, quiet, time_limit
from autograder.suites import checks_of, run
from autograder.table import Exercise, chapters

DONE, VISIBLE, BEGUN, TODO, BROKEN = "done", "passes the visible checks", "begun", "to do", "cannot be read"
MARKS = {DONE: "●", VISIBLE: "◕", BEGUN: "◔", TODO: "○", BROKEN: "✗"}


@dataclass(frozen=True)
class Progress:
    """The state of one exercise; `filled` says that its code came from the solutions."""

    exercise: Exercise
    state: str
    filled: bool = False
    note: str = ""


def progress(exercise: Exercise, hidden: bool = True, seconds: float = 20) -> Progress:
    """Find out how far one exercise is.

    Args:
        exercise: its row of the table.
        hidden: whether the hidden checks are tried too, where they are at hand.
        seconds: time limit of each suite.
    """
    try:
        path = source.path_of(exercise.module)
        text = path.read_text(encoding="utf-8")
        source.parse(text, path)
        own = editing.get(text, exercise.function)
    except source.Unusable as error:
        return Progress(exercise, BROKEN, note=str(error).splitlines()[0])
    except LookupError:
        return Progress(exercise, BEGUN, note=f"the file has no `{exercise.function}`")
    if f'raise NotImplementedError("{exercise.name}")' in own:
        return Progress(exercise, TODO if _untouched(exercise, own) else BEGUN)
    is_filled = editing.FROM_SOLUTIONS in own
    if not _passes(exercise, "visible", seconds):
        return Progress(exercise, BEGUN, is_filled)
    done = hidden and bool(checks_of(exercise.name, "hidden")) and _passes(exercise, "hidden", seconds)
    return Progress(exercise, DONE if done else VISIBLE, is_filled)


def _untouched(exercise: Exercise, own: str) -> bool:
    try:
        stub = editing.get(editing.stub_text(exercise.module), exercise.function)
    except source.Unusable:  # a released assignment has no solutions to compare with
        return "# YOUR CODE HERE" in own
    return ast.dump(ast.parse(own)) == ast.dump(ast.parse(stub))


def _passes(exercise: Exercise, suite: str, seconds: float) -> bool:
    try:
        with quiet(shown=False), time_limit(seconds):
            implementation, _ = source.load(exercise)
            run(checks_of(exercise.name, suite), implementation)
    except (Exception, TimeUp, SystemExit):
        return False
    return True


def status(names: list[str] | None = None, hidden: bool = False) -> list[Progress]:
    """Print and return the progress of all exercises, or of the chapters and exercises named.

    Raises:
        LookupError: a name is neither a chapter nor an exercise.
    """
    known = {c.name for c in chapters().values()} | {e.name for c in chapters().values() for e in c.exercises}
    for name in names or ():
        if name not in known:
            raise LookupError(f"{name!r} is neither a chapter nor an exercise; there are {', '.join(sorted(known))}")
    found: list[Progress] = []
    for chapter in chapters().values():
        wanted = [e for e in chapter.exercises if not names or {e.name, chapter.name} & set(names)]
        rows = [progress(e, hidden) for e in wanted]
        if rows:
            print(_table(chapter.name, chapter.title, rows))
        found += rows
    return found


def _table(name: str, title: str, rows: list[Progress]) -> str:
    passed = [r for r in rows if r.state in (DONE, VISIBLE)]
    points, minutes = sum(r.exercise.points for r in passed), sum(r.exercise.minutes for r in rows if r not in passed)
    total = sum(r.exercise.points for r in rows)
    lines = [f"{name}  {title}: {len(passed)} of {len(rows)} exercises pass, {points} of {total} points"
             + (f", about {minutes} minutes to go" if minutes else "")]
    for r in rows:
        words = r.state + (" (from the solutions)" if r.filled else "") + (f": {r.note}" if r.note else "")
        worth = f"{r.exercise.points:>2} points {r.exercise.minutes:>3} min"
        lines.append(f"  {MARKS[r.state]} {r.exercise.name:<32} {worth}  {words}")
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Show how far you are: `status`, `status 05_attention`, `status attention.attend`."""
    try:
        status(argv, hidden=True)
    except LookupError as error:
        print(error.args[0])
        return 2
    return 0
