"""One word for each thing: the terms of the field, in everything that learners and readers see."""
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from chapters._book import pages
from tests.book import prose
from tests.conftest import ROOT

TERMS = tomllib.loads((ROOT / "chapters/terms.toml").read_text(encoding="utf-8"))["term"]
PAGES = ("README.md", "chapters/*.md", "chapters/_book/templates/*.md.txt")
LIBRARY = ("solutions/*.py", "gptlib/*/**/*.py", "gptlib/*/*.py")
TOOLS = ("autograder/**/*.py", "chapters/_book/**/*.py", "chapters/_book/templates/*.py.txt", "bench/**/*.py")
# Not the names of hidden checks: their draws are seeded by them, so no name there is ever changed.
NAMES = (*LIBRARY, "autograder/visible/*.py", "autograder/mistakes/*.py", "autograder/alternatives/*.py")
TABLES = ("autograder/exercises/*.toml", "autograder/capstones.toml", "chapters/lineage.toml",
          "chapters/_book/templates/*.toml.txt")  # fmt: skip
SCRIPTS = ("gptlib/figures/*.js",)


def words(phrases: Iterable[str]) -> re.Pattern[str]:
    """A pattern of whole words, in any case, whatever white space stands between."""
    forms = [re.escape(phrase).replace(r"\ ", r"\s+") for phrase in sorted(phrases, key=len, reverse=True)]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(forms) or '(?!)'})(?![\w-])", re.I)


def wrong(lines: Iterable[prose.Line]) -> Iterator[tuple[int, str, str]]:
    """Words that are not the course's: line, word, and what to write."""
    text, numbers = "", []
    for number, line in lines:
        text += ("" if not numbers or numbers[-1] == number - 1 else ". ") + line + "\n"
        numbers += [number] * (line.count("\n") + 1)
    for term in TERMS:
        rest = words(term.get("allow", ())).sub(lambda m: re.sub(r"\S", ".", m[0]), text)
        for found in words(term["not"]).finditer(rest):
            yield numbers[text.count("\n", 0, found.start())], " ".join(found[0].split()), term["use"]


def wrong_names(names: Iterable[prose.Line]) -> Iterator[tuple[int, str, str]]:
    """Names with a word that no name may have."""
    for number, name in names:
        parts = " ".join(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r"_\1", name).lower()))
        for term in TERMS:
            if set(words(term.get("allow", ())).sub("", parts).split()) & set(term.get("names", ())):
                yield number, name, term["use"]


def report(path: Path, found: Iterable[tuple[int, str, str]]) -> str:
    return "\n".join(f"{path.relative_to(ROOT)}:{n}: {word!r}: write {use}" for n, word, use in found)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", prose.files(ROOT, *PAGES), ids=ids)
def test_pages(path):
    text = text_of(path)
    cells = prose.cells_of(text)
    names = [(first + number - 1, name) for first, code in cells for number, name in prose.names_in(code)]
    said = report(path, [*wrong(prose.of_page(text)), *wrong_names(names)])
    assert not said, f"\n{said}"


@pytest.mark.parametrize("path", prose.files(ROOT, *LIBRARY, *TOOLS), ids=ids)
def test_docstrings_messages_and_hints(path):
    said = report(path, wrong(prose.of_python(text_of(path))))
    assert not said, f"\n{said}"


@pytest.mark.parametrize("path", prose.files(ROOT, *NAMES), ids=ids)
def test_names_that_readers_see(path):
    said = report(path, wrong_names(prose.names_in(text_of(path))))
    assert not said, f"\n{said}"


@pytest.mark.parametrize("path", prose.files(ROOT, *SCRIPTS), ids=ids)
def test_figures(path):
    text = text_of(path)
    said = report(path, [*wrong(prose.of_javascript(text)), *wrong_names(prose.names_in_javascript(text))])
    assert not said, f"\n{said}"


@pytest.mark.parametrize("path", prose.files(ROOT, *TABLES), ids=ids)
def test_tables(path):
    said = report(path, wrong(enumerate(text_of(path).splitlines(), 1)))
    assert not said, f"\n{said}"


def test_generated_pages():
    for name in ("notation", "data_sources"):
        assert not list(wrong(prose.of_page(pages.PAGES[name]()))), name


def test_wrong_words_are_found_and_allowed_ones_are_not():
    page = "The law of `law` is $law$; scaling\nlaws hold. Set\napart.\n\n"
    page += "```{code-cell}\n---\ncaption: |\n  A door.\n---\n"
    page += "law = f'{law} of the house'  # a road\n```\nWrite in place, at a place.\n{term}`x <law>`\n"
    found = sorted((number, word) for number, word, _ in wrong(prose.of_page(page)))
    assert found == [(1, "law"), (2, "Set apart"), (8, "door"), (10, "house"), (10, "road"), (12, "place")]
    code = 'def filled(place, x):\n    """Set apart."""\n    x.law = [room for room in x]\n'
    code += "    f(spread=1, turned_round=2, turned_on=3, in_place=4)\n"
    assert [word for _, word, _ in wrong(prose.of_python(code))] == ["Set apart"]
    names = [word for _, word, _ in wrong_names(prose.names_in(code))]
    assert sorted(names) == ["filled", "law", "place", "room", "spread", "turned_round"]
    script = 'let laws = place("a door", [b]); // Take the\n// road\n'
    assert [word for _, word, _ in wrong(prose.of_javascript(script))] == ["door", "road"]
    assert [word for _, word, _ in wrong_names(prose.names_in_javascript(script))] == ["laws", "place"]


def test_no_term_forbids_what_another_one_asks_for():
    for term in TERMS:
        assert not list(wrong([(1, term["use"])])), term["use"]
