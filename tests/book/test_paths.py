"""Files that README and the pages for contributors and instructors name are there."""
import re

import pytest

from tests.conftest import ROOT

TOP = sorted(p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith((".", "_")) and p.name != "build")
NAMED = re.compile(rf"(?<![\w~/.-])(?:{'|'.join(TOP)})/[\w./-]*\w/?")
PAGES = {"README.md": 4, "chapters/contributor.md": 40, "chapters/instructor.md": 3}
EXAMPLE = "echo"  # the chapter that the ten steps make


def named(page):
    """Paths of the repository in a page, but for the example's."""
    return {found for found in NAMED.findall((ROOT / page).read_text("utf-8")) if EXAMPLE not in found}


@pytest.mark.parametrize("page", PAGES)
def test_every_path_named_is_there(page):
    found = named(page)
    assert len(found) >= PAGES[page], found
    assert [path for path in sorted(found) if not (ROOT / path).exists()] == []


def test_the_example_of_points_is_what_the_table_says():
    from autograder.table import exercise

    text = (ROOT / "chapters" / "instructor.md").read_text("utf-8")
    rows = re.findall(r'^"([\w.]+)" = \{ visible = (\d+), hidden = (\d+) \}$', text, re.M)
    assert rows and all(
        (exercise(name).visible, exercise(name).hidden) == (int(visible), int(hidden))
        for name, visible, hidden in rows
    )
