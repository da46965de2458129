"""One end of a conversation: either side may call the other, strictly nested; gradients flow both ways.

The two ends differ in what they offer. The child offers its functions, and attributes and methods of what they
gave (`open_objects`); the judge offers nothing but `__call__` of callables that a check lent to the child.
"""
import builtins
import itertools
import socket
from collections.abc import Callable
from typing import Any

import torch

from autograder.calls import in_turn
from autograder.engine.objects import Objects
from autograder.engine.remote import ANCHOR, Crossing, RemoteModule, is_module, parameters_of, state
from autograder.engine.wire import BAD_DATA, Hangup, WireError, pack

MAX_DEPTH = 20
OWN_KINDS = ("Unusable",)  # errors of ours that the child reports under their own name


class ReportedUnusable(Exception):
    """What the child says is wrong with the learner's file."""


class Peer(Objects):
    """One end. `lookup` finds a function by name; `open_objects` offers attributes and methods by name."""

    def __init__(self, sock: socket.socket, lookup: Callable[..., Any] | None, open_objects: bool) -> None:
        super().__init__(sock)
        self.lookup, self.open_objects = lookup, open_objects
        self.numbers = itertools.count(1)
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
                self.told[number_of] = state(own, values=True)
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

    def serve_vjp(self, tensors: list, graph: int, given: list, active: list) -> tuple:
        """Take gradients of a call that was served, weighted by what came."""
        outputs, leaves = self.graphs[graph]
        weighed = [(outputs[i], weight) for i, weight in zip(given, tensors, strict=True)]
        if any(output.shape != weight.shape for output, weight in weighed):
            raise WireError("a gradient has the shape of what it belongs to")
        # Sums, not `grad_outputs`: for those PyTorch imports SymPy, and every fork of a zygote would pay for it.
        with torch.enable_grad():  # which a backward pass that asks for this has turned off
            sums = [(output * weight.detach().conj()).real.sum() for output, weight in weighed]
        found = torch.autograd.grad(sums, [leaves[i] for i in active], retain_graph=True, allow_unused=True)
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
            made = ReportedUnusable(str(message))
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
