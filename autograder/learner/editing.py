"""Edit a learner's file by function: find one, take it, replace it, and leave every other byte as it is."""
import ast
import re
from pathlib import Path

from autograder import source
from autograder.strip import ROOT, regions, strip
from autograder.table import Exercise

FROM_SOLUTIONS = "# from solutions/"
TODO = re.compile(r'^( *)(?:# YOUR CODE HERE\n *)?raise NotImplementedError\("([\w.]+)"\)\n?', re.M)
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # what Python calls a line; str.splitlines knows more ends
BYTE_ORDER_MARK = "\ufeff"


def read(path: Path) -> str:
    """The text of a file with its own line ends and byte order mark, so that `write` can leave them alone.

    Raises:
        Unusable: it cannot be opened, is not UTF-8, or is not Python.
    """
    source.parse(source.read(path), path)
    return path.read_bytes().decode("utf-8")


def write(path: Path, text: str) -> None:
    """Put a text into a file, all of it or, should the disk be full, nothing."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(text.encode("utf-8"))
    part.replace(path)


def span(text: str, name: str) -> tuple[int, int]:
    """First and one past the last line (from 0) of a function, class, method or constant, decorators included.

    Raises:
        LookupError: the text has none of that name (`attend`, `MultiHeadAttention.forward`).
    """
    nodes, node = ast.parse(text.removeprefix(BYTE_ORDER_MARK)).body, None
    for part in name.split("."):
        bound = [n for n in nodes if name_of(n) == part]
        if not bound:
            raise LookupError(f"there is no `{name}`")
        node = bound[-1]  # the last one is what Python uses
        nodes = getattr(node, "body", [])
    assert node is not None and node.end_lineno is not None
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return first - 1, node.end_lineno


def name_of(node: ast.stmt) -> str | None:
    """The one name that a definition or an assignment binds; None for any other statement."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def get(text: str, name: str) -> str:
    """The text of a function, class, method or constant: plain line ends, none after the last line."""
    start, end = span(text, name)
    return "\n".join(line.rstrip("\r\n") for line in LINE.findall(text)[start:end])


def find(text: str, name: str) -> str | None:
    """The same as `get`, or None where the text has none of that name."""
    try:
        return get(text, name)
    except LookupError:
        return None


def put(text: str, name: str, new: str) -> str:
    """Return the text with a definition replaced; a top-level one that is not there is added at the end.

    Raises:
        LookupError: the name is a method's, and there is none.
    """
    try:
        start, end = span(text, name)
    except LookupError:
        if "." in name:
            raise
        rest = text.rstrip("\r\n")
        return insert(rest, len(LINE.findall(rest)), "\n\n" + new.rstrip("\n"))
    lines = LINE.findall(text)
    last = lines[end - 1][len(lines[end - 1].rstrip("\r\n")) :]
    body = line_end(text).join(new.rstrip("\n").split("\n")) + last
    return "".join([*lines[:start], body, *lines[end:]])


def insert(text: str, place: int, new: str) -> str:
    """Return the text with the lines of `new` put in before line `place` (from 0)."""
    lines, end = LINE.findall(text), line_end(text)
    if place == len(lines) and lines and not lines[-1].endswith(("\r", "\n")):
        lines[-1] += end
    return "".join([*lines[:place], *(line + end for line in new.split("\n")), *lines[place:]])


def line_end(text: str) -> str:
    """How the lines of a text end: as most of them do."""
    return "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"


def is_stub(own: str, exercise: str) -> bool:
    """Whether a function, class or method still holds the line that a learner replaces."""
    return f'raise NotImplementedError("{exercise}")' in own and "# YOUR CODE HERE" in own


def untouched(own: str, exercise: Exercise) -> bool:
    """Whether an exercise's text is its stub, comments and layout aside."""
    try:
        stub = get(stub_text(exercise.module), exercise.function)
    except source.Unusable:  # a released assignment has no solutions to compare with
        return is_stub(own, exercise.name)
    return ast.dump(ast.parse(own)) == ast.dump(ast.parse(stub))


def answers(exercise: Exercise) -> dict[str, str]:
    """The solution regions of an exercise by function name.

    Raises:
        Unusable: there is no folder solutions/ here (a released assignment).
    """
    found = regions(solution_text(exercise.module))
    return {name: region for name, region in found.items() if name.split(".")[0] == exercise.function}


def solution_text(module: str) -> str:
    """The text of solutions/<module>.py."""
    path = ROOT / "solutions" / f"{module}.py"
    if not path.exists():
        raise source.Unusable("There are no solutions here: this works in a clone of the course only.")
    return path.read_text(encoding="utf-8")


def stub_text(module: str) -> str:
    """The text of the module's stub, as the course ships it."""
    return strip(solution_text(module), module)


def filled(text: str, exercise: Exercise) -> tuple[str, int]:
    """Put the solution into each function of an exercise that is not begun; return the text and how many."""
    known, count = answers(exercise), 0
    for name, region in known.items():
        own = find(text, name)
        if own is not None and own == find(stub_text(exercise.module), name):
            indent = region[: len(region) - len(region.lstrip(" "))]
            new = TODO.sub(lambda _, i=indent, r=region: f"{i}{FROM_SOLUTIONS}\n{r}", own + "\n", count=1)  # type: ignore[misc]
            text, count = put(text, name, new), count + 1
    return text, count


def keep_backup(path: Path, stamp: str) -> Path:
    """Copy a file to .course/backups beside gptlib/ and return where it is; no backup is ever written over."""
    store = path.parent.parent / ".course" / "backups"
    names = (stamp if i == 1 else f"{stamp}-{i}" for i in range(1, 10_000))
    goal = next(g for g in (store / name / path.name for name in names) if not g.exists())
    goal.parent.mkdir(parents=True, exist_ok=True)
    goal.write_bytes(path.read_bytes())
    return goal
