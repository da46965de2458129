"""What a measurement was made on."""
import os
import platform
from pathlib import Path


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
