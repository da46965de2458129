"""Edit a learner's file by function: find one, take it, replace it, and leave every other byte as it is."""
import ast
import re
from pathlib import Path

from autograder import source
from autograder.strip import ROOT, regions, strip
from autograder.table import Exercise

FROM_SOLUTIONS = "# from solutions/"
TODO = re.compile(r'^( *)(?:# YOUR CODE HERE\n *)?raise NotImplementedError\("([\w.]+)"\)\n?', re.M)


def span(text: str, name: str) -> tuple[int, int]:
    """First and one past the last line (from 0) of a function, class or method, decorators included.

    Raises:
        LookupError: the text has none of that name (`attend`, `MultiHeadAttention.forward`).
    """
    nodes, node = ast.parse(text).body, None
    for part in name.split("."):
        named = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == part]
        if not named:
            raise LookupError(f"there is no `{name}`")
        node = named[-1]
        nodes = node.body
    assert node is not None and node.end_lineno is not None
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return first - 1, node.end_lineno


def get(text: str, name: str) -> str:
    """The text of a function, class or method, without its last line break."""
    start, end = span(text, name)
    return "\n".join(text.split("\n")[start:end])


def put(text: str, name: str, new: str) -> str:
    """Return the text with a function, class or method replaced; one that is not there is added at the end."""
    lines = text.split("\n")
    try:
        start, end = span(text, name)
    except LookupError:
        return text.rstrip("\n") + "\n\n\n" + new.rstrip("\n") + "\n"
    return "\n".join(lines[:start] + new.rstrip("\n").split("\n") + lines[end:])


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
        try:
            own, stub = get(text, name), get(stub_text(exercise.module), name)
        except LookupError:
            continue
        if own == stub:
            indent = region[: len(region) - len(region.lstrip(" "))]
            new = TODO.sub(lambda _, i=indent, r=region: f"{i}{FROM_SOLUTIONS}\n{r}", own + "\n", count=1)  # type: ignore[misc]
            text, count = put(text, name, new), count + 1
    return text, count


def keep_backup(path: Path, stamp: str) -> Path:
    """Copy a file to .course/backups beside gptlib/ and return where it is."""
    goal = path.parent.parent / ".course" / "backups" / stamp / path.name
    goal.parent.mkdir(parents=True, exist_ok=True)
    goal.write_bytes(path.read_bytes())
    return goal
