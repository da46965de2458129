"""The untrusted side: a warm zygote that never runs learners' code, and the forks that do.

The zygote sees Python, its packages and the few files of its image, and holds nothing worth stealing. Orders come
over its control socket: {"fork": …} with the child's socket and its output attached, {"reap": pid}, {"ping": 1}.
"""
import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys
import time
import types
from pathlib import Path
from typing import Any

sys.path[:0] = sys.argv[2:]  # the image, then the packages

import torch  # noqa: E402
from torch import nn  # noqa: E402

from autograder import calls, optrace, sideeffects, source, table  # noqa: E402
from autograder.engine import confine, peer  # noqa: E402

LARGE, COLLAPSE = 2 << 20, 25  # bytes of a large page; MADV_COLLAPSE of Linux 6.1
GIVEN = f"{sys.argv[2]}/given/gptlib"  # the course's own files, in the image


class Child(peer.Peer):
    """Serves the judge: `load` first, then the exercise by its name, and `facts` at the end."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, self.find, open_objects=True)
        self.path = Path("none")
        self.offered: dict[str, Any] = {"load": self.load, "opened": lambda: True}
        self.facts: list[str] = []
        self.called: set[str] = set()  # names of PyTorch's functions, where the exercise forbids some
        self.seen: dict[str, optrace.Seen] = {}  # by exercise
        self.said = (0, 0)  # how many of both the judge knows

    def find(self, name: str, exercise: str = "") -> Any:
        """What the judge may call by name; if it names an exercise, this is opened first."""
        if exercise:
            self.open(exercise)
        return self.offered[name]

    def notes(self) -> list:
        """The side effects so far and what was called of PyTorch, if there is news."""
        now = (len(self.facts), len(self.called))
        if now == self.said:
            return []
        self.said = now
        return [self.facts[:20], sorted(self.called)]

    def load(self, files: dict[str, str], cells: list[list[str]], exercise: str, rest_is_given: bool) -> str:
        """Write the learner's folder, load the exercise as `check` does, and watch it; give its source.

        Args:
            files: the text of each file by its path.
            cells: pairs of an exercise's name and what a `%%implement` cell says of it, in order.
            exercise: what the judge will call.
            rest_is_given: whether the image's given files belong to it, but for those that are among `files`.
        """
        here = os.getcwd()
        if rest_is_given:
            os.mkdir("gptlib")
            for entry in os.scandir(GIVEN):
                if f"gptlib/{entry.name}" not in files:
                    os.symlink(entry.path, f"gptlib/{entry.name}")
        for name, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(here, name)), exist_ok=True)
            with open(name, "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
        sys.path.insert(0, here)
        for name, cell in cells:
            self.implement(name, cell)
        return self.open(exercise)

    def open(self, exercise: str) -> str:
        """Load an exercise of the folder that is there, and watch it; give its source."""
        module, function = exercise.split(".")
        row: Any = types.SimpleNamespace(name=exercise, module=module, function=function)
        implementation, self.path = source.load(row)
        self.called = set()
        known = table.exercises().get(exercise)
        if known and any(rule.startswith("torch") for rule in known.forbids):
            seen = self.seen.setdefault(exercise, optrace.Seen())
            implementation, self.called = optrace.trace(implementation, seen), seen.names
        watched, self.facts = sideeffects.watch(implementation)
        self.said = (0, 0)
        self.offered |= {"exercise": watched, "in_turn": lambda listed: calls.in_turn(watched, *listed),
                         "loaded": lambda state, args, kwargs: calls.load_new(watched, state, args, kwargs),
                         "zeroed": lambda given, args, kwargs: calls.zero_new(watched, given, args, kwargs),
                         "attributes": lambda: calls.attributes(watched)}
        return source.source_of(row, self.path)

    def implement(self, name: str, cell: str) -> None:
        """Do what a `%%implement` cell does while grading: fill in what the file leaves empty."""
        from autograder.learner import magics

        try:
            row = table.exercise(name)
            magics.write(row, source.path_of(row.module), cell)
        except (Exception, SystemExit):  # in a notebook the cell would fail and the file stay as it was
            return

    def blame(self, error: BaseException) -> str:
        """The line of the learner's file that led to an error."""
        with contextlib.suppress(Exception):
            return source.blame(error, self.path)
        return ""

    def run(self) -> None:
        """Serve until the judge hangs up."""
        while True:
            (kind, *body), tensors = self.receive()
            self.serve(kind, body, tensors)


