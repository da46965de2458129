"""Run learners' code with a time limit, without its noise and without a flood of text."""
import contextlib
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import TextIO

SECONDS = 20  # of computing, for one call of `check` and for one grade cell, unless a course says otherwise


class TimeUp(BaseException):
    """The time limit has passed; not an Exception, so that `except Exception` cannot swallow it."""


def seconds() -> float:
    """The time limit of one call of `check`: AUTOGRADER_TIME_LIMIT, else `SECONDS`."""
    return float(os.environ.get("AUTOGRADER_TIME_LIMIT", SECONDS))


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the block after `seconds`, again every second for code that swallows everything.

    Uses SIGALRM in the main thread of POSIX systems; elsewhere an interrupt of the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not hasattr(signal, "SIGALRM"):
        with _interrupting(seconds):
            yield
        return

    def stop(*_: object) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _interrupting(seconds: float) -> Iterator[None]:
    import _thread

    fired = threading.Event()

    def stop() -> None:
        fired.set()
        _thread.interrupt_main()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except KeyboardInterrupt:
        if fired.is_set():
            raise TimeUp from None
        raise
    finally:
        timer.cancel()


class Capped(io.TextIOBase):
    """A text stream that passes on the first `most` characters and says once that it dropped the rest."""

    def __init__(self, stream: TextIO, most: int = 4000) -> None:
        self.stream, self.left = stream, most

    def write(self, text: str) -> int:
        """Write what still fits."""
        if self.left > 0:
            self.stream.write(text[: self.left])
            if len(text) >= self.left:
                self.stream.write("\n… (more printed text was dropped)\n")
        self.left -= len(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream beneath."""
        self.stream.flush()


@contextlib.contextmanager
def quiet(shown: bool = True) -> Iterator[None]:
    """Keep the block's warnings, stderr and C-level error output out of the cell.

    nbgrader gives 0 to a grade cell that writes to stderr, however right the answer is. Printed text stays,
    up to a cap, unless it is not to be `shown`.
    """
    capped = Capped(sys.stdout) if shown else io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(capped),
        contextlib.redirect_stderr(capped),
        _no_fd2(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _no_fd2() -> Iterator[None]:
    try:
        saved = os.dup(2)
    except OSError:
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
