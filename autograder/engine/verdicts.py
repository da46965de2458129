"""The names of verdicts, and how what is found is written down: whole or not at all. Needs no PyTorch."""
import json
import os
import tempfile
from pathlib import Path
from typing import Any

GRADED, ZERO, REJECTED, HUMAN, RETRY = "GRADED", "ZERO-WITH-REASON", "REJECTED", "NEEDS-HUMAN", "RETRY"


def write(path: Path, value: Any) -> None:
    """Write JSON so that a reader finds all of it or what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(handle)
    os.replace(name, path)
