"""What each directive becomes in a notebook: quotations, `<details>`, images with captions, tables."""
import re
from collections.abc import Callable, Sequence

from docutils.nodes import make_id
from markdown_it.token import Token

from autograder import strip
from autograder.table import Exercise
from chapters._book import markdown, tree
from chapters._book.markdown import DirectiveText, LoweringError
from chapters._book.page import Page, anchor, display_math, image_link, safe, table_text


def quote(page: Page, title: str, box: DirectiveText) -> str:
    """A quotation with a bold title."""
    with page.quoted():
        text = page.blocks(box.body, box.line)
    lines = [f"**{title}**", *(["", *text.split("\n")] if text else [])]
    return "\n".join(f"> {line}" if line else ">" for line in lines)


def details(summary: str, body: str) -> str:
    """A part that opens on a click; `summary` is one line of plain Markdown."""
    head = f"<details>\n<summary>{markdown.summary_html(summary)}</summary>"
    return f"{head}\n\n{body}\n\n</details>"


def stars(level: int) -> str:
    """Return a level of 1 to 3 as ●●○."""
    return "●" * level + "○" * (3 - level)


def task(page: Page, box: DirectiveText) -> str:
    """{task} module.exercise: what to write, where, for how many points."""
    e = exercise(page, box.argument)
    facts = [
        f"Difficulty {stars(e.difficulty)}", f"importance {stars(e.importance)}", f"about {e.minutes} minutes",
        f"{e.points} points: {e.visible} for the visible checks, {e.hidden} for the hidden ones",
    ]  # fmt: skip
    where = f"Write `{e.function}` in `gptlib/{e.module}.py`, save the file, then run the check below."
    with page.quoted():
        body = page.blocks(box.body, box.line)
    text = "\n\n".join(filter(None, [f"**Exercise: {e.title}** · `{e.name}`", " · ".join(facts), body, where]))
    return "\n".join(f"> {line}" if line else ">" for line in text.split("\n"))


def exercise(page: Page, name: str) -> Exercise:
    """Look up an exercise of this page's chapter."""
    chapter = page.site.table.get(page.path.stem)
    found = {e.name: e for e in chapter.exercises} if chapter else {}
    if name not in found:
        raise LookupError(f"the table lists no exercise {name!r} for chapter {page.path.stem}")
    return found[name]


def answer(page: Page, box: DirectiveText) -> str:
    """{answer} module.exercise: how to see the solution; the notebook never holds it, for the book offers it."""
    e = exercise(page, box.argument)
    path = page.site.root / "solutions" / f"{e.module}.py"
    if not any(name.split(".")[0] == e.function for name in strip.regions(path.read_text(encoding="utf-8"))):
        raise LookupError(f"solutions/{e.module}.py has no solution region in {e.function}")
    how = (
        "Compare with ours once yours passes, or when an hour has brought nothing new: "
        f"[`solutions/{e.module}.py`]({page.site.file_url(path)}), or in a terminal "
        f"`python -m autograder solution {e.name}`."
    )
    return details(f"Solution of `{e.name}`", "\n\n".join(filter(None, [page.blocks(box.body, box.line), how])))


def written_parts(box: DirectiveText) -> tuple[str, int, str]:
    """The name in nbgrader, the points and the title of {written} name points title."""
    match = re.fullmatch(r"([a-z][a-z0-9-]*) (\d+) (.+)", box.argument.strip())
    if match is None:
        raise ValueError(f"{{written}} needs a name, points and a title, got {box.argument!r}")
    return match[1], int(match[2]), match[3]


def written(page: Page, box: DirectiveText) -> str:
    """{written} name points Title: a question that a person grades; the answer has a cell of its own behind it."""
    _, points, title = written_parts(box)
    return quote(page, f"Written answer, {points} points: {page.words(title, box.line)}", box)


def misplaced_written(page: Page, box: DirectiveText) -> str:
    """A written answer has a cell of its own."""
    raise ValueError("{written} must not stand inside another box: its answer could not have a cell of its own")


