"""Build the HTML book with every notebook executed, and show it in a browser."""
import functools
import hashlib
import http.server
import importlib
import os
import shutil
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterable
from pathlib import Path

from autograder.strip import build_reference
from chapters._book.site import ROOT
from chapters._book.vendor import vendor

HTML = ROOT / "_build" / "html"
RESULTS = ROOT / "build" / "results"
STAMP = ROOT / "build" / "book.sha256"
# What cells depend on besides their own text: a change in it makes cached results worthless.
INPUTS = ("solutions/*.py", "gptlib/*/**/*.*", "autograder/**/*.py", "autograder/**/*.toml", "autograder/**/*.jsonl",
          "chapters/lineage.toml", "chapters/_book/**/*.py", "_config.yml")  # fmt: skip


def main(argv: list[str]) -> int:
    """Build the book into _build/html: generated pages, scripts, then Jupyter Book; warnings are errors."""
    if set(argv) - {"--fresh"}:
        print("usage: python -m chapters._book build [--fresh]     (--fresh executes every notebook anew)")
        return 2
    start = time.monotonic()
    reference = build_reference()
    vendor()
    generate_pages()
    fresh = forget_if_outdated("--fresh" in argv)
    book = "from jupyter_book.cli.main import main; main()"  # it is no module that -m could run
    command = [sys.executable, "-c", book, "build", str(ROOT), "-W", "-n", "--keep-going"]
    done = subprocess.run([*command, "--all"] if fresh else command, env=environment(reference), cwd=ROOT)
    if done.returncode:
        STAMP.unlink(missing_ok=True)
        print("\nThe book has errors; each is named above. Reports of failed cells lie in _build/html/reports.")
        return 1
    print(f"\nThe book is ready ({time.monotonic() - start:.0f} s): {HTML / 'index.html'}")
    return 0


def generate_pages() -> None:
    """Write chapters/_generated."""
    importlib.import_module("chapters._book.pages").main([])


def environment(reference: Path) -> dict[str, str]:
    """Return the variables under which cells run: the reference as gptlib, the quick budget, results kept."""
    settings = {
        "PYTHONPATH": os.pathsep.join([str(reference), str(ROOT)]),
        "COURSE_RESULTS": str(RESULTS),
        "COURSE_STATIC": "1",
        "GPTLIB_BUDGET": "quick",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    return {**os.environ, **settings}


def forget_if_outdated(force: bool) -> bool:
    """Empty the cache of executed notebooks if what they run on has changed; tell whether it was emptied."""
    now = fingerprint(path for pattern in INPUTS for path in sorted(ROOT.glob(pattern)))
    if not force and STAMP.exists() and STAMP.read_text(encoding="utf-8") == now:
        return False
    shutil.rmtree(ROOT / "_build", ignore_errors=True)
    shutil.rmtree(RESULTS, ignore_errors=True)
    STAMP.parent.mkdir(exist_ok=True)
    STAMP.write_text(now, encoding="utf-8")
    return True


def fingerprint(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of names and contents of files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


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
