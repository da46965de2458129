"""Several steps of a check that cross to the learner's process as one message; where there is none they are just done.

A crossing costs more than most calls do, so checks that call a function many times hand all its arguments over at once.

Checks name the parts of a model as `gptlib.weights.parts` does. A learner's file may still have the names of before, if
it has them everywhere: what is here gives weights under the names that the learner's class has, and takes them back
under those of now.
"""
import functools
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
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

    def attributes(self) -> list[str]:
        """What the classes of its file speak of when they are made."""
        raise NotImplementedError


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
    make = layer.loaded if isinstance(layer, InOtherProcess) else functools.partial(load_new, layer)
    return _by_its_names(make, layer, dict(state), args, kwargs)


def zeroed(layer: Any, given: Mapping[str, torch.Tensor], *args: Any, **kwargs: Any) -> Any:
    """Make a float64 module for evaluation: its numbers are 0, and 1 in the gains of norms, but for those given.

    Args:
        layer: a learner's class of modules, here or in another process.
        given: numbers by name, with two underscores for a dot.
        args: what the class is called with.
        kwargs: by name.
    """
    make = layer.zeroed if isinstance(layer, InOtherProcess) else functools.partial(zero_new, layer)
    return _by_its_names(make, layer, {name.replace("__", "."): value for name, value in given.items()}, args, kwargs)


def load_new(layer: Any, state: dict[str, torch.Tensor], args: tuple, kwargs: dict[str, Any]) -> Any:
    """Make a module of a class that is here, and load its weights by its own names."""
    made = layer(*args, **kwargs).to(next(iter(state.values())).dtype)
    made.load_state_dict({name: weight.clone() for name, weight in state.items()})
    return made


def zero_new(layer: Any, given: dict[str, torch.Tensor], args: tuple, kwargs: dict[str, Any]) -> Any:
    """Make a module of a class that is here; its numbers are 0, and 1 in the gains of norms, but for those given."""
    made = layer(*args, **kwargs).double()
    state = {
        name: torch.ones_like(value) if "norm" in name and name.endswith("weight") else torch.zeros_like(value)
        for name, value in made.state_dict().items()
    }
    made.load_state_dict(state | given)
    return made.eval()


def _by_its_names(make: Any, layer: Any, state: dict[str, torch.Tensor], args: tuple, kwargs: dict[str, Any]) -> Any:
    """Make a module with weights; if it does not know their names, with those of before that it has."""
    try:
        return make(state, args, kwargs)
    except NotImplementedError:
        raise
    except RuntimeError:  # of `load_state_dict`
        own = parts().fitted(state, _parameters(layer(*args, **kwargs)))
        if own.keys() == state.keys():
            raise
    return make(own, args, kwargs)


def _parameters(module: Any) -> dict[str, torch.Tensor]:
    return module.weights() if isinstance(module, InOtherProcess) else dict(module.named_parameters())


def parts() -> ModuleType:
    """The table of names: of the learner's gptlib, to which it is given, or where grading happens of the reference."""
    from gptlib.weights import parts

    return parts


def weights_of(module: Any) -> dict[str, torch.Tensor]:
    """A module's parameters by name, to take gradients with respect to them: do not look at their values.

    Args:
        module: one of a learner's, here or in another process, which then need not send what nobody looks at.
    """
    return parts().renamed(_parameters(module))


def state_of(module: Any) -> dict[str, torch.Tensor]:
    """A module's state dict.

    Args:
        module: one of a learner's, here or in another process.
    """
    return parts().renamed(module.state_dict())


def load(module: Any, state: Mapping[str, torch.Tensor]) -> None:
    """Load weights into a module.

    Args:
        module: one of a learner's, here or in another process.
        state: its weights.
    """
    module.load_state_dict(parts().fitted(state, _parameters(module)))


def part_of(module: Any, name: str) -> Any:
    """A part of a module, or what else it keeps under a name.

    Args:
        module: one of a learner's, here or in another process.
        name: of the part.
    """
    return parts().part(module, name)


def own_names(function: Any) -> Callable[[str], str]:
    """How to name a parameter to a learner's function that takes such names.

    Args:
        function: a learner's, here or in another process.
    """
    words = {new: old for old, new in _before(function).items()}
    return lambda name: ".".join(words.get(word, word) for word in name.split("."))


def named_as_now(function: Any, found: Any) -> Any:
    """What a learner's function gave by parameters' names.

    Args:
        function: a learner's, here or in another process.
        found: what it gave; if this is no dict it stays as it is.
    """
    return parts().renamed(found) if isinstance(found, dict) and _before(function) else found


def _before(function: Any) -> dict[str, str]:
    """The names of before that the classes of a function's file have, with those of now, which these classes lack."""
    own = function.attributes() if isinstance(function, InOtherProcess) else attributes(function)
    return {old: new for old, new in parts().NOW.items() if old in own and new not in own}


def attributes(function: Any) -> list[str]:
    """What the `__init__` methods of the modules in a function's file speak of, attributes above all."""
    names = getattr(inspect.unwrap(function), "__globals__", {})
    found: set[str] = set()
    for one in list(names.values()):
        if isinstance(one, type) and issubclass(one, torch.nn.Module) and one.__module__ == names.get("__name__"):
            code = getattr(vars(one).get("__init__"), "__code__", None)
            found.update(code.co_names if code else ())
    return sorted(found)
