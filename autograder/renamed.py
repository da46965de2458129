"""What to say to someone whose code has a name of before for a part of a model; see `gptlib.weights.parts`."""
import re

from autograder import fingerprints
from autograder.calls import parts
from autograder.checks import wrap
from autograder.table import Exercise

LIST = "_generated/notation.html#parts-of-models"


def stale(module: str, file: str, more: str = "") -> dict[str, str]:
    """The names of before in a file whose classes have those of now, with these.

    Args:
        module: the file's.
        file: its text.
        more: other code that belongs to it.
    """
    rows = [(*old.split("."), one.name) for one in parts().PARTS + parts().OTHERS for old in one.before]
    return {
        old: new for where, _, old, new in rows
        if where == module and re.search(rf"""\bself\.{old}\b|["'.]{old}["'.]""", f"{file}\n{more}")
        and re.search(rf"\bself\.{new}\b[^=\n]{{0,200}}=(?!=)|\bdef {new}\b", file)
    }  # fmt: skip


def told(row: Exercise, file: str, more: str = "") -> str:
    """What to add to the message about a check that failed: which names are others now, or nothing."""
    found = [f"`{old}` is now `{new}`" for old, new in stale(row.module, file, more).items()]
    if not found:
        return ""
    said = (f"Your code has names that the course has changed: {', '.join(found)}. In a clone of the course, "
            "`python -m autograder update` changes them in your file. The list of all names:")  # fmt: skip
    return f"\n{wrap(said)}\n{fingerprints.book(row.module)}{LIST}"
