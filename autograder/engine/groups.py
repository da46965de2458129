"""Control groups of Linux: one for a zygote and its children, where the machine lets us make groups.

The limits of a process leave out what the kernel holds for it, files in memory, and, for root, how many processes
there are. A group counts all of that, and everything in it can be ended at once. There are two versions: in the first
each controller has folders of its own, in the second, which systems have by now, one folder serves all.
"""
import contextlib
import itertools
import os
import signal
import subprocess
import time
from pathlib import Path

CONTROLLERS = ("memory", "pids")
MEMORY = ("memory.max", "memory.limit_in_bytes")  # the second version's name for it, and the first's
USED = ("memory.current", "memory.usage_in_bytes")
KILLS = ("memory.events", "memory.oom_control")
PROCESSES = 32  # a zygote, what starts it, and a child are 5
OURS = "autograder"
NUMBERS = itertools.count(1)


def own(proc: Path = Path("/proc/self")) -> tuple[list[Path], Path | None]:
    """The folders of the groups that this process is in: by the first version, which may be several, and the second.

    Only those that limit memory or processes.
    """
    try:
        mounts = [line.split(" - ") for line in (proc / "mountinfo").read_text().splitlines()]
        groups = [line.split(":", 2)[1:] for line in (proc / "cgroup").read_text().splitlines()]
    except OSError:
        return [], None
    first, second = [], None
    for left, right in mounts:
        _, _, _, root, place, *_ = left.split()
        kind, _, options = right.split(" ", 2)
        for names, path in groups:
            folder = Path(place) / path.removeprefix(root.rstrip("/")).lstrip("/")
            if kind == "cgroup" and names and set(names.split(",")) & set(options.split(",")) & set(CONTROLLERS):
                first.append(folder)
            elif kind == "cgroup2" and not names and set(words(folder / "cgroup.controllers")) & set(CONTROLLERS):
                second = folder
    return first, second


def parents() -> list[Path]:
    """The folders that groups are made in.

    In the second version a group that has processes has no limited groups below it. A process that is alone in its
    group, as one that `systemd-run --scope` starts, moves to one below, and then others can stand beside this.
    """
    first, second = own()
    if second is None:
        return first
    if second.name == OURS:
        return [*first, second.parent]
    if words(second / "cgroup.procs") == [f"{os.getpid()}"]:
        (second / OURS).mkdir(exist_ok=True)
        (second / OURS / "cgroup.procs").write_text("0")
        there = set(words(second / "cgroup.controllers")) & set(CONTROLLERS)
        (second / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in there))
        return [*first, second]
    return first


def words(path: Path) -> list[str]:
    """The words of a file; none if it cannot be read."""
    try:
        return path.read_text().split()
    except OSError:
        return []


class Group:
    """A new group. To be closed.

    Raises:
        OSError: this machine lets us make none.
    """

    def __init__(self) -> None:
        places = parents()
        if not places:
            raise OSError("this system has no control groups that could be used")
        self.folders: list[Path] = []
        self.base = self.most = self.kills = 0
        name = f"{OURS}-{os.getpid()}-{next(NUMBERS)}"
        try:
            for place in places:
                _sweep(place)
                (place / name).mkdir()
                self.folders.append(place / name)
            self.write(("pids.max",), PROCESSES)
            self.write(("memory.swap.max",), 0)
            subprocess.run(self.entered(["true"]), check=True, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            raise OSError(f"a control group cannot be made: {error}") from None

    def entered(self, command: list[str]) -> list[str]:
        """A command line that is this one in the group, from its first moment."""
        script = 'for group in $1; do echo 0 > "$group/cgroup.procs" || exit; done; shift; exec "$@"'
        return ["/bin/sh", "-c", script, "sh", " ".join(map(str, self.folders)), *command]

    def write(self, names: tuple[str, ...], value: int) -> None:
        """Set a limit, in the files that there are."""
        for path in self.files(names):
            path.write_text(f"{value}")

    def files(self, names: tuple[str, ...]) -> list[Path]:
        """The files of these names that the group has."""
        return [folder / name for folder in self.folders for name in names if (folder / name).exists()]

    def settle(self) -> None:
        """What is used now is the zygote's own; a child's memory comes on top."""
        self.base = max([int(path.read_text()) for path in self.files(USED)], default=0)

    def allow(self, memory: int) -> None:
        """Let a child take so many bytes of memory, all kinds together."""
        if memory != self.most:
            self.write(MEMORY, self.base + memory)
            self.most = memory

    def ran_out(self) -> bool:
        """Whether the kernel has ended a process because the group had no memory left, since this was last asked."""
        before, lines = self.kills, [line for path in self.files(KILLS) for line in path.read_text().splitlines()]
        self.kills = sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
        return self.kills > before

    def close(self) -> None:
        """End whatever is left in the group, and remove it."""
        for folder in self.folders:
            until = time.monotonic() + 2
            while folder.exists() and time.monotonic() < until:
                for pid in words(folder / "cgroup.procs"):
                    with contextlib.suppress(OSError):
                        os.kill(int(pid), signal.SIGKILL)
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.005)


def _sweep(place: Path) -> None:
    """Remove the groups of processes that ended without doing it themselves."""
    for folder in place.glob(f"{OURS}-*-*"):
        with contextlib.suppress(OSError, ValueError):
            if not Path(f"/proc/{int(folder.name.split('-')[1])}").exists():
                folder.rmdir()
