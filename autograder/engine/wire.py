"""Values as bytes between judge and child: a JSON tree plus raw tensor bytes. No pickle, every size checked first.

Scalars are themselves; anything else is [tag, ...]. Tensors stand in a table beside the tree, so that a tensor
used twice is one tensor on the other side too.
"""
import dataclasses
import importlib
import json
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

HEAD = struct.Struct("!IQ")  # bytes of JSON, bytes of tensors
MAX_TREE, MAX_TENSORS = 4 << 20, 64 << 20
MAX_COLLISIONS = 1000
DTYPES = {str(d)[6:]: d for d in (
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
    torch.float32, torch.float64, torch.complex64, torch.complex128)}  # fmt: skip
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
BAD_DATA = (ValueError, TypeError, LookupError, RuntimeError, ArithmeticError, AttributeError, AssertionError,
            ImportError, MemoryError)  # fmt: skip
Refer = Callable[[Any, Callable[[Any], Any]], Any]


class WireError(Exception):
    """The other side sent what the protocol does not allow."""


class Hangup(Exception):
    """The conversation is over. Never an `OSError` or `EOFError`: learner code may raise those as answers."""


def raw(tensor: torch.Tensor) -> bytes:
    """Give the elements of a tensor in row-major order."""
    try:
        return tensor.detach().numpy().tobytes()
    except (TypeError, RuntimeError):  # what numpy has no type for, or lies lazily conjugated
        pass
    dense = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return dense.view(torch.uint8).numpy().tobytes()


def describe(tensor: torch.Tensor) -> list:
    """Give [dtype, shape, stride or None if dense, requires_grad]."""
    shape, stride = list(tensor.shape), None
    if not tensor.is_contiguous() and span(shape, list(tensor.stride())) is not None:
        stride = list(tensor.stride())
    return [DTYPE_NAMES[tensor.dtype], shape, stride, tensor.requires_grad]


def span(shape: list[int], stride: list[int]) -> int | None:
    """Count the elements from a tensor's first to its last; None where two entries share one, but for stride 0."""
    reach = 1
    for step, size in sorted((step, size) for step, size in zip(stride, shape, strict=True) if size > 1 and step):
        if step < reach:
            return None
        reach += step * (size - 1)
    return reach


def size_of(dtype: str, shape: list) -> int:
    """Count the bytes of a dense tensor, once its shape is found to be one."""
    if not (_small_numbers(shape) and len(shape) <= 16):
        raise WireError("not the shape of a tensor")
    return math.prod(shape) * DTYPES[dtype].itemsize


def rebuild(dtype: str, shape: list, data: memoryview, size: int) -> torch.Tensor:
    """Make a plain dense tensor; the bytes of its checked shape are compared with those at hand."""
    if size != len(data):
        raise WireError(f"{len(data)} bytes are not {dtype} {shape}")
    if not size:
        return torch.empty(shape, dtype=DTYPES[dtype])
    if dtype == "bfloat16":  # which NumPy lacks
        return torch.frombuffer(bytearray(data), dtype=torch.bfloat16).view(shape)
    array = np.frombuffer(bytearray(data), dtype="uint8" if dtype == "bool" else dtype).reshape(shape)
    return torch.from_numpy(array.astype(bool) if dtype == "bool" else array)  # a forged bool could be the byte 7


def lay_out(dense: torch.Tensor, stride: list | None) -> torch.Tensor:
    """Give a tensor the strides it had, so that `.view` on a transposed tensor fails as it does at home."""
    if stride is None or not dense.numel():
        return dense
    reach = span(list(dense.shape), stride) if _small_numbers(stride) and len(stride) == dense.ndim else None
    if reach is None or reach * dense.element_size() > MAX_TENSORS:
        raise WireError(f"bad stride {stride!r:.80}")
    small = dense[tuple(slice(0, 1 if step == 0 else None) for step in stride)]
    return dense.new_zeros(reach).as_strided(small.shape, stride).copy_(small).expand(dense.shape)


def _small_numbers(values: Any) -> bool:
    if type(values) is not list:
        return False
    for n in values:
        if type(n) is not int or not 0 <= n < 1 << 31:
            return False
    return True


def pack(tree: object, tensors: list[torch.Tensor]) -> bytes:
    """Make a frame.

    Raises:
        ValueError: it would be larger than the other side reads.
    """
    text = json.dumps([tree, [describe(t) for t in tensors]]).encode()
    size = sum(t.numel() * t.element_size() for t in tensors)  # known before anything is copied
    if len(text) > MAX_TREE or size > MAX_TENSORS:
        raise ValueError(f"a value of {len(text) + size:,} bytes is too large to be checked")
    chunks = [raw(t) for t in tensors]
    return b"".join([HEAD.pack(len(text), size), text, *chunks])


def unpack(text: bytes, payload: bytes) -> tuple[list, list[torch.Tensor]]:
    """Read a frame.

    Raises:
        WireError: whatever is wrong with it.
    """
    try:
        tree, table = json.loads(text)
        tensors, at, laid_out, view = [], 0, 0, memoryview(payload)
        for dtype, shape, stride, requires_grad in table:
            size = size_of(dtype, shape)
            tensor = lay_out(rebuild(dtype, shape, view[at : at + size], size), stride)
            laid_out += size if stride is None else tensor.untyped_storage().nbytes()
            if laid_out > 2 * MAX_TENSORS:
                raise WireError("strides claim more memory than a frame may hold")
            tensors.append(tensor.requires_grad_(True) if requires_grad else tensor)
            at += size
        if at != len(payload):
            raise WireError("bytes left over")
        return tree, tensors
    except BAD_DATA as error:
        raise WireError(f"unreadable frame: {type(error).__name__}: {error!s:.200}") from None


