"""One chapter on its way to a notebook, and the pieces of plain Markdown that its parts are written with."""
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from docutils.nodes import make_id
from markdown_it.token import Token
from mdformat.renderer import DEFAULT_RENDERERS, MDRenderer, RenderTreeNode

from chapters._book.markdown import LoweringError
from chapters._book.site import Site

STRUCTURE = ("thead", "tbody", "tr")  # written by their table


class Page:
    """One chapter on its way to a notebook: where it is, what it has numbered, cited and noted so far."""

    def __init__(self, site: Site, path: Path, renderers: Mapping[str, Callable]):
        self.site, self.path, self.renderers = site, path, renderers
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
            if node.type not in {*DEFAULT_RENDERERS, *self.renderers, *STRUCTURE}:
                raise self.error(node, f"{node.type} has no counterpart in a notebook")
        extension = types.SimpleNamespace(RENDERERS=self.renderers)
        options = {**self.site.parser.options, "parser_extension": [extension], "mdformat": {"number": True}}
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


def anchor(name: str) -> str:
    """Return a target for links."""
    return f'<a id="{name}" name="{name}"></a>'


def safe(address: str) -> str:
    """Return an address as Markdown takes it between parentheses."""
    return f"<{address}>" if any(c in address for c in " ()") else address


def display_math(page: Page, tex: str, label: str = "") -> str:
    """Write a displayed equation, numbered within the notebook if it has a label."""
    lines = [line for line in tex.strip().splitlines() if line.strip()]
    if label:
        lines.append(rf"\tag{{{page.number('equation')}}}")
    block = f"$${' '.join(lines)}$$" if page.one_line_math else "\n".join(["$$", *lines, "$$"])
    return f"{anchor(make_id(f'equation-{label}'))}\n\n{block}" if label else block


def image_link(page: Page, source: str, alt: str, error: Callable[[str], Exception]) -> str:
    """Write an image; every one of the book lies in the repository and has a text for those who cannot see."""
    if not alt:
        raise error(f"the image {source} needs an alternative text")
    try:
        url = page.site.file_url(page.file(source), raw=True)
    except LookupError as missing:
        raise error(str(missing)) from None
    return f"![{alt.replace('[', '').replace(']', '')}]({safe(url)})"


def table_text(rows: list[list[str]], align: Sequence[str]) -> str:
    """Write a table whose first row is its head."""
    rule = [{"left": ":--", "right": "--:", "center": ":-:"}.get(how, "---") for how in align]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])
