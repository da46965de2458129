"""%%implement: the cell writes the file, and the file stays the truth."""
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from autograder import source
from autograder.learner import editing, magics
from autograder.runner import CheckFailed
from autograder.strip import strip
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
        ("attention.merge_heads", "SCALE = 1\n!ls\n", "line 2"),
        ("", CELL, "attention.causal_mask, attention.attend"),
        ("attention.merge_heads attention.attend", CELL, "Name one exercise"),
        ("attention.merge_heads", "", "it defines nothing"),
        ("attention.merge_heads", CELL + "\n\ndef attend(q, k, v, mask=None):\n    return v\n", "a cell of its own"),
        ("attention.merge_heads", CELL + "\n\ndef padding_mask(a, b):\n    return a\n", "`padding_mask` was edited"),
        ("attention.merge_heads", "def merge_heads(x):\n    nonlocal y\n    return x\n", "Nothing was changed"),
        ("attention.MultiHeadAttention", "def backward(self):\n    pass\n", "`MultiHeadAttention` or `forward`"),
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


def test_what_the_cell_needs_stands_before_it_in_the_cells_order(path):
    cell = "from __future__ import annotations\nimport math, functools\nfrom torch import Tensor, nn\n"
    cell += "FIRST = 1\nSECOND: int = FIRST + 1\n\ndef helper(x, by=SECOND):\n    return x * by // SECOND\n\n"
    cell += "@functools.wraps(helper)\ndef merge_heads(x):\n    return helper(x.transpose(-3, -2).flatten(-2))\n"
    magics.implement("attention.merge_heads", cell)
    text = path.read_text()
    assert text.count("import math") == text.count("import Tensor") == 1
    magics.implement("attention.merge_heads", cell.replace("FIRST = 1", "FIRST = 2"))
    assert "FIRST = 2\n" in path.read_text() and "FIRST = 1\n" not in path.read_text()


def test_every_other_byte_stays(path):
    before = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"# no line break \xe2\x80\xa8 at the end"
    path.write_bytes(before)
    magics.implement("attention.merge_heads", CELL.split("\n\n\n")[-1].replace("helper(x)", "x"))
    old = editing.get(before.decode(), "merge_heads").replace("\n", "\r\n").encode()
    start, end = before.index(old), before.index(old) + len(old)
    after = path.read_bytes()
    assert after.startswith(before[:start]) and after.endswith(before[end:]) and b'"""Mine."""\r\n' in after


@pytest.mark.parametrize("work", ["    y = x * 1", "    # my plan: transpose, then flatten"])
def test_work_begun_in_the_file_counts_as_edited(path, work):
    path.write_text(path.read_text().replace('    raise NotImplementedError("attention.merge_heads")',
                                             f'{work}\n    raise NotImplementedError("attention.merge_heads")'))
    begun = path.read_text()
    with pytest.raises(CheckFailed, match="was edited in"):
        magics.implement("attention.merge_heads", CELL)
    assert path.read_text() == begun


def test_force_keeps_a_copy_of_the_file(path, capsys):
    path.write_text(path.read_text().replace('    raise NotImplementedError("attention.merge_heads")', "    return 7"))
    edited = path.read_text()
    magics.implement("attention.merge_heads --force", CELL)
    kept = Path(capsys.readouterr().out.splitlines()[0].split(": ")[1])
    assert kept.read_text() == edited and kept.is_relative_to(path.parents[1] / ".course/backups")


def test_an_exercise_that_is_a_lambda_or_gone_can_be_written(path):
    stub = editing.get(path.read_text(), "merge_heads")
    magics.implement("attention.merge_heads", "merge_heads = lambda x: x.transpose(-3, -2).flatten(-2)\n")
    magics.implement("attention.merge_heads", CELL)
    assert "lambda" not in path.read_text()
    path.write_text(path.read_text().replace(editing.get(path.read_text(), "merge_heads"), ""))
    magics.implement("attention.merge_heads", CELL)
    assert "def merge_heads" in path.read_text() and stub not in path.read_text()


def test_a_method_alone_may_be_typed(path):
    reference = (ROOT / "build/reference/gptlib/attention.py").read_text()
    for name in ("causal_mask", "attend", "split_heads", "merge_heads"):
        magics.implement(f"attention.{name}", editing.get(reference, name) + "\n")
    method = textwrap.dedent(editing.get(reference, "MultiHeadAttention.forward"))
    magics.implement("attention.MultiHeadAttention", method)
    assert path.read_text() == reference
    magics.implement("attention.MultiHeadAttention", method.replace("def forward", "# mine\ndef forward"))
    whole = editing.get(reference, "MultiHeadAttention").replace("super().__init__()", "super().__init__()  # whole")
    magics.implement("attention.MultiHeadAttention", whole)  # cells wrote all that differs from the stub
    assert "# whole" in path.read_text()
    path.write_text(reference.replace("self.n_heads = n_heads", "self.n_heads = n_heads  # by hand"))
    with pytest.raises(CheckFailed, match="by hand"):
        magics.implement("attention.MultiHeadAttention", editing.get(reference, "MultiHeadAttention"))


def test_a_damaged_memory_counts_as_none(path):
    magics.implement("attention.merge_heads", CELL)
    (path.parents[1] / ".course/implement.json").write_text("[not json")
    with pytest.raises(CheckFailed, match="was edited"):
        magics.implement("attention.merge_heads", CELL.replace("Mine", "Yours"))


def test_a_file_that_cannot_be_read_is_told(path):
    path.write_bytes(path.read_bytes() + b"# caf\xe9\n")
    before = path.read_bytes()
    with pytest.raises(CheckFailed, match="not saved as UTF-8"):
        magics.implement("attention.merge_heads", CELL)
    assert path.read_bytes() == before


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
    assert editing.is_stub(text, "attention.merge_heads")


def test_importing_autograder_registers_it_in_a_running_ipython(path):
    code = "import autograder, sys\nprint(bool(get_ipython().find_cell_magic('implement')), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-m", "IPython", "--no-banner", "--quick", "-c", code], capture_output=True,
                          text=True, env=os.environ | {"IPYTHONDIR": str(path.parents[1] / "ipython")})
    assert "True False" in done.stdout, done.stdout + done.stderr


def test_it_is_registered_with_ipython():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    magics.load(shell)
    assert shell.find_line_magic("implement") and shell.find_cell_magic("implement")
