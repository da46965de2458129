"""Interactive figures answer to keyboard and mouse, served and from a file; pages can be read without scripts."""
import re
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, Locator, Page

from tests.browser.conftest import Book, toc

# At least so many on the page.
FIGURES = {"chapters/01_ngram": 1, "chapters/05_attention": 1, "chapters/06_transformer": 1, "chapters/07_bpe": 1,
           "chapters/13_capstone_gpt": 1}  # fmt: skip
WITH_EXERCISES = [name for name in FIGURES if "capstone" not in name]


def opened(browser: Browser, book: Book, name: str, scheme: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{book.address}/{name}.html" if scheme == "http" else (book.folder / f"{name}.html").as_uri())
    page.locator(".course-figure [role=status]").first.wait_for()
    return page


def changes(status: Locator, act: Callable[[], None]) -> bool:
    before = status.inner_text()
    act()
    for _ in range(10):  # a figure may wait for the end of typing before it speaks
        status.page.wait_for_timeout(100)
        if status.inner_text() != before:
            return True
    return False


def by_keyboard(figure: Locator) -> Iterator[Callable[[], None]]:
    """What one does with the keys: arrows on choices and sliders, letters into fields, Enter on buttons."""
    for control in figure.locator("input[type=radio]:checked, input[type=range], select").all():
        yield partial(control.press, "ArrowRight")
        yield partial(control.press, "ArrowLeft")
    for control in figure.locator("input[type=text]").all():
        yield partial(control.press, "e")
    for control in figure.locator("button").all():
        yield partial(control.press, "Enter")


def by_mouse(figure: Locator) -> Iterator[Callable[[], None]]:
    """What one does with the mouse."""
    for control in figure.locator("input[type=radio]:not(:checked), input[type=checkbox], button").all():
        yield control.click


@pytest.mark.parametrize("scheme", ["http", "file"])
@pytest.mark.parametrize("name", FIGURES)
def test_figures_answer_to_keyboard_and_mouse(browser: Browser, book: Book, name: str, scheme: str):
    page = opened(browser, book, name, scheme)
    try:
        figures = page.locator(".course-figure").all()
        assert len(figures) >= FIGURES[name]
        for figure in figures:
            status = figure.locator("[role=status]")
            assert any(changes(status, act) for act in by_keyboard(figure)), "no key changes what the figure says"
            assert any(changes(status, act) for act in by_mouse(figure)), "no click changes what the figure says"
    finally:
        page.context.close()


@pytest.mark.parametrize("name", WITH_EXERCISES)
def test_a_page_reads_without_scripts(browser: Browser, book: Book, name: str):
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(f"{book.address}/{name}.html")
        for words in page.locator(".course-figure > p").all():
            assert words.is_visible() and len(words.inner_text()) > 40, "a figure without scripts is its sentence"
        choice = page.locator("details.choice").first
        choice.locator("summary").click()
        assert choice.locator(".opened").inner_text().startswith(("Right:", "Not quite:"))
        head = page.locator(".task").first
        assert re.search(r"difficulty\s+●", head.inner_text())
        assert page.locator("svg.lineage, .lineage-figure svg").first.is_visible()
    finally:
        context.close()


def test_the_home_page_reads_without_scripts(browser: Browser, book: Book):
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(f"{book.address}/{toc()[0]}.html")
        page.locator(".lineage a.node:visible").first.focus()
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.locator("h1:visible").first.inner_text()
    finally:
        context.close()
