"""The first cell of every chapter: one text, written into the sources so that nobody types it."""
from chapters._book import markdown
from chapters._book.site import Site

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
TAGS = ":tags: [setup, hide-cell]"


def text(site: Site) -> str:
    """Return the cell's text with the repository's address from `_config.yml`."""
    return TEMPLATE % site.repository


def renew(site: Site, source: str) -> str:
    """Return a chapter's source with the current text in its set-up cell.

    Raises:
        ValueError: the first code cell of the source is not tagged `setup`.
    """
    for token in site.parser.parse(source):
        if markdown.is_directive(token) and token.info.startswith("{code-cell}") and token.map:
            start, end = token.map
            if "setup" not in markdown.read_directive(token, start + 1).options.get("tags", []):
                break
            lines = source.splitlines()
            cell = [lines[start].rstrip(), TAGS, "", *text(site).splitlines(), token.markup]
            return "\n".join([*lines[:start], *cell, *lines[end:]]) + "\n"
    raise ValueError(f"a chapter's first code cell must be the set-up cell: a {{code-cell}} with {TAGS}")
