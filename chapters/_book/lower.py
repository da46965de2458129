"""Lower a chapter's MyST to Markdown that Colab, JupyterLab and VS Code show as it is meant.

The page is parsed once by myst-parser's own parser; mdformat's renderer writes the tree back as Markdown,
with the renderers below in place of what only Sphinx understands. A node, directive or role without a
renderer is an error, so nothing raw reaches a notebook.
"""
import html
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from docutils.nodes import make_id
from markdown_it.token import Token
from mdformat.renderer import DEFAULT_RENDERERS, MDRenderer, RenderContext, RenderTreeNode

from chapters._book import markdown
from chapters._book.markdown import LoweringError
from chapters._book.site import Site


class Page:
    """One chapter on its way to a notebook: where it is, what it has numbered, cited and noted so far."""

    def __init__(self, site: Site, path: Path):
        self.site, self.path = site, path
        self.name = path.resolve().relative_to(site.root.resolve()).with_suffix("").as_posix()
        self.env: dict = {"page": self}
        self.counts = {"equation": 0, "figure": 0, "table": 0}
        self.cited: list[str] = []
        self.notes: list[str] = []
        self.footnotes: dict[str, list[Token]] = {}
        self.first_line = 1
        self.one_line_math = False
        self.in_cell = False

    def parse(self, text: str) -> list[Token]:
        """Parse Markdown; footnotes are shared by all that is parsed for this page."""
        return self.site.parser.parse(text, self.env)

    def render(self, tokens: Sequence[Token]) -> str:
        """Write parsed Markdown as plain Markdown.

        Raises:
            LoweringError: there is something in it that no notebook would show; names file and line.
        """
        tree = RenderTreeNode(tokens)
        for node in tree.walk():
            if node.type not in KNOWN:
                raise self.error(node, f"{node.type} has no counterpart in a notebook")
        options = {**self.site.parser.options, "parser_extension": [EXTENSION]}
        return MDRenderer().render_tree(tree, options, self.env, finalize=False)

    def blocks(self, text: str, line: int) -> str:
        """Lower the body of a directive, which begins at `line`."""
        before, self.first_line = self.first_line, line
        try:
            return self.render(self.parse(text))
        finally:
            self.first_line = before

    def inline(self, tokens: Sequence[Token]) -> str:
        """Lower inline tokens to one line."""
        return " ".join(self.render([Token("inline", "", 0, children=list(tokens), map=[0, 1])]).split("\n"))

    def words(self, text: str, line: int = 1) -> str:
        """Lower one line of Markdown, such as a box's title."""
        before, self.first_line = self.first_line, line
        try:
            return " ".join(self.render(self.site.parser.parseInline(text, self.env)).split("\n"))
        finally:
            self.first_line = before

    @contextmanager
    def quoted(self) -> Iterator[None]:
        """Inside a quotation display math stays on one line: notebooks find it before they see the `>`."""
        before, self.one_line_math = self.one_line_math, True
        yield
        self.one_line_math = before

    def line_of(self, node: RenderTreeNode) -> int:
        """Return the line of the source where a node stands."""
        breaks = 0
        at: RenderTreeNode | None = node
        while at is not None and not at.map:
            siblings = at.parent.children if at.parent else []
            for sibling in siblings[: siblings.index(at)] if at in siblings else []:
                breaks += sum(n.type in ("softbreak", "hardbreak") for n in sibling.walk())
            at = at.parent
        return self.first_line + (at.map[0] if at is not None and at.map else 0) + breaks

    def error(self, node: RenderTreeNode, problem: object) -> LoweringError:
        """Return the error to raise about a node."""
        return LoweringError(self.path, self.line_of(node), str(problem))

    def number(self, kind: str) -> int:
        """Count one more equation, figure or table of this page."""
        self.counts[kind] += 1
        return self.counts[kind]

    def file(self, address: str) -> Path:
        """Return the file of the repository that an address relative to this page, or from `/`, names.

        Raises:
            LookupError: there is none.
        """
        start = self.site.root if address.startswith("/") else self.path.parent
        path = (start / address.lstrip("/")).resolve()
        if not path.exists():
            raise LookupError(f"there is no file {address}")
        return path


