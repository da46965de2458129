"""What the course computes once: results kept in build/kept, each with the key of what it was computed from."""
import functools
import hashlib
import json
import os
import platform
import re
import tomllib
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "kept"
CHOICES = ("AUTOGRADER_HIDDEN", "AUTOGRADER_SECRET", "AUTOGRADER_SECRET_FILE")  # with these, checks do something else


def kept(name: str, key: str, compute: Callable[[], Any]) -> Any:
    """What `compute` gives, which JSON can hold and which is not None; it is called if there is no such result yet.

    Args:
        name: of the result, and of its file.
        key: the digest of all that it depends on.
        compute: gives it.
    """
    if any(choice in os.environ for choice in CHOICES):
        return compute()
    value = found(name, key)
    if value is None:
        value = compute()
        path = FOLDER / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps({"key": key, "value": value}, ensure_ascii=False), encoding="utf-8")
        part.replace(path)
    return value


def found(name: str, key: str) -> Any:
    """The result that is kept with this key, None if there is none."""
    path = FOLDER / f"{name}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"key": None}
    return known["value"] if known["key"] == key else None


def digest(paths: Iterable[Path], more: object = "", root: Path = ROOT) -> str:
    """The SHA-256 of the names and contents of files, of the versions of Python and of packages, and of more."""
    made = hashlib.sha256(json.dumps([versions(), more], sort_keys=True).encode())
    for path in sorted(set(paths)):
        made.update(f"\0{path.relative_to(root).as_posix()}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return made.hexdigest()


@functools.cache
def versions(extra: str = "") -> dict[str, str]:
    """The versions of Python and of the packages that the course needs, or that one of its extras adds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    names = [re.split(r"[^\w.-]", line)[0] for line in lines]
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def at_once(memory: int) -> int:
    """How many processes to run side by side: one a core, and only as many as the free memory holds.

    Args:
        memory: bytes that one needs.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, psutil.virtual_memory().available // memory))
