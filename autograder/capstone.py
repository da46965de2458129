"""Capstones: what learners get and hand in, what an instructor chooses, and the cell that looks at what was packed."""
import functools
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
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


def template() -> str:
    """The part of a first course.toml that is about capstones."""
    lines = [
        "# Capstones: learners train a model and hand in its weights; `python -m autograder capstone` grades them.",
        "# loss: points for bits per byte on hidden text; all of them at `bits`, none where letter frequencies do it.",
        "# suspicious: bits per byte below which a person has to look. most_mb: largest file of weights that is read.",
        "# texts: what models that were not trained on Shakespeare are measured on, a file of yours for each source:",
        '# texts.tinystories = { file = "stories.txt", bits = 1.5 }. Remove a table to leave that capstone out.',
    ]
    for row in capstones().values():
        lines += [f"[capstones.{row.name}]   # {row.title}"]
        lines += [f"{key} = {getattr(row, key):g}" for key in ("loss", "bits", "suspicious", "most_mb")] + [""]
    return "\n".join(lines)


def chosen(rows: Any, place: Path) -> dict[str, Capstone]:
    """Read an instructor's choices.

    Raises:
        ValueError: there is no such capstone, key or file, or a value is not what it may be.
    """
    if not isinstance(rows, dict):
        raise ValueError(f"{place}: capstones must be tables, got {rows!r}")
    found, known = {}, capstones()
    for name, row in rows.items():
        if name not in known:
            raise ValueError(f"{place}: no capstone is called {name!r}; there are {', '.join(known)}")
        if not isinstance(row, dict) or (foreign := set(row) - {"loss", "bits", "suspicious", "most_mb", "texts"}):
            raise ValueError(f"{place}: {name} knows no {min(foreign) if isinstance(row, dict) else row!r}")
        texts = {source: _text(value, source, place) for source, value in row.get("texts", {}).items()}
        found[name] = replace(known[name], **{**row, "texts": texts})
    return found


def _text(value: Any, source: str, place: Path) -> Text:
    if not isinstance(value, dict) or set(value) != {"file", "bits"} or not isinstance(value["bits"], int | float):
        raise ValueError(f'{place}: texts.{source} needs {{ file = "…", bits = 1.5 }}, got {value!r}')
    path = (place.parent / Path(str(value["file"])).expanduser()).resolve()
    if not path.is_file():
        raise ValueError(f"{place}: texts.{source} names {path}, and there is no such file")
    return Text(path, value["bits"])


def files(capstone: Capstone, root: Path = ROOT) -> dict[str, bytes]:
    """What learners get: the notebook, whose set-up cell brings the course; no library, for they train with their own.

    Raises:
        ValueError: the notebook has not exactly one grade cell of the loss.
    """
    from autograder.assignment import dump

    path = root / "chapters" / f"{capstone.name}.ipynb"
    book = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in book["cells"] if is_loss(cell)]
    if len(cells) != 1:
        raise ValueError(f"{path} must have one grade cell that calls {MARK}…), got {len(cells)}")
    cells[0]["metadata"]["nbgrader"]["points"] = capstone.loss
    return {path.name: dump(book)}


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
    from gptlib import gpt2, hand_in

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
