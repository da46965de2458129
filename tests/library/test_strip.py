"""From solutions to stubs and back."""
import pytest

from autograder.strip import build_reference, reference, regions, strip

TEXT = '''"""Toy."""


def double(x):
    """Twice x."""
    # BEGIN SOLUTION
    return 2 * x
    # END SOLUTION


class Adder:
    def __init__(self, n):
        self.n = n

    def forward(self, x):
        y = x
        # BEGIN SOLUTION
        y = y + self.n
        return y
        # END SOLUTION
'''


def test_regions_are_named_after_their_functions():
    assert regions(TEXT) == {
        "double": "    return 2 * x\n",
        "Adder.forward": "        y = y + self.n\n        return y\n",
    }


def test_the_stub_raises_with_the_exercises_name():
    stub = strip(TEXT, "toy")
    assert "SOLUTION" not in stub and "2 * x" not in stub
    made = {}
    exec(stub, made)
    calls = {"toy.double": lambda: made["double"](1), "toy.Adder": lambda: made["Adder"](1).forward(2)}
    for name, call in calls.items():
        with pytest.raises(NotImplementedError, match=name):
            call()


def test_the_reference_is_the_text_without_markers():
    made = {}
    exec(reference(TEXT), made)
    assert made["double"](3) == 6 and made["Adder"](4).forward(3) == 7
    assert "SOLUTION" not in reference(TEXT)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    # END SOLUTION\n\n\n", "\n\n", "region"),
        ("    # BEGIN SOLUTION\n    return", "    return", "no partner"),
        ("    return 2 * x", "    # BEGIN SOLUTION\n    return 2 * x", "inside another"),
        ("2 * x\n", "2 * x\n    # END SOLUTION\n    # BEGIN SOLUTION\n    pass\n", "two solution regions"),
        ('"""Toy."""', '"""Toy."""\n# BEGIN SOLUTION\nx = 1\n# END SOLUTION', "inside one function"),
    ],
)
def test_broken_markers_are_refused(old, new, words):
    assert old in TEXT
    with pytest.raises(ValueError, match=words):
        strip(TEXT.replace(old, new, 1), "toy")


def test_building_the_reference_twice_writes_nothing_new(tmp_path):
    build_reference(tmp_path / "gptlib")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "gptlib").rglob("*.*")}
    (tmp_path / "gptlib" / "stale.py").write_text("")
    build_reference(tmp_path / "gptlib")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "gptlib").rglob("*.*")} == before
