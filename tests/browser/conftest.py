"""The built book, served on this machine, in headless Chromium."""
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, BrowserContext, Page

from chapters._book import build
from tests.conftest import ROOT


def toc() -> list[str]:
    """The pages of the table of contents, by name."""
    table = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [table["root"], *(chapter["file"] for part in table["parts"] for chapter in part["chapters"])]


@dataclass
class Book:
    """Where the built book is: on disk, and served."""

    folder: Path
    address: str


@dataclass
class Visit:
    """A page that was opened, and what happened while it loaded."""

    name: str
    page: Page
    foreign: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def book() -> Iterator[Book]:
    """The book as `make book` built it; built here if it is not there."""
    if not (build.HTML / "index.html").exists():
        subprocess.run([sys.executable, "-m", "chapters._book", "build"], check=True, cwd=ROOT)
    with build.server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Book(build.HTML, f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()


def watched(context: BrowserContext, name: str, address: str) -> Visit:
    """Open a page and note every request that leaves this machine, fails, or is complained about."""
    page = context.new_page()
    visit = Visit(name, page)
    page.on("request", lambda r: None if ours(r.url, address) else visit.foreign.append(r.url))
    page.on("requestfailed", lambda r: visit.failed.append(f"{r.url}: {r.failure}"))
    page.on("response", lambda r: visit.failed.append(f"{r.url}: {r.status}") if r.status >= 400 else None)
    page.on("console", lambda m: visit.console.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: visit.console.append(str(error)))
    page.goto(f"{address}/{name}.html")
    page.wait_for_load_state("networkidle")
    page.wait_for_function("!window.MathJax?.startup?.promise || MathJax.startup.promise.then(() => true)")
    return visit


def ours(url: str, address: str) -> bool:
    """Tell whether a request stays within the book."""
    return url.startswith((address, "data:", "blob:"))


@pytest.fixture(scope="module")
def visit(request: pytest.FixtureRequest, book: Book, browser: Browser) -> Iterator[Visit]:
    """One page, opened once for all tests of a module; its name is the test's parameter."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    yield watched(context, request.param, book.address)
    context.close()
