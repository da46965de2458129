"""One end of a conversation: either side may call the other, strictly nested; gradients flow both ways.

The rule that makes modules work: for every module named in a call, its parameters are leaves of that call on both
ends, in order. The end that does not own the module holds mirrors of them, ordinary `nn.Parameter`s.

The two ends differ in what they offer. The child offers its functions, and attributes and methods of what they
gave (`open_objects`); the judge offers nothing but `__call__` of callables that a check lent to the child.
"""
import builtins
import itertools
import socket
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from autograder.engine.wire import (
    BAD_DATA,
    HEAD,
    MAX_TENSORS,
    MAX_TREE,
    Hangup,
    WireError,
    decode,
    encode,
    pack,
    raw,
    unpack,
)

ANCHOR = torch.zeros(0, requires_grad=True)  # lets a result depend on parameters that only the other end has
MAX_DEPTH = 20
MESSAGES = {"answer": 2, "error": 4, "call": 7, "vjp": 4}  # kinds and their lengths
OWN_KINDS = ("Unusable",)  # errors of ours that the child reports under their own name


class Reported(Exception):
    """What the child says is wrong with the learner's file."""


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


class Remote:
    """An object of the other side."""

    def __init__(self, peer: "Peer", number: int, name: str) -> None:
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


def _method(name: str) -> Callable:
    return lambda self, *args, **kwargs: self._peer.call(["method", self._number, name], args, kwargs, [self])


for _name in ("__call__", "__len__", "__getitem__", "__setitem__", "__contains__", "__iter__"):
    setattr(Remote, _name, _method(_name))


class RemoteModule(Remote):
    """A module of the other side, with mirrors of its parameters here."""

    def __init__(self, peer: "Peer", number: int, name: str, mirrors: dict[str, nn.Parameter]) -> None:
        super().__init__(peer, number, name)
        self.__dict__.update(_mirrors=mirrors, _seen={k: raw(p) for k, p in mirrors.items()})

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What `isinstance` sees: a check may ask whether it was given a module."""
        return nn.Module

    def __getattr__(self, name: str) -> Any:
        if name in self._mirrors:
            return self._mirrors[name]
        return super().__getattr__(name)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The mirrors of its parameters by name."""
        return iter(self._mirrors.items())

    def parameters(self) -> Iterator[nn.Parameter]:
        """The mirrors of its parameters."""
        return iter(self._mirrors.values())

    def zero_grad(self) -> None:
        """Forget the gradients that arrived here."""
        for mirror in self.parameters():
            mirror.grad = None

    def _edited(self) -> dict[str, torch.Tensor]:
        """Give what changed here since the last call. By content: `p.data` edits leave no other trace."""
        now = {k: raw(p) for k, p in self._mirrors.items()}
        edited = {k: p.detach() for k, p in self._mirrors.items() if now[k] != self._seen.get(k)}
        self.__dict__["_seen"] = now
        return edited

    def _follow(self, news: dict, gone: list) -> None:
        """Do to the mirrors what happened to the module."""
        for name, (value, requires_grad, number) in news.items():
            mirror = self._mirrors[name] = self._peer.mirror(number, value, requires_grad)
            mirror.data = value.detach()
            mirror.requires_grad_(bool(requires_grad))
        for name in gone:
            del self._mirrors[name]
        self._edited()


for _name in ("state_dict", "load_state_dict", "train", "eval", "to", "double", "float", "half", "bfloat16", "forward",
              "requires_grad_", "extra_repr"):  # fmt: skip
    setattr(RemoteModule, _name, _method(_name))


def state(module: nn.Module) -> dict[str, tuple]:
    """Take what tells whether a parameter changed."""
    return {k: (raw(p), p.dtype, p.requires_grad, id(p)) for k, p in module.named_parameters()}


def parameters_of(modules: list) -> list:
    """List the parameters, or their mirrors, of modules in order."""
    return [p for module in modules for p in module.parameters()]


def is_module(x: Any) -> bool:
    """Whether something is a module, of this side or of the other."""
    return isinstance(x, nn.Module)


