"""Build the HTML book with every notebook executed, and show it in a browser.

A step is left out if what it depends on is as it was when it was done last.
"""
import functools
import http.server
import importlib
import os
import shutil
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

from autograder import kept
from autograder.strip import build_reference
from chapters._book.site import ROOT, Site

HTML = ROOT / "_build" / "html"
DOCTREES = ROOT / "_build" / ".doctrees"
STEPS = ROOT / "build" / "steps"
# What each step depends on. If the look of the book changes, all its pages are written anew.
FILES = {
    "scripts": ("chapters/_book/vendor.py",),
    "pages": ("solutions/*.py", "gptlib/*/**/*.py", "autograder/**/*.py", "autograder/exercises/*.toml",
              "chapters/_book/*.py"),
    "look": ("_config.yml", "_toc.yml", "chapters/_book/**/*.*", "chapters/_static/**/*.*", "chapters/*.bib",
             "chapters/*.toml", "autograder/*.py"),
    "book": ("_config.yml", "_toc.yml", "chapters/**/*.*", "solutions/*.py", "gptlib/*/**/*.*", "autograder/**/*.*",
             "bench/results/*.json", "pyproject.toml"),
}  # fmt: skip
SPHINX = "from jupyter_book.cli.main import main; main()"  # it is no module that -m could run


def main(argv: list[str]) -> int:
    """Build the book into _build/html: generated pages, scripts, cells, then Jupyter Book; warnings are errors."""
    if set(argv) - {"--fresh"}:
        print("usage: python -m chapters._book build [--fresh]     (--fresh executes every notebook anew)")
        return 2
    start, fresh, now = time.monotonic(), "--fresh" in argv, state()
    made = ROOT / "chapters" / "_generated"
    if fresh or not done("book", now, HTML / "index.html"):
        forget("book")
        if not done("scripts", now, ROOT / "build" / "webroot"):
            importlib.import_module("chapters._book.vendor").main([])
            remember("scripts", now)
        if not done("pages", now, made):
            importlib.import_module("chapters._book.pages").main([])
            remember("pages", now)
        if not (cells_run(fresh) and sphinx(anew=fresh or not done("look", now, DOCTREES))):
            forget("look")
            return 1
        remember("look", now)
        remember("book", now)
    print(f"\nThe book is ready ({time.monotonic() - start:.0f} s): {HTML / 'index.html'}")
    return 0


def state() -> dict[str, str]:
    """The digest of what each step depends on."""
    more = {
        "pages": sorted(path.name for path in (ROOT / "chapters").glob("*.md")),
        "look": [kept.versions("book"), os.environ.get("BOOK_SOLUTIONS", "")],
        "book": [kept.versions("book"), os.environ.get("BOOK_SOLUTIONS", "")],
    }
    found = {step: [path for pattern in patterns for path in ROOT.glob(pattern)] for step, patterns in FILES.items()}
    return {step: kept.digest(filter(counts, paths), more.get(step)) for step, paths in found.items()}


def counts(path: Path) -> bool:
    """Whether a file is one of the repository's, not one that a step, Python or an editor has made."""
    return path.is_file() and not {"_generated", "__pycache__", ".ipynb_checkpoints"} & set(path.parts)


def done(step: str, now: dict[str, str], result: Path) -> bool:
    """Whether a step has been done on what is there now, and its result is still there."""
    path = STEPS / step
    return result.exists() and path.exists() and path.read_text(encoding="utf-8") == now[step]


def remember(step: str, now: dict[str, str]) -> None:
    """Note what a step was done on."""
    STEPS.mkdir(parents=True, exist_ok=True)
    (STEPS / step).write_text(now[step], encoding="utf-8")


def forget(step: str) -> None:
    """Let a step be done again."""
    (STEPS / step).unlink(missing_ok=True)


def cells_run(fresh: bool) -> bool:
    """Run the cells of the pages that have changed, or of all; say whether nothing is wrong with them."""
    execute = importlib.import_module("chapters._book.execute")
    found = execute.pages(Site())
    wrong = execute.bring_up_to_date(found, fresh)
    if wrong:
        print("\n".join(["", *wrong, "The book is not built: these cells must run first."]))
        return False
    execute.collect(found)
    execute.offer(found)
    return True


def sphinx(anew: bool) -> bool:
    """Write the pages that have changed, or all; say whether there is no warning."""
    if anew:
        shutil.rmtree(HTML, ignore_errors=True)
        shutil.rmtree(DOCTREES, ignore_errors=True)
    environment = importlib.import_module("chapters._book.execute").environment(build_reference())
    command = [sys.executable, "-c", SPHINX, "build", str(ROOT), "-W", "-n", "--keep-going"]
    if subprocess.run(command, env=environment, cwd=ROOT).returncode:
        print("\nThe book has errors; each is named above.")
        return False
    return True


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def server(port: int = 0) -> http.server.ThreadingHTTPServer:
    """Return a server of _build/html on this machine only; port 0 takes any that is free."""
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), functools.partial(Quiet, directory=str(HTML)))


def serve(argv: list[str]) -> int:
    """Show the built book in a browser, on this machine only: serve [PORT]."""
    if not (HTML / "index.html").exists():
        print("the book is not built yet: make book")
        return 1
    if len(argv) > 1 or not all(arg.isdigit() for arg in argv):
        print("usage: python -m chapters._book serve [PORT]")
        return 2
    with server(int(argv[0]) if argv else 8000) as site:
        address = f"http://127.0.0.1:{site.server_address[1]}/"
        print(f"the book is at {address} (stop with Ctrl-C)")
        webbrowser.open(address)
        try:
            site.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0
