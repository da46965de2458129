"""Turn the reference modules of solutions/ into stubs, or into the complete library.

A solution region lies between the lines `# BEGIN SOLUTION` and `# END SOLUTION`, inside one function
or method. The exercise is named after the module and the outermost function or class.
"""
import ast
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

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


def generate(transform: Callable[[str, str], str], target: Path, source: Path = ROOT / "solutions") -> list[Path]:
    """Write `transform(text, module)` of each module of `source` to `target`, and copy what is no module.

    Only files whose text changes are written, so that a running kernel's autoreload stays quiet.
    """
    written = []
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.py")):
        text = transform(path.read_text(encoding="utf-8"), path.stem)
        goal = target / path.name
        if not goal.exists() or goal.read_text(encoding="utf-8") != text:
            goal.write_text(text, encoding="utf-8")
            written.append(goal)
    for path in sorted((source / "js").glob("*.*")):
        goal = target / "js" / path.name
        if not goal.exists() or goal.read_bytes() != path.read_bytes():
            goal.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, goal)
            written.append(goal)
    for path in (*target.glob("*.py"), *target.glob("js/*")):
        if not (source / path.relative_to(target)).exists():
            path.unlink()
    return written


def build_reference(target: Path = ROOT / "build" / "reference" / "gptlib") -> Path:
    """Write the complete library (markers off); return the folder to put on PYTHONPATH."""
    generate(lambda text, module: reference(text), target)
    return target.parent


def main(argv: list[str]) -> int:
    """Generate gptlib/ (the stubs) and build/reference/gptlib (the complete library) from solutions/."""
    if argv:
        print(f"strip takes no argument, got {' '.join(argv)}")
        return 2
    for path in generate(strip, ROOT / "gptlib"):
        print(f"wrote {path.relative_to(ROOT)}")
    print(f"reference: {build_reference()}")
    return 0
