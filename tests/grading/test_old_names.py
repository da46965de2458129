"""Work that has the names of before still counts: whole files pass, checkpoints and weights load."""
import functools
import os
import subprocess
import sys

import pytest

from autograder import renamed
from autograder.suites import SUITES, checks_of, run
from autograder.table import exercise, exercises
from tests.conftest import ROOT
from tests.grading import old_names
from tests.grading.engine_kit import REFERENCE, graded
from tests.grading.test_engine_same import SLOW

LIBRARY = functools.cache(old_names.library)
EXERCISES = [name for name, row in exercises().items() if row.module in old_names.MODULES]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", EXERCISES)
def test_the_files_of_then_pass_the_checks_of_today(name, suite):
    row = exercise(name)
    run(checks_of(name, suite), getattr(LIBRARY()[row.module], row.function))


@pytest.mark.parametrize("together", [False, True], ids=["with today's others", "all of then"])
@pytest.mark.parametrize("name", EXERCISES)
def test_the_files_of_then_pass_in_the_engine(name, together):
    modules = old_names.MODULES if together else [exercise(name).module]
    files = REFERENCE | {f"gptlib/{module}.py": old_names.complete(module) for module in modules}
    for suite in SUITES:
        found = graded(files, name, suite, limits=SLOW)
        assert found.passed, found.message


# Bodies of then in the files of today: what is replaced, and what is said of it.
BODIES = {
    "gpt.Block": ({"attention_norm(": "norm_1(", "self.up(": "self.widen("},
                  "`widen` is now `up`, `norm_1` is now `attention_norm`"),
    "gpt2.initial_std": ({'"down.weight"': '"contract.weight"'}, "`contract` is now `down`"),
    "kv_cache.LayerCache": ({"self.stored = end": "self.filled = end", "end = self.stored,": "end = self.filled,"},
                            "`filled` is now `stored`"),
}  # fmt: skip


def of_then(name):
    """The path and the text of today's file with the body of then."""
    path = f"gptlib/{name.split('.')[0]}.py"
    text = REFERENCE[path]
    for new, old in BODIES[name][0].items():
        assert new in text
        text = text.replace(new, old)
    return path, text


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", BODIES)
def test_the_engine_says_which_names_have_changed(name, suite):
    path, text = of_then(name)
    found = graded(REFERENCE | {path: text}, name, suite)
    said = " ".join(found.message.split())
    assert not found.passed and "names that the course has changed: " in said and BODIES[name][1] in said
    assert "notation.html#parts-of-models" in said


def test_check_says_which_names_have_changed(tmp_path):
    for path, text in REFERENCE.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for name, (_, words) in BODIES.items():
        path, text = of_then(name)
        (tmp_path / path).write_text(text)
        code = f"import sys; sys.path.insert(0, '.'); from autograder import check; check({name!r})"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                              env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip
        said = " ".join(done.stderr.split())
        assert f"names that the course has changed: {words}." in said and "parts-of-models" in said, done.stderr


def test_no_module_of_today_has_a_name_of_before():
    for module in old_names.MODULES:
        assert renamed.stale(module, REFERENCE[f"gptlib/{module}.py"]) == {}


def test_what_is_wrong_for_another_reason_is_told_nothing_of_names():
    text = REFERENCE["gptlib/gpt.py"].replace("gelu(self.up(x))", "self.up(x)")
    assert "names" not in graded(REFERENCE | {"gptlib/gpt.py": text}, "gpt.Block", "visible").message
    text = old_names.complete("gpt").replace("gelu(self.widen(x))", "self.widen(x)")
    found = graded(REFERENCE | {"gptlib/gpt.py": text}, "gpt.Block", "visible")
    assert not found.passed and "names that the course" not in found.message
