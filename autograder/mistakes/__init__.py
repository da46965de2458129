"""Learners' mistakes, one file a module: complete wrong implementations that the checks must catch."""
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mistake:
    """One code form of one mistake; `when` is a clause that fits after "This is what comes out when"."""

    exercise: str
    when: str
    form: str
    see: str
    visible: bool
    implementation: Any


_found: list[Mistake] = []


def mistake(exercise: str, when: str, *, see: str = "", visible: bool = True) -> Callable[[Any], Any]:
    """Register a wrong implementation of `exercise`.

    Args:
        exercise: e.g. "attention.attend".
        when: what is wrong, in words that fit after "when"; several code forms may share them.
        see: label of the chapter's section to link; default: the exercise's own.
        visible: False where only the hidden suite can tell.
    """

    def register(implementation: Any) -> Any:
        _found.append(Mistake(exercise, when, implementation.__name__, see, visible, implementation))
        return implementation

    return register


def mistakes_of(module: str) -> list[Mistake]:
    """Every registered mistake of a module's exercises, in file order."""
    importlib.import_module(f"autograder.mistakes.{module}")
    return [m for m in _found if m.exercise.startswith(f"{module}.")]
