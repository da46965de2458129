"""The shapes that public docstrings state hold in every call the checks make."""
import functools
import importlib
import inspect
import re

import pytest
import torch

from autograder.suites import checks_of, run
from autograder.table import exercise, exercises
from chapters._book.pages import library
from tests.conftest import ROOT

AXIS = r"(?:\.\.\.|[A-Z]\w*|\d+)"
SHAPE = re.compile(rf"^ *(?:(\w+): )?(?:[Bb]oolean )?\(({AXIS}(?:, ?{AXIS})*,?|)\)", re.M)
MODULES = [name for name, _ in library(ROOT) if not name.endswith("__main__")]


def shapes(function) -> dict[str, list[str]]:
    """Map each argument, and "return", to the axes that the docstring states."""
    text = inspect.getdoc(function) or ""
    arguments, _, rest = text.partition("Returns:")
    found = {m[1]: m[2].replace(",", " ").split() for m in SHAPE.finditer(arguments) if m[1]}
    if m := SHAPE.search(rest.partition("Raises:")[0]):
        found["return"] = m[2].replace(",", " ").split()
    return found


def shape_checked(function, calls: list[str]):
    """Wrap a function so that a call whose tensors contradict its docstring fails."""
    stated, signature = shapes(function), inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        out = function(*args, **kwargs)
        values = {**signature.bind(*args, **kwargs).arguments, "return": out}
        sizes: dict[str, int] = {}
        for name, axes in stated.items():
            if isinstance(values.get(name), torch.Tensor):
                _agree(name, axes, tuple(values[name].shape), sizes, name != "return" and "mask" in name)
                calls.append(name)
        return out

    return wrapper, stated


def _agree(name, axes, actual, sizes, broadcastable):
    lead, axes = "..." in axes, [a for a in axes if a != "..."]
    if broadcastable:
        return
    assert len(actual) >= len(axes) if lead else len(actual) == len(axes), (name, axes, actual)
    for axis, size in zip(axes[::-1], actual[::-1], strict=False):
        wanted = int(axis) if axis.isdigit() else sizes.setdefault(axis, size)
        assert wanted == size, f"{name}: {axes} is {actual}, with {sizes}"


@pytest.mark.parametrize("name", list(exercises()))
def test_stated_shapes_hold(name, monkeypatch):
    row, calls = exercise(name), []
    thing = getattr(importlib.import_module(f"gptlib.{row.module}"), row.function)
    if inspect.isclass(thing):
        wrapper, stated = shape_checked(thing.forward, calls)
        monkeypatch.setattr(thing, "forward", wrapper)
    else:
        thing, stated = shape_checked(thing, calls)
    run(checks_of(name) + checks_of(name, "hidden"), thing)
    signature = inspect.signature(wrapper if inspect.isclass(thing) else thing)
    annotations = [p.annotation for p in signature.parameters.values()] + [signature.return_annotation]
    if any(a in (torch.Tensor, torch.Tensor | None) for a in annotations):
        assert stated, f"{name} takes or gives tensors but states no shape"
        assert set(stated) <= set(calls), f"never exercised: {set(stated) - set(calls)}"


@pytest.mark.parametrize("module", MODULES)
def test_axis_letters_are_declared_at_the_head_of_the_module(module):
    made = importlib.import_module(f"gptlib.{module}")
    head = (inspect.getdoc(made) or "").partition("Axes:")[2]
    declared = set(re.findall(r"^ *([A-Z]\w*): ", head, re.M))
    functions = [f for _, f in inspect.getmembers(made, inspect.isfunction) if f.__module__ == made.__name__]
    functions += [c.forward for _, c in inspect.getmembers(made, inspect.isclass)
                  if c.__module__ == made.__name__ and "forward" in vars(c)]
    for function in functions:
        used = {a for axes in shapes(function).values() for a in axes if a[0].isalpha()}
        assert used <= declared, f"{function.__qualname__} uses undeclared axes {used - declared}"
