"""What a page must know about the whole book: addresses, labels, terms, and the bibliography."""
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from docutils.nodes import make_id
from markdown_it.token import Token

from autograder.table import Chapter, chapters
from chapters._book import markdown

ROOT = Path(__file__).parents[2]
DEFAULT_EXTENSIONS = ("colon_fence", "dollarmath")


@dataclasses.dataclass(frozen=True)
class Target:
    """Something that can be referred to: its page, its anchor there, what it is, and its title or number."""

    page: str
    anchor: str
    kind: str
    title: str


@dataclasses.dataclass(frozen=True)
class Site:
    """The book under `root`; `table` holds the chapters that have exercises."""

    root: Path = ROOT
    table: Mapping[str, Chapter] = dataclasses.field(default_factory=chapters, hash=False)

    @functools.cached_property
    def config(self) -> dict:
        """The book's `_config.yml`."""
        return yaml.safe_load((self.root / "_config.yml").read_text(encoding="utf-8"))

    @property
    def repository(self) -> str:
        """Address of the repository; `_config.yml` is the one place that names it."""
        return self.config["repository"]["url"].rstrip("/")

    @property
    def branch(self) -> str:
        """The branch that readers' links point to."""
        return self.config["repository"].get("branch", "main")

    @property
    def extensions(self) -> Sequence[str]:
        """The extensions of Markdown that the book uses."""
        return self.config.get("parse", {}).get("myst_enable_extensions", DEFAULT_EXTENSIONS)

    @functools.cached_property
    def parser(self):
        """The Markdown parser with the book's extensions."""
        return markdown.parser(self.extensions)

    def page_url(self, page: str, anchor: str = "") -> str:
        """Return the address of a page of the published book, e.g. of `chapters/01_ngram`."""
        base = self.config["html"]["baseurl"].rstrip("/")
        return f"{base}/{page}.html" + (f"#{anchor}" if anchor else "")

    def file_url(self, path: Path, raw: bool = False) -> str:
        """Return the address of a file in the repository: to be read, or (`raw`) to be shown as an image."""
        name = path.resolve().relative_to(self.root.resolve()).as_posix()
        if raw and self.repository.startswith("https://github.com/"):
            name_of_repository = self.repository.removeprefix("https://github.com/")
            return f"https://raw.githubusercontent.com/{name_of_repository}/{self.branch}/{name}"
        return f"{self.repository}/{'raw' if raw else 'blob'}/{self.branch}/{name}"

    @functools.cached_property
    def pages(self) -> dict[str, Path]:
        """The hand-written pages of the book, by the name Sphinx gives them; generated ones are not read."""
        files = sorted((self.root / "chapters").glob("*.md"))
        return {f"chapters/{path.stem}": path for path in files}

    @functools.cached_property
    def targets(self) -> dict[str, Target]:
        """Every label of the hand-written pages."""
        found: dict[str, Target] = {}
        for page, path in self.pages.items():
            tokens = self.parser.parse(path.read_text(encoding="utf-8"))
            for name, target in page_targets(self, page, tokens):
                if name in found:
                    raise ValueError(f"the label {name!r} stands in {found[name].page} and in {page}")
                found[name] = target
        return found

    @functools.cached_property
    def titles(self) -> dict[str, str]:
        """The first heading of every hand-written page."""
        return {page: _title(self.parser.parse(path.read_text(encoding="utf-8"))) or path.stem
                for page, path in self.pages.items()}

    @functools.cached_property
    def bibliography(self):
        """The book's references, as pybtex reads them."""
        from pybtex.database import parse_file

        return parse_file(self.root / "chapters" / "references.bib", "bibtex")

    def result(self, name: str):
        """Return a recorded number, e.g. `attention.logit_variance`, from chapters/results/.

        Raises:
            LookupError: there is no such number; the message says which command writes it.
        """
        chapter, _, key = name.partition(".")
        path = self.root / "chapters" / "results" / f"{chapter}.json"
        numbers = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if key not in numbers:
            raise LookupError(
                f"chapters/results/{chapter}.json holds no number {key!r}; a cell must record it: "
                "build the book, then run: python -m chapters._book results"
            )
        return numbers[key]


def _title(tokens: list[Token]) -> str:
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            return markdown.plain(tokens[i + 1].children or [])
    return ""


def page_targets(site: Site, page: str, tokens: list[Token]) -> Iterator[tuple[str, Target]]:
    """Yield the labels of one page: headings, equations, figures, tables, glossary terms."""
    counts = {"equation": 0, "figure": 0, "table": 0}

    def numbered(kind: str, label: str, caption: bool = True) -> Iterator[tuple[str, Target]]:
        counts[kind] += caption
        if label:
            anchor = make_id(f"equation-{label}") if kind == "equation" else make_id(label)
            yield label, Target(page, anchor, kind, str(counts[kind])) if caption else Target(page, anchor, "place", "")

    def walk(tokens: list[Token]) -> Iterator[tuple[str, Target]]:
        for i, token in enumerate(tokens):
            if token.type == "myst_target":
                rest = [t for t in tokens[i + 1 : i + 8] if t.type not in ("myst_target", "myst_line_comment")]
                heading = rest and rest[0].type == "heading_open"
                title = markdown.plain(rest[1].children or []) if heading else ""
                name = token.content
                yield name, Target(page, make_id(name), "section" if heading else "place", title)
            elif token.type == "math_block_label":
                yield from numbered("equation", token.info)
            elif markdown.is_directive(token):
                yield from directive(markdown.read_directive(token, (token.map or [0])[0] + 1))

    def directive(d: markdown.DirectiveText) -> Iterator[tuple[str, Target]]:
        name = str(d.options.get("name") or d.options.get("label") or "")
        if d.name == "code-cell":
            figure = d.options.get("mystnb", {}).get("figure")
            if figure:
                yield from numbered("figure", figure.get("name", ""), bool(figure.get("caption")))
        elif d.name == "glossary":
            for line in d.body.splitlines():
                if line.strip() and not line[0].isspace():
                    term = line.split(" : ")[0].strip()
                    yield f"term:{term.lower()}", Target(page, _term_id(term), "term", term)
        elif d.name in ("figure", "list-table"):
            figure = d.name == "figure"
            yield from numbered("figure" if figure else "table", name, bool(d.body if figure else d.argument))
        elif d.name == "math":
            if name:
                yield from numbered("equation", name)
        elif d.body:
            yield from walk(site.parser.parse(d.body))

    yield from walk(tokens)


def _term_id(term: str) -> str:
    """Return the anchor that Sphinx gives a glossary term."""
    from sphinx.util.nodes import _make_id

    return _make_id(f"term-{term}")
