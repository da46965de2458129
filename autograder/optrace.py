"""Which of PyTorch's functions an exercise calls, seen while it runs. Facts for a person, and never a score.

Two of PyTorch's own hooks: one sees its Python functions, the other the operations that reach the dispatcher. Code that
means to hide from them can.
"""
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

MOST = 300  # names that are kept


class Seen:
    """What the calls of an exercise have called so far. The 1st, 2nd, 4th, 8th … call is looked at: it costs time."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.calls = 0

    def looks(self) -> bool:
        """Count a call; say whether to look at it."""
        self.calls += 1
        return not self.calls & (self.calls - 1) and len(self.names) <= MOST


class Functions(TorchFunctionMode):
    """Notes PyTorch's Python functions."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self.names = names

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note one and call it."""
        self.names.add(str(getattr(function, "__name__", function))[:80])
        return function(*args, **(kwargs or {}))


class Operations(TorchDispatchMode):
    """Notes what reaches the dispatcher."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self.names = names

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not asked to: PyTorch would import its compiler, 35 MB, to keep it away from here."""
        return False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note one and run it."""
        self.names.add(str(function)[:80])
        return function(*args, **(kwargs or {}))


def trace(implementation: Any, seen: Seen) -> Any:
    """Wrap a function or an nn.Module class; some of its calls note the names of what they call."""
    if isinstance(implementation, type):
        if not issubclass(implementation, nn.Module):
            return implementation

        class Traced(implementation):  # type: ignore[misc, valid-type]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                kinds = {f"{type(m).__module__}.{type(m).__name__}"[:80] for m in self.modules()}
                seen.names.update(kind for kind in kinds if kind.startswith("torch."))

            def forward(self, *args: Any, **kwargs: Any) -> Any:
                return _traced(super().forward, seen)(*args, **kwargs)

        functools.update_wrapper(Traced, implementation, updated=())
        return Traced
    return _traced(implementation, seen) if callable(implementation) else implementation


def _traced(function: Callable, seen: Seen) -> Callable:
    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        if not seen.looks():
            return function(*args, **kwargs)
        with Functions(seen.names), Operations(seen.names):
            return function(*args, **kwargs)

    return traced


def warm() -> None:
    """Use both hooks once, so that what they import is there before a fork."""
    trace(torch.add, Seen())(torch.ones(2, requires_grad=True), torch.ones(2))
