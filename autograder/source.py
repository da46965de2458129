"""Find, parse and load the file that holds an exercise, with messages a beginner understands."""
import ast
import functools
import importlib
import importlib.util
import linecache
import sys
import types
from pathlib import Path
from typing import Any

from autograder.table import Exercise


class Unusable(Exception):
    """The file cannot be checked as it is; the message says why and where."""


def path_of(module: str) -> Path:
    """The file of `gptlib.<module>` that this Python would import.

    Raises:
        Unusable: there is no gptlib here, or it has no such module.
    """
    spec = importlib.util.find_spec("gptlib")
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise Unusable("gptlib is not installed here. Run the set-up cell at the top of the notebook first.")
    path = Path(places[0]) / f"{module}.py"
    if not path.exists():
        raise Unusable(f"{path} is missing. Put the file back (for example with `git checkout {path}`).")
    return path


def read(path: Path) -> str:
    """The text of a file as Python would read it: UTF-8, with or without a byte order mark, any line ends.

    Raises:
        Unusable: it cannot be opened, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        raise Unusable(
            f"{path.name} is not saved as UTF-8 (line {line} holds another kind of character). "
            "Choose the encoding UTF-8 in your editor and save the file again."
        ) from None
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}.") from None


def load(exercise: Exercise) -> tuple[Any, Path]:
    """Load what the file says now and return the exercise's function or class, and the file.

    The module object is kept and refilled, so that `from gptlib import attention` in a notebook sees the
    new code; bytecode caches play no part, so an edit within the same second counts.

    Raises:
        Unusable: syntax error, error while importing, or the function is not there.
    """
    path = path_of(exercise.module)
    text = read(path)
    tree, code = compiled(text, path)
    if exercise.function not in defined(tree):
        raise Unusable(
            f"{path.name} has no `{exercise.function}` (any more). Its name must not change; "
            f"`python -m autograder reset {exercise.name}` puts the empty exercise back."
        )
    name = f"gptlib.{exercise.module}"
    module = sys.modules.get(name) or _empty_module(name, path)
    linecache.checkcache(str(path))
    try:
        exec(code, module.__dict__)
    except NotImplementedError as error:
        raise Unusable(
            f"{path.name} calls the exercise {error} while it is being imported. "
            "Keep calls inside functions, or write that exercise first."
        ) from error
    except Exception as error:
        raise Unusable(
            f"{path.name} cannot be imported: {type(error).__name__}: {error}\n{blame(error, path)}"
            "Python runs the whole file when it imports it; look at this line first."
        ) from error
    return getattr(module, exercise.function), path


@functools.lru_cache(maxsize=16)
def compiled(text: str, path: Path) -> tuple[ast.Module, types.CodeType]:
    """A file's tree and its code, once for the same text."""
    tree = parse(text, path)
    try:
        return tree, compile(text, str(path), "exec")
    except SyntaxError as error:  # what only the compiler finds: `return` outside a function
        raise Unusable(f"{path.name} cannot be imported: SyntaxError: {error}") from None


def parse(text: str, path: Path) -> ast.Module:
    """Parse a file, or say where Python stopped understanding it."""
    try:
        return ast.parse(text, str(path))
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unusable(f"Python cannot read {path.name}: {error or 'it nests too deeply'}.") from None
    except SyntaxError as error:
        if error.lineno is None:
            raise Unusable(f"Python cannot read {path.name}: {error.msg}.") from None
        line = (error.text or "").rstrip("\n")
        caret = " " * max((error.offset or 1) - 1, 0) + "^"
        raise Unusable(
            f"Python cannot read {path.name}: {error.msg} (line {error.lineno}).\n    {line}\n    {caret}\n"
            "Look at this line and the one above: a missing bracket, colon or indent is the usual cause."
        ) from None


def defined(tree: ast.Module) -> set[str]:
    """Names that the top level of a module binds."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {a.asname or a.name for a in node.names}
    return names


def blame(error: BaseException, path: Path) -> str:
    """The innermost line of the learner's file that led to `error`, or an empty string."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            lines.append((trace.tb_lineno, trace.tb_frame.f_code.co_name))
        trace = trace.tb_next
    if not lines:
        return ""
    number, function = lines[-1]
    linecache.checkcache(str(path))
    code = linecache.getline(str(path), number).strip()
    return f"  {path.name}, line {number}, in {function}:\n      {code}\n"


def source_of(exercise: Exercise, path: Path, longest: int = 60) -> str:
    """The text of the exercise's function or class in the file, cut after `longest` lines."""
    text = read(path)
    for node in compiled(text, path)[0].body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == exercise.function:
            lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
            return "\n".join(lines[:longest] + (["…"] if len(lines) > longest else []))
    return ""


def _empty_module(name: str, path: Path) -> types.ModuleType:
    package = importlib.import_module("gptlib")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    setattr(package, name.split(".")[1], module)
    return module
