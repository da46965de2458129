"""Feedback pages: they are read without scripts, so formulas are MathML."""
import re
import xml.etree.ElementTree

import nbformat
import pytest
from nbconvert.filters.markdown_mistune import MarkdownWithMath

from autograder.engine.feedback import Formulas
from tests.conftest import ROOT


def page(text):
    """Markdown as the pages show it."""
    return MarkdownWithMath(renderer=Formulas(escape=False)).render(text)


@pytest.mark.parametrize("path", sorted((ROOT / "chapters").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_formula_of_the_course_is_understood(path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            found = page(cell.source)
            assert "$" not in re.sub(r"(?s)<(pre|code|script)[ >].*?</\\1>|<[^>]*>", "", found), found
            for formula in re.findall(r"(?s)<math.*?</math>", found):
                words = "".join(xml.etree.ElementTree.fromstring(formula).itertext())
                assert not re.search(r"[&\\]", words), f"{words}: neither an & nor a command is left"


def test_a_number_stands_apart_and_lines_are_a_table():
    found = page("$$\n\\begin{aligned}\na &= b \\\\\nc &= d\n\\end{aligned}\n\\tag{7}\n$$")
    assert re.search(r"<span[^>]*>\(7\)</span><math[^>]*display=.block", found) and found.count("<mtr>") == 2


def test_what_is_not_understood_stays_as_it_was():
    assert page("$a^b^c$").strip() == "<p>$a^b^c$</p>"
