"""A small course, a learner's clone of it, and a newer course."""
import shutil

import pytest

from tests.conftest import ROOT
from tests.learner.kit import edit, git, stubs


@pytest.fixture(scope="session")
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


@pytest.fixture
def clone(upstream, tmp_path):
    git("clone", "-q", str(upstream), str(tmp_path / "clone"), cwd=tmp_path)
    return tmp_path / "clone"


@pytest.fixture
def newer(upstream, tmp_path):
    """A newer course: a module docstring, another function's docstring and the notebook have changed."""
    git("clone", "-q", str(upstream), str(tmp_path / "newer"), cwd=tmp_path)
    folder = tmp_path / "newer"
    edit(folder, "Attention: let every position", "Attention, second edition: let every position")
    edit(folder, "{}", '{"new": 1}', "chapters/05_attention.ipynb")
    (folder / "chapters/06_new.md").write_text("new chapter\n")
    return folder
