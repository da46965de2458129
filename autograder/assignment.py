"""One assignment: the files a learner gets for a chapter, and nothing that gives an answer away."""
import ast
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from autograder.course_config import Points
from autograder.strip import REGION, STUB, reference, regions
from autograder.table import Chapter

ROOT = Path(__file__).parents[1]
CHECK = re.compile(r"""check\(\s*["']([\w.]+)["']\s*(?:,\s*["'](\w+)["'])?\s*\)""")
TOOLS = ("__main__", "submit")  # so that `python -m autograder submit` works in the folder
NEVER = ("course", "assignment", "leaks", "hidden")
FILLED_IN = "*Given in this course: this function comes filled in, and its check carries no points.*"


def files(chapter: Chapter, points: Mapping[str, Points], root: Path = ROOT) -> dict[str, bytes]:
    """Every file of an assignment by its path in the folder.

    Args:
        chapter: its row of the table.
        points: the exercises that are set, with their points; the others of the chapter come filled in.
        root: the repository.

    Raises:
        ValueError: the notebook lacks a grade cell, or something imports a module that is not there.
    """
    cells = notebook(root / "chapters" / f"{chapter.name}.ipynb", points)
    found = {f"{chapter.name}.ipynb": dump(cells)}
    found |= library(chapter, points, root)
    found |= grader(chapter, points, root, [*TOOLS, *imported(_code(cells), "autograder")])
    _must_hold(found, imported(_code(cells)), f"{chapter.name}.ipynb")
    return dict(sorted(found.items()))


def notebook(path: Path, points: Mapping[str, Points]) -> dict[str, Any]:
    """The chapter's notebook without its answers, its grade cells worth what the course says."""
    if not path.exists():
        raise ValueError(f"there is no {path}: write the notebooks with `python -m chapters._book notebooks`")
    book = json.loads(path.read_text(encoding="utf-8"))
    cells, seen = [], set()
    for cell in book["cells"]:
        if "answer" in cell["metadata"].get("tags", ()):
            continue
        if "nbgrader" in cell["metadata"]:
            exercise, suite = _graded(cell, path)
            if exercise in points:
                cell["metadata"]["nbgrader"]["points"] = getattr(points[exercise], suite)
                seen.add((exercise, suite))
            elif suite == "hidden":
                continue
            else:
                del cell["metadata"]["nbgrader"]
                cells.append(_note(cell))
        cells.append(cell)
    for wanted in [(e, s) for e in points for s in ("visible", "hidden")]:
        if wanted not in seen:
            raise ValueError(f"{path} has no {wanted[1]} grade cell of {wanted[0]}; generate the notebooks again")
    book["cells"] = cells
    return book


def _graded(cell: dict[str, Any], path: Path) -> tuple[str, str]:
    match = CHECK.search("".join(cell["source"]))
    if match is None:
        raise ValueError(f"{path}: the grade cell {cell['metadata']['nbgrader']['grade_id']} calls no check(…)")
    return match[1], match[2] or "visible"


