"""What the cells of a page depend on: as long as none of it changes, they need not run again."""
from collections.abc import Mapping
from pathlib import Path

import nbformat

from autograder import kept, table, uses
from chapters._book import cells, notebook
from chapters._book.site import ROOT

BENCH = ROOT / "bench" / "results"


def key(page: nbformat.NotebookNode, library: Path, settings: Mapping[str, str]) -> str:
    """The digest of a page's cells, of the files they use, and of the settings that they run with."""
    code = [[cell.source, cell.metadata] for cell in cells.to_run(page).cells]
    return kept.digest(files(page, library), [code, dict(settings)])


def files(page: nbformat.NotebookNode, library: Path) -> set[Path]:
    """The files that the cells of a page use: of the library, of `check` and its suites, and measurements.

    Args:
        page: its cells.
        library: the folder of gptlib that they import.
    """
    code = list(filter(None, (cells.python(cell.source) for cell in page.cells if cell.cell_type == "code")))
    modules = {name.split(".")[0] for text in code if (name := notebook.checked(text))}
    suites = uses.checks(modules)
    asked = [*code, *(path.read_text(encoding="utf-8") for path in suites)]
    found = {*suites, *map(table.path_of, modules), *uses.library(asked, modules, library), *uses.grader(asked)}
    return found | {path for path in BENCH.glob("*.json") if f'"{path.name}"' in "\n".join(code)}
