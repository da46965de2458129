"""`%%implement attention.attend`: write an exercise in a notebook cell; the file stays the truth.

What the cell defines goes into gptlib/<module>.py in place of what is there. If that was edited since a cell
last wrote it, nothing is written and the difference is shown.
"""
import ast
import difflib
import hashlib
import json
import os
import textwrap
import time
from pathlib import Path
from typing import Any

from autograder import source
from autograder.learner import editing
from autograder.table import Exercise, exercise, exercises


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
    from autograder.runner import check

    words = line.split()
    names = [w for w in words if w != "--force"]
    if len(names) != 1:
        raise _refusal(f"Name one exercise: %%implement attention.attend\nThere are {', '.join(exercises())}.")
    try:
        row = exercise(names[0])
    except LookupError as error:
        raise _refusal(error.args[0]) from None
    try:
        path = source.path_of(row.module)
        if cell is None:
            _offer(row, path)
            return
        write(row, path, cell, "--force" in words)
    except source.Unusable as error:
        raise _refusal(str(error)) from None
    except OSError as error:
        raise _refusal(f"{error.filename or row.module} cannot be written: {error.strerror}.") from None
    check(row.name)


def write(row: Exercise, path: Path, cell: str, forced: bool = False) -> None:
    """Put the cell's code into the file.

    Raises:
        CheckFailed: see `implement`; the file is unchanged then.
        Unusable: the cell or the file is not Python; the file is unchanged then.
    """
    tree = source.parse(cell, Path("this cell"))
    text = editing.read(path)
    own = editing.find(text, row.function)
    if os.environ.get("NBGRADER_EXECUTION") and not (own and editing.is_stub(own, row.name)):
        print(f"{row.name}: {path.name} holds an answer already; this cell changes nothing while grading.")
        return
    pieces = _pieces(tree, cell, row, own)
    edited = _edited(row, path, text, pieces)
    if edited and not forced:
        raise _refusal(_show(row, path, editing.get(text, edited[0]), pieces[edited[0]], edited[0]))
    new = _with_imports(_with_pieces(text, row, pieces), tree)
    try:
        compile(new.removeprefix(editing.BYTE_ORDER_MARK), str(path), "exec")
    except SyntaxError as error:
        raise _refusal(f"With this cell Python could not use {path.name}: {error.msg}. Nothing was changed.") from None
    if edited:
        print(f"The file as it was: {editing.keep_backup(path, time.strftime('%Y%m%d-%H%M%S-implement'))}")
    names = {*pieces, row.function} if _is_ours(row, path, own) else set(pieces)
    editing.write(path, new)
    _remember(path, {f"{row.module}.{name}": _digest(editing.get(new, name)) for name in names})


def _pieces(tree: ast.Module, cell: str, row: Exercise, own: str | None) -> dict[str, str]:
    """What the cell defines, by name in the file and in the cell's order: the exercise, helpers, constants."""
    pieces = {}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_text(node):
            continue
        name = editing.name_of(node)
        if name is None:
            raise _refusal(
                f"Line {node.lineno} of the cell does something besides defining. Keep here only `{row.function}`, "
                "imports, helper functions and constants; try things out in another cell."
            )
        if name != row.function and f"{row.module}.{name}" in exercises():
            raise _refusal(
                f"The cell also defines `{name}`, which is another exercise. Nothing was changed: give it a cell of "
                f"its own that begins with %%implement {row.module}.{name}"
            )
        pieces[name] = editing.get(cell, name)
    if row.function in pieces:
        return pieces
    methods = _methods(own or "")
    if pieces and set(pieces) <= methods:
        return {f"{row.function}.{name}": textwrap.indent(code, "    ") for name, code in pieces.items()}
    wanted = " or ".join(f"`{name}`" for name in (row.function, *(m for m in sorted(methods) if m != "__init__")))
    raise _refusal(f"The cell must define {wanted}; it defines {', '.join(pieces) or 'nothing'}. Nothing was changed.")


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _methods(own: str) -> set[str]:
    classes = [node for node in ast.parse(own).body if isinstance(node, ast.ClassDef)]
    return {n.name for node in classes for n in node.body if isinstance(n, ast.FunctionDef)}


