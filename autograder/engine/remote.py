"""What an end of a conversation sees of the other side's objects, and how gradients cross.

For every module named in a call its parameters are leaves of that call on both ends, in order. The end that does
not own the module holds mirrors of them, ordinary `nn.Parameter`s. Mirrors of a child's modules have no values until
a check looks at them; from then on they follow the module.
"""
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from autograder.calls import InOtherProcess
from autograder.engine.wire import DTYPE_NAMES, MAX_TENSORS, WireError, raw, size_of

if TYPE_CHECKING:
    from autograder.engine.objects import Objects
    from autograder.engine.peer import Peer

ANCHOR = torch.zeros(0, requires_grad=True)  # lets a result depend on parameters that only the other end has


class Crossing(torch.autograd.Function):
    """The result of a call on the other side; its backward is a call of the other side's backward."""

    @staticmethod
    def forward(ctx: Any, peer: "Peer", number: int, outputs: list, anchor: Any, *leaves: Any) -> tuple:
        """Give what the other side answered, and keep the number of its graph."""
        ctx.set_materialize_grads(False)
        ctx.graph, ctx.leaves = Graph(peer, number), len(leaves)
        plain = [t.detach() for t in outputs]
        ctx.mark_non_differentiable(*[p for p, t in zip(plain, outputs, strict=True) if not t.requires_grad])
        return tuple(plain)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple:
        """Ask for a vector-Jacobian product of the leaves that need one."""
        given = [i for i, grad in enumerate(grads) if grad is not None]
        active = [i for i, needed in enumerate(ctx.needs_input_grad[4:]) if needed]
        result: list[Any] = [None] * ctx.leaves
        if given and active:
            peer = ctx.graph.peer
            tree, found = peer.ask(["vjp", ctx.graph.number, given, active], [grads[i] for i in given])
            for i, grad in zip(active, peer.decode(tree, found), strict=True):
                result[i] = grad
        return None, None, None, None, *result


class Graph:
    """The other side keeps a graph until this is collected."""

    def __init__(self, peer: "Peer", number: int) -> None:
        self.peer, self.number = peer, number

    def __del__(self) -> None:
        self.peer.dropped.append(self.number)


class Remote(InOtherProcess):
    """An object of the other side."""

    def __init__(self, peer: "Objects", number: int, name: str) -> None:
        self.__dict__.update(_peer=peer, _number=number, _name=name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # copy, pickle and the like look for hooks
        return self._peer.call(["get", self._number, name], (), {}, [self])

    def __setattr__(self, name: str, value: Any) -> None:
        self._peer.call(["method", self._number, "__setattr__"], (name, value), {}, [self])

    def __next__(self) -> Any:
        found = self._peer.call(["method", self._number, "__next__"], (), {}, [self])
        if not found:
            raise StopIteration
        return found[0]

    def __repr__(self) -> str:
        return f"<{self._name}>"

    def in_turn(self, calls: list[tuple]) -> list:
        """Call it for each tuple of arguments."""
        return self._peer.call(["method", self._number, "__in_turn__"], (calls,), {}, [self])


def _method(name: str) -> Callable:
    return lambda self, *args, **kwargs: self._peer.call(["method", self._number, name], args, kwargs, [self])


for _name in ("__call__", "__len__", "__getitem__", "__setitem__", "__contains__", "__iter__"):
    setattr(Remote, _name, _method(_name))


class RemoteModule(Remote):
    """A module of the other side, with mirrors of its parameters here; `_shown` says whether they have values."""

    def __init__(self, peer: "Objects", number: int, name: str) -> None:
        super().__init__(peer, number, name)
        self.__dict__.update(_mirrors={}, _shown=False, _seen={})

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What `isinstance` sees: a check may ask whether it was given a module."""
        return nn.Module

    def __getattr__(self, name: str) -> Any:
        if name in self._mirrors:
            return self._values()[name]
        return super().__getattr__(name)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The mirrors of its parameters by name."""
        return iter(self._values().items())

    def parameters(self) -> Iterator[nn.Parameter]:
        """The mirrors of its parameters."""
        return iter(self._values().values())

    def weights(self) -> dict[str, torch.Tensor]:
        """The mirrors as they are, for gradients."""
        return dict(self._mirrors)

    def _values(self) -> dict[str, nn.Parameter]:
        """The mirrors with their values, which are fetched when somebody looks for the first time."""
        if not self._shown:
            self._peer.call(["values", self._number], (), {}, [self])
        return self._mirrors

    def zero_grad(self) -> None:
        """Forget the gradients that arrived here."""
        for mirror in self.parameters():
            mirror.grad = None

    def _edited(self) -> dict[str, torch.Tensor]:
        """Give what changed here since the last call. By content: `p.data` edits leave no other trace."""
        if not self._shown:
            return {}
        now = {k: raw(p) for k, p in self._mirrors.items()}
        edited = {k: p.detach() for k, p in self._mirrors.items() if now[k] != self._seen.get(k)}
        self.__dict__["_seen"] = now
        return edited

    def _follow(self, news: Mapping, gone: Iterable[str]) -> None:
        """Do to the mirrors what happened to the module."""
        for name, (value, requires_grad, number) in news.items():
            mirror = self._mirrors[name] = self._peer.mirror(number, value, requires_grad)
            if isinstance(value, torch.Tensor) or mirror.dtype != value[0] or list(mirror.shape) != value[1]:
                mirror.data = show(value)
            mirror.requires_grad_(bool(requires_grad))
            self._seen.pop(name, None)
            if isinstance(value, torch.Tensor):
                self._seen[name] = raw(mirror)
        for name in gone:
            del self._mirrors[name]
            self._seen.pop(name, None)
        self.__dict__["_shown"] = len(self._seen) == len(self._mirrors)


for _name in ("state_dict", "load_state_dict", "train", "eval", "to", "double", "float", "half", "bfloat16", "forward",
              "requires_grad_", "extra_repr"):  # fmt: skip
    setattr(RemoteModule, _name, _method(_name))


def show(value: Any) -> torch.Tensor:
    """What a mirror shows: a value as it came, or for (dtype, shape) zeros that take no memory."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    dtype, shape = value
    if size_of(DTYPE_NAMES[dtype], shape) > MAX_TENSORS:
        raise WireError(f"a parameter of shape {shape!r:.80} is too large")
    return torch.zeros((), dtype=dtype).expand(shape)


def state(named: Mapping[str, nn.Parameter], values: bool) -> dict[str, tuple]:
    """Take what tells whether one of a module's parameters changed, by its content too if its values are looked at."""
    return {k: (raw(p) if values else p.shape, p.dtype, p.requires_grad, id(p)) for k, p in named.items()}


def parameters_of(modules: list) -> list:
    """List the parameters, or their mirrors, of modules in order."""
    found: list = []
    for module in modules:
        found += module._mirrors.values() if type(module) is RemoteModule else module.parameters()
    return found


def is_module(x: Any) -> bool:
    """Whether something is a module, of this side or of the other."""
    return isinstance(x, nn.Module)
