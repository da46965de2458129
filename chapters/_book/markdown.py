"""How the book's MyST is parsed: one parser, one way to read a directive, errors with file and line."""
import dataclasses
import html
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

from docutils.parsers.rst import Directive
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdformat.renderer import MDRenderer, RenderTreeNode
from mdit_py_plugins.dollarmath import dollarmath_plugin
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.directives import parse_directive_text
from myst_parser.parsers.mdit import create_md_parser

FENCES = ("fence", "colon_fence")
# Quiz boxes are read as text, and bare addresses stay as they are written.
NOT_PARSED = {"tasklist", "linkify", "smartquotes", "replacements"}


class LoweringError(ValueError):
    """Something in a chapter's source cannot be turned into plain Markdown."""

    def __init__(self, path: Path, line: int, problem: str):
        super().__init__(f"{path}:{line}: {problem}")


@dataclasses.dataclass(frozen=True)
class DirectiveText:
    """A directive as written: name, the rest of its first line, options, body, and the body's first line."""

    name: str
    argument: str
    options: dict
    body: str
    line: int


class _AnyDirective(Directive):
    """Tells myst-parser to accept every option and an optional argument; names are checked by us."""

    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = {"any": str}
    has_content = True


def parser(extensions: Sequence[str]) -> MarkdownIt:
    """Return myst-parser's Markdown parser with the book's extensions."""
    config = MdParserConfig(enable_extensions=set(extensions) - NOT_PARSED)
    return create_md_parser(config, MDRenderer)


def is_directive(token: Token | RenderTreeNode) -> bool:
    """Tell whether a token opens a directive, such as ```{note}."""
    return token.type in FENCES and token.info.strip().startswith("{")


def read_directive(token: Token | RenderTreeNode, line: int) -> DirectiveText:
    """Split a directive's fence into its parts; `line` is the number of the fence's own line.

    Raises:
        ValueError: the options are no valid YAML, or the braces do not close.
    """
    name, closed, argument = token.info.strip()[1:].partition("}")
    if not closed:
        raise ValueError(f"the directive {token.info!r} lacks its closing brace")
    result = parse_directive_text(_AnyDirective, "", token.content, validate_options=False)
    if result.warnings:
        raise ValueError(f"{{{name}}}: {result.warnings[0].msg}")
    body = "\n".join(result.body)
    return DirectiveText(name, argument.strip(), result.options, body, line + 1 + result.body_offset)


def plain(tokens: Sequence[Token]) -> str:
    """Return inline tokens as text without markup, as a table of contents would show it."""
    words = []
    for token in tokens:
        if token.type == "math_inline":
            words.append(f"${token.content}$")
        elif token.type in ("softbreak", "hardbreak"):
            words.append(" ")
        elif token.type in ("text", "code_inline", "myst_role"):
            words.append(token.content)
        elif token.children:
            words.append(plain(token.children))
    return "".join(words)


def summary_html(markdown: str) -> str:
    """Turn one line of plain Markdown into HTML for a `<summary>`, math left to the notebook."""
    md = MarkdownIt("commonmark").use(dollarmath_plugin)
    md.add_render_rule(
        "math_inline", lambda self, tokens, i, options, env: f"${html.escape(tokens[i].content, quote=False)}$"
    )
    return md.renderInline(markdown)


def html_addresses(text: str) -> list[str]:
    """Return what the `src` and `href` attributes of HTML tags point to."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attributes if name in ("src", "href"))

    Reader().feed(text)
    return found


def sections(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Split a parsed page where a heading starts, taking the labels before the heading along."""
    part: list[Token] = []
    for token in tokens:
        if token.type == "heading_open" and token.level == 0:
            labels = []
            while part and part[-1].type in ("myst_target", "myst_line_comment"):
                labels.insert(0, part.pop())
            if part:
                yield part
            part = labels
        part.append(token)
    if part:
        yield part
