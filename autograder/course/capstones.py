"""What an instructor's course.toml says of capstones."""
from dataclasses import replace
from pathlib import Path
from typing import Any

from autograder.capstone import Capstone, Text, capstones


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
