"""What the set-up cell runs: it says where one is, and cells see files as they were last saved."""
import nbformat
import pytest
from nbclient import NotebookClient

from autograder import begin, strip
from tests.book.test_runs import environment, made_of


def said(nb: nbformat.NotebookNode) -> list[str]:
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in nb.cells]


def test_cells_see_a_file_as_it_was_last_saved(tmp_path):
    strip.write_library(tmp_path / "gptlib", strip.strip)
    save = "from pathlib import Path\nfile = Path(attention.__file__)\nold = file.read_text()\n"
    save += "file.write_text(old + {!r})"
    nb = made_of(
        "from autograder.begin import begin\nbegin()\nfrom gptlib import attention",
        save.format("\nANSWER = 42\n"),
        "print(attention.ANSWER)",
        save.format("\ndef broken(:\n"),
        "print(attention.ANSWER)",
        "file.write_text(old)",
        "begin()\nprint(get_ipython().events.callbacks['pre_run_cell'].count(begin.__globals__['refresh']))",
    )
    client = NotebookClient(nb, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=environment(tmp_path))
    texts = said(nb)
    assert f"gptlib: {tmp_path / 'gptlib'}" in texts[0]
    assert texts[2] == "42\n"
    assert "attention.py as saved cannot be used: SyntaxError" in texts[3] + texts[4] and texts[4].endswith("42\n")
    assert texts[6].endswith("\n1\n")
    assert all(output.get("name") != "stderr" for cell in nb.cells for output in cell.outputs)


def test_missing_packages_are_those_not_installed(tmp_path):
    names = '["torch>=2", "no-such-package-here>=1", "numpy"]'
    (tmp_path / "pyproject.toml").write_text(f"[project]\ndependencies = {names}")
    assert begin.missing(tmp_path) == ["no-such-package-here>=1"]


def test_a_requirement_begins_with_a_name():
    with pytest.raises(ValueError, match="'>=1'"):
        begin._name(">=1")
