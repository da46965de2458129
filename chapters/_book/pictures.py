"""The two pictures of README.md, taken from the real thing: the built book and a learner's failing check."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from autograder.strip import ROOT, regions

STATIC = ROOT / "chapters" / "_static"
EXERCISE = "attention.attend"
# What a learner may write: the mask is applied after the softmax.
MISTAKE = """
    weights = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(-1)
    if mask is not None:
        weights = weights * mask
    return weights @ value
"""
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def main(argv: list[str]) -> int:
    """Take README's pictures again: the attention page, and what a wrong answer is told."""
    book = ROOT / "_build" / "html" / "chapters" / "05_attention.html"
    if not book.exists():
        print("build the book first: make book")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        feedback = feedback_page(Path(folder))
        _photograph(book, STATIC / "readme-book.png", ".course-figure", (1280, 800))
        _photograph(feedback, STATIC / "readme-feedback.png", ".jp-Cell", (900, 420))
    return 0


def feedback_page(folder: Path) -> Path:
    """Run `check` in a notebook on a learner's file with a common mistake; return it as HTML."""
    for part in ("gptlib", "autograder"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "gptlib" / "attention.py"
    source = (ROOT / "solutions" / "attention.py").read_text(encoding="utf-8")
    path.write_text(source.replace(regions(source)["attend"], MISTAKE.lstrip("\n")), encoding="utf-8")
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[
        nbformat.v4.new_code_cell(f'from autograder import check\n\ncheck("{EXERCISE}")')])
    nbformat.write(notebook, folder / "feedback.ipynb")
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--execute", "--allow-errors", "feedback.ipynb"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    page = folder / "feedback.html"
    page.write_text(page.read_text(encoding="utf-8").replace(str(folder), "~/gpt-lineage"), encoding="utf-8")
    return page


def _photograph(page: Path, target: Path, selector: str, size: tuple[int, int]) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = play.chromium.launch(executable_path=chromium, args=[*CHROMIUM])
        tab = browser.new_page(viewport={"width": size[0], "height": size[1]}, device_scale_factor=1.5)
        tab.goto(page.as_uri())
        place = tab.locator(selector).first
        place.scroll_into_view_if_needed()
        tab.evaluate("e => window.scrollTo(0, e.getBoundingClientRect().top + scrollY - 220)", place.element_handle())
        tab.wait_for_timeout(800)
        if selector == ".jp-Cell":
            place.screenshot(path=target)
        else:
            tab.screenshot(path=target)
        browser.close()
    print(f"wrote {target.relative_to(ROOT)}")
