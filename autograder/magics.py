"""`%%implement attention.attend`: write an exercise in a notebook cell; the file stays the truth.

The cell's function goes into gptlib/<module>.py in place of the one there. If the file's function was edited
since a cell last wrote it, nothing is written and the difference is shown.
"""
import ast
import difflib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from autograder import editing, source
from autograder.runner import CheckFailed, check
from autograder.table import Exercise, exercise


def load(shell: Any = None) -> None:
    """Register `%implement` and `%%implement` with IPython, if it is running."""
    if shell is None:
        from IPython import get_ipython

        shell = get_ipython()
    if shell is not None:
        shell.register_magic_function(implement, "line_cell", "implement")


load_ipython_extension = load


def implement(line: str, cell: str | None = None) -> None:
    """Write the cell's function into the file and check it, or (without a cell) bring the file's into a new cell.

    Raises:
        CheckFailed: the name is unknown, the cell cannot be used, the file was edited, or a check fails.
    """
    words = line.split()
    forced = "--force" in words
    names = [w for w in words if w != "--force"]
    if len(names) != 1:
        raise CheckFailed("✗ Name one exercise: %%implement attention.attend")
    try:
        row = exercise(names[0])
    except LookupError as error:
        raise CheckFailed(f"✗ {error.args[0]}") from None
    try:
        path = source.path_of(row.module)
        if cell is None:
            _offer(row, path)
            return
        write(row, path, cell, forced)
    except source.Unusable as error:
        raise CheckFailed(f"✗ {error}") from None
    check(row.name)


def write(row: Exercise, path: Path, cell: str, forced: bool = False) -> None:
    """Put the cell's code into the file.

    Raises:
        CheckFailed: see `implement`; the file is unchanged then.
    """
    tree = source.parse(cell, Path("this cell"))
    if row.function not in source.defined(tree):
        found = ", ".join(sorted(source.defined(tree))) or "nothing"
        raise CheckFailed(f"✗ The cell must define `{row.function}`; it defines {found}. {path.name} is unchanged.")
    text = path.read_text(encoding="utf-8")
    source.parse(text, path)
    old = editing.get(text, row.function)
    if os.environ.get("NBGRADER_EXECUTION") and not is_stub(row, old):
        print(f"{row.name}: {path.name} holds an answer already; this cell changes nothing while grading.")
        return
    new, extra = _parts(tree, cell, row)
    if not forced and not is_stub(row, old) and _digest(old) != _remembered(path).get(row.name) and old != new:
        lines = difflib.unified_diff(old.split("\n"), new.split("\n"), path.name, "this cell", lineterm="")
        raise CheckFailed(
            f"✗ `{row.function}` was edited in {path} since a cell last wrote it, so nothing was changed:\n\n"
            + "\n".join(lines)
            + f"\n\n`%implement {row.name}` brings the file's version into a cell; `%%implement {row.name} --force` "
            "writes this cell over it."
        )
    text = editing.put(text, row.function, new)
    for node in extra:
        text = _with_extra(text, node, cell)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    _remember(path, row.name, _digest(editing.get(text, row.function)))


def is_stub(row: Exercise, own: str) -> bool:
    """Whether a function is still to be written."""
    return f'raise NotImplementedError("{row.name}")' in own and "# YOUR CODE HERE" in own


def _parts(tree: ast.Module, cell: str, row: Exercise) -> tuple[str, list[ast.stmt]]:
    """The exercise's own text in the cell, and the imports, functions and constants beside it."""
    extra = [n for n in tree.body if getattr(n, "name", None) != row.function
             and not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
    allowed = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign
    odd = [n for n in extra if not isinstance(n, allowed)]
    if odd:
        raise CheckFailed(
            f"✗ Line {odd[0].lineno} of the cell does something besides defining. Keep here only `{row.function}`, "
            "imports, helper functions and constants; try things out in another cell."
        )
    return editing.get(cell, row.function), extra


def _with_extra(text: str, node: ast.stmt, cell: str) -> str:
    """Add an import, helper or constant of the cell to the file, unless it is there; renew a changed helper."""
    lines = cell.split("\n")
    code = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        code = editing.get(cell, node.name)
        try:
            return editing.put(text, node.name, code) if editing.get(text, node.name) != code else text
        except LookupError:
            pass
    elif any(ast.dump(node) == ast.dump(n) for n in ast.parse(text).body):
        return text
    body = ast.parse(text).body
    place = max((n.end_lineno or 0 for n in body if isinstance(n, ast.Import | ast.ImportFrom)), default=0)
    place = place or (body[0].end_lineno or 0)
    before = text.split("\n")
    blank = [] if isinstance(node, ast.Import | ast.ImportFrom) else ["", ""]
    return "\n".join([*before[:place], *blank, code, *before[place:]])


def _offer(row: Exercise, path: Path) -> None:
    from IPython import get_ipython

    text = editing.get(path.read_text(encoding="utf-8"), row.function)
    shell = get_ipython()
    if shell is None:
        raise CheckFailed("✗ %implement works in a notebook.")
    _remember(path, row.name, _digest(text))
    shell.set_next_input(f"%%implement {row.name}\n{text}", replace=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _memory(path: Path) -> Path:
    return path.parent.parent / ".course" / "implement.json"


def _remembered(path: Path) -> dict[str, str]:
    try:
        return json.loads(_memory(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _remember(path: Path, name: str, digest: str) -> None:
    known = _remembered(path) | {name: digest}
    goal = _memory(path)
    goal.parent.mkdir(parents=True, exist_ok=True)
    goal.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
