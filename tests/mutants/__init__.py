"""Learners' mistakes, one file a module: complete wrong implementations that the checks must catch."""
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """One code form of one mistake; `mistake` is a clause that fits after "This is what comes out when"."""

    exercise: str
    mistake: str
    form: str
    see: str
    visible: bool
    implementation: Any


_found: list[Mutant] = []


def mutant(exercise: str, mistake: str, *, see: str = "", visible: bool = True) -> Callable[[Any], Any]:
    """Register a wrong implementation of `exercise`.

    Args:
        exercise: e.g. "attention.attend".
        mistake: what is wrong, in words that fit after "when"; several code forms may share them.
        see: label of the chapter's section to link; default: the exercise's own.
        visible: False where only the hidden suite can tell.
    """

    def register(implementation: Any) -> Any:
        _found.append(Mutant(exercise, mistake, implementation.__name__, see, visible, implementation))
        return implementation

    return register


def mutants_of(module: str) -> list[Mutant]:
    """Every registered mistake of a module's exercises, in file order."""
    importlib.import_module(f"tests.mutants.{module}")
    return [m for m in _found if m.exercise.startswith(f"{module}.")]
