"""The invariants that keep reference, stub, checks, mistakes, alternatives and points one thing."""
import functools
import importlib
import inspect
import os
import re
import subprocess
import types

import pytest

from autograder import strip
from autograder.checks import Failed
from autograder.suites import SUITES, checks_of, run, run_one
from autograder.table import chapters, exercise, exercises
from tests.alternatives import alternatives_of
from tests.conftest import ROOT
from tests.kill_matrix import caught_by, matrix
from tests.mutants import mutants_of

MODULES = [c.module for c in chapters().values()]
EXERCISES = list(exercises())
RULES = {"mutants": 5, "alternatives": 3}


def source(module: str) -> str:
    return (ROOT / f"solutions/{module}.py").read_text(encoding="utf-8")


def reference(name: str):
    row = exercise(name)
    return getattr(importlib.import_module(f"gptlib.{row.module}"), row.function)


@functools.cache
def stub(module: str) -> types.ModuleType:
    made = types.ModuleType(f"gptlib.{module}_stub")
    made.__package__ = "gptlib"
    exec(compile(strip.strip(source(module), module), f"{module} (stub)", "exec"), made.__dict__)
    return made


def test_gptlib_here_is_the_reference():
    import gptlib

    assert gptlib.__path__[0] == str(ROOT / "build/reference/gptlib")


@pytest.mark.parametrize("path", sorted((ROOT / "solutions").rglob("*.[pj][ys]")), ids=lambda p: p.name)
def test_committed_gptlib_is_the_stripped_solutions(path):
    """In a learner's clone the committed stubs are compared, not the edited files."""
    name = path.relative_to(ROOT / "solutions").as_posix()
    expected = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        expected = strip.strip(expected, path.stem)
    shown = subprocess.run(["git", "show", f"HEAD:gptlib/{name}"], cwd=ROOT, capture_output=True, text=True)
    on_disk = ROOT / "gptlib" / name
    committed = shown.stdout if shown.returncode == 0 else on_disk.read_text(encoding="utf-8")
    assert expected in (committed, on_disk.read_text(encoding="utf-8")), "run `python -m autograder strip`"


def test_gptlib_holds_nothing_else():
    ours, theirs = (
        {p.relative_to(ROOT / name) for p in (ROOT / name).rglob("*.*") if "__pycache__" not in p.parts}
        for name in ("solutions", "gptlib")
    )
    assert theirs == ours


@pytest.mark.parametrize("module", MODULES)
def test_every_region_belongs_to_a_listed_exercise(module):
    owners = {f"{module}.{name.split('.')[0]}" for name in strip.regions(source(module))}
    assert owners == {e for e in EXERCISES if exercise(e).module == module}


@pytest.mark.parametrize("module", MODULES)
def test_every_part_names_the_same_exercises(module):
    listed = {e for e in EXERCISES if exercise(e).module == module}
    for suite in SUITES:
        package = f"autograder.{suite}.{module}"
        marked = {f.exercise for f in vars(importlib.import_module(package)).values() if hasattr(f, "exercise")}
        assert marked == listed, suite
    assert {m.exercise for m in mutants_of(module)} == listed
    assert {a.exercise for a in alternatives_of(module)} == listed


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_has_enough_of_each(name):
    module = exercise(name).module
    mistakes = {m.mistake for m in mutants_of(module) if m.exercise == name}
    assert len(mistakes) >= RULES["mutants"]
    assert len([a for a in alternatives_of(module) if a.exercise == name]) >= RULES["alternatives"]


@pytest.mark.parametrize("module", MODULES)
def test_sections_that_mistakes_link_to_exist(module):
    chapter = next(c for c in chapters().values() if c.module == module)
    labels = set(re.findall(r"^\((.+)\)=$", (ROOT / f"chapters/{chapter.name}.md").read_text(), re.M))
    wanted = {m.see for m in mutants_of(module) if m.see} | {e.see for e in chapter.exercises}
    assert wanted <= labels, f"no such label in chapters/{chapter.name}.md: {wanted - labels}"


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", EXERCISES)
def test_reference_passes_and_returns_nothing(name, suite):
    found = checks_of(name, suite)
    assert found
    run(found, reference(name))
    assert all(one.__doc__ for one in found)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", EXERCISES)
