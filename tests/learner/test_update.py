"""`update`, driven in a small clone: what the learner wrote survives, whatever state the clone is in."""
import shutil

import pytest

from autograder.learner import editing, merging
from tests.learner.kit import RIGHT, STUB, WRONG, edit, git, publish, tool

pytest_plugins = ["tests.learner.fixtures"]


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


HEAD = '    """\n' + STUB
CHECKED = '    """\n    if x.dim() < 3:\n        raise ValueError(f"x must have three axes, got {x.dim()}")\n' + STUB


def files(folder):
    """Everything in a clone but git's own store, by path."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*")
            if p.is_file() and not {".git", "__pycache__"} & set(p.parts)}


def test_the_body_survives_below_a_new_head(clone, newer):
    edit(newer, HEAD, CHECKED)
    publish(newer)
    edit(clone, STUB, WRONG)
    out = tool(clone, "update", "--from", str(newer))
    own = editing.get((clone / "gptlib/attention.py").read_text(), "merge_heads")
    assert "x must have three axes" in own and own.endswith(WRONG.rstrip("\n")) and "merge_heads were put back" in out


def test_a_method_survives_and_the_rest_of_its_class_is_new(clone, newer):
    edit(newer, "        self.n_heads = n_heads\n", "        self.n_heads = n_heads\n        self.d_model = d_model\n")
    edit(newer, STUB, STUB + "    # so that lines conflict elsewhere\n")
    publish(newer)
    edit(clone, STUB, WRONG)
    stub = '        # YOUR CODE HERE\n        raise NotImplementedError("attention.MultiHeadAttention")\n'
    edit(clone, stub, "        return x  # mine\n")
    tool(clone, "update", "--from", str(newer))
    own = editing.get((clone / "gptlib/attention.py").read_text(), "MultiHeadAttention")
    assert "self.d_model = d_model" in own and own.endswith("return x  # mine")


def test_a_given_function_that_both_changed_is_the_courses_and_told(clone, newer):
    edit(newer, "Hide the padding of a batch", "Hide all padding of a batch")
    publish(newer)
    edit(clone, "Hide the padding of a batch", "Hide the mess of a batch")
    out = tool(clone, "update", "--from", str(newer))
    assert "padding_mask is the course's; your version is in the backup" in out
    assert "Hide all padding" in (clone / "gptlib/attention.py").read_text()


def test_a_notebook_that_the_course_has_not_changed_stays_in_place(clone, newer):
    (newer / "chapters/05_attention.ipynb").write_text("{}\n")
    publish(newer)
    edit(clone, "{}", '{"run": 1}', "chapters/05_attention.ipynb")
    assert "yours stays" in tool(clone, "update", "--from", str(newer))
    assert (clone / "chapters/05_attention.ipynb").read_text() == '{"run": 1}\n'
    assert len(list((clone / "chapters").glob("*.ipynb"))) == 1


def test_every_update_keeps_its_own_copy_of_a_notebook(clone, newer):
    for edition in "ab":
        edit(clone, "{", f'{{"run": "{edition}", ', "chapters/05_attention.ipynb")
        edit(newer, "{", f'{{"course": "{edition}", ', "chapters/05_attention.ipynb")
        publish(newer)
        tool(clone, "update", "--from", str(newer))
    assert '"run": "a"' in (clone / "chapters/05_attention (mine).ipynb").read_text()
    assert '"run": "b"' in (clone / "chapters/05_attention (mine 2).ipynb").read_text()


@pytest.mark.parametrize("spoil", [lambda b: b.replace(b"\n", b"\r\n"), lambda b: b"\xef\xbb\xbf" + b])
def test_line_ends_and_byte_order_marks_cost_nobody_their_work(clone, newer, spoil):
    publish(newer)
    edit(clone, STUB, WRONG)
    file = clone / "gptlib/attention.py"
    file.write_bytes(spoil(file.read_bytes()))
    assert "your edits are kept" in tool(clone, "update", "--from", str(newer))
    assert WRONG in file.read_text() and "second edition" in file.read_text()


def test_a_file_that_is_not_utf8_stays_in_the_backup(clone, newer):
    publish(newer)
    file = clone / "gptlib/attention.py"
    file.write_bytes(mine := file.read_bytes() + b"# caf\xe9\n")
    assert "not saved as UTF-8" in tool(clone, "update", "--from", str(newer))
    assert next((clone / ".course/backups").glob("*/gptlib/attention.py")).read_bytes() == mine


def test_own_files_in_the_way_of_new_ones_are_kept(clone, newer):
    (newer / "chapters/talk").mkdir()
    (newer / "chapters/talk/slides.md").write_text("course\n")
    (newer / "chapters/plan").write_text("course\n")
    publish(newer)
    (clone / "chapters/talk").write_text("mine: talk\n")
    (clone / "chapters/plan").mkdir()
    (clone / "chapters/plan/week.md").write_text("mine: plan\n")
    (clone / "chapters/notes.md").write_text("mine: notes\n")
    tool(clone, "update", "--from", str(newer))
    assert (clone / "chapters/talk/slides.md").is_file() and (clone / "chapters/plan").is_file()
    store = next((clone / ".course/backups").iterdir())
    assert (store / "chapters/talk").read_text() == "mine: talk\n"
    assert (store / "chapters/plan/week.md").read_text() == "mine: plan\n"
    assert (clone / "chapters/notes.md").read_text() == "mine: notes\n"


def test_own_commits_own_files_and_the_index_survive(clone, newer):
    publish(newer)
    (clone / "gptlib/mine.py").write_text("OWN = 1\n")
    git("add", "-A", cwd=clone)
    git("commit", "-q", "-m", "my module", cwd=clone)
    edit(clone, STUB, RIGHT)
    git("add", "-A", cwd=clone)  # only the index holds this version
    edit(clone, RIGHT, WRONG)
    out = tool(clone, "update", "--from", str(newer))
    assert (clone / "gptlib/mine.py").read_text() == "OWN = 1\n" and "commits stay in the history" in out
    assert WRONG in (clone / "gptlib/attention.py").read_text()
    ref = git("for-each-ref", "--format=%(refname)", "refs/course", cwd=clone).strip()
    assert RIGHT in git("show", f"{ref}^2:gptlib/attention.py", cwd=clone)
    edit(newer, "second edition", "third edition")
    publish(newer)
    tool(clone, "update", "--from", str(newer))
    text = (clone / "gptlib/attention.py").read_text()
    assert "third edition" in text and WRONG in text and (clone / "gptlib/mine.py").exists()


def test_a_branch_or_tag_of_the_clone_can_be_the_source(clone, newer):
    publish(newer)
    git("fetch", "-q", str(newer), "main:edition2", cwd=clone)
    edit(clone, STUB, RIGHT)
    tool(clone, "update", "--from", "edition2")
    text = (clone / "gptlib/attention.py").read_text()
    assert "second edition" in text and RIGHT in text


CASES = ["another repository", "amid a rebase", "amid a merge", "a dash", "inside another clone"]


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_go_well_is_refused_and_nothing_changes(clone, newer, tmp_path, case):
    publish(newer)
    edit(clone, STUB, WRONG)
    source, words = str(newer), "in the midst"
    if case == "another repository":
        source, words = str(tmp_path / "other"), "shares no history"
        git("init", "-q", "-b", "main", source, cwd=tmp_path)
        git("commit", "-q", "--allow-empty", "-m", "x", cwd=source)
    elif case == "amid a rebase":
        (clone / ".git/rebase-merge").mkdir()
    elif case == "amid a merge":
        (clone / ".git/MERGE_HEAD").write_text(git("rev-parse", "HEAD", cwd=clone))
    elif case == "a dash":
        source, words = "--from=--upload-pack=x", "cannot begin with a dash"
    else:
        words = "not a git clone"
        shutil.rmtree(clone / ".git")
        git("init", "-q", cwd=tmp_path)
    before = files(clone)
    assert words in tool(clone, "update", *([source] if source[0] == "-" else ["--from", source]), code=1)
    assert files(clone) == before


BASE = """import a


