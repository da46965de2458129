"""The engine says of every implementation what plain `check` says: reference, stub, mistakes, right alternatives."""
import os
from collections.abc import Iterable

import pytest

from autograder.alternatives import alternatives_of
from autograder.engine.sandbox import TIERS, Limits
from autograder.mistakes import mistakes_of
from autograder.suites import SUITES
from autograder.table import chapters, exercises
from tests.chosen import chosen, turned
from tests.conftest import ROOT
from tests.grading.engine_kit import REFERENCE, SMALL, graded, swapped

MODULES = [c.module for c in chapters().values()]
BY_MISTAKE = {(m.exercise, m.when): m for module in MODULES for m in mistakes_of(module)}
FORMS = [m for module in MODULES for m in mistakes_of(module)] if os.environ.get("EVERY_FORM") else BY_MISTAKE.values()


def some(names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """All of the chosen chapters, and one an exercise of the others, with every commit another."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, form in names:
        found.setdefault(name, []).append((name, form))
    every = [name for name in found if exercises()[name].chapter in chosen()]
    return [one for name, forms in found.items() for one in (forms if name in every else turned(forms)[:1])]


MUTANTS = some((m.exercise, m.form) for m in FORMS)  # EVERY_FORM=1: all code forms of each mistake
ALTERNATIVES = some((a.exercise, a.implementation.__name__) for module in MODULES for a in alternatives_of(module))
SLOW = Limits(cpu=20, wall=60)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", exercises())
def test_the_reference_passes_and_the_stub_is_not_written(name, tier):
    stubs = {p.relative_to(ROOT).as_posix(): p.read_text("utf-8") for p in (ROOT / "gptlib").rglob("*.py")}
    for suite in SUITES:
        right = graded(REFERENCE, name, suite, tier, SLOW)
        assert right.passed, right.message
        assert "passes its" in right.text and "✓" in right.text and not right.message
        wrong = graded(stubs, name, suite, tier)
        assert not wrong.passed and "is not written yet" in wrong.message


@pytest.mark.parametrize("name, form", MUTANTS, ids=lambda x: x)
def test_every_mistake_is_caught_as_it_is_in_process(name, form):
    one = next(m for m in mistakes_of(name.split(".")[0]) if (m.exercise, m.form) == (name, form))
    files = swapped("mistakes", name.split(".")[0], name, one.implementation.__name__)
    assert not graded(files, name, "hidden").passed
    assert graded(files, name, "visible", limits=SMALL).passed != one.visible


@pytest.mark.parametrize("name, form", ALTERNATIVES, ids=lambda x: x)
def test_every_alternative_passes_as_it_does_in_process(name, form):
    files = swapped("alternatives", name.split(".")[0], name, form)
    for suite in SUITES:
        found = graded(files, name, suite, limits=SLOW)
        assert found.passed, found.message


def test_the_message_names_the_mistake_and_shows_the_learners_source():
    text = REFERENCE["gptlib/attention.py"].replace(" / math.sqrt(query.size(-1))", "")
    assert text != REFERENCE["gptlib/attention.py"]
    found = graded(REFERENCE | {"gptlib/attention.py": text}, "attention.attend", "visible")
    assert "This is what comes out when" in found.message and "expected" in found.message
    assert "scores = query @ key.transpose(-2, -1)" in found.message
