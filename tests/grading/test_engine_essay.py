"""Written answers: what a browser is given is what can only be read, and Markdown does not bring the rest back."""
import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from nbconvert.filters.markdown import markdown2html

from autograder.engine import essay
from autograder.engine.essay import harmless

PIXEL = "data:image/png;base64,iVBORw0KGgo="
PARTS = [
    "[a](javascript:x)", "<script>", "</script>", "<img src=x onerror=y>", "![a](http://b/c.png)", f"![a]({PIXEL})",
    "</div>", "<div>", "\n", "\n\n", "    ", "```", "`", "$", "$$", "\\href{javascript:x}{y}", "\\h&#114;ef{x}{y}",
    "<!--", "-->", "&lt;b&gt;", "<a href='data:text/html,x'>", "<svg onload=x>", "<style>", "<b onclick=x>",
    "[b]: javascript:x\n", "[b]", "*", "> ", "- ", "|", "\\", "\\begin{a}", "<math><mi href=javascript:x>",
    "é\u2028\x85\x0c", "<iframe src=x>", "<p class=modal id=x style=y>",
]  # fmt: skip
LINKS = ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "&#106;avascript:alert(1)", "javascript&colon;alert(1)",
         "vbscript:x", "data:text/html,x"]  # fmt: skip


def shown(text):
    """The elements of the page that nbgrader would make of an answer."""
    return BeautifulSoup(markdown2html(harmless(text)), "html.parser")


def assert_harmless(text):
    page = shown(text)
    for element in page.find_all(True):
        assert element.name in essay.TAGS, element
        assert set(element.attrs) <= {"href", "title", "src", "alt", "start", "align", "rel"}, element
        assert re.match(r"(https?:|mailto:|#|[^:]*$)", element.get("href", ""), re.I), element
        assert element.get("src", "data:image/png").startswith("data:image/"), element
    assert "\\href" not in page.text


@settings(deadline=None)
@given(st.lists(st.sampled_from(PARTS) | st.text(max_size=8), max_size=12).map("".join))
def test_nothing_that_acts_is_left(text):
    assert_harmless(text)


@pytest.mark.parametrize("link", LINKS)
def test_links_that_run_something_lead_nowhere(link):
    for text in (f"[here]({link})", f"[here][x]\n\n[x]: {link}", f"<a href='{link}'>here</a>"):
        assert "href" not in shown(text).a.attrs and shown(text).a.text == "here"


def test_an_answer_reads_as_it_was_meant():
    text = "## Why\n\nFor $a<b$ *and* `x<y`:\n\n1. [a paper](https://arxiv.org/abs/1706.03762)\n\n"
    text += "```\nif a < b:\n\n    c\n```"
    page = shown(text)
    assert page.em.text == "and" and page.code.text == "x<y" and "$a<b$" in page.text
    assert page.li.a["href"] == "https://arxiv.org/abs/1706.03762" and page.pre.text.strip() == "if a < b:\n\n    c"
    assert shown(f"![a plot]({PIXEL})").img["src"] == PIXEL and shown("![x](http://a/b.png)").img["alt"] == "x"
    assert harmless("") == "" and harmless(" \n") == " \n"


def test_what_would_take_too_long_is_shown_as_it_came(monkeypatch):
    long = "\\begin{a}" * 300_000
    assert shown(long).pre.text == long[: 5 * essay.LONGEST] + "\n…"
    monkeypatch.setattr(essay, "RENDERING", 0.05)
    assert shown("\\begin{a}" * 2000).pre is not None


def test_what_the_converter_does_not_survive_is_shown_as_it_came(monkeypatch):
    monkeypatch.setattr(essay, "markdown2html", lambda text: 1 / 0)
    assert BeautifulSoup(harmless("*a* <b>"), "html.parser").pre.text == "*a* <b>"
