"""Lower a chapter's MyST to Markdown that Colab, JupyterLab and VS Code show as it is meant.

The page is parsed once by myst-parser's own parser; mdformat's renderer writes the tree back as Markdown,
with the renderers below in place of what only Sphinx understands. A node, directive or role without a
renderer is an error, so nothing raw reaches a notebook.
"""
import html
from pathlib import Path

from docutils.nodes import make_id
from mdformat.renderer import DEFAULT_RENDERERS, RenderContext, RenderTreeNode

from chapters._book import markdown
from chapters._book.boxes import BOXES
from chapters._book.markdown import LoweringError
from chapters._book.page import Page, anchor, display_math, image_link, safe, table_text
from chapters._book.roles import ROLES, reference
from chapters._book.site import Site


def new_page(site: Site, path: Path) -> Page:
    """Begin to lower a chapter."""
    return Page(site, path, RENDERERS)


def page_of(context: RenderContext) -> Page:
    """Return the page that is being rendered."""
    return context.env["page"]


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
    """`$$…$$ (label)`: numbered, with a target for links."""
    return display_math(page_of(context), node.content, node.info)


def myst_target(node: RenderTreeNode, context: RenderContext) -> str:
    """`(label)=`: a target for links."""
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


def image(node: RenderTreeNode, context: RenderContext) -> str:
    """An image, by its address in the public repository, so that Colab finds it."""
    page = page_of(context)
    alt = markdown.plain(node.token.children or []) if node.token else ""
    return image_link(page, str(node.attrs["src"]), alt, lambda problem: page.error(node, problem))


def raw_html(node: RenderTreeNode, context: RenderContext) -> str:
    """HTML passes as it is, unless it points to a file that a notebook would look for in vain."""
    for address in markdown.html_addresses(node.content):
        if not address.startswith(("https:", "http:", "mailto:", "data:", "#")):
            problem = f"HTML that points to {address} is dead in a notebook: use MyST's syntax"
            raise page_of(context).error(node, problem)
    return DEFAULT_RENDERERS[node.type](node, context)


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


def fence(node: RenderTreeNode, context: RenderContext) -> str:
    """A block of code, or a directive."""
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
    "html_block": raw_html, "html_inline": raw_html, "fence": fence, "colon_fence": fence,
    "table": table, "th": cell, "td": cell,
}  # fmt: skip
