"""What each role becomes in a notebook: a link, a citation, or a recorded number."""
from collections.abc import Callable, Iterable
from posixpath import join, normpath

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pybtex.backends.markdown import Backend
from pybtex.plugin import find_plugin
from sphinx.util.nodes import split_explicit_title

from chapters._book.page import Page, anchor
from chapters._book.site import Target


def reference(page: Page, label: str, words: str = "") -> str:
    """Link to a label: within this notebook, or on a page of the published book.

    Raises:
        LookupError: no hand-written page has that label, or a label without a title is linked without words.
    """
    target = find(page, label)
    words = words or (page.words(target.title) if target.kind == "section" else "")
    if not words:
        raise LookupError(f"the label {label!r} has no title: write {{ref}}`words <{label}>`")
    return f"[{words}]({address(page, target)})"


def find(page: Page, label: str) -> Target:
    """Look up a label of the book."""
    if label not in page.site.targets:
        raise LookupError(f"no page of the book has the label {label!r}")
    return page.site.targets[label]


def address(page: Page, target: Target) -> str:
    """Return where to find a target, seen from this page's notebook."""
    same = target.page == page.name
    return f"#{target.anchor}" if same else page.site.page_url(target.page, target.anchor)


def ref(page: Page, content: str) -> str:
    """{ref}`label` or {ref}`words <label>`."""
    explicit, words, label = split_explicit_title(content)
    return reference(page, label, words if explicit else "")


def numref(page: Page, content: str) -> str:
    """{numref}`label`: Figure 2; with words, %s or {number} stands for the number."""
    explicit, words, label = split_explicit_title(content)
    target = find(page, label)
    if target.kind not in ("figure", "table"):
        return reference(page, label, words if explicit else "")
    if target.page != page.name:
        return f"[{target.kind} in {page.words(page.site.titles[target.page])}]({address(page, target)})"
    words = words if explicit else f"{target.kind.capitalize()} %s"
    return f"[{words.replace('%s', target.title).replace('{number}', target.title)}]({address(page, target)})"


def eq(page: Page, content: str) -> str:
    """{eq}`label`: the equation's number."""
    target = find(page, content)
    if target.kind != "equation":
        raise LookupError(f"the label {content!r} is not an equation's")
    if target.page == page.name:
        return f"[({target.title})]({address(page, target)})"
    return f"[equation in {page.words(page.site.titles[target.page])}]({address(page, target)})"


def doc(page: Page, content: str) -> str:
    """{doc}`page`: a link to the published page."""
    explicit, words, name = split_explicit_title(content)
    start = "" if name.startswith("/") else page.name.rpartition("/")[0]
    target = normpath(join(start, name.lstrip("/"))).removesuffix(".md")
    if target not in page.site.pages and "_generated" not in target:
        raise LookupError(f"the book has no page {target}")
    # Generated pages need not exist yet, so their title is their name.
    title = page.site.titles.get(target) or target.rpartition("/")[2].replace("_", " ").capitalize()
    return f"[{words if explicit else page.words(title)}]({page.site.page_url(target)})"


def term(page: Page, content: str) -> str:
    """{term}`word`: a link to the glossary."""
    _, words, name = split_explicit_title(content)
    label = f"term:{name.lower()}"
    if label not in page.site.targets:
        raise LookupError(f"the glossary has no term {name!r}")
    return f"[{words}]({address(page, page.site.targets[label])})"


def result(page: Page, content: str) -> str:
    """{result}`attention.logit_variance:.2f`: a number that the book's build recorded."""
    name, _, form = content.partition(":")
    value = page.site.result(name)
    try:
        return format(value, form)
    except ValueError as error:
        raise ValueError(f"{name} is {value!r}, and with {form!r}: {error}") from error


def cite_text(page: Page, content: str) -> str:
    """{cite:t}`key`: Vaswani et al. (2017)."""
    return ", ".join(f"[{who} ({year})]({url})" for who, year, url in citations(page, content))


def cite_parentheses(page: Page, content: str) -> str:
    """{cite:p}`key`: (Vaswani et al., 2017)."""
    return f"({'; '.join(f'[{who}, {year}]({url})' for who, year, url in citations(page, content))})"


def citations(page: Page, content: str) -> Iterable[tuple[str, str, str]]:
    """Yield authors, year and address of each key of a citation, and remember it for the list of references."""
    for key in (part.strip() for part in content.split(",")):
        if key not in page.site.bibliography.entries:
            raise LookupError(f"chapters/references.bib has no entry {key!r}")
        entry = page.site.bibliography.entries[key]
        if key not in page.cited:
            page.cited.append(key)
        yield authors(entry), entry.fields.get("year", "n.d."), f"#reference-{key}"


def authors(entry) -> str:
    """Return the surnames of an entry as a citation gives them."""
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [" ".join(map(str, (*p.rich_prelast_names, *p.rich_last_names))) for p in people]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names) or str(entry.fields.get("title", ""))


class BibliographyBackend(Backend):
    """pybtex's Markdown, with formulas in titles left as they are."""

    def format_str(self, text: str) -> str:
        """Escape what is text, keep what is math."""
        only_math = MarkdownIt("zero").use(dollarmath_plugin)
        tokens = only_math.parseInline(text)[0].children or []
        escape = super().format_str
        return "".join(f"${t.content}$" if t.type == "math_inline" else escape(t.content) for t in tokens)


def references(page: Page) -> str:
    """Return the list of the works that the page cites, or an empty string."""
    entries = [page.site.bibliography.entries[key] for key in page.cited]
    entries.sort(key=lambda entry: (authors(entry).lower(), entry.fields.get("year", ""), entry.key))
    style = find_plugin("pybtex.style.formatting", "plain")()
    lines = []
    for entry in style.format_entries(entries):
        text = " ".join(entry.text.render(BibliographyBackend()).split())
        # Lowered like any other text: no more backslashes than it needs.
        lines.append(f"- {anchor(f'reference-{entry.key}')}{page.blocks(text, 1)}")
    return "\n".join(["## References", "", *lines]) if lines else ""


def notes(page: Page) -> str:
    """Return the page's footnotes in the order they were met, or an empty string."""
    written: list[str] = []
    while len(written) < len(page.notes):  # a note may refer to another
        number = len(written) + 1
        body = page.footnotes[page.notes[number - 1]]
        text = page.render(body).split("\n")
        indented = "\n".join([text[0], *(f"   {line}" if line else "" for line in text[1:])])
        written.append(f"{number}. {anchor(f'note-{number}')}{indented}")
    return "\n".join(["## Notes", "", *written]) if written else ""


ROLES: dict[str, Callable[[Page, str], str]] = {
    "ref": ref, "numref": numref, "eq": eq, "doc": doc, "term": term, "result": result,
    "cite:t": cite_text, "cite:p": cite_parentheses,
}  # fmt: skip
