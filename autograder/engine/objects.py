"""What an end of a conversation knows of objects: its own, which the other side names, and the other side's."""
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from autograder.engine.frames import Frames
from autograder.engine.remote import Remote, RemoteModule, is_module, show, state
from autograder.engine.wire import BAD_DATA, WireError, decode, encode


class Objects(Frames):
    """Values become trees and tensors. What has no value is lent by number, a module with mirrors of its parameters."""

    open_objects = False  # whether the other side may have any object of ours, and not callables alone

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self.kept: dict[int, Any] = {}  # our objects that the other side may name
        self.numbers_of: dict[int, int] = {}
        self.remotes: dict[int, Remote] = {}
        self.mirrors: dict[int, nn.Parameter] = {}
        self.told: dict[int, dict[str, tuple]] = {}  # what the other side knows of our modules
        self.looked_at: set[int] = set()  # parameters whose values the other side has asked for, by id

    def call(self, target: list, args: tuple, kwargs: dict, modules: Iterable = ()) -> Any:
        """Call a function of the other side as if it were here."""
        raise NotImplementedError

    def encode(self, value: Any, tensors: list, modules: list | None = None) -> Any:
        """Turn a value into a tree. What has no value is lent by number."""

        def refer(x: Any, tree: Callable) -> Any:
            if modules is not None and is_module(x) and not any(x is m for m in modules):
                modules.append(x)
            if type(x) in (Remote, RemoteModule):
                return ["yours", x._number]
            if not (self.open_objects or callable(x)):
                raise TypeError(f"a {type(x).__name__} cannot be lent to learners' code")
            if self.open_objects and isinstance(x, types.MethodType):
                return ["bound", tree(x.__self__), x.__name__]
            number = self.keep(x)
            if is_module(x):
                named = dict(x.named_parameters())
                looked_at = self.is_looked_at(named)
                before, self.told[number] = self.told.get(number), state(named, looked_at)
                known = before == self.told[number]
                weights = None if known else {k: self.described(p, looked_at) for k, p in named.items()}
                return ["mine", number, type(x).__name__, tree(weights)]
            return ["mine", number, type(x).__name__]

        return encode(value, tensors, refer)

    def decode(self, tree: Any, tensors: list, modules: list | None = None) -> Any:
        """Turn a tree into a value.

        Raises:
            WireError: it is none.
        """

        def resolve(tag: str, body: list, value: Callable) -> Any:
            found = self.named(tag, body, value)
            if modules is not None and is_module(found) and not any(found is m for m in modules):
                modules.append(found)
            return found

        try:
            return decode(tree, tensors, resolve)
        except BAD_DATA as error:
            raise WireError(f"bad value: {type(error).__name__}: {error!s:.200}") from None

    def named(self, tag: str, body: list, value: Callable) -> Any:
        """What a number stands for: an object of ours, or one of the other side's."""
        if tag == "yours":
            return self.kept[body[0]]
        if tag == "bound":
            owner, name = value(body[0]), str(body[1])
            return lambda *args, **kwargs: self.call(["method", owner._number, name], args, kwargs, [owner])
        if tag != "mine":
            raise WireError(f"unknown tag {tag!r:.40}")
        number, name, *weights = body
        if type(number) is not int:
            raise WireError("objects are known by number")
        if weights and weights[0] is not None:
            rows = {str(name): row for name, row in value(weights[0]).items()}
            module = self.remotes.setdefault(number, RemoteModule(self, number, str(name)[:80]))
            if type(module) is not RemoteModule:
                raise WireError("a module took the number of something else")
            module._follow(rows, module._mirrors.keys() - rows.keys())
        return self.remotes.setdefault(number, Remote(self, number, str(name)[:80]))

    def keep(self, x: Any) -> int:
        """Number an object of ours, and keep it for as long as the other side may name it."""
        number = self.numbers_of.setdefault(id(x), len(self.numbers_of) + 1)
        self.kept[number] = x
        return number

    def is_looked_at(self, named: Mapping[str, nn.Parameter]) -> bool:
        """Whether the other side follows the values of a module of ours: of a judge's always, of a child's on demand.

        A check that has asked for a parameter sees what every module that shares it does to it.
        """
        return not self.open_objects or not self.looked_at.isdisjoint(map(id, named.values()))

    def values(self, module: nn.Module) -> None:
        """From now on the other side follows the values of this module's parameters."""
        self.looked_at.update(id(p) for p in module.parameters())

    def described(self, parameter: nn.Parameter, looked_at: bool) -> tuple[Any, bool, int]:
        """What the other side needs for a mirror of a parameter."""
        value = parameter.detach() if looked_at else (parameter.dtype, list(parameter.shape))
        return value, parameter.requires_grad, self.keep(parameter)

    def mirror(self, number: int, value: Any, requires_grad: bool) -> nn.Parameter:
        """The one mirror of a parameter, whichever modules share it."""
        if number not in self.mirrors:
            self.mirrors[number] = nn.Parameter(show(value), bool(requires_grad))
        return self.mirrors[number]

    def touched(self, modules: list) -> list:
        """What happened to our modules since the other side last heard of them, by content."""
        found = []
        for i, module in enumerate(modules):
            if type(module) is RemoteModule:
                continue
            named = dict(module.named_parameters())
            looked_at = self.is_looked_at(named)
            number, now = self.keep(module), state(named, looked_at)
            old = self.told.get(number, {})
            if now != old:
                news = {k: self.described(named[k], looked_at) for k in now if now[k] != old.get(k)}
                found.append([i, news, sorted(old.keys() - now.keys())])
                self.told[number] = now
        return found

    def follow(self, arguments: list, modules: list, generators: list, touched: list) -> None:
        """Let lent generators stand where the other side left them, and mirrors show its modules."""
        for i, new in generators:
            if isinstance(arguments[i], torch.Generator):
                arguments[i].set_state(new.get_state())
        for i, news, gone in touched:
            if type(modules[i]) is RemoteModule:
                modules[i]._follow(news, gone)
