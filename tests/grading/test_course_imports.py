"""Imports are followed through the text: dotted, relative, figures by name; and what is lacking is named."""
import pytest

from autograder.course import imports

FILES = {
    "__init__.py": 'MOVED = {"old": "data.new"}\n',
    "attention.py": "import math\nfrom .data.new import load\n",
    "gpt.py": "from . import attention\n",
    "data/__init__.py": "from .new import load\n",
    "data/new.py": "from ..training import run\n\ndef load(): ...\n",
    "data/deep/__init__.py": "from ..new import load\nfrom ...gpt import x\n",
    "training/__init__.py": "",
    "training/run.py": "import torch\n",
    "figures/__init__.py": "from .figure import Figure\n",
    "figures/figure.py": "class Figure: ...\n",
    "figures/ngram.py": "from .figure import Figure\n",
    "figures/bpe.py": "from ..gpt import y\n",
}
HEADS = {"__init__.py"}


@pytest.mark.parametrize(("code", "where", "pairs"), [
    ("import gptlib.data.new as n, torch", "", [("data.new", "")]),
    ("import gptlib", "", [("", "")]),
    ("from gptlib import data, gpt", "", [("", "data"), ("", "gpt")]),
    ("from gptlib.data.new import load as l", "", [("data.new", "load")]),
    ("from . import a", "data", [("data", "a")]),
    ("from .a import b", "data.deep", [("data.deep.a", "b")]),
    ("from .. import a", "data", [("", "a")]),
    ("from ..a.b import c", "data.deep", [("data.a.b", "c")]),
    ("from ...a import c", "data.deep", [("a", "c")]),
    ("figures.ngram_figure(1)\nfigures.curve()\nother.ngram_figure()", "", [("figures", "ngram_figure")]),
    ("from gptlibs import x\nimport torch.nn", "", []),
])
def test_what_code_takes_from_a_package(code, where, pairs):
    assert list(imports.wanted(code, "gptlib", where)) == pairs


@pytest.mark.parametrize(("code", "files"), [
    ("", set()),
    ("from gptlib import gpt", {"gpt.py", "attention.py", "data/__init__.py", "data/new.py", "training/__init__.py",
                                "training/run.py"}),
    ("import gptlib.training.run", {"training/__init__.py", "training/run.py"}),
    ("from gptlib import figures\nfigures.ngram_figure()", {"figures/__init__.py", "figures/figure.py",
                                                            "figures/ngram.py"}),
    ("from gptlib.figures import ngram_figure", {"figures/__init__.py", "figures/figure.py", "figures/ngram.py"}),
    ("from gptlib import figures", {"figures/__init__.py", "figures/figure.py"}),
])  # fmt: skip
def test_files_that_are_needed(code, files):
    assert imports.needed(FILES, "gptlib", [code], []) == (files | HEADS if files else set())


def test_roots_are_needed_with_what_they_need_and_no_more():
    found = imports.needed(FILES, "gptlib", [], ["figures/bpe.py"])
    assert "gpt.py" in found and "figures/ngram.py" not in found and "data/deep/__init__.py" not in found


@pytest.mark.parametrize(("code", "where", "named"), [
    ("from gptlib import later", "", ["gptlib.later"]),
    ("from gptlib import old, data, gpt", "", []),
    ("import gptlib.later.still", "", ["gptlib.later.still"]),
    ("from gptlib.data import load, nothing", "", ["gptlib.data.nothing"]),
    ("from gptlib.data.new import load", "", []),
    ("from ..nowhere import x", "data", ["gptlib.nowhere"]),
    ("figures.gone_figure()", "", ["gptlib.figures.gone_figure"]),
    ("figures.ngram_figure()", "", []),
])
def test_what_is_lacking_is_named(code, where, named):
    assert imports.lacking(code, "gptlib", FILES, where) == named
