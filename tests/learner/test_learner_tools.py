"""The learner's commands, driven in a small clone: status, fill, reset, solution, submit."""
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.learner.kit import RIGHT, STUB, WRONG, edit, git, tool

pytest_plugins = ["tests.learner.fixtures"]


def test_status_tells_every_state(clone):
    edit(clone, STUB, RIGHT)
    edit(clone, '    raise NotImplementedError("attention.split_heads")', "    return x")
    tool(clone, "fill", "attention.causal_mask")
    lines = {line.split()[1]: line for line in tool(clone, "status", "05_attention").splitlines() if "." in line}
    assert "done" in lines["attention.merge_heads"] and "3 points" in lines["attention.merge_heads"]
    assert "begun" in lines["attention.split_heads"]
    assert "done (from the solutions)" in lines["attention.causal_mask"]
    assert "to do" in lines["attention.attend"] and "25 min" in lines["attention.attend"]
    shutil.rmtree(clone / "autograder/hidden")
    assert "passes the visible checks" in tool(clone, "status", "attention.merge_heads")


def test_status_survives_a_broken_file_and_a_wrong_name(clone):
    edit(clone, "import math", "import math (")
    out = tool(clone, "status")
    assert "cannot be read" in out and "ngram.count" in out
    assert "did you mean attention.attend" in tool(clone, "status", "attention.atend", code=2)


def test_fill_touches_only_what_is_not_begun_and_git_shows_it(clone):
    edit(clone, STUB, WRONG)
    out = tool(clone, "fill", "05_attention")
    assert "merge_heads: already begun" in out and "attend: filled in" in out
    text = (clone / "gptlib/attention.py").read_text()
    assert WRONG in text and text.count("# from solutions/") == 4
    assert "attention.merge_heads" in next(
        line for line in tool(clone, "status", "05_attention").splitlines() if "begun" in line)
    assert "+    # from solutions/" in git("diff", cwd=clone)


def test_reset_puts_one_exercise_back_and_keeps_the_file(clone):
    edit(clone, STUB, WRONG)
    tool(clone, "fill", "attention.MultiHeadAttention")
    out = tool(clone, "reset", "attention.merge_heads")
    text = (clone / "gptlib/attention.py").read_text()
    assert STUB in text and "# from solutions/" in text
    kept = Path(out.strip().split(": ")[-1])
    assert WRONG in kept.read_text()
    tool(clone, "reset", "attention")
    assert git("status", "--porcelain", cwd=clone) == ""


def test_reset_of_a_deleted_function_and_of_a_broken_file(clone):
    path = clone / "gptlib/attention.py"
    path.write_text(path.read_text().replace("def merge_heads", "def merged"))
    tool(clone, "reset", "attention.merge_heads")
    assert STUB in path.read_text()
    path.write_text("def broken(:\n")
    assert "resets all of it" in tool(clone, "reset", "attention.merge_heads", code=1)
    assert path.read_text() == "def broken(:\n"
    tool(clone, "reset", "attention")
    assert git("status", "--porcelain", cwd=clone) == ""


def test_solution_prints_the_region_and_bad_names_are_told(clone):
    assert "BEGIN" not in tool(clone, "solution", "attention.merge_heads")
    for command in ("solution", "fill", "reset"):
        assert "did you mean" in tool(clone, command, "attention.merge", code=2)
        assert "usage" in tool(clone, command, code=2)


def test_submit_writes_what_zip_collect_wants(clone):
    edit(clone, STUB, WRONG)
    out = tool(clone, "submit", "05_attention", "--name", "ada")
    path = clone / "submissions/05_attention/ada.zip"
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["05_attention/05_attention.ipynb", "05_attention/gptlib/attention.py"]
        assert WRONG.encode() in archive.read("05_attention/gptlib/attention.py")
    assert "SHA-256" in out and "attention.merge_heads does not pass its visible checks yet" in out
    assert "attention.attend is to do" in out
    assert "chapter must be one of" in tool(clone, "submit", "06_nothing", code=1)
    assert "--name must hold" in tool(clone, "submit", "05_attention", "--name", "../../x", code=1)