def misplaced_answer(page: Page, box: DirectiveText) -> str:
    """An answer has a cell of its own, which a release leaves out."""
    raise ValueError("{answer} must not stand inside another box: releases could not leave it out")


def misplaced_code(page: Page, box: DirectiveText) -> str:
    """A code cell cannot stand inside a box."""
    raise ValueError(f"{{{box.name}}} must not stand inside another box")


def dropdown(page: Page, box: DirectiveText) -> str:
    """{dropdown} Title."""
    title = page.words(box.argument, box.line) or "More"
    return details(title, page.blocks(box.body, box.line))


def admonition(page: Page, box: DirectiveText) -> str:
    """{admonition} Title."""
    if not box.argument:
        raise ValueError("{admonition} needs a title")
    return quote(page, page.words(box.argument, box.line), box)


def record(page: Page, box: DirectiveText) -> str:
    """{record} popular claim: what the sources say."""
    claim = page.words(box.argument, box.line)
    return quote(page, f"For the record: {claim}" if claim else "For the record", box)


def named(title: str) -> Callable[[Page, DirectiveText], str]:
    """{note}, {tip} …: text on the first line belongs to the body."""

    def box(page: Page, box: DirectiveText) -> str:
        if not box.argument:
            return quote(page, title, box)
        body = "\n".join([box.argument, box.body]) if box.body else box.argument
        return quote(page, title, DirectiveText(box.name, "", box.options, body, box.line - 1))

    return box


def quiz(page: Page, box: DirectiveText) -> str:
    """{quiz} Question?: each choice opens to say whether it is right, and why."""
    tokens = page.parse(box.body)
    before, page.first_line = page.first_line, box.line
    try:
        start = next((i for i, t in enumerate(tokens) if t.type == "bullet_list_open"), None)
        if start is None:
            raise ValueError("{quiz} needs a list of choices: - [x] right — why, - [ ] wrong — why")
        lead = page.render(tokens[:start])
        items = _items(tokens[start:])
        choices = [_choice(page, item) for item in items]
    finally:
        page.first_line = before
    if not any(right for right, _ in choices):
        raise ValueError("{quiz} marks no choice as right: begin one with [x]")
    question = f"**{page.words(box.argument, box.line)}**" if box.argument else ""
    return "\n\n".join(filter(None, [question, lead, *(text for _, text in choices)]))


def _items(tokens: Sequence[Token]) -> list[list[Token]]:
    """Split the tokens of one list into those of its items."""
    items: list[list[Token]] = []
    for token in tokens[1:]:
        if token.type == "bullet_list_close" and token.level == tokens[0].level:
            break
        if token.type == "list_item_open" and token.level == tokens[0].level + 1:
            items.append([])
        elif not (token.type == "list_item_close" and token.level == tokens[0].level + 1):
            items[-1].append(token)
    return items


def _choice(page: Page, item: Sequence[Token]) -> tuple[bool, str]:
    """Lower one choice: the words before the dash are seen, those after it open on a click."""
    children = list(item[1].children or []) if len(item) > 1 and item[1].type == "inline" else []
    mark = children[0].content[:3].lower() if children and children[0].type == "text" else ""
    if mark not in ("[x]", "[ ]"):
        raise ValueError("each choice of a {quiz} begins with [x] or [ ]")
    children[0] = children[0].copy(content=children[0].content[3:].lstrip())
    for i, child in enumerate(children):
        left, dash, right = child.content.partition(" — ") if child.type == "text" else (child.content, "", "")
        if not dash and child.type == "text" and child.content.endswith(" —"):
            left, dash = child.content.removesuffix(" —"), "—"
        if dash:
            choice = page.inline([*children[:i], child.copy(content=left)])
            tail = children[i + 1 :]
            if not right and tail and tail[0].type == "softbreak":
                tail = tail[1:]
            why = page.inline([child.copy(content=right.lstrip()), *tail])
            break
    else:
        raise ValueError("each choice of a {quiz} explains itself after a dash: words — explanation")
    verdict = "**Right:**" if mark == "[x]" else "**Not quite:**"
    more = page.render(item[3:])
    return mark == "[x]", details(choice, "\n\n".join(filter(None, [f"{verdict} {why}", more])))


