"""The cells of a page: as the book shows them, and as they are run, with the hidden checks in between."""
import ast
import copy
from collections.abc import Container, Iterable
from pathlib import Path

import nbformat
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig

from chapters._book import notebook, setup_cell
from chapters._book.site import Site

HIDDEN = "hidden-check"
CLOCKS = {"perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "monotonic", "timeit"}


def pages(site: Site) -> list[Path]:
    """The pages of the book that run code."""
    return [path for path in site.pages.values() if is_myst_markdown_notebook(path.read_text(encoding="utf-8"))]


def shown(site: Site, path: Path) -> nbformat.NotebookNode:
    """A page as myst-nb reads it when the book is built."""
    setup_cell.write(site)
    config = MdParserConfig(enable_extensions=set(site.extensions))
    return read_myst_markdown_notebook(setup_cell.loaded(path.read_text(encoding="utf-8")), config, path=path)


def to_run(page: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The code of a page, and after each visible check the hidden ones, as in the chapter's notebook."""
    made = nbformat.v4.new_notebook(metadata=copy.deepcopy(page.metadata))
    for cell in page.cells:
        if cell.cell_type == "code":
            made.cells.append(copy.deepcopy(cell))
            if name := notebook.checked(cell.source):
                source = notebook.hidden_check(name)
                made.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": [HIDDEN]}))
    return made


def is_hidden(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell is one that `to_run` has added."""
    return HIDDEN in cell.metadata.get("tags", ())


def problems(executed: nbformat.NotebookNode) -> list[str]:
    """What is wrong with the outputs of a page: errors, words on stderr, an exercise that nobody has written."""
    found = []
    for number, cell in enumerate(cell for cell in executed.cells if cell.cell_type == "code"):
        where = f"cell {number}, {cell.source.strip().splitlines()[:1]},"
        for output in cell.outputs:
            text = "".join(output.get("text", ""))
            if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", ()):
                found.append(f"{where} fails with {output.ename}: {output.evalue}")
            elif output.get("name") == "stderr":
                found.append(f"{where} writes to stderr: {text.strip()!r}")
            elif "NotImplementedError" in text:
                found.append(f"{where} shows a NotImplementedError: {text.strip()!r}")
    return found


def timed(sources: Iterable[str]) -> list[bool]:
    """Which cells measure time: they read a clock, or call a function of an earlier cell that does.

    Args:
        sources: the cells' code, in the order of the page.
    """
    found, known = [], set(CLOCKS)
    for source in sources:
        measures = "%time" in source
        for node in ast.parse(python(source)).body:
            reads = any(_reads_a_clock(part, known) for part in ast.walk(node))
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                known |= {node.name} if reads else set()
            else:
                measures |= reads
        found.append(measures)
    return found


def _reads_a_clock(node: ast.AST, known: Container[str]) -> bool:
    match node:
        case ast.Attribute(ast.Name("time" | "timeit"), name):
            return name in {*CLOCKS, "time", "repeat"}
        case ast.Name(name):
            return name in known
    return False


def python(source: str) -> str:
    """A cell's Python, without the lines that only IPython understands; nothing if that is none either."""
    text = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))
    try:
        ast.parse(text)
    except SyntaxError:
        return ""
    return text
