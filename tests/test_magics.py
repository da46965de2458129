"""%%implement: the cell writes the file, and the file stays the truth."""
import shutil
import sys

import pytest

from autograder import editing, magics, source
from autograder.runner import CheckFailed
from autograder.strip import strip
from autograder.table import exercise
from tests.conftest import ROOT

CELL = '''import functools

SCALE = 1


def helper(x):
    return x * SCALE


def merge_heads(x):
    """Mine."""
    return helper(x).transpose(-3, -2).flatten(-2)
'''


@pytest.fixture
def path(tmp_path, monkeypatch):
    folder = tmp_path / "gptlib"
    shutil.copytree(ROOT / "build/reference/gptlib", folder)
    file = folder / "attention.py"
    file.write_text(strip((ROOT / "solutions/attention.py").read_text(), "attention"))
    monkeypatch.setattr(source, "path_of", lambda module: folder / f"{module}.py")
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    saved = sys.modules.pop("gptlib.attention", None)
    yield file
    sys.modules.pop("gptlib.attention", None)
    if saved is not None:
        sys.modules["gptlib.attention"] = saved
        sys.modules["gptlib"].attention = saved


def test_the_cell_goes_into_the_file_and_is_checked(path, capsys):
    before = path.read_text()
    magics.implement("attention.merge_heads", CELL)
    text = path.read_text()
    assert "passes its checks" in capsys.readouterr().out
    assert editing.get(text, "merge_heads") == editing.get(CELL, "merge_heads")
    assert "import functools" in text and "SCALE = 1" in text and "def helper" in text
    for name in ("attend", "split_heads", "MultiHeadAttention"):
        assert editing.get(text, name) == editing.get(before, name)


def test_running_a_changed_cell_again_replaces_it_once(path):
    magics.implement("attention.merge_heads", CELL)
    magics.implement("attention.merge_heads", CELL.replace('"""Mine."""', '"""Mine, again."""'))
    text = path.read_text()
    assert text.count("def merge_heads") == text.count("def helper") == text.count("import functools") == 1
    assert "Mine, again." in text


def test_a_wrong_answer_is_written_and_told(path):
    with pytest.raises(CheckFailed, match="expected"):
        magics.implement("attention.merge_heads", "def merge_heads(x):\n    return x.flatten(-2)\n")
    assert "return x.flatten(-2)" in path.read_text()


def test_an_edited_file_is_not_overwritten(path):
    magics.implement("attention.merge_heads", CELL)
    path.write_text(path.read_text().replace('"""Mine."""', '"""Edited in the file."""'))
    edited = path.read_text()
    with pytest.raises(CheckFailed, match='-    """Edited in the file."""\n.*"""Mine."""'):
        magics.implement("attention.merge_heads", CELL)
    assert path.read_text() == edited
    magics.implement("attention.merge_heads --force", CELL)
    assert '"""Mine."""' in path.read_text()


def test_edits_elsewhere_in_the_file_do_not_matter(path):
    magics.implement("attention.merge_heads", CELL)
    path.write_text(path.read_text() + "\n\nOWN = 3\n")
    magics.implement("attention.merge_heads", CELL)
    assert path.read_text().endswith("OWN = 3\n")


@pytest.mark.parametrize(
    ("line", "cell", "words"),
    [
        ("attention.merge_hads", CELL, "did you mean attention.merge_heads"),
        ("", CELL, "Name one exercise"),
        ("attention.merge_heads", "def merge_heads(x)\n    return x", "line 1"),
        ("attention.merge_heads", "def merged(x):\n    return x", "must define `merge_heads`; it defines merged"),
        ("attention.merge_heads", CELL + "\nprint(merge_heads(3))\n", "does something besides defining"),
    ],
)
def test_an_unusable_cell_leaves_the_file_alone(path, line, cell, words):
    before = path.read_text()
    with pytest.raises(CheckFailed) as failure:
        magics.implement(line, cell)
    assert words in str(failure.value) and path.read_text() == before


def test_a_class_may_be_typed_whole(path, monkeypatch):
    reference = (ROOT / "build/reference/gptlib/attention.py").read_text()
    for name in ("causal_mask", "attend", "split_heads", "merge_heads", "MultiHeadAttention"):
        magics.implement(f"attention.{name}", editing.get(reference, name) + "\n")
    assert "NotImplementedError" not in path.read_text()


def test_under_grading_only_a_stub_is_written(path, monkeypatch, capsys):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    magics.implement("attention.merge_heads", CELL)
    assert '"""Mine."""' in path.read_text()
    text = path.read_text()
    magics.implement("attention.merge_heads", CELL.replace("Mine", "Other"))
    assert path.read_text() == text and "changes nothing while grading" in capsys.readouterr().out


def test_the_line_magic_offers_the_files_version(path, monkeypatch):
    offered = []

    class Shell:
        def set_next_input(self, text, replace):
            offered.append((text, replace))

    monkeypatch.setattr("IPython.get_ipython", lambda: Shell())
    magics.implement("attention.merge_heads")
    text, replace = offered[0]
    assert replace and text.startswith("%%implement attention.merge_heads\ndef merge_heads(")
    assert magics.is_stub(exercise("attention.merge_heads"), text)


def test_it_is_registered_with_ipython():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    magics.load(shell)
    assert shell.find_line_magic("implement") and shell.find_cell_magic("implement")