def math(page: Page, box: DirectiveText) -> str:
    """{math}: a displayed equation."""
    return display_math(page, "\n".join(filter(None, [box.argument, box.body])), str(box.options.get("label", "")))


def image(page: Page, box: DirectiveText) -> str:
    """{image} file, with :alt:."""
    if not box.argument:
        raise ValueError(f"{{{box.name}}} needs a file")
    picture = image_link(
        page, box.argument, str(box.options.get("alt", "")),
        lambda problem: LoweringError(page.path, box.line, problem),
    )  # fmt: skip
    target = box.options.get("target")
    return f"[{picture}]({safe(str(target))})" if target else picture


def figure(page: Page, box: DirectiveText) -> str:
    """{figure} file: the image, and below it its number and caption."""
    picture = image(page, box)
    name = str(box.options.get("name", ""))
    with page.quoted():
        text = page.blocks(box.body, box.line)
    return captioned(page, "figure", name, text, picture)


def captioned(page: Page, kind: str, name: str, caption: str, above: str = "", below: str = "") -> str:
    """Number a figure or table that has a caption, as Sphinx does, with a place to link to."""
    title = f"**{kind.capitalize()} {page.number(kind)}.** {caption}" if caption else ""
    return "\n\n".join(filter(None, [anchor(make_id(name)) if name else "", above, title, below]))


def list_table(page: Page, box: DirectiveText) -> str:
    """{list-table} Caption: a list of lists of cells."""
    before, page.first_line, page.in_cell = page.first_line, box.line, True
    try:
        tokens = page.parse(box.body)
        if not tokens or tokens[0].type != "bullet_list_open":
            raise ValueError("{list-table} needs a list of rows, each a list of cells")
        rows = [[_cell(page, c) for c in _items(row)] for row in _items(tokens)]
    finally:
        page.first_line, page.in_cell = before, False
    if len({len(row) for row in rows}) != 1:
        raise ValueError("the rows of a {list-table} must have the same number of cells")
    if int(box.options.get("header-rows", 0)) == 0:
        rows.insert(0, [""] * len(rows[0]))
    text = table_text(rows, [""] * len(rows[0]))
    name = str(box.options.get("name", ""))
    caption = page.words(box.argument, box.line) if box.argument else ""
    return captioned(page, "table", name, caption, below=text)


def _cell(page: Page, tokens: Sequence[Token]) -> str:
    kinds = [token.type for token in tokens]
    if kinds not in ([], ["paragraph_open", "inline", "paragraph_close"]):
        raise ValueError("a cell of a {list-table} holds one paragraph")
    return page.inline(tokens[1].children or []).replace("|", r"\|") if tokens else ""


def lineage(page: Page, box: DirectiveText) -> str:
    """{lineage} node: one line of the family tree; the drawing is in the book."""
    if not box.argument:
        raise ValueError("{lineage} in a chapter names its node")
    return f"*Family tree:* {tree.text(box.argument)} · [the whole tree]({page.site.page_url('chapters/index')})"


BOXES: dict[str, Callable[[Page, DirectiveText], str]] = {
    "task": task, "answer": misplaced_answer, "code-cell": misplaced_code,
    "setup": misplaced_code, "quiz": quiz, "record": record,
    "written": misplaced_written,
    "dropdown": dropdown, "admonition": admonition, "math": math, "image": image, "figure": figure,
    "list-table": list_table, "lineage": lineage,
    **{name: named(name.capitalize()) for name in ("note", "tip", "warning", "important")},
}  # fmt: skip