class Peer:
    """One end. `lookup` finds a function by name; `open_objects` offers attributes and methods by name."""

    def __init__(self, sock: socket.socket, lookup: Callable[[str], Any] | None, open_objects: bool) -> None:
        self.sock, self.lookup, self.open_objects = sock, lookup, open_objects
        self.numbers = itertools.count(1)
        self.kept: dict[int, Any] = {}  # our objects that the other side may name
        self.numbers_of: dict[int, int] = {}
        self.remotes: dict[int, Remote] = {}
        self.mirrors: dict[int, nn.Parameter] = {}
        self.graphs: dict[int, tuple[list, list]] = {}
        self.dropped: list = []
        self.depth = 0

    # --- asking

    def call(self, target: list, args: tuple, kwargs: dict, modules: Any = ()) -> Any:
        """Call a function of the other side as if it were here."""
        tensors: list = []
        named = [m for m in modules if type(m) is RemoteModule]
        arguments = [*args, *kwargs.values()]
        body = self.encode(arguments, tensors, named)
        ours = [m for m in named if type(m) is RemoteModule]
        pushes = [[m._number, self.encode(m._edited(), tensors)] for m in ours]
        number = next(self.numbers) if torch.is_grad_enabled() else None
        tree = ["call", number, target, body, list(kwargs), [p for p in pushes if p[1][1]]]
        leaves = [*tensors, *parameters_of(named)]
        found, outputs = self.ask(tree, tensors)
        if number is not None and any(t.requires_grad for t in outputs):
            outputs = list(Crossing.apply(self, number, outputs, ANCHOR, *leaves))
        try:
            value, generators, touched = self.decode(found, outputs)
            self.follow(arguments, named, generators, touched)
        except BAD_DATA as error:
            raise WireError(f"bad reply: {error!s:.200}") from None
        return value

    def follow(self, arguments: list, modules: list, generators: list, touched: list) -> None:
        """Let lent generators stand where the other side left them, and mirrors show its modules."""
        for i, new in generators:
            if isinstance(arguments[i], torch.Generator):
                arguments[i].set_state(new.get_state())
        for i, news, gone in touched:
            if type(modules[i]) is RemoteModule:
                modules[i]._follow(news, gone)

    def ask(self, tree: list, tensors: list) -> tuple[Any, list]:
        """Send a question; serve the other side's questions until the answer comes."""
        if tree[0] == "call":
            dropped, self.dropped = self.dropped, []
            tree = [*tree, dropped]
        self.send(tree, tensors)
        while True:
            (kind, *body), received = self.receive()
            if kind == "answer":
                return body[0], received
            if kind == "error":
                raise exception(*body)
            self.serve(kind, body, received)

    # --- serving

    def serve(self, kind: str, body: list, tensors: list) -> None:
        """Answer one question of the other side."""
        if self.depth >= MAX_DEPTH:
            raise WireError("calls nested too deeply")
        self.depth += 1
        try:
            tree, outputs = (self.serve_call if kind == "call" else self.serve_vjp)(tensors, *body)
            frame = pack(["answer", tree], outputs)
        except (WireError, Hangup):
            raise
        except (Exception, SystemExit) as error:  # whatever learners' code raises is an answer
            names = [c.__name__ for c in type(error).__mro__]
            frame = pack(["error", names, said_by(error), self.blame(error)], [])
        finally:
            self.depth -= 1
        self.write(frame)

    def blame(self, error: BaseException) -> str:
        """The line of a learner's file that led to an error; the child knows."""
        return ""

    def serve_call(
        self, tensors: list, number: int | None, target: list, body: Any, names: list, pushes: list, dropped: list
    ) -> tuple:
        """Call what was asked for; keep the graph of its result, for gradients."""
        for dead in dropped:
            self.graphs.pop(dead, None)
        owner = None if target[0] == "name" else self.kept.get(target[1])
        modules: list[Any] = [owner] if is_module(owner) else []
        arguments = self.decode(body, tensors, modules)
        with torch.no_grad():
            for number_of, values in pushes:
                own = dict(self.kept[number_of].named_parameters())
                for name, new in self.decode(values, tensors).items():
                    own[name].copy_(new)
        leaves, states = [*tensors, *parameters_of(modules)], [state(m) for m in modules if type(m) is not RemoteModule]
        split = len(arguments) - len(names)
        with torch.set_grad_enabled(number is not None):
            value = self.resolve(target)(*arguments[:split], **dict(zip(names, arguments[split:], strict=True)))
        generators = [[i, x] for i, x in enumerate(arguments) if isinstance(x, torch.Generator)]
        outputs: list = []
        tree = self.encode((value, generators, self.touched(modules, states)), outputs)
        if number is not None and any(t.requires_grad for t in outputs):
            self.graphs[number] = outputs, leaves
        return tree, outputs

    def touched(self, modules: list, states: list) -> list:
        """What happened to our modules in a call."""
        found, ours = [], [(i, m) for i, m in enumerate(modules) if type(m) is not RemoteModule]
        for (i, module), old in zip(ours, states, strict=True):
            now, named = state(module), dict(module.named_parameters())
            news = {k: self.described(named[k]) for k in now if now[k] != old.get(k)}
            if news or old.keys() - now.keys():
                found.append([i, news, sorted(old.keys() - now.keys())])
        return found

    def serve_vjp(self, tensors: list, graph: int, given: list, active: list) -> tuple:
        """Take gradients of a call that was served, weighted by what came."""
        outputs, leaves = self.graphs[graph]
        found = torch.autograd.grad(
            [outputs[i] for i in given], [leaves[i] for i in active], [t.detach() for t in tensors],
            retain_graph=True, allow_unused=True,
        )  # fmt: skip
        grads: list = []
        return self.encode(list(found), grads), grads

    def resolve(self, target: list) -> Callable:
        """Find what may be called by this name."""
        kind, which, *attribute = target
        if kind == "name" and self.lookup is not None:
            return self.lookup(which)
        if kind == "get" and self.open_objects:
            return lambda: getattr(self.kept[which], *attribute)
        if kind == "method" and self.open_objects:
            return _bound(self.kept[which], *attribute)
        if kind == "method" and attribute == ["__call__"] and which in self.kept:
            return self.kept[which]
        raise WireError(f"asked for {kind!r:.20} {which!r:.40}, which is not offered")

    # --- values

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
            known, number = id(x) in self.numbers_of, self.keep(x)
            if is_module(x):
                weights = None if known else {k: self.described(p) for k, p in x.named_parameters()}
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
        if number not in self.remotes and weights and weights[0] is not None:
            mirrors = {str(name): self.mirror(p, v, flag) for name, (v, flag, p) in value(weights[0]).items()}
            self.remotes[number] = RemoteModule(self, number, str(name)[:80], mirrors)
        return self.remotes.setdefault(number, Remote(self, number, str(name)[:80]))

    def keep(self, x: Any) -> int:
        """Number an object of ours, and keep it for as long as the other side may name it."""
        number = self.numbers_of.setdefault(id(x), len(self.numbers_of) + 1)
        self.kept[number] = x
        return number

    def described(self, parameter: nn.Parameter) -> tuple[torch.Tensor, bool, int]:
        """What the other side needs for a mirror of a parameter."""
        return parameter.detach(), parameter.requires_grad, self.keep(parameter)

    def mirror(self, number: int, value: torch.Tensor, requires_grad: bool) -> nn.Parameter:
        """The one mirror of a parameter, whichever modules share it."""
        if number not in self.mirrors:
            self.mirrors[number] = nn.Parameter(value.detach().clone(), bool(requires_grad))
        return self.mirrors[number]

    # --- frames

    def send(self, tree: list, tensors: list) -> None:
        """Send a message."""
        self.write(pack(tree, tensors))

    def write(self, frame: bytes) -> None:
        """Send bytes."""
        try:
            self.sock.sendall(frame)
        except OSError as error:
            raise Hangup(error) from None

    def receive(self) -> tuple[list, list]:
        """Read one message."""
        size, payload = HEAD.unpack(self.read(HEAD.size))
        if size > MAX_TREE or payload > MAX_TENSORS:
            raise WireError(f"a frame of {size + payload} bytes is over the limit")
        tree, tensors = unpack(self.read(size), self.read(payload))
        if type(tree) is not list or not tree or type(tree[0]) is not str or MESSAGES.get(tree[0]) != len(tree):
            raise WireError(f"not a message: {tree!r:.80}")
        return tree, tensors

    def read(self, size: int) -> bytes:
        """Read so many bytes."""
        data, at = bytearray(size), 0
        while at < size:
            self.wait()
            try:
                got = self.sock.recv_into(memoryview(data)[at:])
            except OSError:
                got = 0
            if not got:
                raise Hangup("end of stream")
            at += got
        return bytes(data)

    def wait(self) -> None:
        """Block until there is something to read."""