def die_with_parent() -> None:
    """Ask the kernel, where it can, to end this process with the one that started it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def become(order: dict, sock: int, output: int) -> None:
    """Live as a child: confined, its output in a pipe, serving the judge."""
    try:
        confine.confine(order)
        die_with_parent()
        for stream in (1, 2):
            os.dup2(output, stream)
        os.close(output)
        Child(socket.socket(fileno=sock)).run()
    except (peer.Hangup, peer.WireError):
        pass
    except BaseException as error:
        with contextlib.suppress(BaseException):
            os.write(1, f"{type(error).__name__}: {peer.said_by(error, 200)}\n".encode())
        os._exit(3)
    finally:
        os._exit(0)


def spawn(control: socket.socket, order: dict, fds: list[int], own_pids: int) -> int:
    """Fork a child; in tier T1 into a PID namespace: when it dies the kernel kills all that it started."""
    if order["tier"] != "T0":
        confine.check(confine.libc.unshare(confine.NEWPID))
    pid = os.fork()
    if not pid:
        control.close()
        os.close(own_pids)
        become(order, *fds)
    if order["tier"] != "T0":
        confine.check(confine.libc.setns(own_pids, confine.NEWPID))
    for fd in fds:
        os.close(fd)
    return pid


def reap(pid: int) -> dict:
    """Wait a moment for a child to end by itself, then end it; give its status and what it used."""
    killed, until = False, time.monotonic() + 0.3
    while not (done := os.wait4(pid, os.WNOHANG))[0]:
        if time.monotonic() > until:
            killed = True
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            done = os.wait4(pid, 0)
            break
        time.sleep(0.002)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)  # in T0: what the child left behind in its group
    cpu = done[2].ru_utime + done[2].ru_stime
    return {"status": os.waitstatus_to_exitcode(done[1]), "killed": killed, "cpu": cpu}


def warm() -> None:
    """Do once what chapters do, so that lazy imports and set-up are shared by all children."""
    x = torch.ones(2, 3, 4, requires_grad=True)
    layers = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.GELU(), nn.Dropout(0.0))
    out = nn.MultiheadAttention(4, 2)(layers(x), x, x)[0] + torch.einsum("abc,abc->abc", x, x)
    out = torch.nn.functional.scaled_dot_product_attention(out, out, out)
    loss = torch.nn.functional.cross_entropy(out.reshape(-1, 4), torch.zeros(6, dtype=torch.long))
    torch.autograd.grad(loss, x)
    torch.multinomial(torch.ones(3), 1, generator=torch.Generator())
    sideeffects.watch(nn.Linear)
    optrace.warm()
    table.exercises()
    source.read(Path(__file__))  # the codec


def in_large_pages() -> None:
    """Put this process's memory into large pages where the system can: a fork and the child's end then cost half."""
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with contextlib.suppress(OSError), open("/proc/self/maps") as file:
        for line in file.read().splitlines():
            where, access, _, _, _, *name = line.split()
            start, end = (int(number, 16) for number in where.split("-"))
            start, end = -(-start // LARGE) * LARGE, end // LARGE * LARGE
            if "w" in access and name in ([], ["[heap]"]) and start < end:
                libc.madvise(start, end - start, COLLAPSE)  # an older kernel refuses, and nothing is lost


def main(fd: int) -> None:
    """Serve orders until the judge hangs up."""
    torch.set_num_threads(1)
    os.environ["NBGRADER_EXECUTION"] = "autograde"
    warm()
    if sys.platform == "linux" and len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("a process with threads cannot be forked safely")
    die_with_parent()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    control = socket.socket(fileno=fd)
    own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY) if sys.platform == "linux" else os.dup(null)
    confine.program()
    gc.collect()
    gc.freeze()
    in_large_pages()
    control.send(json.dumps({"ready": os.getpid()}).encode())
    while True:
        data, fds, _, _ = socket.recv_fds(control, 65536, 2)
        if not data:
            return
        order = json.loads(data)
        answer: dict
        try:
            if "fork" in order:
                answer = {"pid": spawn(control, order["fork"], fds, own_pids)}
            elif "reap" in order:
                answer = reap(order["reap"])
            else:
                answer = {"ready": os.getpid()}
        except OSError as error:
            answer = {"error": f"{error.strerror}"}
        control.send(json.dumps(answer).encode())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(int(sys.argv[1]))
