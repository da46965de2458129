"""Capstones: the table of them, what learners hand in, and the cell that looks at what was packed."""
import functools
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("capstones.toml")
HANDED_IN = ("model.safetensors", "manifest.json")
MARK = "look("  # the grade cell of the loss calls it
BY_COMMAND = (
    "The weights of a capstone are graded by `python -m autograder capstone COURSE ASSIGNMENT`, which measures them on "
    "text that nobody has seen. Until it has run, this cell counts 0."
)


@dataclass(frozen=True)
class Text:
    """A text to measure models of one source on: its file, and the bits per byte that earn all points."""

    file: Path
    bits: float


@dataclass(frozen=True)
class Capstone:
    """A capstone and how its loss is graded; see `capstones.toml` and the page for instructors."""

    name: str
    title: str
    loss: float
    bits: float
    suspicious: float
    most_mb: float = 600
    texts: Mapping[str, Text] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("loss", 0), ("bits", 0), ("suspicious", 0), ("most_mb", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
                raise ValueError(f"{self.name}: {name} must be a number of at least {least}, got {value!r}")


@functools.cache
def capstones() -> dict[str, Capstone]:
    """Read the table of capstones, by the stem of their file; a released assignment has none."""
    rows = tomllib.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return {name: Capstone(name, **row) for name, row in rows.items()}


def is_loss(cell: Mapping[str, Any]) -> bool:
    """Whether a cell of a notebook of ours is the grade cell of the loss."""
    settings = cell["metadata"].get("nbgrader", {})
    return bool(settings.get("grade") and not settings.get("solution") and MARK in "".join(cell["source"]))


def look(folder: str | Path) -> None:
    """Look at what was packed, as the grader will: print what it is, or why it would be refused.

    Raises:
        RuntimeError: nbgrader runs this cell; see `BY_COMMAND`.
    """
    if os.environ.get("NBGRADER_EXECUTION") == "autograde":
        raise RuntimeError(BY_COMMAND)
    from gptlib import gpt2
    from gptlib.capstone import hand_in

    try:
        found = hand_in.read(folder, gpt2.GPT2)
    except hand_in.Refused as error:
        print(f"✗ This would be refused: {error}")
        return
    facts, size = found.manifest, sum(p.numel() for p in found.model.parameters())
    print(f"✓ {size:,} parameters, preset {facts['preset']} on {facts['source']}, {facts['tokens']:,} tokens seen")
    print(f"  you measured {facts['bits_per_byte']:.3f} bits per byte; the grader measures on hidden text")
    print("Hand in, together with this notebook:")
    for name in HANDED_IN:
        print(f"  {Path(folder) / name}  {(Path(folder) / name).stat().st_size:,} bytes")
