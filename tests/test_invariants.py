"""The invariants that keep reference, stub, checks, mistakes, alternatives and points one thing."""
import functools
import importlib
import inspect
import os
import re
import subprocess
import types

import pytest

from autograder import fingerprints, given, strip
from autograder.alternatives import alternatives_of
from autograder.checks import Failed
from autograder.course import imports
from autograder.fingerprints import generate
from autograder.mistakes import mistakes_of
from autograder.mistakes.kill_matrix import caught_by, matrix
from autograder.suites import SUITES, checks_of, run, run_one
from autograder.table import chapters, exercise, exercises
from tests.chosen import chosen
from tests.conftest import ROOT

MODULES = [c.module for c in chapters().values()]
EXERCISES = list(exercises())
RULES = {"mistakes": 5, "alternatives": 3}


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


@pytest.mark.parametrize("module", MODULES)
def test_committed_gptlib_is_the_stripped_solutions(module):
    """In a learner's clone the committed stubs are compared, not the edited files."""
    expected = strip.strip(source(module), module)
    shown = subprocess.run(["git", "show", f"HEAD:gptlib/{module}.py"], cwd=ROOT, capture_output=True, text=True)
    on_disk = (ROOT / f"gptlib/{module}.py").read_text(encoding="utf-8")
    committed = shown.stdout if shown.returncode == 0 else on_disk
    assert expected in (committed, on_disk), "run `python -m autograder strip`"


def test_the_top_of_gptlib_and_solutions_hold_what_learners_write_and_nothing_else():
    for folder, more in (("solutions", set()), ("gptlib", {"__init__"})):
        assert {path.stem for path in (ROOT / folder).glob("*.py")} == {*MODULES, *more}
        kinds = {p.suffix for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts}
        assert kinds <= ({".py"} if folder == "solutions" else {".py", *given.KINDS})


def test_nothing_stands_in_both_solutions_and_gptlib_but_the_learners_modules():
    given_names = {path.name for path in given.there() if path.name not in ("__init__.py", "__main__.py")}
    twice = {path for path in given.there() if (ROOT / "solutions" / path.name).exists()}
    assert given_names and not {p for p in twice if p.read_bytes() == (ROOT / "solutions" / p.name).read_bytes()}


def test_given_files_are_listed_as_they_are():
    assert {p.relative_to(ROOT / "gptlib").as_posix() for p in given.there()} == set(given.listed()), "run `strip`"
    assert given.edited() == [], "run `python -m autograder strip`"
    path = ROOT / "gptlib" / "__init__.py"
    git = subprocess.run(["git", "hash-object", path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert git.stdout.strip() == given.listed()["__init__.py"]


def test_given_code_imports_no_module_that_learners_write():
    for path in given.there():
        if path.suffix == ".py":
            where = ".".join(path.relative_to(ROOT / "gptlib").parent.parts)
            pairs = imports.wanted(path.read_text(encoding="utf-8"), "gptlib", where)
            assert not {f"{module}.{name}".strip(".") for module, name in pairs} & set(MODULES), path
            assert not {module for module, _ in imports.wanted(path.read_text("utf-8"), "gptlib", where)} & set(MODULES)


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
    assert {m.exercise for m in mistakes_of(module)} == listed
    assert {a.exercise for a in alternatives_of(module)} == listed


@pytest.mark.parametrize("name", EXERCISES)
def test_every_exercise_has_enough_of_each(name):
    module = exercise(name).module
    mistakes = {m.when for m in mistakes_of(module) if m.exercise == name}
    assert len(mistakes) >= RULES["mistakes"]
    assert len([a for a in alternatives_of(module) if a.exercise == name]) >= RULES["alternatives"]


@pytest.mark.parametrize("module", MODULES)
def test_sections_that_mistakes_link_to_exist(module):
    chapter = next(c for c in chapters().values() if c.module == module)
    labels = set(re.findall(r"^\((.+)\)=$", (ROOT / f"chapters/{chapter.name}.md").read_text(), re.M))
    wanted = {m.see for m in mistakes_of(module) if m.see} | {e.see for e in chapter.exercises}
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
    """What the hidden checks draw must not matter: `SECRETS=100`, by hand, looks at more than a few."""
    module, found = exercise(name).module, checks_of(name, "hidden")
    mistakes = [m for m in mistakes_of(module) if m.exercise == name]
    right = [a.implementation for a in alternatives_of(module) if a.exercise == name] + [reference(name)]
    for number in range(int(os.environ.get("SECRETS", "2" if exercise(name).chapter in chosen() else "1"))):
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
    assert len(rows) == sum(len(mistakes_of(module)) for module in MODULES)
    assert len({(r.exercise, r.form) for r in rows}) == len(rows), "two code forms share a name"


@pytest.mark.parametrize("module", MODULES)
def test_fingerprints_are_those_of_the_mistakes(module):
    known = fingerprints.path_of(module).read_text(encoding="utf-8")
    assert known == generate.made(module), "run `python -m autograder fingerprints`"


def test_later_modules_never_import_earlier_than_themselves():
    """Book order: a module may import given modules and those of earlier chapters only."""
    order = {module: place for place, module in enumerate(MODULES)}
    for module, place in order.items():
        names = {name for pair in imports.wanted(source(module), "gptlib") for name in pair}
        assert all(order.get(name, -1) < place for name in names), (module, names)
