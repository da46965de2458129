"""One end of a conversation: either side may call the other, strictly nested; gradients flow both ways.

The two ends differ in what they offer. The child offers its functions, and attributes and methods of what they
gave (`open_objects`); the judge offers nothing but `__call__` of callables that a check lent to the child.
"""
import builtins
import itertools
import socket
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from autograder.calls import in_turn
from autograder.engine.remote import (
    ANCHOR,
    Crossing,
    Remote,
    RemoteModule,
    is_module,
    parameters_of,
    show,
    state,
)
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
    unpack,
)

MAX_DEPTH = 20
MESSAGES = {"answer": 3, "error": 4, "call": 7, "vjp": 4}  # kinds and their lengths
OWN_KINDS = ("Unusable",)  # errors of ours that the child reports under their own name


class Reported(Exception):
    """What the child says is wrong with the learner's file."""


class Peer:
    """One end. `lookup` finds a function by name; `open_objects` offers attributes and methods by name."""

    def __init__(self, sock: socket.socket, lookup: Callable[..., Any] | None, open_objects: bool) -> None:
        self.sock, self.lookup, self.open_objects = sock, lookup, open_objects
        self.numbers = itertools.count(1)
        self.kept: dict[int, Any] = {}  # our objects that the other side may name
        self.numbers_of: dict[int, int] = {}
        self.remotes: dict[int, Remote] = {}
        self.mirrors: dict[int, nn.Parameter] = {}
        self.told: dict[int, dict[str, tuple]] = {}  # what the other side knows of our modules
        self.looked_at: set[int] = set()  # parameters whose values the other side has asked for, by id
        self.buffer = bytearray()
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
                self.noted(body[1])
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
            frame = pack(["answer", tree, self.notes()], outputs)
        except (WireError, Hangup):
            raise
        except (Exception, SystemExit) as error:  # whatever learners' code raises is an answer
            names = [c.__name__ for c in type(error).__mro__]
            frame = pack(["error", names, said_by(error), self.blame(error)], [])
        finally:
            self.depth -= 1
        self.write(frame)

    def notes(self) -> list:
        """What goes with an answer besides it; the child has something to say."""
        return []

    def noted(self, notes: Any) -> None:
        """Take the notes of an answer."""

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
                self.told[number_of] = state(self.kept[number_of], values=True)
        leaves = [*tensors, *parameters_of(modules)]
        split = len(arguments) - len(names)
        with torch.set_grad_enabled(number is not None):
            value = self.resolve(target)(*arguments[:split], **dict(zip(names, arguments[split:], strict=True)))
        generators = [[i, x] for i, x in enumerate(arguments) if isinstance(x, torch.Generator)]
        outputs: list = []
        tree = self.encode((value, generators, self.touched(modules)), outputs)
        if number is not None and any(t.requires_grad for t in outputs):
            self.graphs[number] = outputs, leaves
        return tree, outputs

    def touched(self, modules: list) -> list:
        """What happened to our modules since the other side last heard of them, by content."""
        found = []
        for i, module in enumerate(modules):
            if type(module) is RemoteModule:
                continue
            looked_at = self.is_looked_at(module)
            number, now = self.keep(module), state(module, looked_at)
            old = self.told.get(number, {})
            if now != old:
                named = dict(module.named_parameters())
                news = {k: self.described(named[k], looked_at) for k in now if now[k] != old.get(k)}
                found.append([i, news, sorted(old.keys() - now.keys())])
                self.told[number] = now
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
            return self.lookup(which, *attribute)
        if kind == "get" and self.open_objects:
            return lambda: getattr(self.kept[which], *attribute)
        if kind == "values" and self.open_objects:
            return lambda: self.values(self.kept[which])
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
            number = self.keep(x)
            if is_module(x):
                looked_at = self.is_looked_at(x)
                before, self.told[number] = self.told.get(number), state(x, looked_at)
                known = before == self.told[number]
                weights = None if known else {k: self.described(p, looked_at) for k, p in x.named_parameters()}
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

    def is_looked_at(self, module: nn.Module) -> bool:
        """Whether the other side follows the values of a module of ours: of a judge's always, of a child's on demand.

        A check that has asked for a parameter sees what every module that shares it does to it.
        """
        return not self.open_objects or any(id(p) in self.looked_at for p in module.parameters())

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
        """Read so many bytes; what came beyond them waits for the next time."""
        while len(self.buffer) < size:
            self.wait()
            try:
                got = self.sock.recv(max(1 << 16, min(size - len(self.buffer), 1 << 22)))
            except OSError:
                got = b""
            if not got:
                raise Hangup("end of stream")
            self.buffer += got
        data = bytes(memoryview(self.buffer)[:size])
        del self.buffer[:size]
        return data

    def wait(self) -> None:
        """Block until there is something to read."""


def _bound(owner: Any, name: str) -> Callable:
    if name == "__in_turn__":
        return lambda calls: in_turn(owner, *calls)
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
