"""The family tree in the book: `svg` and `text` of it, the list after it, and the directive `{lineage}`.

`{lineage}` alone shows the whole tree and a list with every family's papers; `{lineage} attention` shows it small
with that node lit, which is how a chapter begins. Notebooks get the line that `text` gives.
"""
from html import escape
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from chapters._book.lineage import CHAPTERS, Lineage, Node, lineage
from chapters._book.tree_draw import wide
from chapters._book.tree_small import narrow, small
from chapters._book.tree_svg import Href, style

CAPTION = (
    "Time runs downwards; a line leads from each family to those that build on it. "
    "Filled boxes are chapters: open one. The others are still to come."
)


def page(node: Node) -> str | None:
    """The docname of the node's chapter, or None when there is no such chapter yet."""
    if node.chapter and (CHAPTERS / f"{node.chapter}.md").exists():
        return f"chapters/{node.chapter}"
    return None


def beside(node: Node) -> str | None:
    """A link to the node's chapter from a page in the same folder."""
    return f"{node.chapter}.html" if page(node) else None


def svg(lit: str | None = None, *, tree: Lineage | None = None, href: Href = beside) -> str:
    """Draw the tree: whole (wide for screens, narrow for phones; the style shows one), or small with `lit` strong.

    Raises:
        ValueError: no node is called `lit`.
    """
    tree = tree or lineage()
    return style() + (small(tree, lit) if lit else wide(tree, href) + narrow(tree, href))


def text(lit: str, *, tree: Lineage | None = None) -> str:
    """One line of Markdown for notebooks: the line of first parents, the lit node in bold, its children.

    Raises:
        ValueError: no node is called `lit`.
    """
    tree = tree or lineage()
    *before, node = [f"{n.name} ({n.year})" for n in tree.trunk(lit)]
    after = ", ".join(f"{n.name} ({n.year})" for n in tree.children(lit))
    return " → ".join([*before, f"**{node}**", *([after] if after else [])])


def relatives(lit: str, tree: Lineage, href: Href) -> str:
    """The caption of the small tree: what the node comes from and leads to, with links, as HTML."""

    def names(found: list[Node]) -> str:
        shown = [f"{n.name} ({n.year})" for n in found]
        links = [f'<a href="{escape(url, quote=True)}">{s}</a>' if (url := href(n)) else s
                 for n, s in zip(found, map(escape, shown), strict=True)]
        return ", ".join(links)

    node = tree.node(lit)
    parts = [f"<strong>{escape(node.name)}</strong> ({node.year})"]
    if node.parents:
        parts.append(f"comes from {names([tree.nodes[p] for p in node.parents])}")
    if tree.children(lit):
        parts.append(f"leads to {names(tree.children(lit))}")
    return "; ".join(parts) + "."


def listing(tree: Lineage) -> str:
    """The whole tree as a MyST list, oldest first: gist, parents, papers; chapters are links."""
    lines = []
    for node in tree.nodes.values():
        name = f"{{doc}}`{node.name} <{'/' + target}>`" if (target := page(node)) else f"**{node.name}**"
        origin = ", ".join(tree.nodes[p].name for p in node.parents)
        built = f" Builds on {origin}." if origin else ""
        lines.append(f"1. {name} ({node.year}). {node.gist}{built} {{cite:p}}`{','.join(node.papers)}`")
    return "\n".join(lines)


class LineageDirective(SphinxDirective):
    """`{lineage}`: the family tree; with an argument, small with that node lit."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Give the drawing as raw HTML, and for the whole tree the list behind a disclosure triangle."""
        tree = lineage()
        for name in ("lineage.py", "lineage.css", "tree.py", "tree_draw.py", "tree_layout.py", "tree_small.py"):
            self.env.note_dependency(str(CHAPTERS / "_book" / name))
        self.env.note_dependency(str(CHAPTERS / "lineage.toml"))
        builder, here = self.env.app.builder, self.env.docname

        def href(node: Node) -> str | None:
            target = page(node)
            return builder.get_relative_uri(here, target) if target and builder.format == "html" else None

        if self.arguments:
            try:
                drawing, caption = svg(self.arguments[0], tree=tree), relatives(self.arguments[0], tree, href)
            except ValueError as error:
                raise self.error(str(error)) from error
            return [raw(f"{drawing}<figcaption>{caption}</figcaption>")]
        return [raw(f"{svg(tree=tree, href=href)}<figcaption>{CAPTION}</figcaption>"), *self.disclosure(listing(tree))]

    def disclosure(self, markdown: str) -> list[nodes.Node]:
        """A native disclosure with parsed Markdown inside, so that its links and citations are checked."""
        inside = nodes.container()
        self.state.nested_parse(StringList(markdown.split("\n"), source="lineage"), 0, inside)
        opening = '<details class="lineage-list"><summary>The same tree as a list, with the papers</summary>'
        return [nodes.raw("", opening, format="html"), inside, nodes.raw("", "</details>", format="html")]


def raw(inside: str) -> nodes.raw:
    """A figure as raw HTML."""
    return nodes.raw("", f'<figure class="lineage-figure">{inside}</figure>', format="html")


def setup(app: Any) -> dict[str, bool]:
    """Register the directive with Sphinx."""
    app.add_directive("lineage", LineageDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
