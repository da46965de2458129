"""Several steps of a check that cross to the learner's process as one message; where there is none they are just done.

A crossing costs more than most calls do, so checks that call a function many times hand all its arguments over at once.
"""
from collections.abc import Mapping
from typing import Any

import torch


class InOtherProcess:
    """Something in another process that takes several steps at once."""

    def in_turn(self, calls: list[tuple]) -> list:
        """Call it for each tuple of arguments."""
        raise NotImplementedError

    def loaded(self, state: dict[str, torch.Tensor], args: tuple, kwargs: dict[str, Any]) -> Any:
        """Make a module of it and load its weights."""
        raise NotImplementedError

    def zeroed(self, given: dict[str, torch.Tensor], args: tuple, kwargs: dict[str, Any]) -> Any:
        """Make a module of it whose numbers are 0, but for those given and the gains of its norms."""
        raise NotImplementedError

    def weights(self) -> dict[str, torch.Tensor]:
        """Its parameters by name, without their values."""
        raise TypeError("your code gave no module, so there are no parameters")


def in_turn(function: Any, *calls: tuple) -> list:
    """Call a function for each tuple of arguments, in order; give what came.

    Args:
        function: a learner's function or module, here or in another process.
        calls: the positional arguments of each call.
    """
    if isinstance(function, InOtherProcess):
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
    if isinstance(layer, InOtherProcess):
        return layer.loaded(dict(state), args, kwargs)
    made = layer(*args, **kwargs).to(next(iter(state.values())).dtype)
    made.load_state_dict({name: weight.clone() for name, weight in state.items()})
    return made


def zeroed(layer: Any, given: Mapping[str, torch.Tensor], *args: Any, **kwargs: Any) -> Any:
    """Make a float64 module for evaluation: its numbers are 0, and 1 in the gains of norms, but for those given.

    Args:
        layer: a learner's class of modules, here or in another process.
        given: numbers by name, with two underscores for a dot.
        args: what the class is called with.
        kwargs: by name.
    """
    if isinstance(layer, InOtherProcess):
        return layer.zeroed(dict(given), args, kwargs)
    made = layer(*args, **kwargs).double()
    state = {
        name: torch.ones_like(value) if "norm" in name and name.endswith("weight") else torch.zeros_like(value)
        for name, value in made.state_dict().items()
    }
    made.load_state_dict(state | {name.replace("__", "."): value for name, value in given.items()})
    return made.eval()


def weights_of(module: Any) -> dict[str, torch.Tensor]:
    """A module's parameters by name, to take gradients with respect to them: do not look at their values.

    Args:
        module: one of a learner's, here or in another process, which then need not send what nobody looks at.
    """
    return module.weights() if isinstance(module, InOtherProcess) else dict(module.named_parameters())
