"""What a measurement was made on, and how the CPU-seconds of commands are counted."""
import ctypes
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

QUIET = 1.0  # of load: more is other work, which makes every figure worse
UNITS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # of a processor, by which kinds differ most here
LIMITS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")  # variables by which one keeps PyTorch from using them
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


def load() -> float | None:
    """How many processes want to run, on average over the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def noise(now: float | None) -> str:
    """What would spoil a measurement at this load, or nothing."""
    return f"the machine has other work to do (load {now:.1f})" if now is not None and now > QUIET else ""


def kind(found: Mapping[str, Any]) -> str:
    """The kind of processor of a machine, as pages name it."""
    units = [unit for unit in UNITS if unit in found.get("units", ())]
    limits = ", ".join(f"{name}={value}" for name, value in sorted(found.get("limits", {}).items()))
    return f"{found['cpu']}{f' with {units[-1]}' if units else ''}{f', {limits}' if limits else ''}"


def machine() -> dict[str, Any]:
    """Processor, what it can, cores, memory, system and Python of this machine."""
    cpu = platform.processor() or platform.machine()
    info, flags = Path("/proc/cpuinfo"), set[str]()
    if info.exists():
        rows = [line.split(":", 1) for line in info.read_text().splitlines() if ":" in line]
        known = {name.strip(): value.strip() for name, value in reversed(rows)}
        cpu, flags = known.get("model name", cpu), set(known.get("flags", "").split())
        if {"cpu family", "model"} <= known.keys():
            cpu += f" (family {known['cpu family']}, model {known['model']})"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    release = Path("/etc/os-release")
    lines = release.read_text().splitlines() if release.exists() else []
    names = dict(line.split("=", 1) for line in lines if "=" in line)
    limits = {name: os.environ[name] for name in LIMITS if name in os.environ}
    return ({"limits": limits} if limits else {}) | {
        "cpu": cpu,
        "units": [unit for unit in UNITS if unit in flags],
        "cores": os.cpu_count() or 0,
        "memory_gib": round(memory / 2**30),
        "system": names.get("PRETTY_NAME", platform.platform()).strip('"'),
        "python": platform.python_version(),
    }