def f(x):
    if x:
        pass
    # YOUR CODE HERE
    raise NotImplementedError("m.f")


def g():
    return 1
"""
MINE, NEW = BASE.replace("return 1", "return 2"), BASE.replace("return 1", "return 3")


@pytest.mark.parametrize(
    ("mine", "new", "merged"),
    [
        (MINE, BASE, MINE),
        (BASE, NEW, NEW),
        (MINE, NEW, NEW),
        (BASE + "\n\ndef h():\n    return 4\n", NEW, None),
        (BASE.replace("import a", "import a\nimport mine"), BASE.replace("import a", "import a\nimport new"), None),
    ],
)
def test_merging_two_texts(mine, new, merged):
    text, kept, lost = merging.merge(mine, BASE, new, "m")
    if merged is not None:
        assert text == merged and lost == (["g"] if mine == MINE and new == NEW else [])
    else:
        lines = (set(mine.split("\n")) | set(new.split("\n"))) - ({"    return 1"} if "return 3" in new else set())
        assert lines <= set(text.split("\n")) and not lost
    compile(text, "m.py", "exec")


def test_the_rest_of_a_class_is_new_even_where_a_method_is_the_learners_whole():
    base = "class C:\n    def __init__(self):\n        self.a = 1\n\n    def forward(self, x):\n"
    todo = '        # YOUR CODE HERE\n        raise NotImplementedError("attention.MultiHeadAttention")\n'
    base = base.replace("class C", "class MultiHeadAttention")
    mine = base.replace("x):", "x, y=0):") + "        return x + y\n"
    new = base.replace("self.a = 1", "self.a = 2").replace("x):", "x, z=0):") + todo
    text, kept, lost = merging.merge(mine, base + todo, new, "attention")
    assert "self.a = 2" in text and text.endswith("x, y=0):\n        return x + y\n")
    assert kept == ["MultiHeadAttention.forward"] and not lost
