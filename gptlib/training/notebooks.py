"""What the cells of every chapter share: the budget of this run, and numbers kept for the chapter's prose."""
import json
import os
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
BUDGETS = ("smoke", "quick", "full")


def budget(*, smoke: T, quick: T, full: T | None = None) -> T:
    """Pick a size for this run by the environment variable GPTLIB_BUDGET.

    `smoke` proves that the cell runs (tests, a few seconds a chapter), `quick` is what the book shows
    (at most 45 s a chapter on two CPU cores) and `full` is for a GPU; without a `full` value, `quick` is used.

    Raises:
        ValueError: GPTLIB_BUDGET is none of smoke, quick, full.
    """
    name = os.environ.get("GPTLIB_BUDGET", "quick")
    if name not in BUDGETS:
        raise ValueError(f"GPTLIB_BUDGET must be one of {', '.join(BUDGETS)}, got {name!r}")
    if name == "full" and full is not None:
        return full
    return smoke if name == "smoke" else quick


def record(chapter: str, **numbers: float | int | str) -> None:
    """Keep numbers that the chapter's prose quotes, in `<COURSE_RESULTS>/<chapter>.json`.

    Does nothing when the environment variable COURSE_RESULTS is not set: only the book's build sets it.
    Later calls add to earlier ones.
    """
    folder = os.environ.get("COURSE_RESULTS")
    if not folder:
        return
    path = Path(folder) / f"{chapter}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known |= {k: v.item() if hasattr(v, "item") else v for k, v in numbers.items()}
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
