"""What a measurement was made on, and how the CPU-seconds of commands are counted."""
import ctypes
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

SUBREAPER = 36  # prctl's PR_SET_CHILD_SUBREAPER


def cpu_seconds(run: Callable[[], object]) -> float:
    """CPU-seconds of all processes that a call starts, also of those whose parents do not wait for them (Linux only).

    bubblewrap ends before the sandbox that it began, and what that used would be counted by nobody.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl refuses to adopt orphans")
    before = os.times()
    run()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:  # none left
            break
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def machine() -> dict[str, str | int]:
    """Processor, cores, memory, system and Python of this machine."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), cpu)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    release = Path("/etc/os-release")
    lines = release.read_text().splitlines() if release.exists() else []
    names = dict(line.split("=", 1) for line in lines if "=" in line)
    return {
        "cpu": cpu,
        "cores": os.cpu_count() or 0,
        "memory_gib": round(memory / 2**30),
        "system": names.get("PRETTY_NAME", platform.platform()).strip('"'),
        "python": platform.python_version(),
    }