def encode(value: object, tensors: list, refer: Refer) -> Any:
    """Turn a value into a tree; tensors go to the table; `refer(value, tree)` names what cannot cross by value."""
    numbers: dict[int, int] = {id(t): i for i, t in enumerate(tensors)}

    def tree(x: Any) -> Any:
        if x is None or type(x) in (bool, int, float, str):
            return x
        if isinstance(x, torch.Tensor):
            if x.layout != torch.strided or x.dtype not in DTYPE_NAMES or x.device.type == "meta":
                raise TypeError(f"a {x.layout} tensor of {x.dtype} on {x.device} cannot be checked")
            if id(x) not in numbers:
                numbers[id(x)] = len(tensors)
                tensors.append(x)
            return ["tensor", numbers[id(x)]]
        if type(x) in (list, tuple, set, frozenset):
            return [type(x).__name__, [tree(item) for item in x]]
        if isinstance(x, dict):
            return ["dict", [[tree(k), tree(v)] for k, v in x.items()]]
        if isinstance(x, tuple | set | frozenset | list):
            return _fields_of(x, tree) or [_base(x, tuple, set, frozenset, list), [tree(item) for item in x]]
        if isinstance(x, bytes | bytearray):
            return ["bytes", x.decode("latin-1")]
        if isinstance(x, range | slice):
            return [type(x).__name__, x.start, x.stop, x.step]
        if isinstance(x, np.ndarray):
            return ["array", tree(torch.from_numpy(np.ascontiguousarray(x)))]
        if isinstance(x, np.generic):
            return tree(x.item())
        if isinstance(x, complex):
            return ["complex", x.real, x.imag]
        if isinstance(x, torch.dtype):
            return ["dtype", DTYPE_NAMES[x]]
        if isinstance(x, torch.device):
            return ["device", str(x)]
        if isinstance(x, torch.Generator):
            return ["generator", tree(x.get_state())]
        if isinstance(x, bool | int | float | str):  # IntEnum and the like
            return next(base for base in (bool, int, float, str) if isinstance(x, base))(x)
        return _fields_of(x, tree) or refer(x, tree)

    return tree(value)


def _base(value: Any, *kinds: type) -> str:
    return next(kind.__name__ for kind in kinds if isinstance(value, kind))


def _fields_of(x: Any, tree: Callable[[Any], Any]) -> list | None:
    """A dataclass or named tuple of gptlib by its fields: configurations are values, and both sides know the class."""
    kind = type(x)
    if not str(kind.__module__).startswith("gptlib."):
        return None
    names = _field_names(kind)
    return names and ["fields", kind.__module__, kind.__qualname__, [[n, tree(getattr(x, n))] for n in names]]


def _field_names(kind: type) -> list[str]:
    if dataclasses.is_dataclass(kind):
        return [f.name for f in dataclasses.fields(kind) if f.init]
    return list(getattr(kind, "_fields", ())) if issubclass(kind, tuple) else []


def _from_fields(module: str, name: str, pairs: list) -> Any:
    kind = getattr(importlib.import_module(module), name) if module.startswith("gptlib.") else None
    if not (isinstance(kind, type) and {n for n, _ in pairs} == set(_field_names(kind))):
        raise WireError(f"no such class of values: {module!r:.40}.{name!r:.40}")
    return kind(**dict(pairs))


def decode(tree: object, tensors: list, resolve: Callable[[str, list, Callable], Any]) -> Any:
    """Turn a tree back into a value; `resolve(tag, body, value)` handles the tags that `refer` made."""

    def value(x: Any) -> Any:
        if type(x) is not list:
            return x
        tag, *body = x
        maker = makers.get(tag)
        return maker(*body) if maker else resolve(tag, body, value)

    def generator(state: Any) -> torch.Generator:
        made = torch.Generator()
        made.set_state(value(state))  # torch checks the size and the indices inside
        return made

    def tensor(i: Any) -> torch.Tensor:
        if type(i) is not int or i < 0:
            raise WireError("a tensor is named by its index")
        return tensors[i]

    makers: dict[Any, Callable] = {
        "tensor": tensor, "dtype": DTYPES.__getitem__, "complex": complex, "generator": generator,
        "array": lambda x: value(x).detach().numpy(), "device": lambda name: torch.device("cpu"),
        "range": lambda *ends: range(*ends), "slice": lambda *ends: slice(*ends),
        "bytes": lambda text: text.encode("latin-1"),
        "list": lambda items: [value(x) for x in items], "tuple": lambda items: tuple(value(x) for x in items),
        "set": lambda items: set(hashable([value(x) for x in items])),
        "frozenset": lambda items: frozenset(hashable([value(x) for x in items])),
        "dict": lambda items: dict(
            zip(hashable([value(k) for k, _ in items]), [value(v) for _, v in items], strict=True)),
        "fields": lambda module, name, pairs: _from_fields(module, name, [(str(n), value(v)) for n, v in pairs]),
    }  # fmt: skip
    return value(tree)


def hashable(keys: list) -> list:
    """Give keys back if not too many of them share a hash: such a dictionary would cost the judge O(n²)."""
    if len(keys) > MAX_COLLISIONS and len(keys) - len({hash(key) for key in keys}) > MAX_COLLISIONS:
        raise WireError("too many keys with the same hash")
    return keys
