"""Every chapter's notebook runs: on the reference without a word on stderr, and as a learner begins.

On the reference, what the book has run is looked at, at its quick budget; a page that has changed since runs first. The
notebook as it stands runs at the smoke budget, with sliders where the book has pictures, for the chosen chapters.
"""
import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from autograder import strip
from chapters._book import cells, execute, notebook
from chapters._book.site import ROOT, Site
from tests.chosen import chosen

SITE = Site()
NOTEBOOKS = [path.with_suffix(".ipynb") for path in notebook.sources(SITE)]
NOT_WRITTEN = "not written yet"


def environment(first: Path | str) -> dict[str, str]:
    """The variables of a kernel that imports gptlib from the folder `first`, at the smallest budget."""
    return {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(first), str(ROOT)]), "GPTLIB_BUDGET": "smoke",
        "OMP_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }  # fmt: skip


def nbval(*notebooks: Path) -> subprocess.CompletedProcess[str]:
    """Run notebooks with nbval, one execution each, in a pytest of its own."""
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=120", "-p", "tests.book.nbval_outputs"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *map(str, notebooks)]
    return subprocess.run(command, cwd=ROOT, env=environment(strip.build_reference()), capture_output=True, text=True)


def as_learner(nb: nbformat.NotebookNode, gptlib: Path, folder: Path) -> nbformat.NotebookNode:
    """Execute a notebook to its end, errors or not, with `gptlib` from the folder of that name."""
    client = NotebookClient(
        nb, timeout=120, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(folder)}}
    )
    return client.execute(env=environment(gptlib.parent))


def surprises(nb: nbformat.NotebookNode) -> list[str]:
    """What a learner who has written nothing yet would not understand in an executed notebook.

    Expected are: a check that says that its exercise is not written, NotImplementedError where a cell calls an
    exercise, and names that are missing because an earlier cell stopped so.
    """
    found, lost = [], set()
    for number, cell in enumerate(c for c in nb.cells if c.cell_type == "code"):
        errors = [output for output in cell.outputs if output.output_type == "error"]
        said = "".join(output.text for output in cell.outputs if output.get("name") == "stderr")
        if said:
            found.append(f"cell {number} writes to stderr: {said!r}")
        if "nbgrader" in cell.metadata and "check(" in cell.source:
            if [e.ename for e in errors] != ["CheckFailed"] or NOT_WRITTEN not in errors[0].evalue:
                found.append(f"cell {number}, {cell.source!r}, does not say that the exercise is {NOT_WRITTEN}")
            elif len(errors[0].traceback) != 1:
                found.append(f"cell {number}, {cell.source!r}, shows a traceback to a beginner")
            continue
        for error in errors:
            missing = error.ename == "NameError" and any(f"'{name}'" in error.evalue for name in lost)
            if error.ename != "NotImplementedError" and not missing:
                found.append(f"cell {number} fails with {error.ename}: {error.evalue}")
            lost |= stored(cell.source)
    return found


def stored(source: str) -> set[str]:
    """The names that a cell would bind."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    names = set()
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return names


@pytest.fixture(scope="module")
def stubs(tmp_path_factory) -> Path:
    """gptlib as every learner begins, whatever has been written in this clone."""
    folder = tmp_path_factory.mktemp("begin") / "gptlib"
    strip.write_library(folder, strip.strip)
    return folder


@pytest.mark.parametrize("path", cells.pages(SITE), ids=lambda path: path.stem)
def test_the_reference_runs_every_cell(path):
    [page] = execute.pages(SITE, [path])
    assert execute.bring_up_to_date([page]) == []
    ran = [cell for cell in page.executed().cells if cell.cell_type == "code"]
    assert cells.problems(page.executed()) == []
    assert [cell.execution_count for cell in ran] == list(range(1, len(ran) + 1))
    if path.with_suffix(".ipynb") in NOTEBOOKS:
        there = nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells
        assert [cell.source for cell in ran] == [cell.source for cell in there if cell.cell_type == "code"]


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem in chosen()], ids=lambda path: path.stem)
def test_the_notebook_runs_at_the_smallest_budget(path):
    done = nbval(path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_beginner_meets_nothing_unexpected(path, stubs):
    nb = as_learner(nbformat.read(path, as_version=4), stubs, path.parent)
    assert str(stubs) in "".join(output.get("text", "") for cell in nb.cells[:3] for output in cell.get("outputs", []))
    assert surprises(nb) == []


def made_of(*sources: str) -> nbformat.NotebookNode:
    """A notebook of code cells; a check cell is marked as nbgrader's."""
    nb = nbformat.v4.new_notebook()
    for source in sources:
        graded = {"nbgrader": {}} if source.startswith("check(") else {}
        nb.cells.append(nbformat.v4.new_code_cell(source, metadata=graded))
    return nb


def test_the_run_on_the_reference_can_fail(tmp_path):
    bad = {
        "stderr": 'import sys\nprint("a warning", file=sys.stderr)',
        "error": "1 / 0",
        "shown": 'print("NotImplementedError")',
    }
    for name, source in {**bad, "good": "import gptlib\nprint(gptlib.__file__)"}.items():
        nbformat.write(made_of(source), tmp_path / f"{name}.ipynb")
    done = nbval(*sorted(tmp_path.glob("*.ipynb")))
    assert "3 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    for words in ("a warning", "ZeroDivisionError", "shows a NotImplementedError"):
        assert words in done.stdout


def test_the_run_as_a_learner_can_fail(tmp_path, stubs):
    nb = as_learner(
        made_of(
            "from autograder import check\nfrom gptlib import attention",
            'check("attention.causal_mask")',
            "mask = attention.causal_mask(2, 2)",
            "print(mask)",
            "print(undefined)",
            'check("no.such")',
            'import sys\nprint("noise", file=sys.stderr)',
        ),
        stubs, tmp_path,
    )  # fmt: skip
    assert [text.split()[1].rstrip(",") for text in surprises(nb)] == ["4", "5", "6"], surprises(nb)
