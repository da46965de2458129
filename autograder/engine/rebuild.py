"""A learner's notebook, rebuilt: the assignment's own, with the text of the learner's answers and code in it."""
import hashlib
import json
from collections.abc import Mapping
from typing import Any

MAX_OWN = 100_000
OWN_CELLS = "## Cells that the learner added\n\nThey are shown as they came and were not run."


class Template:
    """An assignment's notebook, which all its submissions share: its cells are replaced by others, never changed."""

    def __init__(self, book: Mapping[str, Any]) -> None:
        self.cells = [_cleared(cell) for cell in book["cells"]]
        self.book = {**book, "cells": self.cells}
        self.known = {cell["source"].strip() for cell in self.cells} | {""}
        self.names = {_graded(cell)["grade_id"] for cell in self.cells if _graded(cell)}
        self.digest = hashlib.sha256(json.dumps(self.book, sort_keys=True).encode()).hexdigest()


    def others(self, book: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
        """The cells of a rebuilt notebook that are not the template's, by their places."""
        ours = self.cells
        return {i: cell for i, cell in enumerate(book["cells"])
                if i >= len(ours) or (cell is not ours[i] and cell != ours[i])}  # fmt: skip


def _cleared(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A cell whose text is one string, and which has not been run."""
    cleared = {**cell, "source": source_of(cell)}
    return cleared | ({"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {})


def source_of(cell: Mapping[str, Any]) -> str:
    """The text of a cell, whatever was put in its place."""
    text = cell.get("source", "")
    if isinstance(text, list):
        try:
            text = "".join(text)
        except TypeError:
            text = "".join(part for part in text if isinstance(part, str))
    text = text if isinstance(text, str) else ""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _graded(cell: Mapping[str, Any]) -> dict[str, Any]:
    metadata = cell.get("metadata")
    found = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def rebuilt(template: Template, came: list[dict[str, Any]]) -> dict[str, Any]:
    """The release's notebook with the learner's answers in it, and the learner's own code cells at its end.

    A cell without an answer is the template's very own.
    """
    answers, own, room = dict[str, str](), list[str](), MAX_OWN
    for cell in came:
        text, name = source_of(cell), _graded(cell).get("grade_id")
        if isinstance(name, str):
            answers[name] = text  # of duplicates the last one counts
        new = text.strip() not in template.known and str(name) not in template.names
        if new and cell["cell_type"] == "code" and room > 0:
            own.append(text[:room])
            room -= len(own[-1])
    cells = [answered(cell, answers) for cell in template.cells]
    if own:
        cells.append({"cell_type": "markdown", "id": "own-cells", "metadata": {}, "source": OWN_CELLS})
    for i, text in enumerate(own):
        cells.append({"cell_type": "code", "id": f"own-{i}", "metadata": {}, "source": text, "outputs": [],
                      "execution_count": None})  # fmt: skip
    return {**template.book, "cells": cells}


def answered(cell: dict[str, Any], answers: Mapping[str, str]) -> dict[str, Any]:
    """A cell of the release with a learner's answer in it, if it is one for an answer and there is one."""
    settings = _graded(cell)
    text = answers.get(settings.get("grade_id", ""), cell["source"]) if settings.get("solution") else cell["source"]
    if text == cell["source"]:
        return cell
    return {**cell, "source": text[:MAX_OWN] if cell["cell_type"] == "code" else harmless(text)}


def harmless(text: str) -> str:
    """A written answer as HTML that can do nothing."""
    from autograder.engine import essay  # and with it nbconvert, which no other step of intake needs

    return essay.harmless(text)
