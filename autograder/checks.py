"""What checks are written with: `checks` marks one, `same` and `raises` make its claims.

A check is a function of the implementation (and, if it draws, of a seeded torch.Generator). Its docstring
is the sentence that learners read; it returns None and fails by raising.
"""
import contextlib
import math
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

Check = Callable[..., None]
LONGEST = 400
WIDTH = 78  # of what is said to learners: feedback pages and phones do not scroll sideways well


class Failed(AssertionError):
    """A claim about the learner's code does not hold: what to look at, what came, what should have come."""

    def __init__(self, hint: str, actual: Any = None, expected: Any = None, where: str = "") -> None:
        self.hint, self.actual, self.expected, self.where = hint, actual, expected, where
        super().__init__(self.text())

    def text(self) -> str:
        """The message a learner reads."""
        lines = [wrap(self.hint)]
        if self.where:
            lines.append(self.where)
        if self.expected is not None or self.actual is not None:
            lines += [f"  expected  {show(self.expected)}", f"  actual    {show(self.actual)}"]
        return "\n".join(lines)


def wrap(text: str) -> str:
    """Break a sentence into lines that can be read without scrolling sideways; addresses stay whole."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def checks(exercise: str) -> Callable[[Check], Check]:
    """Mark a function as a check of `exercise`, e.g. "attention.attend"."""

    def mark(function: Check) -> Check:
        if not function.__doc__:
            raise ValueError(f"{function.__name__} needs a docstring: the sentence learners read")
        function.exercise = exercise  # type: ignore[attr-defined]
        return function

    return mark


def same(actual: Any, expected: Any, hint: str, *, rtol: float = 1e-9, atol: float = 1e-10) -> None:
    """Claim that `actual` equals `expected`: kind, shape, dtype and values.

    Args:
        actual: what the learner's code gave.
        expected: tensor, number, string, bool, None, or lists, tuples, dicts and sets of these.
        hint: one sentence that says what to look at, in the learner's terms.
        rtol: relative tolerance of floating-point values.
        atol: absolute tolerance of floating-point values; both are widened to 1e-5 for float32.

    Raises:
        Failed: with a small picture of both values.
    """
    problem = difference(actual, expected, rtol, atol)
    if problem is not None:
        raise Failed(hint, actual, expected, problem)


def difference(actual: Any, expected: Any, rtol: float = 1e-9, atol: float = 1e-10) -> str | None:
    """Say in one line how two values differ, or None when they are the same."""
    if actual is None and expected is not None:
        return "Your code gave None: is a `return` missing?"
    if isinstance(expected, torch.Tensor):
        return _tensor_difference(actual, expected, rtol, atol)
    if isinstance(expected, bool) or expected is None or isinstance(expected, str | bytes):
        if type(actual) is type(expected) and actual == expected:
            return None
        return f"Expected {kind(expected)}, got {kind(actual)}." if type(actual) is not type(expected) else ""
    if isinstance(expected, int | float):
        return _number_difference(actual, expected, rtol, atol)
    if isinstance(expected, dict):
        return _dict_difference(actual, expected, rtol, atol)
    if isinstance(expected, list | tuple):
        return _sequence_difference(actual, expected, rtol, atol)
    if isinstance(expected, set | frozenset):
        return None if isinstance(actual, set | frozenset) and actual == expected else f"Got {kind(actual)}."
    raise TypeError(f"same() compares tensors, numbers, strings and containers, not {kind(expected)}")


def _tensor_difference(actual: Any, expected: torch.Tensor, rtol: float, atol: float) -> str | None:
    if not isinstance(actual, torch.Tensor):
        return f"Expected a tensor, got {kind(actual)}."
    if actual.shape != expected.shape:
        return f"Expected shape {tuple(expected.shape)}, got {tuple(actual.shape)}."
    if actual.dtype != expected.dtype:
        return f"Expected dtype {expected.dtype}, got {actual.dtype}."
    if not expected.dtype.is_floating_point:
        return None if torch.equal(actual, expected) else "Some entries differ."
    if expected.dtype != torch.float64:
        rtol, atol = max(rtol, 1e-5), max(atol, 1e-5)
    if _near(actual, expected, rtol, atol):
        return None
    close = torch.isclose(actual.detach(), expected.detach(), rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return None
    if actual.isnan().any() and not expected.isnan().any():
        return "Some entries are NaN (not a number)."
    return f"{int((~close).sum())} of {expected.numel()} entries differ."


def _near(actual: torch.Tensor, expected: torch.Tensor, rtol: float, atol: float) -> bool:
    """Whether all entries are near, in the cheapest way; False where a closer look is needed."""
    try:
        one, other = actual.detach().numpy(), expected.detach().numpy()
    except (TypeError, RuntimeError):  # what NumPy cannot hold
        return False
    with np.errstate(all="ignore"):
        return bool((np.abs(one - other) < np.abs(other) * rtol + atol).all())  # strict: never true of infinities


def _number_difference(actual: Any, expected: float, rtol: float, atol: float) -> str | None:
    if isinstance(actual, torch.Tensor | np.ndarray | np.generic) and actual.ndim == 0:
        actual = actual.item()
    if isinstance(actual, bool) or not isinstance(actual, int | float):
        return f"Expected a number, got {kind(actual)}."
    if isinstance(expected, int) and not isinstance(actual, int) and actual != expected:
        return ""
    if math.isnan(expected) and math.isnan(actual):
        return None
    return None if math.isclose(actual, expected, rel_tol=rtol, abs_tol=atol) else ""


def _dict_difference(actual: Any, expected: dict, rtol: float, atol: float) -> str | None:
    if not isinstance(actual, dict):
        return f"Expected a dict, got {kind(actual)}."
    for key in expected:
        if key not in actual:
            return f"The key {key!r} is missing."
    for key in actual:
        if key not in expected:
            return f"The key {key!r} should not be there."
    for key, value in expected.items():
        problem = difference(actual[key], value, rtol, atol)
        if problem is not None:
            return f"At key {key!r}: {problem}".rstrip(": ") + ("" if problem else " the value differs.")
    return None


def _sequence_difference(actual: Any, expected: Any, rtol: float, atol: float) -> str | None:
    if not isinstance(actual, list | tuple):
        return f"Expected {kind(expected)}, got {kind(actual)}."
    if len(actual) != len(expected):
        return f"Expected {len(expected)} items, got {len(actual)}."
    for i, (one, other) in enumerate(zip(actual, expected, strict=True)):
        problem = difference(one, other, rtol, atol)
        if problem is not None:
            return f"At index {i}: {problem or 'the value differs.'}"
    return None


@contextlib.contextmanager
def raises(error: type[Exception], words: str, hint: str = "") -> Iterator[None]:
    """Claim that the block raises `error` with `words` in its message.

    Raises:
        Failed: no error, another error, or a message without the words.
    """
    said = f"{hint + ' ' if hint else ''}A {error.__name__} that says {words!r} should be raised here"
    try:
        yield
    except NotImplementedError:
        raise
    except error as caught:
        if words.lower() not in str(caught).lower():
            raise Failed(f"{said}; its message was {str(caught)!r}.") from None
    except Exception as other:
        raise Failed(f"{said}; instead came {type(other).__name__}: {other}") from other
    else:
        raise Failed(f"{said}; nothing was raised.")


def kind(value: Any) -> str:
    """Name a value's kind in a learner's words."""
    if isinstance(value, torch.Tensor):
        return f"a {value.dtype} tensor of shape {tuple(value.shape)}"
    return "None" if value is None else f"a {type(value).__name__}"


def show(value: Any) -> str:
    """A small readable picture of a value, never longer than a few lines."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        array = value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()
        text = np.array2string(array, precision=4, threshold=48, max_line_width=88, separator=", ")
        text = text.replace("\n", "\n" + " " * 12) + (f"   shape {tuple(value.shape)}" if value.ndim else "")
    else:
        text = repr(value)
    return text if len(text) <= LONGEST * 2 else text[:LONGEST] + " …"
