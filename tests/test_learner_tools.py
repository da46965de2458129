"""The learner's commands, driven in a small clone: status, fill, reset, solution, submit, update."""
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

STUB = '    # YOUR CODE HERE\n    raise NotImplementedError("attention.merge_heads")\n'
RIGHT = "    return x.transpose(-3, -2).flatten(-2)  # mine\n"
WRONG = "    return x.flatten(-2)  # mine\n"


def git(*arguments, cwd):
    identity = ["-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout


def tool(clone: Path, *arguments, code: int = 0) -> str:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"AUTOGRADER_TIME_LIMIT": "10"}
    done = subprocess.run([sys.executable, "-m", "autograder", *arguments], cwd=clone, env=env, capture_output=True,
                          text=True)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    """The course as it is now, as a repository that clones are made from."""
    folder = tmp_path_factory.mktemp("upstream") / "course"
    for part in ("autograder", "gptlib", "solutions"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "gptlib").joinpath("attention.py").write_text(stubs(folder))
    (folder / "chapters").mkdir()
    (folder / "chapters/05_attention.ipynb").write_text("{}\n")
    (folder / ".gitignore").write_text("__pycache__/\n.course/\n")
    git("init", "-q", "-b", "main", cwd=folder)
    git("add", "-A", cwd=folder)
    git("commit", "-q", "-m", "course", cwd=folder)
    return folder


def stubs(folder: Path) -> str:
    from autograder.strip import strip

    return strip((folder / "solutions/attention.py").read_text(), "attention")


@pytest.fixture
def clone(upstream, tmp_path):
    git("clone", "-q", str(upstream), str(tmp_path / "clone"), cwd=tmp_path)
    return tmp_path / "clone"


def edit(clone: Path, old: str, new: str, path: str = "gptlib/attention.py") -> None:
    file = clone / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


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


@pytest.fixture
def newer(upstream, tmp_path):
    """A newer course: a module docstring, another function's docstring and the notebook have changed."""
    git("clone", "-q", str(upstream), str(tmp_path / "newer"), cwd=tmp_path)
    folder = tmp_path / "newer"
    edit(folder, "Attention: let every position", "Attention, second edition: let every position")
    edit(folder, "{}", '{"new": 1}', "chapters/05_attention.ipynb")
    (folder / "chapters/06_new.md").write_text("new chapter\n")
    return folder


def publish(folder: Path) -> None:
    git("add", "-A", cwd=folder)
    git("commit", "-q", "-m", "second edition", cwd=folder)


@pytest.mark.parametrize("committed", [False, True])
def test_update_keeps_own_edits(clone, newer, committed):
    publish(newer)
    edit(clone, STUB, RIGHT)
    edit(clone, "{}", '{"run": 1}', "chapters/05_attention.ipynb")
    (clone / "chapters/06_new.md").write_text("my own notes\n")
    if committed:
        git("add", "gptlib", cwd=clone)
        git("commit", "-q", "-m", "my work", cwd=clone)
    out = tool(clone, "update", "--source", str(newer))
    text = (clone / "gptlib/attention.py").read_text()
    assert "second edition" in text and RIGHT in text
    assert (clone / "chapters/05_attention.ipynb").read_text() == '{"new": 1}\n'
    assert (clone / "chapters/05_attention (mine).ipynb").read_text() == '{"run": 1}\n'
    assert "your edits are kept" in out
    backups = list((clone / ".course/backups").glob("*-update/chapters/06_new.md"))
    assert backups[0].read_text() == "my own notes\n"
    if committed:
        assert "my work" in git("log", "--format=%s", cwd=clone)
    assert git("for-each-ref", "refs/course", cwd=clone)
    assert "up to date" in tool(clone, "update", "--source", str(newer))


def test_update_puts_functions_back_by_name_where_lines_conflict(clone, newer):
    edit(newer, STUB, STUB + "    # a new comment of the course\n")
    publish(newer)
    edit(clone, STUB, WRONG)
    edit(clone, "import math\n", "import math\nimport functools\n")
    edit(clone, "def split_heads", "def helper(x):\n    return x\n\n\ndef split_heads")
    out = tool(clone, "update", "--source", str(newer))
    text = (clone / "gptlib/attention.py").read_text()
    assert WRONG in text and "import functools" in text and "def helper" in text and "second edition" in text
    assert "put back by name" in out
    compile(text, "attention.py", "exec")


def test_update_keeps_a_broken_file_in_the_backup(clone, newer):
    edit(newer, STUB, STUB + "    # changed\n")
    publish(newer)
    edit(clone, STUB, "    return (\n")
    out = tool(clone, "update", "--source", str(newer))
    assert "syntax error" in out
    kept = next((clone / ".course/backups").glob("*-update/gptlib/attention.py"))
    assert "    return (\n" in kept.read_text()


def test_update_refuses_before_it_changes_anything(clone, tmp_path):
    edit(clone, STUB, WRONG)
    before = (clone / "gptlib/attention.py").read_text()
    assert "git fetch failed" in tool(clone, "update", "--source", str(tmp_path / "nowhere"), code=1)
    assert (clone / "gptlib/attention.py").read_text() == before
    shutil.rmtree(clone / ".git")
    assert "not a git clone" in tool(clone, "update", code=1)