def _bound(owner: Any, name: str) -> Callable:
    if name == "__iter__":
        return lambda: iter(owner)
    if name == "__next__":  # StopIteration must not cross: an empty list says the end
        return lambda: next(([x] for x in owner), [])
    return getattr(owner, name)


def said_by(error: BaseException, longest: int = 10_000) -> str:
    """The message of an error, whatever its class makes of `str`."""
    try:
        return str(error.args[0] if isinstance(error, KeyError) and error.args else error)[:longest]
    except Exception:
        return ""


def exception(names: Any, message: Any, blame: Any) -> Exception:
    """Make the nearest built-in exception; never one that is not an `Exception`, or that steers control flow."""
    names = [n for n in names if type(n) is str][:20] if type(names) is list else []
    made: Exception = WireError("an error of no known type")
    for name in names:
        kind = getattr(builtins, name, None)
        if name in OWN_KINDS:
            made = Reported(str(message))
        elif name == "SystemExit":
            made = RuntimeError(f"the code called exit ({message})")
        elif not (isinstance(kind, type) and issubclass(kind, Exception)) or name.startswith("StopI"):
            continue
        else:
            made = RuntimeError(str(message)) if issubclass(kind, UnicodeError) else kind(str(message))
        break
    made.learners_type = str(names[0])[:80] if names else ""  # type: ignore[attr-defined]
    made.blame = str(blame)[:2000]  # type: ignore[attr-defined]
    return made