def test_each_exercise_is_judged_in_isolation(clone):
    tool(clone, "fill", "attention.causal_mask", "attention.MultiHeadAttention")
    edit(clone, STUB, "    import os\n    os._exit(3)\n")
    edit(clone, '    # YOUR CODE HERE\n    raise NotImplementedError("attention.split_heads")', "    while True: pass")
    before = (clone / "gptlib/attention.py").read_bytes()
    out = tool(clone, "status", "attention", seconds=2)
    lines = {line.split()[1]: line for line in out.splitlines() if " attention." in line}
    assert "running it ends Python itself" in lines["attention.merge_heads"]
    assert "still running after 2 s" in lines["attention.split_heads"]
    assert "done (from the solutions)" in lines["attention.causal_mask"]
    assert "begun" in lines["attention.MultiHeadAttention"] and "to do" in lines["attention.attend"]
    assert (clone / "gptlib/attention.py").read_bytes() == before


def test_status_names_what_an_exercise_needs_and_adds_up(clone):
    tool(clone, "fill", "attention.MultiHeadAttention", "ngram.count")
    out = tool(clone, "status")
    assert "begun (from the solutions): needs attention." in out
    from autograder.table import exercises

    total, earned = sum(e.points for e in exercises().values()), exercises()["ngram.count"].points
    assert f"All chapters: 1 of {len(exercises())} exercises pass, {earned} of {total} points" in out


def test_status_of_stubs_waits_for_no_pytorch(clone):
    (clone / "torch.py").write_text("raise SystemExit('PyTorch was imported')\n")
    assert "0 of 5 exercises pass" in tool(clone, "status", "05_attention")


def test_what_lies_in_the_working_folder_is_not_mistaken_for_the_course(clone, tmp_path):
    for trap in ("gptlib", "autograder"):
        (tmp_path / "elsewhere" / trap).mkdir(parents=True)
        (tmp_path / "elsewhere" / trap / "__init__.py").write_text("")
    tool(clone, "fill", "attention.merge_heads")
    script = tmp_path / "script.py"
    script.write_text("from autograder.learner.progress import status\n"
                      "print(status(['attention.merge_heads'])[0].state)\n")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path / "elsewhere", capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(clone)})
    assert done.stdout.endswith("\npasses the visible checks\n"), done.stdout + done.stderr


SPOILED = [("not saved as UTF-8", b"# caf\xe9\n"), ("cannot read", b"x = 1\0\n"), ("cannot read", b"x = " + b"(" * 999)]


@pytest.mark.parametrize(("words", "spoil"), SPOILED)
def test_a_file_that_python_cannot_read_is_told_and_kept(clone, words, spoil):
    file = clone / "gptlib/attention.py"
    file.write_bytes(mine := file.read_bytes() + spoil)
    assert words in tool(clone, "status", "attention.attend")
    assert words in tool(clone, "fill", "attention.attend", code=1)
    assert words in tool(clone, "reset", "attention.attend", code=1)
    assert file.read_bytes() == mine
    out = tool(clone, "reset", "attention")
    assert git("status", "--porcelain", cwd=clone) == ""
    assert Path(out.splitlines()[0].split(": ")[-1]).read_bytes() == mine


def test_fill_and_reset_leave_every_other_byte(clone):
    file = clone / "gptlib/attention.py"
    mine = file.read_bytes().replace(b"\nimport math\n", b"\n# \x0c a page break\nimport math\n")
    mine = b"\xef\xbb\xbf" + mine.replace(b"\n", b"\r\n") + b"# no line break at the end"
    file.write_bytes(mine)
    tool(clone, "fill", "attention.merge_heads")
    text = file.read_bytes()
    assert b"# from solutions/\r\n" in text and text.count(b"\n") == text.count(b"\r\n")
    assert "attention.merge_heads             3 points   5 min  done" in tool(clone, "status", "attention.merge_heads")
    tool(clone, "reset", "attention.merge_heads")
    assert file.read_bytes() == mine


def test_two_resets_in_a_second_keep_two_backups(clone):
    for text in ("    return 1  # first\n", "    return 2  # second\n"):
        edit(clone, STUB, text)
        tool(clone, "reset", "attention.merge_heads")
    kept = [p.read_text() for p in (clone / ".course/backups").glob("*/attention.py")]
    assert len(kept) == 2 and "# first" in "".join(kept) and "# second" in "".join(kept)


def test_a_missing_file_is_told(clone):
    (clone / "gptlib/attention.py").unlink()
    assert "cannot be read" in tool(clone, "status", "attention.attend")
    for command in ("fill", "reset"):
        assert "is missing" in tool(clone, command, "attention.attend", code=1)
    assert "is missing" in tool(clone, "submit", "05_attention", code=1)
