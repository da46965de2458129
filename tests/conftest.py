"""What all tests share: `import gptlib` is the complete library; how a missing system tool is treated."""
import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from autograder.strip import build_reference
from tests import chosen

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
CHROMIUM = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
sys.path.insert(0, str(build_reference()))
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # nbgrader calls alembic by name
importlib.import_module("gptlib")  # now: for each test module pytest puts the root, with the stubs, first


def needs_tool(name: str) -> str:
    """The path of a system tool; without it the test fails under CI=true and is skipped elsewhere."""
    path = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))  # node comes with pip
    if path is None:
        message = f"{name} is not installed (on Debian: apt-get install {name})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Debian's Chromium, headless: one for all tests, since Playwright runs once in a process."""
    chromium = needs_tool("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM.split())
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def _same_settings_after_each_test() -> Iterator[None]:
    """A course's settings that stay behind would choose the secret and the hidden checks of every later test."""
    before = settings()
    yield
    assert settings() == before


def pytest_configure(config: pytest.Config) -> None:
    """Choose now: commits that are made while the tests run change nothing."""
    chosen.changed()
    chosen.chosen()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what ran for some chapters only."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    if lines := chosen.summary(report.nodeid for report in reports if isinstance(report, pytest.TestReport)):
        terminalreporter.section("done for some chapters only; EVERY_CHAPTER=1 does it for all")
        for line in lines:
            terminalreporter.write_line(line)


def settings() -> dict[str, str]:
    """The course's environment variables."""
    return {name: value for name, value in os.environ.items() if name.startswith(("AUTOGRADER_", "GPTLIB_"))}
