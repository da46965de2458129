"""The first cell of every chapter: `{setup}` in the sources, one text in the book and in the notebooks."""
import re
from pathlib import Path

from chapters._book.site import ROOT, Site

TEMPLATE = '''\
# Run this first. It finds the course, or fetches it (Colab), and shows what you have done so far.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

if not all(importlib.util.find_spec(name) for name in ("autograder", "gptlib")):
    repository = os.environ.get("GPTLIB_REPOSITORY", "%s")
    course = Path.cwd().parent  # a notebook in chapters/ of a clone
    if not (course / "autograder/begin.py").exists():
        course = Path.cwd() / "gpt-lineage"
        try:
            from google.colab import drive  # kept in your Drive, your work outlives this machine
            if not course.exists():
                drive.mount("/content/drive")
                course = Path("/content/drive/MyDrive/gpt-lineage")
        except Exception:  # not on Colab, or Drive refused: begin() says what that means
            pass
        if not (course / "autograder/begin.py").exists():
            print("Fetching the course to", course)
            subprocess.run(["git", "clone", "--quiet", repository, course], stderr=subprocess.STDOUT, check=True)
    sys.path.insert(0, str(course))  # and install the small packages that are missing, never another torch
    subprocess.run([sys.executable, course / "autograder/begin.py"], stderr=subprocess.STDOUT, check=True)

from autograder import check
from autograder.begin import begin

begin()'''
TAGS = ["setup", "hide-cell"]
FILE = ROOT / "build" / "setup_cell.py"
# With a blank line on either side: what takes its place in the book has as many lines, so warnings name the right one.
DIRECTIVE = re.compile(r"^\n?(?P<fence>`{3,}|:{3,})\{setup\} *\n(?P=fence) *\n\n?", re.M)
CELL = "```{{code-cell}}\n:tags: [{tags}]\n{rest}\n```\n"


def text(site: Site) -> str:
    """Return the cell's text with the repository's address from `_config.yml`."""
    return TEMPLATE % site.repository


def write(site: Site, path: Path = FILE) -> None:
    """Write the cell's text to the file that the book's pages load it from."""
    if not path.exists() or path.read_text(encoding="utf-8") != text(site):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(site), encoding="utf-8")


def loaded(source: str) -> str:
    """Return a chapter's source as the book reads it: the cell loads its text, and every line keeps its number."""
    cell = CELL.format(tags=", ".join(TAGS), rest=f":load: ../{FILE.relative_to(ROOT).as_posix()}")
    return DIRECTIVE.sub(lambda _: cell, source)


def written_out(site: Site, source: str) -> str:
    """Return a chapter's source for those who download it: the cell is there in full."""
    cell = CELL.format(tags=", ".join(TAGS), rest="\n" + text(site))
    return DIRECTIVE.sub(lambda _: f"\n{cell}\n", source)