def test_stub_fails_every_check_as_not_implemented(name, suite):
    row = exercise(name)
    for one in checks_of(name, suite):
        with pytest.raises(NotImplementedError, match=re.escape(row.name)):
            run_one(one, getattr(stub(row.module), row.function))


@pytest.mark.parametrize("name", EXERCISES)
def test_every_mistake_is_caught(name):
    rows = [r for r in matrix(exercise(name).module) if r.exercise == name]
    missed = [r.form for r in rows if r.hidden is None]
    assert not missed, f"the hidden suite accepts: {missed}"
    missed = [r.form for r in rows if r.expected_visible and r.visible is None]
    assert not missed, f"the visible suite accepts (mark visible=False if it cannot tell): {missed}"
    wrong = [r.form for r in rows if not r.expected_visible and r.visible is not None]
    assert not wrong, f"the visible suite does catch: {wrong}"


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("name", EXERCISES)
def test_every_alternative_passes(name, suite):
    for one in alternatives_of(exercise(name).module):
        if one.exercise == name:
            try:
                run(checks_of(name, suite), one.implementation)
            except Exception as error:
                raise AssertionError(f"{one.idea} is right but was refused: {error}") from error


@pytest.mark.parametrize("name", EXERCISES)
def test_no_secret_lets_a_mistake_pass_or_refuses_a_right_answer(name, monkeypatch):
    """What the hidden checks draw must not matter. `SECRETS=100`, by hand, looks at more than a few."""
    module, found = exercise(name).module, checks_of(name, "hidden")
    mistakes = [m for m in mutants_of(module) if m.exercise == name]
    right = [a.implementation for a in alternatives_of(module) if a.exercise == name] + [reference(name)]
    for number in range(int(os.environ.get("SECRETS", "2"))):
        monkeypatch.setenv("AUTOGRADER_SECRET", f"secret {number}")
        for implementation in right:
            run(found, implementation)
        passed = [m.form for m in mistakes if not caught_by(m.implementation, name, "hidden")]
        assert not passed, f"secret {number} lets {passed} pass"


class Replay:
    """Answers calls from a table of recorded answers; to an unknown call it gives some recorded answer."""

    def __init__(self, function):
        self.function, self.table, self.recording = function, {}, True

    def __call__(self, *args, **kwargs):
        key = repr((args, sorted(kwargs.items())))
        if self.recording:
            self.table[key] = self.function(*args, **kwargs)
        return self.table[key] if key in self.table else next(iter(self.table.values()))


@pytest.mark.parametrize("name", [e for e in EXERCISES if not inspect.isclass(reference(e))])
def test_replaying_the_visible_answers_fails_the_hidden_checks(name):
    replay = Replay(reference(name))
    for one in checks_of(name):
        run_one(one, replay)
    replay.recording = False
    with pytest.raises((Failed, Exception)):
        run(checks_of(name, "hidden"), replay)


def test_the_kill_matrix_page_has_every_mistake():
    rows = [r for module in MODULES for r in matrix(module)]
    assert len(rows) == sum(len(mutants_of(module)) for module in MODULES)
    assert len({(r.exercise, r.form) for r in rows}) == len(rows), "two code forms share a name"


def test_fingerprints_are_those_of_the_mistakes():
    from autograder.fingerprints import FILE
    from tests import fingerprints

    assert FILE.read_text(encoding="utf-8") == fingerprints.text(), "run `python -m autograder fingerprints`"


def test_later_modules_never_import_earlier_than_themselves():
    """Book order: a module may import given modules and those of earlier chapters only."""
    order = {module: place for place, module in enumerate(MODULES)}
    for module, place in order.items():
        for imported in re.findall(r"^from \. import (.+)$|^from \.(\w+) import", source(module), re.M):
            names = [n.strip().split(" as ")[0] for n in "".join(imported).split(",")]
            assert all(order.get(n, -1) < place for n in names), (module, names)
