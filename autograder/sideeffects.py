"""The side-effect battery: what a call did besides returning a value.

It stands beside the implementation, in the same process, and reports facts; checks look at values only.
"""
import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

SENTENCE = "It leaves its arguments, the random state and PyTorch's settings alone."


def watch(implementation: Any) -> tuple[Any, list[str]]:
    """Wrap a function or an nn.Module class; each call adds the side effects it had to the list."""
    facts: list[str] = []
    if inspect.isclass(implementation):
        if not issubclass(implementation, nn.Module):
            return implementation, facts

        parameters = _parameters(implementation.forward)[1:]

        class Watched(implementation):  # type: ignore[misc, valid-type]
            def forward(self, *args: Any, **kwargs: Any) -> Any:
                random = self.training and any(isinstance(m, nn.Dropout) and m.p > 0 for m in self.modules())
                return _observed(super().forward, implementation.__name__, facts, random, parameters)(*args, **kwargs)

        functools.update_wrapper(Watched, implementation, updated=())
        return Watched, facts
    if not callable(implementation):
        return implementation, facts
    name, parameters = getattr(implementation, "__name__", "your function"), _parameters(implementation)
    return _observed(implementation, name, facts, False, parameters), facts


def _observed(function: Callable, name: str, facts: list[str], may_draw: bool, parameters: list[str]) -> Callable:
    @functools.wraps(function)
    def observed(*args: Any, **kwargs: Any) -> Any:
        before = [_copy(a) for a in args], {k: _copy(a) for k, a in kwargs.items()}
        state, settings = torch.get_rng_state(), _settings()
        out = function(*args, **kwargs)
        named = {parameters[i] if i < len(parameters) else f"argument {i + 1}": pair
                 for i, pair in enumerate(zip(before[0], args, strict=True))}
        named |= {k: (before[1][k], a) for k, a in kwargs.items()}
        for argument, (old, new) in named.items():
            if not _unchanged(old, new):
                facts.append(
                    f"{name} changed its argument `{argument}` in place: the caller's data must stay as it was. "
                    "Look for `x += …`, `x[…] = …`, `.append` or methods that end in `_`."
                )
        if not may_draw and not torch.equal(state, torch.get_rng_state()):
            facts.append(f"{name} used the global random generator: use the `generator` argument, if there is one.")
        if settings != _settings():
            facts.append(f"{name} changed a global setting of PyTorch (default dtype, gradient mode or threads).")
        facts.extend(_dtype_facts(name, [new for _, new in named.values()], out))
        return out

    return observed


def _parameters(function: Callable) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def _settings() -> tuple:
    return torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict | list | set | tuple):
        try:
            return copy.deepcopy(value)
        except Exception:
            return value
    return value


def _unchanged(old: Any, new: Any) -> bool:
    if isinstance(old, torch.Tensor):
        same_kind = old.shape == new.shape and old.dtype == new.dtype
        return same_kind and (torch.equal(old, new) or torch.equal(old.nan_to_num(7.25), new.detach().nan_to_num(7.25)))
    if isinstance(old, tuple | list) and any(isinstance(x, torch.Tensor) for x in old):
        return len(old) == len(new) and all(_unchanged(a, b) for a, b in zip(old, new, strict=True))
    if isinstance(old, dict | list | set | tuple):
        try:
            return bool(old == new)
        except Exception:
            return True
    return True


def _dtype_facts(name: str, arguments: list, out: Any) -> list[str]:
    dtypes = {a.dtype for a in arguments if isinstance(a, torch.Tensor) and a.is_floating_point()}
    if len(dtypes) != 1 or not isinstance(out, torch.Tensor) or not out.is_floating_point():
        return []
    given = dtypes.pop()
    if out.dtype == given:
        return []
    return [f"{name} was given {given} and gave {out.dtype} back: keep the dtype of what you are given."]
