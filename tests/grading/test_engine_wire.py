"""The wire of the engine: values come back as they went, and damaged or forged bytes do no harm."""
import json
import math
import random
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.engine import wire
from autograder.engine.wire import HEAD, WireError, decode, encode, pack, unpack


def refuse(*_):
    raise WireError("nothing is lent here")


def there(value):
    """A value after its journey."""
    tensors = []
    data = pack(encode(value, tensors, refuse), tensors)
    return read(data)


def read(data):
    size, payload = HEAD.unpack(data[: HEAD.size])
    text = data[HEAD.size : HEAD.size + size]
    tree, tensors = unpack(text, data[HEAD.size + size :][:payload])
    return decode(tree, tensors, refuse)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
KEYS = st.integers() | st.text() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner) | st.sets(KEYS)
    | st.frozensets(KEYS),
    max_leaves=20,
)  # fmt: skip


def picture(value):
    """A value as text: what is not a number equals itself, and the order within sets is no matter."""
    if isinstance(value, set | frozenset):
        return type(value).__name__ + str(sorted(map(repr, value)))
    if isinstance(value, dict):
        return str([(repr(k), picture(v)) for k, v in value.items()])
    return f"{type(value).__name__}{[picture(x) for x in value]}" if isinstance(value, list | tuple) else repr(value)


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_plain_values_come_back_as_they_went(value):
    again = there(value)
    assert picture(again) == picture(value)
    assert type(again) is type(value)


SHAPES = st.lists(st.integers(0, 4), max_size=4)


@given(SHAPES, st.sampled_from(list(wire.DTYPES.values())), st.permutations(range(4)), st.booleans())
@settings(max_examples=200, deadline=None)
def test_tensors_keep_dtype_shape_stride_and_bytes(shape, dtype, order, wide):
    count = math.prod(shape)
    tensor = (torch.arange(count) * 7 % 5).to(dtype).reshape(shape).permute([i for i in order if i < len(shape)])
    if wide:
        tensor = torch.stack([tensor, tensor], dim=-1)[..., 0].expand(2, *tensor.shape)
    again = there(tensor)
    assert torch.equal(again, tensor) and again.dtype == dtype and again.shape == tensor.shape
    if count:
        assert again.stride() == tensor.stride() or tensor.is_contiguous()
        assert again.is_contiguous() == tensor.is_contiguous()


def test_the_same_tensor_twice_is_one_tensor():
    x = torch.ones(3, requires_grad=True)
    one, two = there([x, x])
    assert one is two and one.requires_grad


def test_overlapping_views_come_dense():
    x = torch.arange(6.0).unfold(0, 3, 1)
    assert torch.equal(there(x), x) and there(x).is_contiguous()


def test_other_kinds():
    assert there(np.float32(1.5)) == 1.5 and there(torch.Size([2, 3])) == (2, 3)
    assert np.array_equal(there(np.arange(4).reshape(2, 2)), np.arange(4).reshape(2, 2))
    assert there(range(2, 9, 3)) == range(2, 9, 3) and there(torch.float16) is torch.float16
    ours = torch.Generator().manual_seed(5)
    assert torch.equal(there(ours).get_state(), ours.get_state())
    assert "\ud800" in there("\ud800")


def frame(tree, table=(), payload=b""):
    text = tree if isinstance(tree, bytes) else json.dumps([tree, list(table)]).encode()
    return HEAD.pack(len(text), len(payload)) + text + payload


FORGED = {
    "no JSON": frame(b"{]"), "deep": frame(b"[" * 100_000), "no table": frame(b"[1]"),
    "long number": frame(b"9" * 5000),
    "no such tensor": frame(["tensor", 5]), "place −1": frame(["tensor", -1], [["uint8", [1], None, False]], b"1"),
    "negative size": frame(["tensor", 0], [["float32", [2, -1], None, False]]),
    "huge size": frame(["tensor", 0], [["float32", [1 << 62, 1 << 62], None, False]], b"1234"),
    "endless shape": frame(["tensor", 0], [["uint8", [1 << 30] * 200_000, None, False]]),
    "no such dtype": frame(["tensor", 0], [["object", [1], None, False]], b"12345678"),
    "too few bytes": frame(["tensor", 0], [["float32", [2], None, False]], b"1234"),
    "bytes left": frame(1, [], b"1234"),
    "stride of terabytes": frame(["tensor", 0], [["uint8", [2], [1 << 30], False]], b"12"),
    "negative stride": frame(["tensor", 0], [["uint8", [2], [-1], False]], b"12"),
    "overlapping stride": frame(["tensor", 0], [["uint8", [2, 2], [1, 1], False]], b"1234"),
    "short stride": frame(["tensor", 0], [["uint8", [2, 2], [1], False]], b"1234"),
    "gradient of integers": frame(["tensor", 0], [["uint8", [1], None, True]], b"1"),
    "unknown tag": frame(["eval", "1"]), "no tag": frame([]), "list as key": frame(["dict", [[["list", []], 1]]]),
    "bad generator": frame(["generator", ["bytes", "x"]]),
    "colliding keys": frame(["dict", [[i * (2**61 - 1), 0] for i in range(5000)]]),
    "colliding set": frame(["set", [i * (2**61 - 1) for i in range(5000)]]),
    "any class": frame(["fields", "os", "system", [["command", "ls"]]]),
    "a function of gptlib": frame(["fields", "gptlib.attention", "attend", []]),
    "a module of gptlib": frame(["fields", "gptlib.attention", "MultiHeadAttention", []]),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_forged_frames_are_refused(name):
    with pytest.raises((*wire.BAD_DATA, WireError)):
        read(FORGED[name])


def test_a_forged_boolean_is_a_boolean():
    made = read(frame(["tensor", 0], [["bool", [3], None, False]], b"\x00\x07\xff"))
    assert int(made.sum()) == 2


def test_what_is_too_large_is_not_sent():
    with pytest.raises(ValueError, match="too large"):
        pack(encode(torch.zeros(wire.MAX_TENSORS + 1, dtype=torch.uint8), tensors := [], refuse), tensors)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_refused_or_read(data):
    try:
        decode(*unpack(data, b""), refuse)
    except (*wire.BAD_DATA, WireError, struct.error):
        pass


def test_damaged_frames_are_refused_or_read():
    """Thousands of damaged frames: an error of ours or a value, nothing else, and none larger than its bytes."""
    rng = random.Random(0)
    seeds = []
    for value in ([torch.randn(3, 4).t(), {"a": (1, 2.5)}], {(1, "x"): torch.ones(2)}, torch.Generator(), "text"):
        tensors: list = []
        seeds.append(pack(encode(value, tensors, refuse), tensors))
    for _ in range(3000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(HEAD.size, len(data))] = rng.randrange(256)
        try:
            read(bytes(data))
        except (*wire.BAD_DATA, WireError):
            pass