def _edited(row: Exercise, path: Path, text: str, pieces: dict[str, str]) -> list[str]:
    """Those names whose text in the file neither a cell wrote nor the course."""
    if _is_ours(row, path, editing.find(text, row.function)):
        pieces = {name: code for name, code in pieces.items() if name.split(".")[0] != row.function}
    known, found = _remembered(path), []
    for name, new in pieces.items():
        old = editing.find(text, name)
        stub = name.startswith(f"{row.function}.") and _stub(row, name) == old
        if old not in (None, new) and _digest(str(old)) != known.get(f"{row.module}.{name}") and not stub:
            found.append(name)
    return found


def _is_ours(row: Exercise, path: Path, own: str | None) -> bool:
    """Whether the exercise's text in the file is the course's stub, or what a cell wrote last."""
    stub = _stub(row, row.function)
    is_stub = own is not None and (own == stub if stub is not None else editing.is_stub(own, row.name))
    return own is None or is_stub or _digest(own) == _remembered(path).get(row.name)


def _stub(row: Exercise, name: str) -> str | None:
    """The stub as the course ships it; None in a released assignment, which has no solutions to tell."""
    try:
        return editing.find(editing.stub_text(row.module), name)
    except source.Unusable:
        return None


def _show(row: Exercise, path: Path, old: str, new: str, name: str) -> str:
    lines = difflib.unified_diff(old.split("\n"), new.split("\n"), path.name, "this cell", lineterm="")
    return (
        f"`{name}` was edited in {path} since a cell last wrote it, so nothing was changed:\n\n"
        + "\n".join(lines)
        + f"\n\n`%implement {row.name}` brings the file's version into a cell; `%%implement {row.name} --force` "
        "writes this cell over it (and keeps a copy of the file)."
    )


def _with_pieces(text: str, row: Exercise, pieces: dict[str, str]) -> str:
    """Replace what is there; put what is new before the exercise, in the cell's order, so that it can be used."""
    for name, code in pieces.items():
        if editing.find(text, name) is not None or name == row.function:
            text = editing.put(text, name, code)
        elif editing.find(text, row.function) is None:
            text = editing.put(text, name, code)
        else:
            text = editing.insert(text, editing.span(text, row.function)[0], f"{code}\n\n")
    return text


def _with_imports(text: str, tree: ast.Module) -> str:
    """Add the cell's imports to the head of the file, without those that stand there already."""
    there = {a for node in ast.parse(text.removeprefix(editing.BYTE_ORDER_MARK)).body for a in _imported(node)}
    for node in tree.body:
        for code in _imported(node):
            if code not in there:
                text = editing.insert(text, _head(text, code.startswith("from __future__")), code)
    return text


def _imported(node: ast.stmt) -> list[str]:
    """The names a statement imports, each as a line of its own."""
    if isinstance(node, ast.Import):
        return [ast.unparse(ast.Import([a])) for a in node.names]
    if isinstance(node, ast.ImportFrom):
        return [ast.unparse(ast.ImportFrom(node.module, [a], node.level)) for a in node.names]
    return []


def _head(text: str, future: bool) -> int:
    """The line (from 0) after the module's docstring and, but for `__future__`, the imports below it."""
    place = 0
    for i, node in enumerate(ast.parse(text.removeprefix(editing.BYTE_ORDER_MARK)).body):
        if not (i == 0 and _is_text(node)) and (future or not _imported(node)):
            break
        place = node.end_lineno or place
    return place


def _offer(row: Exercise, path: Path) -> None:
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise _refusal("%implement works in a notebook.")
    text = editing.find(editing.read(path), row.function)
    if text is None:
        raise _refusal(f"{path.name} has no `{row.function}`; `python -m autograder reset {row.name}` puts it back.")
    _remember(path, {row.name: _digest(text)})
    shell.set_next_input(f"%%implement {row.name}\n{text}", replace=True)


def _refusal(text: str) -> AssertionError:
    from autograder.runner import CheckFailed  # only now: it imports PyTorch, which loading the magic need not

    return CheckFailed(f"✗ {text}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _memory(path: Path) -> Path:
    return path.parent.parent / ".course" / "implement.json"


def _remembered(path: Path) -> dict[str, str]:
    try:
        known = json.loads(_memory(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(path: Path, digests: dict[str, str]) -> None:
    goal = _memory(path)
    goal.parent.mkdir(parents=True, exist_ok=True)
    goal.write_text(json.dumps(_remembered(path) | digests, indent=1, sort_keys=True) + "\n", encoding="utf-8")
