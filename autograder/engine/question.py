"""One question, that is one grade cell: the ordinary checks on a proxy of the learner's code, and what they say."""
import contextlib
import dataclasses
import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from typing import Any

from autograder import fingerprints as _known  # noqa: F401  (read once, before any fork of a worker)
from autograder import policies, renamed, runner
from autograder.checks import Failed
from autograder.engine.judge import ChildEnded, Session
from autograder.engine.peer import ReportedUnusable
from autograder.engine.sandbox import EngineFailed, Limits, Zygote
from autograder.engine.verdicts import GRADED, HUMAN, ZERO
from autograder.limits import TimeUp, time_limit
from autograder.suites import checks_of, run
from autograder.table import Exercise, exercise

LONGEST = 6000
SPACES = {ord("\n"): None, ord("\t"): None}
UNSURE = "Two runs of this code gave different results, so a person has to look at it."


@dataclasses.dataclass(frozen=True)
class Question:
    """One exercise in one suite, the files and cells it is graded with, and the key that its inputs are drawn from."""

    name: str
    suite: str
    files: Mapping[str, str]
    key: str
    cells: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a question; `text` is what nbgrader shows of a cell that ran, `message` its error."""

    verdict: str
    passed: bool
    text: str
    message: str
    waited: float  # seconds that the judge waited for the learner's code
    flags: list[dict[str, str]] = dataclasses.field(default_factory=list)  # forbidden calls: for a person


class KeptChild:
    """The child of a submission's last question, kept for its next one as long as every question passes.

    A fork and the import of the files then cost once a submission. Nothing is decided against a learner in a
    child that served another question before: what does not pass there is run again in a child of its own, and twice
    if it passes, so that code which chance decides goes to a person.
    """

    def __init__(self) -> None:
        self.session: Session | None = None
        self.of: tuple = ()

    def take(self, zygote: Zygote, question: Question, limits: Limits) -> Session | None:
        """Give the kept child if it has the same files and cells loaded, and half of its limits left."""
        session, self.session = self.session, None
        if session is None:
            return None
        fresh = session.waited_before + session.waited < limits.cpu / 4  # it has no thread: no more than it computed
        if self.of == (zygote, limits, question.files, question.cells) and fresh:
            session.begin()
            return session
        session.close()
        return None

    def keep(self, zygote: Zygote, question: Question, limits: Limits, session: Session) -> None:
        """Keep a child for the next question."""
        self.session, self.of = session, (zygote, limits, question.files, question.cells)

    def close(self) -> None:
        """End the kept child; a dead zygote has ended it already."""
        session, self.session = self.session, None
        if session is not None:
            with contextlib.suppress(EngineFailed):
                session.close()


def grade(
    zygote: Zygote, question: Question, limits: Limits, secret: str, hidden: str, kept_child: KeptChild | None = None
) -> Outcome:
    """Run one question in a child of its own, or in the one that the same submission's last question left.

    Args:
        zygote: to fork the child from.
        question: what to run.
        limits: what the child may use.
        secret: the course secret; inputs are drawn from it and the question's key.
        hidden: the folder of hidden checks.
        kept_child: where the child may be kept for the next question.

    Raises:
        EngineFailed: the engine's own machinery failed; the learner is not charged.
    """
    session = kept_child.take(zygote, question, limits) if kept_child else None
    if session:
        found = run_in(session, question, limits, secret, hidden, kept_child)
        if found.passed:
            return found
        alone = run_in(Session(zygote, limits), question, limits, secret, hidden, None)
        if found.verdict == GRADED and alone.passed:  # not for a limit: that child had used a part of it before
            # What an earlier question left behind, a file for example, or chance? Chance may decide otherwise again.
            again = run_in(Session(zygote, limits), question, limits, secret, hidden, kept_child)
            if not again.passed:
                return dataclasses.replace(alone, verdict=HUMAN, passed=False, message=f"{UNSURE}\n\n{found.message}")
        return alone
    return run_in(Session(zygote, limits), question, limits, secret, hidden, kept_child)


def run_in(
    session: Session, question: Question, limits: Limits, secret: str, hidden: str, kept_child: KeptChild | None
) -> Outcome:
    """Run one question in a child; if it passes, keep the child for the next question."""
    lines, message, verdict = [f"{question.name} in gptlib/{question.name.split('.')[0]}.py"], "", GRADED
    is_kept, flags = False, []  # type: tuple[bool, list[dict[str, str]]]
    try:
        with _inputs(secret, question.key, hidden), time_limit(3 * limits.wall + 60):
            message = examine(session, question, lines)
        if not message and not session.verdict:
            flags = seen(session, question)
        if kept_child and not message and not session.verdict:
            session.take_output()
            kept_child.keep(session.zygote, question, limits, session)
            is_kept = True
    except ChildEnded as error:
        verdict, message = ZERO, f"✗ {exercise(question.name).title}\n  {error}"
    except TimeUp:
        verdict, message = ZERO, f"✗ {exercise(question.name).title}\n  What the code gave took too long to check."
    finally:
        if not is_kept:
            session.close()
    printed = session.output()
    if printed.strip():
        lines.insert(1, printed.rstrip("\n"))
    if not message:
        lines.append(f"{question.name} passes its {'' if question.suite == 'visible' else 'hidden '}checks.")
    text, message = (_clean(part, session) for part in ("\n".join(lines), message))
    return Outcome(verdict, not message, text, message, round(session.waited, 4), flags)


def seen(session: Session, question: Question) -> list[dict[str, str]]:
    """The forbidden library calls that the child reports of an exercise; code that means to hide them can."""
    row = exercise(question.name)
    if not row.forbids:
        return []
    broken = [(name, rule) for name in session.called if (rule := policies.broken_by_call(row.forbids, name))]
    return [{"exercise": row.name, "name": _clean(name, session), "rule": rule} for name, rule in broken[:20]]


def examine(session: Session, question: Question, lines: list[str]) -> str:
    """Load the exercise and run its checks; give the message of what failed, or nothing."""
    row, own = exercise(question.name), ""
    file = f"{row.module}.py"
    try:
        found = checks_of(row.name, question.suite)
        if not found:
            raise LookupError(f"there are no {question.suite} checks of {row.name}")
        own = session.load(question.files, row.name, question.cells)[:LONGEST]
        run(found, session.exercise, lambda text: lines.append(f"  ✓ {text}"), lambda proxy: (proxy, session.facts))
        if session.to_open:  # no check has called anything
            session.exercised("opened")
    except ReportedUnusable as error:
        return f"✗ {error}"
    except NotImplementedError as error:
        return runner.not_written(error, row, f"gptlib/{file}")
    except Failed as error:
        text = error.text() + (_named(row, session) if question.suite == "visible" else "")
        return runner.failure(error, text + _renamed(row, question, own), row, file, own)
    except ChildEnded as error:
        if session.verdict:
            raise ChildEnded(str(error) + f"\n\nYour code in {file}:\n{own}" if own else str(error)) from None
        raise
    except Exception as error:
        name = getattr(error, "learners_type", None) or type(error).__name__
        text = f"Your code raised {name}: {error}\n{getattr(error, 'blame', '')}".rstrip()
        return runner.failure(error, text + _renamed(row, question, own), row, file, own)
    return ""


def _renamed(row: Exercise, question: Question, own: str) -> str:
    return renamed.told(row, question.files.get(f"gptlib/{row.module}.py", ""), own)


def _named(row: Exercise, session: Session) -> str:
    try:
        return runner.named(row, session.exercise)
    except ChildEnded:
        return ""


@contextlib.contextmanager
def _inputs(secret: str, key: str, hidden: str) -> Iterator[None]:
    """Let checks draw from HMAC(course secret, key): the same when graded again, different for other sources."""
    drawn = hmac.new(secret.encode(), key.encode(), hashlib.sha256).hexdigest()
    new = {"AUTOGRADER_SECRET": drawn, "AUTOGRADER_HIDDEN": hidden}
    before = {name: os.environ.get(name) for name in new}
    os.environ.update(new)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _clean(text: Any, session: Session) -> str:
    """A text that can be stored and shown: printable, of bounded length, without the sandbox's paths."""
    text = text.replace(f"{session.folder or '/tmp'}/", "").encode("utf-8", "replace").decode("utf-8")
    if not text.translate(SPACES).isprintable():
        text = "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
    return text if len(text) <= 2 * LONGEST else text[:LONGEST] + "\n…\n" + text[-LONGEST:]
