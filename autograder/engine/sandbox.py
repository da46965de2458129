"""What a child may do, by tier: how its zygote is started, and what this machine can do.

T0 is a plain process with resource limits: a safety belt against accidents, not a boundary. T1 puts it into Linux
namespaces by bubblewrap: its own files, processes, network and user, no secrets within reach.
"""
import compileall
import contextlib
import dataclasses
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from py_compile import PycInvalidationMode
from types import MappingProxyType

import torch

from autograder.engine import groups
from autograder.limits import SECONDS

PACKAGE = Path(__file__).parents[1]
IMAGE = ("__init__.py", "calls.py", "given.py", "optrace.py", "sideeffects.py", "source.py", "strip.py", "table.py",
         "exercises/*.toml", "learner/__init__.py", "learner/editing.py", "learner/magics.py", "engine/__init__.py",
         "engine/wire.py", "engine/frames.py", "engine/objects.py", "engine/remote.py", "engine/peer.py",
         "engine/confine.py", "engine/child.py")  # fmt: skip
GIVEN, LIBRARY = "given", "gptlib"  # folders: of the image, and in it
TIERS = ("T0", "T1")
MEANING = {
    "T0": "limits only: a safety belt against accidents, NOT a boundary against people",
    "T1": "namespaces: no network, no files but Python's, no other process, its own user",
}


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one child may use for one grade cell; its wall clock runs only while the judge waits for it."""

    cpu: int = SECONDS
    wall: float = 3.0 * SECONDS
    memory: int = 1 << 30
    disk: int = 32 << 20
    output: int = 4000

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise ValueError(f"{field.name} must be a positive number, got {value!r}")

    @classmethod
    def of(cls, seconds: float) -> "Limits":
        """The limits for so many seconds of computing; waiting may take longer on a busy machine."""
        return cls(cpu=max(int(seconds), 1), wall=max(3 * seconds, 10))


class Refused(Exception):
    """This machine does not allow a tier; the message says what refused."""


def write_image(folder: Path, given: Mapping[str, str] = MappingProxyType({})) -> Path:
    """Copy the files that all children need: the engine's, no checks, no answers, no secret; and the course's own.

    Args:
        folder: where.
        given: the course's own files by path, which a child finds beside the learner's, compiled once for all of them.
    """
    for source in (path for name in IMAGE for path in sorted(PACKAGE.glob(name))):
        goal = folder / "autograder" / source.relative_to(PACKAGE)
        goal.parent.mkdir(parents=True, exist_ok=True)
        goal.write_bytes(source.read_bytes())
    for name, text in given.items():
        goal = folder / GIVEN / name
        goal.parent.mkdir(parents=True, exist_ok=True)
        goal.write_bytes(text.encode("utf-8", "surrogateescape"))
    if given:  # compiled code counts only for the very text that it was made of
        compileall.compile_dir(folder / GIVEN, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def packages() -> Path:
    """Where torch is installed."""
    return Path(torch.__file__).parents[1]


def command(tier: str, image: Path) -> list[str]:
    """The command line of a zygote, but for its socket.

    Raises:
        Refused: bubblewrap is not installed.
    """
    if tier == "T0":
        return [sys.executable, "-I", "-S", "-B", "-u", str(image / "autograder/engine/child.py")]
    if sys.platform != "linux" or not shutil.which("bwrap"):
        raise Refused("bubblewrap is not installed (on Debian and Ubuntu: apt-get install bubblewrap); Linux only")
    line = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--die-with-parent",
            "--new-session", "--clearenv", "--setenv", "OMP_NUM_THREADS", "1", "--setenv", "HOME", "/tmp",
            "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
            "--ro-bind", "/usr", "/usr", "--ro-bind", sys.base_prefix, "/python"]  # fmt: skip
    for name in ("bin", "lib", "lib64"):
        if Path(f"/{name}").exists():
            line += ["--symlink", f"usr/{name}", f"/{name}"]
    line += ["--ro-bind", str(packages()), "/packages", "--ro-bind", str(image), "/image"]
    for name in ("gptlib", "solutions"):  # an installed library would hold the answers
        if (packages() / name).is_dir():
            line += ["--tmpfs", f"/packages/{name}", "--remount-ro", f"/packages/{name}"]
    line += ["--remount-ro", "/dev", "--remount-ro", "/"]  # else a child of the same user leaves files for the next
    if os.getuid():
        line += ["--unshare-user", "--uid", "0", "--gid", "0"]
    return [*line, "--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_SETUID", "--cap-add",
            "CAP_SETGID", "--cap-add", "CAP_KILL", f"/python/bin/python3.{sys.version_info.minor}",
            "-I", "-S", "-B", "-u", "/image/autograder/engine/child.py"]  # fmt: skip


class Zygote:
    """A warm process to fork children from.

    Args:
        tier: how children are held.
        given: files that most submissions are run with; a child of T1 need not be sent them.
        seconds: how long it may take to start.

    Raises:
        Refused: it does not start in this tier.
    """

    def __init__(self, tier: str, given: Mapping[str, str] = MappingProxyType({}), seconds: float = 60) -> None:
        if tier not in TIERS:
            raise ValueError(f"tier must be one of {', '.join(TIERS)}, got {tier!r}")
        # In T0 nothing is read-only: what one learner's code writes into a folder that all share, the next would read.
        self.tier, self.given = tier, given if tier != "T0" else MappingProxyType({})
        self.home = Path(tempfile.mkdtemp(prefix="zygote-"))
        self.control, theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
        )
        image = write_image(self.home / "image", self.given)
        paths = ["/image", "/packages"] if tier != "T0" else [str(image), str(packages())]
        said = self.home / "stderr"
        line = [*command(tier, image), str(theirs.fileno()), *paths]
        self.group: groups.Group | None = None
        with contextlib.suppress(OSError):
            self.group = groups.Group()
            line = self.group.entered(line)
        with said.open("wb") as errors:
            self.process = subprocess.Popen(
                line, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                env={"OMP_NUM_THREADS": "1", "HOME": str(self.home), "PATH": os.environ.get("PATH", "")},
            )  # fmt: skip
        theirs.close()
        try:
            self.answer(seconds)
            if self.group:
                self.group.settle()
        except EngineFailed:
            self.end()
            text = said.read_text("utf-8", "replace").strip()[-500:]
            shutil.rmtree(self.home, ignore_errors=True)
            raise Refused(text or f"the {tier} zygote did not start") from None

    def to_send(self, files: Mapping[str, str]) -> tuple[dict[str, str], bool]:
        """The files of a submission that a child must be sent, and whether it has the others.

        It has all of the given files or none: whole folders of them are linked.
        """
        own = {name: text for name, text in files.items() if self.given.get(name) != text}
        replaced = [name for name in own if name in self.given and name.count("/") > 1]
        if not self.given or replaced or not self.given.keys() <= files.keys():
            return dict(files), False
        return own, True

    def answer(self, seconds: float = 30) -> dict:
        """Read one answer.

        Raises:
            EngineFailed: the zygote is dead or does not answer.
        """
        try:
            ready = select.select([self.control], [], [], seconds)[0]
            data = self.control.recv(65536) if ready else b""
        except OSError:
            data = b""
        if not data:
            raise EngineFailed("the zygote is gone")
        return json.loads(data)

    def ask(self, order: dict, fds: tuple[int, ...] = ()) -> dict:
        """Send an order and read the answer."""
        try:
            socket.send_fds(self.control, [json.dumps(order).encode()], list(fds))
        except OSError:
            raise EngineFailed("the zygote is gone") from None
        answer = self.answer()
        if "error" in answer:
            raise EngineFailed(f"the zygote cannot fork: {answer['error']}")
        return answer

    def end(self) -> None:
        """End the zygote and all its children."""
        self.control.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.group:
            self.group.close()

    def close(self) -> None:
        """End the zygote and remove its folder."""
        self.end()
        shutil.rmtree(self.home, ignore_errors=True)


class EngineFailed(BaseException):
    """The engine's own machinery failed, not the learner's code: the question is run again.

    Not an `Exception`: nothing that judges learners' errors may take it for one of them.
    """