def page_of(context: RenderContext) -> Page:
    """Return the page that is being rendered."""
    return context.env["page"]


def anchor(name: str) -> str:
    """Return a place to link to."""
    return f'<a id="{name}" name="{name}"></a>'


def text(node: RenderTreeNode, context: RenderContext) -> str:
    """Text; a dollar sign in it would begin a formula in a notebook."""
    return DEFAULT_RENDERERS["text"](node, context).replace("$", r"\$")


def softbreak(node: RenderTreeNode, context: RenderContext) -> str:
    """Keep the source's line breaks, but not in the cell of a table."""
    return " " if page_of(context).in_cell else "\n"


def blockquote(node: RenderTreeNode, context: RenderContext) -> str:
    """Quote."""
    with page_of(context).quoted():
        return DEFAULT_RENDERERS["blockquote"](node, context)


def code_inline(node: RenderTreeNode, context: RenderContext) -> str:
    """Code; in a table a bar in it is written such that every notebook's Markdown keeps the cell whole."""
    if page_of(context).in_cell and "|" in node.content:
        return f"<code>{html.escape(node.content, quote=False).replace('|', '&#124;')}</code>"
    return DEFAULT_RENDERERS["code_inline"](node, context)


def math_inline(node: RenderTreeNode, context: RenderContext) -> str:
    """`$…$` is understood everywhere; in a table a bar would end the cell."""
    tex = " ".join(node.content.split())
    if page_of(context).in_cell:
        tex = tex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
    return f"${tex}$"


def math_block(node: RenderTreeNode, context: RenderContext) -> str:
    """`$$…$$` without a number."""
    return display_math(page_of(context), node.content)


def math_block_label(node: RenderTreeNode, context: RenderContext) -> str:
    """`$$…$$ (label)`: numbered, with a place to link to."""
    return display_math(page_of(context), node.content, node.info)


def display_math(page: Page, tex: str, label: str = "") -> str:
    """Write a displayed equation, numbered within the notebook if it has a label."""
    lines = [line for line in tex.strip().splitlines() if line.strip()]
    if label:
        lines.append(rf"\tag{{{page.number('equation')}}}")
    block = f"$${' '.join(lines)}$$" if page.one_line_math else "\n".join(["$$", *lines, "$$"])
    return f"{anchor(make_id(f'equation-{label}'))}\n\n{block}" if label else block


def myst_target(node: RenderTreeNode, context: RenderContext) -> str:
    """`(label)=`: a place to link to."""
    return anchor(make_id(node.content))


def nothing(node: RenderTreeNode, context: RenderContext) -> str:
    """Comments are for authors; footnotes come at the end of the notebook."""
    return ""


def footnote_ref(node: RenderTreeNode, context: RenderContext) -> str:
    """A raised number that leads to the note at the end, numbered as they are met."""
    notes = page_of(context).notes
    label = node.meta["label"]
    if label not in notes:
        notes.append(label)
    number = notes.index(label) + 1
    return f'<sup><a href="#note-{number}">{number}</a></sup>'


def link(node: RenderTreeNode, context: RenderContext) -> str:
    """A link; one within the repository leads to the published page or to the file in the repository."""
    from chapters._book.roles import reference

    page = page_of(context)
    address = str(node.attrs["href"])
    if node.info == "auto" and "://" in address and not address.startswith("project:"):
        return f"<{address}>"
    words = "".join(child.render(context) for child in node.children)
    scheme = address.partition(":")[0]
    if scheme in ("http", "https", "mailto"):
        return f"[{words}]({safe(address)})"
    if address.startswith("#"):
        try:
            return reference(page, address[1:], words)
        except LookupError as error:
            raise page.error(node, error) from None
    name, _, place = address.partition("#")
    try:
        path = page.file(name)
        target = path.relative_to(page.site.root.resolve()).with_suffix("").as_posix()
        if path.suffix == ".md" and target in page.site.pages:
            return f"[{words or page.words(page.site.titles[target])}]({page.site.page_url(target, place)})"
        return f"[{words}]({page.site.file_url(path)})"
    except LookupError as error:
        raise page.error(node, error) from None


