"""Intake: whatever lies in a submission, it is taken or refused with a reason, and no code of it runs."""
import copy
import json
import os
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.engine import intake, rebuild
from autograder.engine.intake import Rejected

CHAPTER, MODULE = "05_attention", "attention"
STUB = "def attend(): pass\n"
GRADE = {"grade": True, "solution": False, "locked": True, "points": 2, "schema_version": 3, "cell_type": "code"}


def cell(text, kind="code", **nbgrader):
    made = {"cell_type": kind, "id": f"c{abs(hash(text)) % 10**6}", "metadata": {}, "source": text}
    if kind == "code":
        made |= {"outputs": [], "execution_count": None}
    if nbgrader:
        made["metadata"]["nbgrader"] = nbgrader
    return made


TEMPLATE = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
    cell("import torch"), cell('check("attention.attend")', **GRADE, grade_id="check"),
    cell("", "markdown", grade_id="essay", solution=True, grade=True, points=3),
    cell("# code", grade_id="own", solution=True),
]}  # fmt: skip


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "gptlib").mkdir(parents=True)
    (folder / f"{CHAPTER}.ipynb").write_text(json.dumps(TEMPLATE))
    (folder / "gptlib" / "__init__.py").write_text("")
    (folder / "gptlib" / "data.py").write_text("given = 1\n")
    (folder / "gptlib" / f"{MODULE}.py").write_text(STUB)
    return folder


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "submitted"
    (place / "gptlib").mkdir(parents=True)
    (place / f"{CHAPTER}.ipynb").write_text(json.dumps(TEMPLATE))
    (place / "gptlib" / f"{MODULE}.py").write_text("def attend(): return 1\n")
    return place


def take(folder, source, learner="ada"):
    return intake.take(learner, folder, intake.Source(source, CHAPTER), MODULE)


def write(folder, cells):
    (folder / f"{CHAPTER}.ipynb").write_text(json.dumps(TEMPLATE | {"cells": cells}))


def test_only_the_learners_file_is_taken_and_given_files_come_from_the_course(folder, source):
    (folder / "gptlib" / "data.py").write_text("raise SystemExit\n")
    (folder / "torch.py").write_text("raise SystemExit\n")
    job = take(folder, source)
    assert job.files == {
        "gptlib/__init__.py": "", "gptlib/data.py": "given = 1\n", "gptlib/attention.py": "def attend(): return 1\n"
    }  # fmt: skip
    assert job.notebook["cells"] == TEMPLATE["cells"] and "torch.py" in job.notices[0]


def test_answers_are_taken_by_name_and_everything_else_is_the_releases(folder, source):
    came = copy.deepcopy(TEMPLATE["cells"])
    came[1]["source"], came[1]["metadata"]["nbgrader"]["points"] = "pass", 300
    came[2]["source"], came[3]["source"] = "my <script>alert(1)</script> essay", "first"
    extra = [cell("helper = 1"), copy.deepcopy(came[3]) | {"source": "second"}, cell("<b>", "markdown"), came[1]]
    write(folder, [*reversed(came), *extra, "no cell", {"cell_type": "x"}, {"cell_type": "code", "metadata": 3}])
    found = [(c["cell_type"], c["source"]) for c in take(folder, source).notebook["cells"]]
    assert found[:4] == [("code", "import torch"), ("code", 'check("attention.attend")'),
                         ("markdown", "<div><p>my  essay</p></div>"), ("code", "second")]  # fmt: skip
    assert found[4] == ("markdown", rebuild.OWN_CELLS) and found[5:6] == [("code", "helper = 1")]
    assert take(folder, source).notebook["cells"][1]["metadata"]["nbgrader"]["points"] == 2


def test_an_answer_that_was_left_as_it_is_stays_that(folder, source):
    text = "Write *here*."
    asked = copy.deepcopy(TEMPLATE)
    asked["cells"][2]["source"] = text
    (source / f"{CHAPTER}.ipynb").write_text(json.dumps(asked))
    write(folder, asked["cells"])
    assert take(folder, source).notebook["cells"][2]["source"] == text  # by which nbgrader knows that it gets 0


def test_implement_cells_are_read_and_not_run(folder, source):
    write(folder, [cell("%%implement attention.attend --force\ndef attend():\n    return 2\n"), cell("%%implement\nx")])
    assert take(folder, source).cells == (("attention.attend", "def attend():\n    return 2\n"),)


@pytest.mark.parametrize("name", ["attention.PY", "Attention.py", "ａttention.py"])
def test_names_that_look_alike_are_taken_with_a_notice(folder, source, name):
    (folder / "gptlib" / "attention.py").rename(folder / "gptlib" / name)
    job = take(folder, source)
    assert job.files["gptlib/attention.py"] == "def attend(): return 1\n" and "was taken as" in job.notices[0]


