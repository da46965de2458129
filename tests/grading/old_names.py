"""The course as it was before the parts of its models got one name each: complete modules, out of git's history."""
import functools
import os
import subprocess
import sys
import types
from collections.abc import Mapping
from pathlib import Path

import pytest

from autograder.strip import reference
from tests.conftest import ROOT

COMMIT = "08ae747"
MODULES = ("transformer", "gpt", "gpt2", "kv_cache")  # in book order: a later one imports an earlier one


@functools.cache
def shown(path: str) -> str:
    """A file of then; without the history its tests fail under CI=true and are skipped elsewhere."""
    done = subprocess.run(["git", "show", f"{COMMIT}:{path}"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{COMMIT} is not in this clone: {done.stderr}")
        pytest.skip(f"{COMMIT} is not in this clone: fetch the whole history (git fetch --unshallow)")
    return done.stdout


def unpack(folder: Path, *parts: str) -> None:
    """Put the course of then, or some of its files and folders, into a folder."""
    shown("README.md")  # fails or skips without the history
    tree = subprocess.run(["git", "archive", COMMIT, *parts], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=tree, check=True)


def complete(module: str) -> str:
    """The complete module of then."""
    return reference(shown(f"solutions/{module}.py"))


def library() -> dict[str, types.ModuleType]:
    """All these modules of then, beside the other modules and the given code of today."""
    return loaded({name: complete(name) for name in MODULES})


def loaded(texts: Mapping[str, str]) -> dict[str, types.ModuleType]:
    """Modules of gptlib with these texts, of which a later one imports an earlier one."""
    before = {name: sys.modules.get(f"gptlib.{name}") for name in texts}
    made = {}
    try:
        for name, text in texts.items():
            made[name] = sys.modules[f"gptlib.{name}"] = types.ModuleType(f"gptlib.{name}")
            made[name].__package__ = "gptlib"
            exec(compile(text, f"{name} of then", "exec"), made[name].__dict__)
    finally:
        for name, module in before.items():
            sys.modules.pop(f"gptlib.{name}")
            if module is not None:
                sys.modules[f"gptlib.{name}"] = module
    return made
