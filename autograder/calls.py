"""Several steps of a check that cross to the learner's process as one message; where there is none they are just done.

A crossing costs more than most calls do, so checks that call a function many times hand all its arguments over at once.
"""
from collections.abc import Mapping
from typing import Any

import torch


class Far:
    """Something in another process that takes several steps at once."""

    def in_turn(self, calls: list[tuple]) -> list:
        """Call it for each tuple of arguments."""
        raise NotImplementedError

    def loaded(self, state: dict[str, torch.Tensor], args: tuple, kwargs: dict[str, Any]) -> Any:
        """Make a module of it and load its weights."""
        raise NotImplementedError


def in_turn(function: Any, *calls: tuple) -> list:
    """Call a function for each tuple of arguments, in order; give what came.

    Args:
        function: a learner's function or module, here or in another process.
        calls: the positional arguments of each call.
    """
    if isinstance(function, Far):
        return function.in_turn(list(calls))
    return [function(*arguments) for arguments in calls]


def loaded(layer: Any, state: Mapping[str, torch.Tensor], *args: Any, **kwargs: Any) -> Any:
    """Make a module in the dtype of its weights, and load them.

    Args:
        layer: a learner's class of modules, here or in another process.
        state: its weights, of one dtype; they are copied.
        args: what the class is called with.
        kwargs: by name.
    """
    if isinstance(layer, Far):
        return layer.loaded(dict(state), args, kwargs)
    made = layer(*args, **kwargs).to(next(iter(state.values())).dtype)
    made.load_state_dict({name: weight.clone() for name, weight in state.items()})
    return made
