"""Name the mistake: compare a wrong output with those of the registered mistakes.

`MODULE.jsonl` holds the outputs that registered mistakes give in the visible claims of a module's exercises, one a
line. It is data only, written by `python -m autograder fingerprints`.
"""
import ast
import functools
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from autograder.checks import Failed, difference

FOLDER = Path(__file__).parent
LARGEST = 400


def encode(value: Any) -> Any:
    """A JSON form of a small output, or None when it has none."""
    if isinstance(value, torch.Tensor):
        if value.numel() > LARGEST:
            return None
        flat = value.detach().double().flatten().tolist()
        values = [float(f"{x:.7g}") if math.isfinite(x) else str(x) for x in flat]
        return {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape), "values": values}
    text = repr(value)
    try:
        return {"repr": text} if len(text) <= LARGEST * 4 and ast.literal_eval(text) == value else None
    except (ValueError, SyntaxError, TypeError):
        return None


def decode(form: dict[str, Any]) -> Any:
    """The value that `encode` was given, to seven digits."""
    if "repr" in form:
        return ast.literal_eval(form["repr"])
    values = [float(x) for x in form["values"]]
    return torch.tensor(values, dtype=torch.float64).to(getattr(torch, form["dtype"])).reshape(form["shape"])


def path_of(module: str) -> Path:
    """The file of a module's fingerprints."""
    return FOLDER / f"{module}.jsonl"


@functools.cache
def _known(module: str) -> tuple[str, list[dict[str, Any]]]:
    """Where the published book lies, and all fingerprints of a module."""
    path = path_of(module)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else ['{"book": ""}']
    head, *rows = map(json.loads, lines)
    return head["book"], rows


def book(module: str) -> str:
    """The address of the published book's chapters, with a slash at its end."""
    return _known(module)[0]


def only(module: str, names: Collection[str]) -> str:
    """The text of a module's file with the fingerprints of some exercises only."""
    book, rows = _known(module)
    return text(book, [row for row in rows if row["exercise"] in names])


def text(book: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """The text of a file: where the book lies, then one fingerprint a line."""
    lines = [{"book": book}, *rows]
    return "".join(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines)


def mistakes(exercise: str, failures: Sequence[tuple[str, Failed]]) -> list[dict[str, str]]:
    """Registered mistakes whose outputs equal those of every failing claim.

    Args:
        exercise: its name, e.g. "attention.attend".
        failures: (check name, what it raised) of each visible check that failed.

    Returns:
        At most two rows with `mistake` (a clause that fits after "when") and `link`; the empty list when
        nothing matches or more than two do, for then the output says too little.
    """
    (book, known), left = _known(exercise.split(".")[0]), None
    for check, failure in failures:
        if failure.actual is None:
            continue
        equal = {
            (row["mistake"], row["see"])
            for row in known
            if (row["exercise"], row["check"], row["hint"]) == (exercise, check, failure.hint)
            and difference(failure.actual, decode(row["output"]), 1e-5, 1e-6) is None
        }
        left = equal if left is None else left & equal
    if not left or len(left) > 2:
        return []
    return [{"mistake": mistake, "link": book + see} for mistake, see in sorted(left)]
