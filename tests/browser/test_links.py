"""Every link within the book leads somewhere, and every launch button to a notebook of the repository."""
import functools
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

import pytest

from chapters._book.site import Site
from tests.browser.conftest import Book, toc
from tests.conftest import ROOT


class Anchors(HTMLParser):
    """Collects what a page links to and what on it can be linked to."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names |= {value for key in ("id", "name") if (value := given.get(key))}
        self.links += [value for key in ("href", "src") if (value := given.get(key)) is not None]


@functools.cache
def anchors(path: Path) -> Anchors:
    return Anchors(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [*toc(), "genindex", "search", "index"])
def test_links_lead_somewhere(book: Book, name: str):
    broken = []
    for link in anchors(book.folder / f"{name}.html").links:
        target = urlsplit(urljoin(f"http://book/{name}.html", link) if not urlsplit(link).scheme else link)
        if urlsplit(link).scheme in ("http", "https", "mailto", "data", "javascript"):
            continue
        path = book.folder / unquote(target.path if urlsplit(link).path else f"{name}.html").lstrip("/")
        found = path.is_file() and (not target.fragment or path.suffix != ".html"
                                    or unquote(target.fragment) in anchors(path).names)  # fmt: skip
        broken += [] if found else [link]
    assert broken == []


@pytest.mark.parametrize("name", [page for page in toc() if (ROOT / f"{page}.ipynb").exists()])
def test_launch_buttons_open_the_notebook(book: Book, name: str):
    links = anchors(book.folder / f"{name}.html").links
    colab = [link for link in links if link.startswith("https://colab.research.google.com/")]
    hub = [link for link in links if "/hub/user-redirect/git-pull" in link]
    owner = Site().repository.removeprefix("https://github.com/")
    assert colab == [f"https://colab.research.google.com/github/{owner}/blob/{Site().branch}/{name}.ipynb"]
    (asked,) = [parse_qs(urlsplit(link).query) for link in hub]
    assert asked["repo"] == [Site().repository] and asked["branch"] == [Site().branch]
    assert asked["urlpath"] == [f"lab/tree/{owner.partition('/')[2]}/{name}.ipynb"]


def test_every_chapter_has_launch_buttons():
    assert {f"chapters/{name}" for name in Site().table} <= set(toc())
    for name in Site().table:
        assert (ROOT / "chapters" / f"{name}.ipynb").exists()


def test_no_answer_stands_in_the_book(book: Book):
    for name in toc():
        assert "BEGIN SOLUTION" not in (book.folder / f"{name}.html").read_text(encoding="utf-8")
