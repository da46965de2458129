"""Turn a chapter's MyST source into the notebook that Colab, JupyterHub, nbval and nbgrader use."""
import ast
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from markdown_it.token import Token

from chapters._book import boxes, lower, markdown, roles, setup_cell
from chapters._book.markdown import DirectiveText, LoweringError
from chapters._book.page import Page
from chapters._book.site import Site

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
    "colab": {"toc_visible": True},
}
HIDDEN_NOTE = "Grading runs the hidden checks here; they compare with an independent calculation on other inputs."


def convert(site: Site, path: Path) -> str:
    """Return the notebook of a chapter as text; equal sources give equal bytes.

    Raises:
        LoweringError: the chapter uses something that has no counterpart in a notebook; names file and line.
    """
    page = lower.new_page(site, path)
    tokens = page.parse(path.read_text(encoding="utf-8"))
    page.footnotes = dict(_footnotes(tokens))
    cells = [cell for part in _parts(tokens) for cell in _cells(page, part)]
    if [setup_cell.TAGS == cell.metadata.get("tags") for cell in cells if cell.cell_type == "code"][:1] != [True]:
        raise LoweringError(path, 1, "a chapter's first code cell must be the set-up cell: write {setup}")
    cells += [_markdown(text) for text in (roles.notes(page), roles.references(page)) if text]
    _name(cells)
    notebook = nbformat.v4.new_notebook(metadata=METADATA, cells=cells)
    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def _footnotes(tokens: Sequence[Token]) -> Iterator[tuple[str, list[Token]]]:
    label, body = "", []
    for token in tokens:
        if token.type == "footnote_reference_open":
            label, body = token.meta["label"], []
        elif token.type == "footnote_reference_close":
            yield label, body
        else:
            body.append(token)


def _parts(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Split a page into what becomes one cell each: code, answers, and text from heading to heading."""
    part: list[Token] = []
    for token in [t for t in tokens if t.type != "front_matter"]:
        alone = token.level == 0 and markdown.is_directive(token) and token.info.startswith(_ALONE)
        if alone or token.type == "myst_block_break":
            yield from markdown.sections(part)
            part = []
            if alone:
                yield [token]
        else:
            part.append(token)
    yield from markdown.sections(part)


_ALONE = ("{code-cell}", "{setup}", "{answer}", "{written}")
YOURS = "*Write your answer here, in place of this line.*"


def _cells(page: Page, part: list[Token]) -> Iterator[nbformat.NotebookNode]:
    token = part[0]
    if not (len(part) == 1 and markdown.is_directive(token) and token.info.startswith(_ALONE)):
        text = page.render(part)
        if text:
            yield _markdown(text)
        return
    line = (token.map or [0])[0] + 1
    try:
        box = markdown.read_directive(token, line)
        if box.name == "setup":
            if box.argument or box.body:
                raise ValueError("{setup} stands alone: no words beside it, no lines in it")
            text = setup_cell.text(page.site)
            yield nbformat.v4.new_code_cell(text, id="unnamed", metadata={"tags": list(setup_cell.TAGS)})
        elif box.name == "answer":
            yield _markdown(boxes.answer(page, box), tags=["answer"])
        elif box.name == "written":
            name, points, _ = boxes.written_parts(box)
            yield _markdown(boxes.written(page, box))
            yield _markdown(YOURS, nbgrader=_by_hand(name, points))
        else:
            yield from _code(page, box)
    except LoweringError:
        raise
    except (ValueError, LookupError) as error:
        raise LoweringError(page.path, line, error.args[0]) from error


def _markdown(text: str, **metadata) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(text, id="unnamed", metadata=metadata)


def _code(page: Page, box: DirectiveText) -> Iterator[nbformat.NotebookNode]:
    """A code cell, the caption of its figure, and after a check the cell that grading fills."""
    metadata = {key: value for key, value in box.options.items() if key != "mystnb"}
    tags = metadata.get("tags", [])
    if "hide-input" in tags:
        metadata["jupyter"] = {"source_hidden": True}
    name = checked(box.body)
    if "setup" in tags:
        raise ValueError("the set-up cell is not the book's: write the directive {setup} in its place")
    if name is None:
        yield nbformat.v4.new_code_cell(box.body, id="unnamed", metadata=metadata)
    else:
        exercise = boxes.exercise(page, name)
        grade_id = name.replace(".", "-")
        visible = _grade(f"{grade_id}-visible", exercise.visible)
        yield nbformat.v4.new_code_cell(box.body, id="unnamed", metadata={**metadata, "nbgrader": visible})
        hidden = _grade(f"{grade_id}-hidden", exercise.hidden)
        yield nbformat.v4.new_code_cell(hidden_check(name), id="unnamed", metadata={"nbgrader": hidden})
    figure = box.options.get("mystnb", {}).get("figure")
    if figure:
        caption = page.blocks(str(figure.get("caption", "")), box.line)
        yield _markdown(boxes.captioned(page, "figure", figure.get("name", ""), caption))


def hidden_check(name: str) -> str:
    """Return the code of the cell that grading fills."""
    return f'# {HIDDEN_NOTE}\ncheck("{name}", "hidden")'


def checked(source: str) -> str | None:
    """Return the exercise that a cell checks, if the cell is `check("module.exercise")` and nothing else."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a cell with a magic
        return None
    match body:
        case [ast.Expr(ast.Call(ast.Name("check"), [ast.Constant(str(name))], []))]:
            return name
    return None


def _grade(grade_id: str, points: int) -> dict:
    """Return nbgrader's metadata of an autograded test cell."""
    return {
        "cell_type": "code", "grade": True, "grade_id": grade_id, "locked": True, "points": points,
        "schema_version": 3, "solution": False, "task": False,
    }  # fmt: skip


def _by_hand(grade_id: str, points: int) -> dict:
    """Return nbgrader's metadata of an answer in words, which a person grades."""
    return _grade(grade_id, points) | {"cell_type": "markdown", "locked": False, "solution": True}


def _name(cells: Sequence[nbformat.NotebookNode]) -> None:
    """Give every cell an id that depends on nothing but the cell, so that an edit changes one id."""
    seen: dict[str, int] = {}
    for cell in cells:
        grade = cell.metadata.get("nbgrader")
        key = f"{cell.cell_type}\n{cell.source}".encode()
        name = grade.grade_id if grade else hashlib.sha256(key).hexdigest()[:12]
        seen[name] = seen.get(name, 0) + 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"


def sources(site: Site) -> list[Path]:
    """Return the chapters that are notebooks, in book order."""
    return sorted((site.root / "chapters").glob("[0-9]*.md"))


def main(argv: list[str]) -> int:
    """Write chapters/NN_name.ipynb from every chapters/NN_name.md."""
    if argv:
        print(f"notebooks takes no argument, got {' '.join(argv)}")
        return 2
    site = Site()
    for path in sources(site):
        _write(path.with_suffix(".ipynb"), convert(site, path))
    return 0


def _write(path: Path, text: str) -> None:
    """Write a file if that changes it, and say so."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.name}")