def safe(address: str) -> str:
    """Return an address as Markdown takes it between parentheses."""
    return f"<{address}>" if any(c in address for c in " ()") else address


def image(node: RenderTreeNode, context: RenderContext) -> str:
    """An image, by its address in the public repository, so that Colab finds it."""
    page = page_of(context)
    alt = markdown.plain(node.token.children or []) if node.token else ""
    return image_link(page, str(node.attrs["src"]), alt, lambda problem: page.error(node, problem))


def image_link(page: Page, source: str, alt: str, error: Callable[[str], Exception]) -> str:
    """Write an image; every one of the book lies in the repository and has a text for those who cannot see."""
    if not alt:
        raise error(f"the image {source} needs an alternative text")
    try:
        url = page.site.file_url(page.file(source), raw=True)
    except LookupError as missing:
        raise error(str(missing)) from None
    return f"![{alt.replace('[', '').replace(']', '')}]({safe(url)})"


def table(node: RenderTreeNode, context: RenderContext) -> str:
    """A table with a head."""
    page = page_of(context)
    page.in_cell = True
    rows = [[cell.render(context) for cell in row.children] for part in node.children for row in part.children]
    page.in_cell = False
    head = node.children[0].children[0].children
    return table_text(rows, [str(cell.attrs.get("style", "")).removeprefix("text-align:") for cell in head])


def cell(node: RenderTreeNode, context: RenderContext) -> str:
    """One cell of a table."""
    return "".join(child.render(context) for child in node.children).replace("|", r"\|")


def table_text(rows: list[list[str]], align: Sequence[str]) -> str:
    """Write a table whose first row is its head."""
    rule = [{"left": ":--", "right": "--:", "center": ":-:"}.get(how, "---") for how in align]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


def fence(node: RenderTreeNode, context: RenderContext) -> str:
    """A block of code, or a directive."""
    from chapters._book.boxes import BOXES

    page = page_of(context)
    if not markdown.is_directive(node):
        return DEFAULT_RENDERERS["fence"](node, context)
    try:
        directive = markdown.read_directive(node, page.line_of(node))
        if directive.name not in BOXES:
            raise LookupError(f"the directive {{{directive.name}}} has no counterpart in a notebook here")
        return BOXES[directive.name](page, directive)
    except LoweringError:
        raise
    except (ValueError, LookupError) as error:
        raise page.error(node, error.args[0]) from error


def role(node: RenderTreeNode, context: RenderContext) -> str:
    """A role such as {cite:t}`key`."""
    from chapters._book.roles import ROLES

    page = page_of(context)
    name = node.meta["name"]
    try:
        if name not in ROLES:
            raise LookupError(f"the role {{{name}}} has no counterpart in a notebook")
        return ROLES[name](page, node.content)
    except (ValueError, LookupError) as error:
        raise page.error(node, error.args[0]) from error


RENDERERS = {
    "text": text, "code_inline": code_inline, "softbreak": softbreak, "blockquote": blockquote, "link": link,
    "image": image, "math_inline": math_inline, "math_block": math_block, "math_block_label": math_block_label,
    "myst_target": myst_target, "myst_role": role, "myst_line_comment": nothing,
    "footnote_ref": footnote_ref, "footnote_reference": nothing,
    "fence": fence, "colon_fence": fence, "table": table, "th": cell, "td": cell,
}  # fmt: skip
KNOWN = {*DEFAULT_RENDERERS, *RENDERERS, "thead", "tbody", "tr"}
EXTENSION = types.SimpleNamespace(RENDERERS=RENDERERS)
