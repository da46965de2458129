"""Turn the modules of solutions/ into stubs, or with the given files of gptlib/ into the complete library.

A solution region lies between the lines `# BEGIN SOLUTION` and `# END SOLUTION`, inside one function
or method. The exercise is named after the module and the outermost function or class.
"""
import ast
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from autograder import given

ROOT = Path(__file__).parents[1]
BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
REGION = re.compile(rf"^( *){BEGIN}\n(.*?)^ *{END}\n", re.M | re.S)
STUB = '{indent}# YOUR CODE HERE\n{indent}raise NotImplementedError("{exercise}")\n'


def regions(text: str) -> dict[str, str]:
    """Map each function that holds a solution (`attend`, `MultiHeadAttention.forward`) to its region.

    Raises:
        ValueError: a marker has no partner, regions nest, or a function has two or none around it.
    """
    owners = {line: name for name, lines in functions(ast.parse(text)) for line in lines}
    found: dict[str, str] = {}
    for match in REGION.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        name = owners.get(line)
        if BEGIN in match[2]:
            raise ValueError(f"line {line}: a solution region begins inside another")
        if name is None or owners.get(line + match[0].count("\n") - 2) != name:
            raise ValueError(f"line {line}: a solution region must lie inside one function")
        if name in found:
            raise ValueError(f"line {line}: {name} has two solution regions, one is allowed")
        found[name] = match[2]
    if text.count(BEGIN) != len(found) or text.count(END) != len(found):
        raise ValueError(f"a {BEGIN} or {END} line has no partner")
    return found


def strip(text: str, module: str) -> str:
    """Return the learner's stub of a reference module: each region gives way to NotImplementedError."""
    names = iter(regions(text))
    return REGION.sub(
        lambda m: STUB.format(indent=m[1], exercise=f"{module}.{next(names).split('.')[0]}"), text
    )


def reference(text: str) -> str:
    """Return a reference module without its markers."""
    regions(text)
    return REGION.sub(lambda m: m[2], text)


def functions(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, range]]:
    """Yield every function and method with the lines it covers, e.g. ("MultiHeadAttention.forward", …)."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield f"{outer}{node.name}", range(node.lineno, (node.end_lineno or node.lineno) + 1)
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{outer}{node.name}.")


def modules(source: Path = ROOT / "solutions") -> dict[str, str]:
    """The text of every module that learners write, with its markers, by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(source.glob("*.py"))}


def write_stubs(target: Path = ROOT / "gptlib", source: Path = ROOT / "solutions") -> list[Path]:
    """Write the stub of each module to `target`, remove stubs whose module is gone, and list what changed."""
    stubs = {f"{name}.py": strip(text, name).encode() for name, text in modules(source).items()}
    written = _write(stubs, target)
    for path in target.glob("*.py"):
        if path.name not in stubs and path.name != "__init__.py":
            path.unlink()
    return written


def write_library(target: Path, transform: Callable[[str, str], str], root: Path = ROOT) -> list[Path]:
    """Write a whole gptlib to `target`: the given files, and `transform(text, name)` of each module.

    Raises:
        Edited: a given file is not as the course has it.
    """
    made = {f"{name}.py": transform(text, name).encode() for name, text in modules(root / "solutions").items()}
    found = {**given.files(root), **made}
    written = _write(found, target)
    for path in target.rglob("*.*"):
        if path.is_file() and "__pycache__" not in path.parts and path.relative_to(target).as_posix() not in found:
            path.unlink()
    return written


def _write(files: Mapping[str, bytes], target: Path) -> list[Path]:
    """Write files; only those whose content changes, so that a running kernel and caches stay quiet."""
    written = []
    for name, data in files.items():
        goal = target / name
        if not goal.exists() or goal.read_bytes() != data:
            goal.parent.mkdir(parents=True, exist_ok=True)
            goal.write_bytes(data)
            written.append(goal)
    return written


def build_reference(target: Path = ROOT / "build" / "reference" / "gptlib") -> Path:
    """Write the complete library (markers off); return the folder to put on PYTHONPATH.

    Raises:
        Edited: a given file is not as the course has it.
    """
    write_library(target, lambda text, module: reference(text))
    return target.parent


def main(argv: list[str]) -> int:
    """Generate the stubs in gptlib/ and the complete library in build/reference from solutions/ and what is given."""
    if argv:
        print(f"strip takes no argument, got {' '.join(argv)}")
        return 2
    for path in write_stubs():
        print(f"wrote {path.relative_to(ROOT)}")
    if given.write_list():
        print(f"wrote {given.LIST}")
    print(f"reference: {build_reference()}")
    return 0
