"""The notebook that is entered: the assignment's, with a learner's answers and what the engine found."""
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nbformat
from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import MissingEntry
from nbgrader.converters import Autograde
from nbgrader.preprocessors import LimitOutput, OverwriteCells, OverwriteKernelspec

from autograder.engine.rebuild import Template
from autograder.engine.verdicts import HUMAN

NO_RESPONSE = "No response."  # nbgrader's own automatic comment


@dataclass(frozen=True)
class Filled:
    """A learner's notebook as text, and what its cells say of points and comments, by name."""

    text: str
    scores: Mapping[str, float | None]
    comments: Mapping[str, str | None]


class EnteredNotebook:
    """Makes the notebooks of one assignment.

    What all of them share goes through nbgrader's own steps once; for a learner only cells that carry an answer or a
    grade are made anew.

    Args:
        template: the notebook of the assignment.
        app: nbgrader's converter, for its settings and its log.
        resources: what nbgrader's steps want to know: names and the database.

    Raises:
        MissingEntry: the gradebook does not have one of its cells.
    """

    def __init__(self, template: Template, app: Autograde, resources: dict[str, Any]) -> None:
        self.template, self.log = template, app.log
        book = nbformat.v4.reads(json.dumps(template.book))
        for step in (OverwriteKernelspec, OverwriteCells, ClearMetadataPreprocessor):
            book, resources = step(parent=app)(book, resources)
        nbformat.validate(book, relax_add_props=True)
        left = {cell.metadata.get("nbgrader", {}).get("grade_id") for cell in book.cells}
        if gone := sorted(template.names - left):
            raise MissingEntry(f"cell {gone[0]}")
        self.limit, self.resources = LimitOutput(parent=app), resources
        self.cells = [dumped(cell) for cell in book.cells]
        kinds = (utils.is_grade, utils.is_solution, utils.is_task)
        self.marked = {i for i, cell in enumerate(book.cells) if any(kind(cell) for kind in kinds)}
        self.before, self.after = dumped({**book, "cells": []}).split("[]", 1)

    def filled(self, book: Mapping[str, Any], found: Mapping[str, Any]) -> Filled:
        """Fill in what came from one learner.

        Args:
            book: the rebuilt notebook.
            found: verdicts by grade cell, notices, and what to say of cells without a verdict.
        """
        others, size = self.template.others(book), len(self.cells)
        new = {i: nbformat.from_dict(json.loads(self.cells[i])) for i in self.marked | {i for i in others if i < size}}
        for i, cell in others.items():
            if i < size:
                new[i].source = cell["source"]
            else:
                new[i] = nbformat.from_dict(cell)
        new = {i: new[i] for i in sorted(new)}
        enter_verdicts(list(new.values()), found)
        few, _ = self.limit(NotebookNode(cells=list(new.values())), self.resources)
        texts = self.cells + [""] * (len(book["cells"]) - size)
        for i, cell in zip(new, few.cells, strict=True):
            texts[i] = dumped(cell)
        marked = [new[i] for i in sorted(self.marked)]
        return Filled(f"{self.before}[{', '.join(texts)}]{self.after}\n", self.scores(marked, found["cells"]),
                      comments(marked))  # fmt: skip

    def scores(self, cells: list[NotebookNode], found: Mapping[str, Any]) -> dict[str, float | None]:
        """The points that nbgrader finds in the outputs of grade cells; none where a person has to decide."""
        points = {}
        for cell in filter(utils.is_grade, cells):
            name = cell.metadata.nbgrader["grade_id"]
            by_hand = found.get(name, {}).get("verdict") == HUMAN
            points[name] = None if by_hand else utils.determine_grade(cell, self.log)[0]
        return points


def comments(cells: list[NotebookNode]) -> dict[str, str | None]:
    """The comments that nbgrader makes by itself: on answers that were left as they were."""
    found = {}
    for cell in cells:
        if utils.is_solution(cell) or utils.is_task(cell):
            same = cell.metadata.nbgrader.get("checksum") == utils.compute_checksum(cell)
            found[cell.metadata.nbgrader["grade_id"]] = NO_RESPONSE if same and not utils.is_task(cell) else None
    return found


def dumped(node: Mapping[str, Any]) -> str:
    """A cell, or a notebook, as JSON."""
    return json.dumps(node, ensure_ascii=False, sort_keys=True)


def enter_verdicts(cells: list[NotebookNode], found: Mapping[str, Any]) -> None:
    """Write what the engine found into the outputs of grade cells, from which nbgrader takes points and feedback."""
    notices = found["notices"]
    for cell in cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if not utils.is_grade(cell) or utils.is_solution(cell) or cell.cell_type != "code":
            continue  # what a person grades stays as it came
        cell.outputs = outputs(found["cells"].get(name, {"text": "", "message": found["missing"]}), notices)
        notices = []


def outputs(row: Mapping[str, Any], notices: list[str]) -> list[Any]:
    """The outputs of a grade cell, plain text only; an error output is what takes the points away."""
    text = "".join(f"Note: {line}\n" for line in notices) + row["text"]
    found: list[dict[str, Any]] = [{"output_type": "stream", "name": "stdout", "text": text + "\n"}] if text else []
    if row.get("points") is not None and not row["message"]:  # a part of the cell's points, by nbgrader's own rule
        shown = {"text/plain": str(float(row["points"]))}
        found.append({"output_type": "execute_result", "data": shown, "metadata": {}, "execution_count": 1})
    if row["message"]:
        lines = row["message"].split("\n")
        failed = {"ename": "CheckFailed", "evalue": lines[0], "traceback": [row["message"]]}
        found.append({"output_type": "error"} | failed)
    return [nbformat.from_dict(one) for one in found]
