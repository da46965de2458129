"""Given files in a learner's clone: an edited one is named, mended, and nothing is built of it."""
import shutil
import subprocess
import sys

import pytest

from autograder import given
from autograder.strip import write_library
from tests.conftest import ROOT
from tests.grading import old_names
from tests.learner.kit import RIGHT, STUB, edit, git, publish, tool

pytest_plugins = ["tests.learner.fixtures"]
FILE = "gptlib/training/log.py"
MINE = '"""My own log."""\n'


def test_the_number_of_a_content_is_gits(tmp_path):
    for data in (b"", b"a line\n", bytes(range(256))):
        (tmp_path / "file").write_bytes(data)
        said = subprocess.run(["git", "hash-object", tmp_path / "file"], capture_output=True, text=True, check=True)
        assert said.stdout.strip() == given.number_of(data)


@pytest.mark.parametrize("committed", [False, True])
def test_an_edited_given_file_is_named_and_put_back_also_without_a_newer_course(clone, committed):
    before = (clone / FILE).read_bytes()
    (clone / FILE).write_text(MINE)
    (clone / "gptlib/data/download.py").unlink()
    edit(clone, STUB, RIGHT)
    if committed:
        git("commit", "-q", "-am", "my work", cwd=clone)
    said = tool(clone, "status", "attention.merge_heads")
    assert f"{FILE} is given, and not as the course has it: `python -m autograder update`" in said
    assert "gptlib/data/download.py is given" in said
    said = tool(clone, "update", "--from", "HEAD")
    assert "up to date" in said and f"{FILE}: is the course's again" in said
    assert (clone / FILE).read_bytes() == before and (clone / "gptlib/data/download.py").exists()
    (kept,) = (clone / ".course/backups").glob(f"*-update/{FILE}")
    assert kept.read_text() == MINE
    assert RIGHT in (clone / "gptlib/attention.py").read_text()
    assert "given" not in tool(clone, "status", "attention.merge_heads")
    assert tool(clone, "update", "--from", "HEAD") == "The course is up to date.\n"


def test_a_newer_course_replaces_an_edited_given_file(clone, newer):
    edit(newer, '"""', '"""Newer. ', FILE)
    given.write_list(newer)
    publish(newer)
    (clone / FILE).write_text(MINE)
    said = tool(clone, "update", "--from", str(newer))
    assert f"{FILE}: is the course's version, for it is given; yours is in the backup." in said
    assert (clone / FILE).read_bytes() == (newer / FILE).read_bytes()
    assert next((clone / ".course/backups").glob(f"*-update/{FILE}")).read_text() == MINE


def test_line_ends_of_windows_are_no_edit(clone):
    text = (clone / FILE).read_bytes()
    (clone / FILE).write_bytes(text.replace(b"\n", b"\r\n"))
    assert given.edited(clone) == [] and given.files(clone)["training/log.py"] == text


def test_nothing_is_built_of_an_edited_file(clone, tmp_path):
    (clone / FILE).write_text(MINE)
    words = r"gptlib/training/log.py: not as the course has it.*autograder update.*autograder strip"
    with pytest.raises(given.Edited, match=words):
        write_library(tmp_path / "made", lambda text, module: text, clone)
    assert not (tmp_path / "made").exists()
    (clone / FILE).unlink()
    with pytest.raises(given.Edited, match="gptlib/training/log.py"):
        given.files(clone)


def test_own_files_in_its_packages_are_left_alone_and_not_built(clone, tmp_path):
    (clone / "gptlib/training/mine.py").write_text("x = 1\n")
    assert given.edited(clone) == []
    write_library(tmp_path / "made", lambda text, module: text, clone)
    assert not (tmp_path / "made/training/mine.py").exists() and (tmp_path / "made/training/log.py").exists()


@pytest.fixture
def old_clone(tmp_path):
    """A clone of the course as it was, and the course as it is now, on top of it."""
    course = tmp_path / "course"
    course.mkdir()
    old_names.unpack(course, "autograder", "gptlib", "solutions", "chapters/05_attention.ipynb")
    (course / ".gitignore").write_text("__pycache__/\n.course/\n")
    git("init", "-q", "-b", "main", cwd=course)
    publish(course)
    git("clone", "-q", str(course), str(tmp_path / "clone"), cwd=tmp_path)
    for part in ("autograder", "gptlib", "solutions"):
        shutil.rmtree(course / part)
        shutil.copytree(ROOT / part, course / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".gitattributes", course)
    publish(course)
    return tmp_path / "clone", course


def test_update_from_the_course_as_it_was_keeps_what_was_written(old_clone):
    """The old version's own `update` runs: it looks for autograder/exercises.toml, and asks it for exercises."""
    clone, course = old_clone
    edit(clone, STUB, RIGHT)
    edit(clone, "import math\n", "import math\nimport functools\n")
    own = '    # YOUR CODE HERE\n    raise NotImplementedError("ngram.count")\n'
    edit(clone, own, "    return {}  # mine\n", "gptlib/ngram.py")
    said = tool(clone, "update", "--from", str(course))
    assert "The course is now at" in said and "your edits are kept" in said, said
    text = (clone / "gptlib/attention.py").read_text()
    assert RIGHT in text and "import functools" in text
    assert "return {}  # mine" in (clone / "gptlib/ngram.py").read_text()
    assert not (clone / "gptlib/download.py").exists() and (clone / "gptlib/data/download.py").exists()
    assert "attention.merge_heads" in (status := tool(clone, "status", "attention"))
    assert "● attention.merge_heads" in status and "given" not in status, status


def test_update_from_the_course_as_it_was_asks_the_old_table_where_lines_conflict(old_clone):
    clone, course = old_clone
    edit(course, STUB, "    # changed\n" + STUB)
    git("commit", "-q", "-am", "third edition", cwd=course)
    edit(clone, STUB, RIGHT)
    said = tool(clone, "update", "--from", str(course))
    assert "merge_heads were put back by name" in said, said
    assert RIGHT in (clone / "gptlib/attention.py").read_text()


def test_what_was_given_and_edited_under_its_old_name_is_harmless(old_clone):
    clone, course = old_clone
    edit(clone, '"""', '"""Mine. ', "gptlib/download.py")
    said = tool(clone, "update", "--from", str(course))
    assert "gptlib/download.py: is no longer part of the course; yours was left." in said
    code = "import gptlib.download, gptlib.data.download as new\nprint(gptlib.download.fetch is new.fetch)"
    done = subprocess.run([sys.executable, "-c", code], cwd=clone, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
