"""Every bug hunt: the test on the page is too kind, the one in its last hint wins, and the judge judges both ways."""
import importlib
import re

import pytest

from autograder.hunt import hunt
from tests.conftest import ROOT

CALL = re.compile(r"^print\(hunt\(my_test, ([\w.]+), (\w+)\)\)$", re.M)
PAGES = sorted(p for p in (ROOT / "chapters").glob("[0-9]*.md") if "### Bug hunt" in p.read_text("utf-8"))


def names_of(text: str) -> dict:
    """What the page's imports name."""
    return {
        name: importlib.import_module(f"gptlib.{name}")
        for line in re.findall(r"^from gptlib import (.+)$", text, re.M) for name in re.findall(r"\w+", line)
    }  # fmt: skip


def played(path) -> tuple[dict, str, str, str]:
    """The names after the hunt's cells have run, those of the right and the broken function, and the page's answer."""
    text = path.read_text("utf-8")
    section = text[text.index("### Bug hunt") :]
    names = names_of(text)
    exec("\n".join(re.findall(r"^import .+$", text, re.M)), names)
    names["print"] = lambda *_: None
    for cell in re.findall(r"^```\{code-cell\}\n(?::tags:[^\n]*\n\n)?(.*?)^```", section, re.M | re.S)[:2]:
        exec(cell, names)
    (call,) = CALL.findall(section)
    (answer,) = re.findall(r"A test that catches it\n```python\n(.*?)^```", section, re.M | re.S)
    return names, *call, answer


def test_the_chapters_with_exercises_have_one():
    from autograder.table import chapters

    assert set(chapters()) <= {path.stem for path in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_it_is_won_by_the_chapters_own_test_and_not_by_the_kind_one(path):
    names, right, broken, answer = played(path)
    right, broken = eval(right, names), names[broken]
    assert "at large" in hunt(names["my_test"], right, broken)
    exec(answer, names)
    assert hunt(names["my_test"], right, broken).startswith("Caught!")


def test_the_right_function_of_the_bpe_chapter_is_right():
    names, *_ = played(ROOT / "chapters/07_bpe.md")
    text = "\n\n".join(names["data"].shakespeare("held-out").values())[:20_000]
    tool = names["bpe"].train(text, 500)
    assert all(names["mended"](tool, text, size) == tool.encode(text) for size in (1, 7, 1000))


def test_what_the_judge_says_of_other_tests():
    def too_strict(function):
        raise AssertionError

    def calls(function):
        function()

    def unwritten():
        raise NotImplementedError("ngram.count")

    assert hunt(too_strict, int, int).startswith("Too strict")
    assert hunt(calls, int, lambda: 1 / 0).startswith("Compare values")
    with pytest.raises(NotImplementedError, match=r"ngram\.count"):
        hunt(calls, unwritten, int)
