"""The names of verdicts, and how what is found is written down: whole or not at all. Needs no PyTorch."""
import json
import os
import tempfile
from pathlib import Path
from typing import Any

GRADED, ZERO, REJECTED, HUMAN, RETRY = "GRADED", "ZERO-WITH-REASON", "REJECTED", "NEEDS-HUMAN", "RETRY"


def write(path: Path, value: Any, lasting: bool = True) -> None:
    """Write JSON so that a reader finds all of it or what was there before.

    Args:
        path: where.
        value: what.
        lasting: whether it must be there after the machine loses its power; what can be made again need not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, sort_keys=True) + "\n")
        file.flush()
        if lasting:
            os.fsync(handle)
    os.replace(name, path)
