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

CALLS, MOST = 4, 300  # calls of an exercise that are looked at in a question; names that are kept


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

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note one and run it."""
        self.names.add(str(function)[:80])
        return function(*args, **(kwargs or {}))


def trace(implementation: Any) -> tuple[Any, set[str]]:
    """Wrap a function or an nn.Module class; its first calls add the names of what they call to the set."""
    names: set[str] = set()
    left = [CALLS]
    if isinstance(implementation, type):
        if not issubclass(implementation, nn.Module):
            return implementation, names

        class Traced(implementation):  # type: ignore[misc, valid-type]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                kinds = {f"{type(m).__module__}.{type(m).__name__}"[:80] for m in self.modules()}
                names.update(kind for kind in kinds if kind.startswith("torch."))

            def forward(self, *args: Any, **kwargs: Any) -> Any:
                return _traced(super().forward, names, left)(*args, **kwargs)

        functools.update_wrapper(Traced, implementation, updated=())
        return Traced, names
    return (_traced(implementation, names, left) if callable(implementation) else implementation), names


def _traced(function: Callable, names: set[str], left: list[int]) -> Callable:
    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        if left[0] <= 0 or len(names) > MOST:
            return function(*args, **kwargs)
        left[0] -= 1
        with Functions(names), Operations(names):
            return function(*args, **kwargs)

    return traced


def warm() -> None:
    """Use both hooks once, so that what they import is there before a fork."""
    traced, _ = trace(torch.add)
    traced(torch.ones(2, requires_grad=True), torch.ones(2))
