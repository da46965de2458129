"""Which chapters a run of the tests chooses, in every kind of checkout, and what it says of those it leaves out."""
import os
import re
import shutil
import subprocess
import sys

import pytest

from autograder.table import chapters
from tests import chosen
from tests.conftest import ROOT

PAGES = [f"chapters/{name}.md" for name in chosen.notebooks()]
BEGAN = 1_700_000_000


class Clone:
    """A repository of the course's pages."""

    def __init__(self, folder):
        self.folder, self.now = folder, BEGAN

    def git(self, *words):
        who = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
        when = {"GIT_COMMITTER_DATE": f"@{self.now} +0000", "GIT_AUTHOR_DATE": f"@{self.now} +0000"}
        subprocess.run(["git", *who, *words], cwd=self.folder, env={**os.environ, **when}, check=True,
                       capture_output=True)  # fmt: skip

    def write(self, name):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{self.now}\n")

    def commit(self, *names, days=0.0):
        self.now += int(days * 86400) + 1
        for name in names:
            self.write(name)
        self.git("add", ".")
        self.git("commit", "--quiet", "--allow-empty", "-m", "a commit")


def look_at(folder, monkeypatch, began=BEGAN):
    """The chapters chosen in a checkout."""
    monkeypatch.setattr(chosen, "ROOT", folder)
    monkeypatch.setattr(chosen, "DAY", began // 86400)
    forget()
    return set(chosen.chosen())


def forget():
    for known in (chosen.chosen, chosen.changed, chosen.has_history, chosen.git):
        known.cache_clear()


@pytest.fixture(autouse=True)
def _not_every_chapter(monkeypatch):
    monkeypatch.delenv("EVERY_CHAPTER", raising=False)
    yield
    monkeypatch.undo()
    forget()


@pytest.fixture
def clone(tmp_path):
    clone = Clone(tmp_path / "clone")
    clone.folder.mkdir()
    clone.git("init", "--quiet")
    clone.commit(*PAGES)
    return clone


def test_the_pages_are_those_of_the_book():
    assert set(chapters()) <= set(chosen.notebooks()) and len(PAGES) > chosen.MOST


@pytest.mark.parametrize(("file", "chapter"), [
    ("chapters/05_attention.md", "05_attention"), ("chapters/05_attention.ipynb", "05_attention"),
    ("solutions/attention.py", "05_attention"), ("gptlib/attention.py", "05_attention"),
    ("gptlib/figures/attention.js", "05_attention"), ("autograder/hidden/attention.py", "05_attention"),
    ("autograder/exercises/attention.toml", "05_attention"), ("autograder/mistakes/bpe.py", "07_bpe"),
    ("chapters/instructor.md", ""), ("README.md", ""), ("tests/library/test_attention.py", ""),
])  # fmt: skip
def test_a_file_belongs_to_its_chapter_alone(file, chapter):
    assert {name for name in chosen.notebooks() if chosen.belongs(file, name)} == ({chapter} if chapter else set())


def test_on_a_branch_its_chapters_are_chosen_and_two_more(clone, monkeypatch):
    clone.git("checkout", "--quiet", "-b", "work")
    clone.commit("solutions/attention.py", days=9)
    clone.commit("README.md", days=9)
    clone.write("chapters/12_kv_cache.md")
    clone.write("autograder/hidden/bpe.py")
    found = look_at(clone.folder, monkeypatch)
    assert {"05_attention", "12_kv_cache", "07_bpe"} < found and len(found) == 3 + chosen.SLICE
    assert chosen.changed()[0].startswith("changed since ")


def test_a_change_of_the_engine_chooses_more(clone, monkeypatch):
    clone.git("checkout", "--quiet", "-b", "work")
    clone.commit("autograder/engine/pool.py", "solutions/attention.py")
    found = look_at(clone.folder, monkeypatch)
    assert len(found) == chosen.MOST and "05_attention" in found


def test_on_the_main_branch_the_chapters_of_its_last_days_are_chosen(clone, monkeypatch):
    clone.commit("solutions/bpe.py", days=1)
    clone.commit("solutions/attention.py", days=chosen.DAYS + 1)
    clone.commit("README.md", days=chosen.DAYS - 1)
    found = look_at(clone.folder, monkeypatch)
    assert "05_attention" in found and len(found) == 1 + chosen.SLICE
    assert "last 3 days" in chosen.changed()[0] and chosen.changed()[1] == {"README.md", "solutions/attention.py"}


def test_at_most_so_many_are_chosen(clone, monkeypatch):
    clone.commit(*PAGES)
    assert len(look_at(clone.folder, monkeypatch)) == chosen.MOST


def test_with_every_commit_it_is_the_turn_of_others_until_all_had_theirs(clone, monkeypatch):
    turns = []
    for _ in range(-(-len(PAGES) // chosen.SLICE)):
        clone.commit(days=chosen.DAYS + 1)
        turns.append(look_at(clone.folder, monkeypatch))
    assert {len(turn) for turn in turns} == {chosen.SLICE}
    assert set.union(*turns) == set(chosen.notebooks())


def as_copy(clone, folder):
    shutil.copytree(clone.folder, folder, ignore=shutil.ignore_patterns(".git"))


def as_copy_in_another_repository(clone, folder):
    Clone(folder.parent).git("init", "--quiet")
    as_copy(clone, folder)


def as_shallow_clone(clone, folder):
    clone.git("clone", "--quiet", "--depth", "1", clone.folder.as_uri(), str(folder))


@pytest.mark.parametrize("make", [as_copy, as_copy_in_another_repository, as_shallow_clone])
def test_without_history_the_day_decides(clone, make, tmp_path, monkeypatch):
    clone.commit("README.md")
    folder = tmp_path / "other" / "course"
    folder.parent.mkdir()
    make(clone, folder)
    days = [look_at(folder, monkeypatch, BEGAN + day * 86400) for day in range(len(PAGES))]
    assert {len(found) for found in days} == {chosen.MOST} and days[0] != days[1]
    assert set.union(*days) == set(chosen.notebooks())
    assert "no history" in chosen.changed()[0]


def test_a_full_clone_has_the_history(clone, tmp_path, monkeypatch):
    clone.commit("solutions/attention.py")
    clone.git("clone", "--quiet", str(clone.folder), str(tmp_path / "full"))
    found = look_at(tmp_path / "full", monkeypatch)
    assert "05_attention" in found and len(found) == 1 + chosen.SLICE


def test_what_is_left_out_is_listed_by_name(clone, monkeypatch):
    found = look_at(clone.folder, monkeypatch)
    said = chosen.summary(["tests/test_invariants.py::test_x[y]", "tests/book/test_runs.py::test_z", "tests/a.py::b"])
    assert len(said) == 3 and said[0].startswith(f"done for {', '.join(sorted(found))} (")
    for line, file in zip(said[1:], ("tests/book/test_runs.py", "tests/test_invariants.py"), strict=True):
        what, _, names = line.rpartition(": not ")
        assert what == chosen.LESS_OFTEN[file]
        of = chosen.notebooks() if "runs" in file else list(chapters())
        assert names.split(", ") == [name for name in of if name not in found]
    assert chosen.summary(["tests/a.py::b"]) == []


def test_by_a_flag_nothing_is_left_out(clone, monkeypatch):
    monkeypatch.setenv("EVERY_CHAPTER", "1")
    assert look_at(clone.folder, monkeypatch) == set(chosen.notebooks())
    assert chosen.summary([f"{file}::test" for file in chosen.LESS_OFTEN]) == []


def test_pytest_ends_with_the_list():
    file = "tests/test_invariants.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file, "-k", "gptlib_here"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "EVERY_CHAPTER=1" in done.stdout, done.stdout + done.stderr
    assert f"{chosen.LESS_OFTEN[file]}: not " in done.stdout and done.stdout.count(": not ") == 1


def test_each_test_that_does_less_is_known():
    using = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")
             if re.search(r"^from tests\.chosen import", path.read_text(encoding="utf-8"), re.M)}  # fmt: skip
    assert using == set(chosen.LESS_OFTEN)


def test_the_nightly_run_leaves_out_nothing_and_all_runs_have_the_history():
    folder = ROOT / ".github" / "workflows"
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.yml")}
    assert "EVERY_CHAPTER: 1" in texts["nightly.yml"] and "schedule:" in texts["nightly.yml"]
    for name, text in texts.items():
        assert text.count("fetch-depth: 0") == text.count("actions/checkout") > 0, name
