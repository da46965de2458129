"""One assignment: the files a learner gets for a chapter, and nothing that gives an answer away."""
import ast
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from autograder import given
from autograder.capstone import MARK, Capstone, is_loss
from autograder.course import imports
from autograder.course.config import Points
from autograder.strip import REGION, ROOT, STUB, reference, regions
from autograder.table import Chapter

CHECK = re.compile(r"""check\(\s*["']([\w.]+)["']\s*(?:,\s*["'](\w+)["'])?\s*\)""")
TOOLS = ("__main__.py", "learner/submit.py")  # so that `python -m autograder submit` works in the folder
NEVER = ("course", "engine", "review", "hidden", "mistakes", "alternatives")  # packages that no learner gets
BY_CHAPTER = ("capstone", "figures", "weights")  # packages of gptlib of which an assignment has what its chapter uses
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
    code = _code(cells)
    found = {f"{chapter.name}.ipynb": dump(cells)}
    found |= {f"gptlib/{name}": data for name, data in library(chapter, points, code, root).items()}
    found |= {f"autograder/{name}": data for name, data in grader(chapter, points, code, root).items()}
    return dict(sorted(found.items()))


def capstone_files(capstone: Capstone, root: Path = ROOT) -> dict[str, bytes]:
    """What learners get of a capstone: the notebook, whose set-up cell brings the course, and no library.

    Raises:
        ValueError: the notebook has not exactly one grade cell of the loss.
    """
    path = root / "chapters" / f"{capstone.name}.ipynb"
    book = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in book["cells"] if is_loss(cell)]
    if len(cells) != 1:
        raise ValueError(f"{path} must have one grade cell that calls {MARK}…), got {len(cells)}")
    cells[0]["metadata"]["nbgrader"]["points"] = capstone.loss
    return {path.name: dump(book)}


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


def library(chapter: Chapter, points: Mapping[str, Points], code: str, root: Path = ROOT) -> dict[str, bytes]:
    """gptlib/ of an assignment: this chapter's stub, what it requires, the given files, and nothing later.

    Of figures and weights it has those that the notebook, or a file that comes with it, uses.

    Raises:
        ValueError: something imports a module that is not there, or a given file is not as the course has it.
    """
    found = given.files(root)
    for module in {*chapter.requires, chapter.module}:
        text = (root / "solutions" / f"{module}.py").read_text(encoding="utf-8")
        text = stub(text, module, points) if module == chapter.module else reference(text)
        found[f"{module}.py"] = text.encode()
    texts = {name: data.decode() for name, data in found.items() if name.endswith(".py")}
    roots = [name for name in texts if name.split("/")[0] not in BY_CHAPTER]
    needed = imports.needed(texts, "gptlib", [code], roots)
    stems = {str(PurePosixPath(name).with_suffix("")) for name in needed} | {"figures/common"}
    kept = {name: data for name, data in found.items()
            if name.split("/")[0] not in BY_CHAPTER or str(PurePosixPath(name).with_suffix("")) in stems}  # fmt: skip
    kept_texts = {name: texts[name] for name in kept if name in texts}
    for who, text in [(f"{chapter.name}.ipynb", code), *kept_texts.items()]:
        where = who.rpartition("/")[0].replace("/", ".")
        for module in imports.lacking(text, "gptlib", kept_texts, where):
            raise ValueError(f"{who} imports {module}, which the assignment lacks: add it to `requires`")
    return kept


def stub(text: str, module: str, exercises: Iterable[str]) -> str:
    """A module in which only the named exercises are still to write."""
    wanted, names = set(exercises), iter(regions(text))

    def replace(match: re.Match[str]) -> str:
        name = f"{module}.{next(names).split('.')[0]}"
        return STUB.format(indent=match[1], exercise=name) if name in wanted else match[2]

    return REGION.sub(replace, text)


def grader(chapter: Chapter, points: Mapping[str, Points], code: str, root: Path = ROOT) -> dict[str, bytes]:
    """autograder/ of an assignment: what `check`, its checks and the notebook need, its table and visible checks."""
    from autograder import fingerprints  # and with it PyTorch, which no command but this one's course needs

    folder, module = root / "autograder", chapter.module
    paths = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.py"))
    texts = {name: (folder / name).read_text(encoding="utf-8") for name in paths if name.split("/")[0] not in NEVER}
    own = [f"visible/{module}.py", "visible/__init__.py"]
    checks = [(folder / kind / f"{module}.py") for kind in ("visible", "hidden")]
    code_of_checks = [path.read_text(encoding="utf-8") for path in checks if path.exists()]
    needed = imports.needed(texts, "autograder", [code, *code_of_checks], ["__init__.py", *TOOLS, *own])
    found = {name: texts[name].encode() for name in needed}
    found[f"exercises/{module}.toml"] = table(chapter, points).encode()
    found[f"fingerprints/{module}.jsonl"] = fingerprints.only(module, points).encode()
    return found


def table(chapter: Chapter, points: Mapping[str, Points]) -> str:
    """The table of an assignment: its own exercises with the course's points."""
    lines = [f'chapter = "{chapter.name}"', f"title = {json.dumps(chapter.title)}"]
    lines.append(f"requires = {json.dumps(list(chapter.requires))}")
    for exercise in chapter.exercises:
        worth = points.get(exercise.name, Points(0, 0))
        lines += ["", f'["{exercise.name}"]']
        for key in ("title", "minutes", "difficulty", "importance", "see"):
            lines.append(f"{key} = {json.dumps(getattr(exercise, key), ensure_ascii=False)}")
        lines += [f"visible = {worth.visible}", f"hidden = {worth.hidden}"]
    return "\n".join(lines) + "\n"


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