def test_two_that_look_alike_are_none(folder, source):
    (folder / "gptlib" / "attention.py").unlink()
    for name in ("Attention.py", "ATTENTION.py"):
        (folder / "gptlib" / name).write_text("")
    assert "gptlib/attention.py" not in take(folder, source).files


def test_links_pipes_and_folders_in_a_files_place_are_not_followed(folder, source, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    module = folder / "gptlib" / "attention.py"
    module.unlink()
    module.symlink_to(secret)
    os.mkfifo(folder / "gptlib" / "pipe.py")
    assert "gptlib/attention.py" not in take(folder, source).files
    module.unlink()
    (folder / "gptlib" / "pipe.py").unlink()
    (folder / "gptlib").rmdir()
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "attention.py").write_text("secret")
    (folder / "gptlib").symlink_to(tmp_path / "away")
    assert "gptlib/attention.py" not in take(folder, source).files
    (folder / f"{CHAPTER}.ipynb").unlink()
    os.mkfifo(folder / f"{CHAPTER}.ipynb")
    with pytest.raises(Rejected, match="Neither"):
        take(folder, source)


@pytest.mark.parametrize("data, words", [
    (b"", "damaged"), (b"{", "damaged"), (b"[" * 200_000, "damaged"), (b"\xff\xfe", "not UTF-8"), (b"[]", "nbformat 4"),
    (b'{"nbformat": 3}', "nbformat 4"), (b'{"nbformat": 4, "cells": {}}', "nbformat 4"),
    (b'{"nbformat": 4, "cells": [' + b"0," * 3000 + b"0]}", "more than"), (b" " * (21 << 20), "larger than"),
    (b'{"nbformat": ' + b"4" * 5000 + b"}", "damaged"),
])  # fmt: skip
def test_a_notebook_that_cannot_be_read_is_refused_with_advice(folder, source, data, words):
    (folder / f"{CHAPTER}.ipynb").write_bytes(data)
    with pytest.raises(Rejected, match=words):
        take(folder, source)


@pytest.mark.parametrize("name", ["../ada", "a b", "", ".", "..", "a\nb", "a/b", "-rf", "x" * 65, "ａda", "*", "ada."])
def test_names_of_learners_are_plain(folder, source, name):
    with pytest.raises(Rejected):
        take(folder, source, name)


def test_too_many_files_and_too_deep_ones(folder, source):
    deep = folder
    for _ in range(12):
        deep = deep / "d"
        deep.mkdir()
    (deep / "x.py").write_text("")
    assert not any("x.py" in notice for notice in take(folder, source).notices)
    for i in range(intake.MAX_FILES + 1):
        (folder / f"f{i}").touch()
    with pytest.raises(Rejected, match="more than"):
        take(folder, source)


@pytest.mark.parametrize("time, kept", [
    ("2026-01-02 03:04:05 UTC", True), ("2026-01-02 03:04:05.678901", True), ("yesterday", False), ("9" * 999, False),
    ("2026-99-99 03:04:05", False),
])  # fmt: skip
def test_times_are_times(folder, source, time, kept):
    (folder / "timestamp.txt").write_text(time)
    job = take(folder, source)
    assert bool(job.timestamp) == kept and bool(job.notices) != kept


def test_the_receipt_depends_on_what_was_taken(folder, source):
    first = take(folder, source).receipt
    (folder / "other.txt").write_text("x")
    assert take(folder, source).receipt == first
    (folder / "gptlib" / "attention.py").write_text("def attend(): return 2\n")
    assert take(folder, source).receipt != first


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(
        st.sampled_from(["cell_type", "source", "metadata", "nbgrader", "grade_id", "solution", "cells", "x"]),
        inner | st.sampled_from(["code", "markdown", "own", "essay", "check"]), max_size=5),
    max_leaves=30,
)  # fmt: skip


@given(cells=st.lists(JSON, max_size=6), extra=JSON)
@settings(max_examples=150, deadline=None)
def test_any_notebook_is_rebuilt_or_refused(cells, extra):
    data = json.dumps({"nbformat": 4, "cells": cells, "metadata": extra}).encode()
    book = rebuild.rebuilt(rebuild.Template(TEMPLATE), intake.cells_of(data))
    names = [c["metadata"].get("nbgrader") for c in book["cells"]][:4]
    assert names == [c["metadata"].get("nbgrader") for c in TEMPLATE["cells"]]
    assert book["cells"][1]["source"] == 'check("attention.attend")'


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_notebook_or_refused(data):
    try:
        intake.cells_of(data)
    except Rejected:
        pass
