"""One child under limits, seen from the trusted side: call it, watch it, say how it ended."""
import contextlib
import itertools
import os
import select
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from autograder.calls import InOtherProcess
from autograder.engine.peer import Peer
from autograder.engine.sandbox import EngineFailed, Limits, Zygote
from autograder.engine.wire import Hangup, WireError

USERS = itertools.count(200_000 + os.getpid() % 1000 * 1000)


class ChildEnded(BaseException):
    """The child is gone and why. Not an `Exception`: no check may swallow it by accident."""


class Exercise(InOtherProcess):
    """What the learner wrote, as a check receives it."""

    def __init__(self, session: "Session") -> None:
        self.session = session

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        return self.session.exercised("exercise", *args, **kwargs)

    def in_turn(self, calls: list[tuple]) -> list:
        """Call it for each tuple of arguments."""
        return self.session.exercised("in_turn", calls)

    def loaded(self, state: dict[str, Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        """Make a module of it and load its weights."""
        return self.session.exercised("loaded", state, args, kwargs)

    def zeroed(self, given: dict[str, Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        """Make a module of it whose numbers are 0, but for those given and the gains of its norms."""
        return self.session.exercised("zeroed", given, args, kwargs)

    def attributes(self) -> list[str]:
        """What the classes of its file speak of when they are made."""
        return [str(name) for name in self.session.exercised("attributes")]


class Session(Peer):
    """A child with one learner's files; `session.exercise` is what the learner wrote, as a check receives it."""

    def __init__(self, zygote: Zygote, limits: Limits) -> None:
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
        self.zygote, self.limits, self.reader = zygote, limits, reader
        self.verdict = ""
        self.used: dict[str, Any] = {}
        self.printed, self.dropped_output = bytearray(), 0
        self.waited = self.waited_before = 0.0  # seconds: for this question, and for those before
        self.loaded, self.to_open = False, ""
        self.facts: list[str] = []  # side effects, as the child tells them
        self.called: list[str] = []  # PyTorch's functions
        self.exercise = Exercise(self)
        self.folder = tempfile.mkdtemp(dir=zygote.home) if zygote.tier == "T0" else ""
        uid = next(USERS) if zygote.tier == "T1" and not os.getuid() else None
        order = {"tier": zygote.tier, "uid": uid, "folder": self.folder, "cpu": int(limits.cpu),
                 "memory": limits.memory, "disk": limits.disk}  # fmt: skip
        os.set_blocking(reader, False)
        if zygote.group:
            zygote.group.allow(limits.memory + 2 * limits.disk)
        try:
            self.pid = zygote.ask({"fork": order}, (theirs.fileno(), writer))["pid"]
        finally:
            theirs.close()
            os.close(writer)
        super().__init__(ours, lookup=None, open_objects=False)
        ours.settimeout(limits.wall)

    def load(self, files: Mapping[str, str], exercise: str, cells: tuple = ()) -> str:
        """Load an exercise in the child, after the notebook's `%%implement` cells; give the learner's source of it.

        A child that has loaded one opens the next with its first call, and its source is not asked for.
        """
        self.facts, self.called = [], []
        if self.loaded:
            self.to_open = exercise
            return ""
        own, rest_is_given = self.zygote.to_send(files)
        found = str(self.function("load", own, [list(cell) for cell in cells], exercise, rest_is_given))
        self.loaded = True
        return found

    def begin(self) -> None:
        """Begin another question in the same child: its waiting time and its output count anew."""
        self.waited_before += self.waited
        self.waited, self.dropped_output = 0.0, 0
        self.printed.clear()

    def exercised(self, way: str, *args: Any, **kwargs: Any) -> Any:
        """Call what the learner wrote, in one of the ways that an `Exercise` has."""
        opened, self.to_open = [self.to_open] if self.to_open else [], ""
        return self.call(["name", way, *opened], args, kwargs)

    def noted(self, notes: Any) -> None:
        """Keep what an answer says of side effects and of what was called."""
        if type(notes) is list and len(notes) == 2 and all(type(part) is list for part in notes):
            self.facts[:] = [str(fact)[:1000] for fact in notes[0][:20]]  # in place: it grows while checks run
            self.called = [str(name)[:80] for name in notes[1][:400]]

    def function(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call something that the child offers."""
        return self.call(["name", name], args, kwargs)

    @contextlib.contextmanager
    def guarded(self) -> Any:
        """Turn whatever breaks the conversation into a verdict."""
        if self.verdict:
            raise ChildEnded(self.verdict)
        try:
            yield
        except Hangup:
            self.stop("")
        except WireError as error:
            self.stop(f"The code broke the rules of the conversation with its judge: {error}")

    def call(self, target: list, args: tuple, kwargs: dict, modules: Any = ()) -> Any:
        """Call a function of the learner under limits."""
        with self.guarded():
            return super().call(target, args, kwargs, modules)

    def ask(self, tree: list, tensors: list) -> tuple[Any, list]:
        """Ask under limits, also from within a backward pass."""
        with self.guarded():
            return super().ask(tree, tensors)

    def wait(self) -> None:
        """Watch the clock until the child speaks, and also when it speaks one byte at a time."""
        start, ready = time.monotonic(), False
        watched: list[Any] = [self.sock, self.reader]
        while not ready:
            found = select.select(watched, [], [], 0.25)[0]
            ready = self.sock in found
            if self.reader in found and not self.drain():
                watched.remove(self.reader)  # the child closed its output
            if self.waited + time.monotonic() - start > self.limits.wall:
                self.stop(f"The code had not answered after {self.limits.wall:g} s.")
        self.waited += time.monotonic() - start

    def drain(self) -> bool:
        """Take what was printed, keep its first bytes; say whether there may be more."""
        try:
            data = os.read(self.reader, 65536)
        except OSError:
            return False
        room = max(self.limits.output - len(self.printed), 0)
        self.printed += data[:room]
        self.dropped_output += len(data[room:])
        return bool(data)

    def take_output(self) -> None:
        """Take everything that was printed by now."""
        while self.drain():
            pass

    def stop(self, reason: str) -> None:
        """End the child and raise the verdict: `reason`, or how the process ended by itself."""
        used = self.close()
        ran_out = self.zygote.group is not None and self.zygote.group.ran_out()
        self.verdict = reason or ending(used, self.limits, ran_out)
        raise ChildEnded(self.verdict) from None

    def close(self) -> dict:
        """End the child; give what it used.

        Raises:
            EngineFailed: the zygote is dead.
        """
        if self.used:
            return self.used
        self.verdict = self.verdict or "closed"
        self.take_output()
        self.sock.close()
        try:
            self.used = self.zygote.ask({"reap": self.pid})
        finally:
            os.close(self.reader)
            self.used = self.used or {"cpu": 0.0}  # a second call finds nothing left to close
            if self.folder:
                shutil.rmtree(self.folder, ignore_errors=True)
        return self.used

    def output(self) -> str:
        """What the learner's code printed, as far as it was kept."""
        text = self.printed.decode("utf-8", "replace")
        return text + ("\n… (more printed text was dropped)\n" if self.dropped_output else "")


def ending(used: dict, limits: Limits, ran_out: bool) -> str:
    """Say in a learner's words how a child ended."""
    code = used["status"]
    if code == -signal.SIGKILL and ran_out:
        return f"The code used more than the {limits.memory >> 20} MiB of memory that it may use, and was stopped."
    if code == -signal.SIGKILL and not used["killed"] and used["cpu"] > limits.cpu / 2:
        return f"The code was still running after {limits.cpu} s of computing and was stopped. Does a loop never end?"
    if used["killed"]:
        return "The code closed its connection to the judge."
    if code < 0:
        return f"The code crashed the Python process ({signal.Signals(-code).name})."
    return f"The code ended the Python process (exit status {code}). Leave out exit(), quit() and the like."


__all__ = ["ChildEnded", "EngineFailed", "Session"]
