"""Interactive figures answer to keyboard and mouse, served and from a file; pages can be read without scripts."""
import re

import pytest
from playwright.sync_api import Browser, Locator, Page

from tests.browser.conftest import Book, toc

FIGURES = {"chapters/01_ngram": 1, "chapters/05_attention": 1}  # at least so many on the page


def opened(browser: Browser, book: Book, name: str, scheme: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{book.address}/{name}.html" if scheme == "http" else (book.folder / f"{name}.html").as_uri())
    page.locator(".course-figure [role=status]").first.wait_for()
    return page


def changes(status: Locator, act) -> bool:
    before = status.inner_text()
    act()
    status.page.wait_for_timeout(100)
    return status.inner_text() != before


@pytest.mark.parametrize("scheme", ["http", "file"])
@pytest.mark.parametrize("name", FIGURES)
def test_figures_answer_to_keyboard_and_mouse(browser: Browser, book: Book, name: str, scheme: str):
    page = opened(browser, book, name, scheme)
    try:
        figures = page.locator(".course-figure").all()
        assert len(figures) >= FIGURES[name]
        for figure in figures:
            status = figure.locator("[role=status]")
            keyed = figure.locator("input[type=radio]:checked, input[type=range], select").first
            keyed.focus()
            assert any(changes(status, lambda key=key: page.keyboard.press(key)) for key in ("ArrowRight", "ArrowLeft"))
            others = figure.locator("input[type=radio]:not(:checked):visible, input[type=checkbox]:visible").all()
            assert any(changes(status, box.click) for box in others), "no click changes what the figure says"
    finally:
        page.context.close()


@pytest.mark.parametrize("name", FIGURES)
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
