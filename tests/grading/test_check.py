"""What a learner is told: `check` on right, wrong, unfinished and broken files."""
import subprocess
import sys
import textwrap

import pytest

from autograder import runner, source, suites
from autograder.checks import Failed, checks, difference, raises, same, show
from autograder.runner import CheckFailed, check
from autograder.table import Exercise

ROW = Exercise("toy.double", "99_toy", "Doubling", 1, 2, 5, 1, 1, "doubling")


@checks("toy.double")
def two_becomes_four(double):
    """Two becomes four."""
    same(double(2), 4, "multiply by two")


@checks("toy.double")
def hidden_draws(double, generator):
    """Any number is doubled."""
    import torch

    x = torch.randn(3, generator=generator, dtype=torch.float64)
    same(double(x), x + x, "multiply by two")


@pytest.fixture
def learner(tmp_path, monkeypatch):
    """Write a file as the learner's gptlib/toy.py and check it; returns (message or None)."""
    package = tmp_path / "gptlib"
    package.mkdir()
    path = package / "toy.py"
    monkeypatch.setattr(runner, "exercise", lambda name: ROW)
    monkeypatch.setattr(source, "path_of", lambda module: path)
    found = {"visible": [two_becomes_four], "hidden": [hidden_draws]}
    monkeypatch.setattr(runner, "checks_of", lambda name, suite="visible": found[suite])
    monkeypatch.delitem(sys.modules, "gptlib.toy", raising=False)

    def tell(text: str, suite: str = "visible") -> str | None:
        path.write_text(textwrap.dedent(text))
        try:
            assert check("toy.double", suite) is None
        except CheckFailed as failure:
            return str(failure)
        return None

    yield tell
    sys.modules.pop("gptlib.toy", None)


def test_a_right_answer_is_told_claim_by_claim(learner, capfd):
    assert learner("def double(x):\n    return 2 * x\n") is None
    out, err = capfd.readouterr()
    assert "✓ Two becomes four." in out and "passes its checks" in out and not err


def test_an_edit_within_the_same_second_counts(learner):
    assert learner("def double(x):\n    return 2 * x\n") is None
    assert "expected  4" in learner("def double(x):\n    return 3 * x\n")
    assert learner("def double(x):\n    return 2 * x\n") is None


def test_a_wrong_answer_shows_both_values(learner):
    message = learner("def double(x):\n    return x\n")
    assert message.splitlines()[:2] == ["✗ Two becomes four.", "  multiply by two"]
    assert "expected  4" in message and "actual    2" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def double(x):\n    raise NotImplementedError('toy.double')", "is not written yet"),
        ("def double(x):\n    raise NotImplementedError('toy.halve')", "uses toy.halve, which is not written yet"),
        ("def double(x)\n    return 2", "line 1"),
        ("def double(x):\nreturn 2", "line 2"),
        ("def twice(x):\n    return 2 * x", "has no `double`"),
        ("import nosuchthing\ndef double(x):\n    return 2 * x", "cannot be imported"),
        ("def double(x):\n    return x / 0", "toy.py, line 2, in double"),
        ("def double(x):\n    2 * x", "is a `return` missing"),
        ("def double(x):\n    return str(x)", "Expected a number, got a str"),
        ("import sys\ndef double(x):\n    sys.exit(0)", "SystemExit"),
        ("def double(x):\n    return double(x)", "RecursionError"),
    ],
)
def test_each_kind_of_trouble_has_its_message(learner, text, words):
    message = learner(text)
    assert message is not None and words in message


SWALLOWING = """
def double(x):
    while True:
        try:
            pass
        except Exception:
            pass
"""


@pytest.mark.parametrize("text", ["def double(x):\n    while True: pass\n", SWALLOWING])
def test_an_endless_loop_is_stopped(learner, monkeypatch, text):
    monkeypatch.setenv("AUTOGRADER_TIME_LIMIT", "0.5")
    assert "still running after 0.5 s" in learner(text)


def test_noise_does_not_reach_stderr(learner, capfd):
    text = """
    import os, sys, warnings
    warnings.warn("at import")
    def double(x):
        warnings.warn("in the call")
        print("to stderr", file=sys.stderr)
        os.write(2, b"from C")
        print("y" * 10**6)
        return 2 * x
    """
    assert learner(text) is None
    out, err = capfd.readouterr()
    assert err == "" and len(out) < 6000 and "dropped" in out


def test_a_changed_argument_is_noticed(learner):
    message = learner("def double(x):\n    x *= 2\n    return x\n", "hidden")
    assert "changed its argument `x` in place" in message


def test_hidden_inputs_depend_on_the_course_secret(monkeypatch):
    first = suites.generator_for(hidden_draws).initial_seed()
    assert suites.generator_for(hidden_draws).initial_seed() == first
    monkeypatch.setenv("AUTOGRADER_SECRET", "another")
    assert suites.generator_for(hidden_draws).initial_seed() != first


def test_without_a_hidden_suite_nothing_is_claimed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AUTOGRADER_HIDDEN", str(tmp_path))
    check("attention.attend", "hidden")
    assert "run when your work is graded" in capsys.readouterr().out


def test_an_unknown_exercise_lists_near_names():
    with pytest.raises(LookupError, match="attention.attend"):
        check("attention.atend")


def test_under_grading_the_learners_source_is_shown(learner, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert "def double(x):\n    return x + 1" in learner("def double(x):\n    return x + 1\n")


def test_same_compares_kind_shape_dtype_and_values():
    import torch

    assert difference(torch.zeros(2), torch.zeros(3)) == "Expected shape (3,), got (2,)."
    assert "dtype" in difference(torch.zeros(2), torch.zeros(2, dtype=torch.float64))
    assert "NaN" in difference(torch.tensor([float("nan")]), torch.zeros(1))
    assert difference(torch.tensor([1.0 + 1e-8], dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    assert difference(1.0, 1.0 + 1e-8) is not None
    assert difference({"a": 1}, {"a": 1, "b": 2}) == "The key 'b' is missing."
    assert difference([1, 2], [1, 3]) is not None and difference([1, 2], (1, 2)) is None
    assert difference(True, 1) is not None and difference(2.0, 2) is None
    assert len(show(torch.randn(100, 100))) < 1000 and len(show("x" * 10**5)) < 1000


def test_raises_wants_the_error_and_its_words():
    with raises(ValueError, "length"):
        raise ValueError("length must be at least 1")
    for wrong in (lambda: None, lambda: int("x"), lambda: [][0]):
        with pytest.raises(Failed), raises(ValueError, "length"):
            wrong()
    with pytest.raises(NotImplementedError), raises(ValueError, "length"):
        raise NotImplementedError("toy.double")


def test_in_a_notebook_only_the_message_is_shown():
    assert CheckFailed("look here")._render_traceback_() == ["look here"]


def test_importing_the_autograder_is_silent():
    done = subprocess.run([sys.executable, "-c", "import autograder"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