def _note(cell: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": f"{cell['id'][:58]}-given", "metadata": {}, "source": FILLED_IN}


def dump(book: Mapping[str, Any]) -> bytes:
    """A notebook as the bytes of its file."""
    return (json.dumps(book, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def library(chapter: Chapter, points: Mapping[str, Points], root: Path = ROOT) -> dict[str, bytes]:
    """gptlib/ of an assignment: this chapter's stub, what it requires, the given modules, and nothing later."""
    source = root / "solutions"
    given = {p.stem for p in source.glob("*.py") if not regions(p.read_text(encoding="utf-8"))}
    found = {}
    for module in sorted(given | set(chapter.requires) | {chapter.module}):
        text = (source / f"{module}.py").read_text(encoding="utf-8")
        text = stub(text, module, points) if module == chapter.module else reference(text)
        found[f"gptlib/{module}.py"] = text.encode()
    for path in sorted((source / "js").glob("*.*")):
        found[f"gptlib/js/{path.name}"] = path.read_bytes()
    for name in sorted(n for n in found if n.endswith(".py")):
        _must_hold(found, imported(found[name].decode()), name)
    return found


def stub(text: str, module: str, exercises: Iterable[str]) -> str:
    """A module in which only the named exercises are still to write."""
    wanted, names = set(exercises), iter(regions(text))

    def replace(match: re.Match[str]) -> str:
        name = f"{module}.{next(names).split('.')[0]}"
        return STUB.format(indent=match[1], exercise=name) if name in wanted else match[2]

    return REGION.sub(replace, text)


def grader(
    chapter: Chapter, points: Mapping[str, Points], root: Path = ROOT, roots: Iterable[str] = ()
) -> dict[str, bytes]:
    """autograder/ of an assignment: what `check`, its checks and the modules `roots` need, and its visible checks."""
    folder, name = root / "autograder", f"visible/{chapter.module}.py"
    checks = [path for kind in ("visible", "hidden") if (path := folder / kind / f"{chapter.module}.py").exists()]
    used = [module for path in checks for module in imported(path.read_text(encoding="utf-8"), "autograder")]
    found = {f"autograder/{p.name}": p.read_bytes() for p in needed(folder, [*roots, *used])}
    found["autograder/visible/__init__.py"] = (folder / "visible" / "__init__.py").read_bytes()
    found[f"autograder/{name}"] = (folder / name).read_bytes()
    found["autograder/exercises.toml"] = table(chapter, points).encode()
    if (folder / "fingerprints.json").exists():
        known = json.loads((folder / "fingerprints.json").read_text(encoding="utf-8"))
        known["exercises"] = {n: v for n, v in known["exercises"].items() if n in points}
        found["autograder/fingerprints.json"] = json.dumps(known, sort_keys=True).encode()
    return found


def needed(folder: Path, roots: Iterable[str] = ()) -> list[Path]:
    """The files of autograder/ that the package and the modules `roots` reach, but for the instructor's own."""
    found: dict[str, Path] = {}
    waiting = ["__init__", *roots]
    while waiting:
        name = waiting.pop()
        path = folder / f"{name}.py"
        if name in found or name.startswith(NEVER) or not path.exists():
            continue
        found[name] = path
        waiting += imported(path.read_text(encoding="utf-8"), "autograder")
    return [found[name] for name in sorted(found)]


def table(chapter: Chapter, points: Mapping[str, Points]) -> str:
    """exercises.toml of an assignment: its own exercises with the course's points."""
    lines = [f'["{chapter.name}"]', f'module = "{chapter.module}"', f"title = {json.dumps(chapter.title)}"]
    lines.append(f"requires = {json.dumps(list(chapter.requires))}")
    for exercise in chapter.exercises:
        worth = points.get(exercise.name, Points(0, 0))
        lines += ["", f'["{chapter.name}".exercises."{exercise.name}"]']
        for key in ("title", "minutes", "difficulty", "importance", "see"):
            lines.append(f"{key} = {json.dumps(getattr(exercise, key), ensure_ascii=False)}")
        lines += [f"visible = {worth.visible}", f"hidden = {worth.hidden}"]
    return "\n".join(lines) + "\n"


def imported(code: str, package: str = "gptlib") -> list[str]:
    """Modules of `package` that some code imports, relatively or by name."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith(f"{package}.")}
        elif isinstance(node, ast.ImportFrom):
            inside = (node.module or "").split(".")
            if node.level == 1 or inside[0] == package:
                rest = inside if node.level == 1 else inside[1:]
                found |= {rest[0]} if rest and rest[0] else {a.name for a in node.names}
    return sorted(found)


def _code(book: Mapping[str, Any]) -> str:
    """The notebook's Python, without cells that only IPython understands."""
    texts = []
    for cell in book["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            try:
                ast.parse(text)
            except SyntaxError:
                continue
            texts.append(text)
    return "\n".join(texts)


def _must_hold(found: Mapping[str, bytes], modules: Iterable[str], who: str) -> None:
    init = found.get("gptlib/__init__.py", b"").decode()
    for module in modules:
        if f"gptlib/{module}.py" not in found and not re.search(rf"\b{module}\b", init):
            raise ValueError(f"{who} imports gptlib.{module}, which the assignment lacks: add it to `requires`")

