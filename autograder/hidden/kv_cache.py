"""What grading checks of the key-value cache: a GPT-2 without any cache, written out here, read at one go."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.calls import load, loaded, part_of
from autograder.checks import checks, raises, same
from autograder.inputs import normal, whole

Shape = tuple[int, int, int, int, int, int]  # layers, width, heads, vocabulary, context, inner width
NAMES = ("n_layers", "d_model", "n_heads", "vocab_size", "context_length", "d_ff")
SHAPES: list[Shape] = [(2, 6, 3, 11, 13, 24), (1, 4, 1, 5, 7, 3), (3, 10, 5, 29, 17, 7)]


def pieces(generator: torch.Generator, length: int) -> list[int]:
    """A drawn split of a length into parts of at least 1."""
    parts: list[int] = []
    while sum(parts) < length:
        parts.append(whole(generator, 1, min(4, length - sum(parts))))
    return parts


@checks("kv_cache.cache_bytes")
def bytes_of_real_tensors(cache_bytes, generator):
    """The formula counts what real tensors take."""
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.int8):
        layers, heads, width, length, batch = (whole(generator, 2, 9) for _ in range(5))
        stored = torch.zeros(batch, heads, length, width, dtype=dtype)
        expected = sum(stored.nbytes for _ in range(layers) for _ in ("key", "value"))
        hint = f"{layers} blocks, {heads} heads of {width}, {length} positions, {batch} texts, {dtype}"
        same(cache_bytes(layers, heads, width, length, batch, stored.element_size()), expected, hint)


@checks("kv_cache.cache_bytes")
def bytes_of_published_models(cache_bytes):
    """GPT-3's keys and values of one full context are 9.7 GB in half precision."""
    same(cache_bytes(96, 96, 128, 2048, 1, 2), 9_663_676_416, "GPT-3: 96 blocks of 96 heads of 128, 2,048 positions")
    same(cache_bytes(96, 1, 128, 2048, 1, 2), 100_663_296, "the same with one head of keys and values")
    same(cache_bytes(48, 25, 64, 1024, 3), 1_887_436_800, "three texts in the largest GPT-2")


def mask_by_hand(length: int, offset: int, padding: list[int] | None, window: int | None) -> Tensor:
    """Every entry by the rule."""
    return torch.tensor([[[[
        filling <= key <= offset + query and (window is None or offset + query - key < window)
        for key in range(offset + length)] for query in range(length)]] for filling in padding or [0]
    ])  # fmt: skip


@checks("kv_cache.cache_mask")
def every_entry_by_the_rule(cache_mask, generator):
    """Masks of drawn sizes are right at every entry."""
    for _ in range(40):
        length, offset, window = whole(generator, 1, 7), whole(generator, 0, 7), whole(generator, 1, 9)
        padding = [whole(generator, 0, 8) for _ in range(whole(generator, 1, 4))]
        for filling in (None, padding):
            for width in (None, window):
                given = None if filling is None else torch.tensor(filling)
                hint = f"length {length}, offset {offset}, padding {filling}, window {width}"
                same(cache_mask(length, offset, given, width), mask_by_hand(length, offset, filling, width), hint)


@checks("kv_cache.cache_mask")
def what_is_out_of_range(cache_mask):
    """Numbers out of range are refused, the smallest ones are not."""
    same(cache_mask(1, 0, None, 1), torch.ones(1, 1, 1, 1, dtype=torch.bool), "One position sees itself.")
    for length, offset, window, word in ((0, 0, None, "length"), (2, -1, None, "offset"), (2, 0, 0, "window")):
        with raises(ValueError, word):
            cache_mask(length, offset, None, window)


def gathered(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
    """Attention entry by entry of the weights; a row that sees nothing gives zeros."""
    powers = torch.exp(query @ key.mT / math.sqrt(query.size(-1))) * allowed
    return powers @ value / powers.sum(-1, keepdim=True).clamp(min=1e-300)


def laid_out(x: Tensor) -> Tensor:
    """The same numbers with positions outermost in memory, as `split_heads` leaves them."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


@checks("kv_cache.LayerCache")
def everything_so_far_in_any_pieces(LayerCache, generator):
    """`append` gives all that was appended, whatever the pieces."""
    for batch, heads, width, length in ((1, 1, 1, 5), (2, 3, 5, 9), (3, 1, 2, 7)):
        key, value = (laid_out(normal(generator, batch, heads, length, width)) for _ in range(2))
        splits = [pieces(generator, length) for _ in range(3)] + [[1] * length, [length]]
        for room, parts in zip((0, 3, 1, 0, 50), splits, strict=True):
            cache, end = LayerCache(length + room), 0
            for part in parts:
                found = cache.append(key[:, :, end : end + part], value[:, :, end : end + part])
                end += part
                hint = f"shape {tuple(key.shape)} in pieces of {parts}, {length + room} places"
                same(found, (key[:, :, :end], value[:, :, :end]), hint)
                same(part_of(cache, "stored"), end, f"{hint}: `stored`")


@checks("kv_cache.LayerCache")
def gathering_in_any_pieces(LayerCache, generator):
    """What positions gather piece by piece is what they gather at once, with filling, windows, and both."""
    for case, (batch, heads, width, length) in enumerate(((1, 1, 1, 6), (2, 3, 5, 9), (3, 2, 4, 11), (2, 1, 3, 8))):
        query, key, value = (laid_out(normal(generator, batch, heads, length, width)) for _ in range(3))
        filling = [whole(generator, 0, length // 2) for _ in range(batch)]
        splits = [pieces(generator, length) for _ in range(4)]
        for (padding, window), parts in zip(
            ((None, None), (filling, None), (None, 1 + case), (filling, 3)), splits, strict=True
        ):
            expected = gathered(query, key, value, mask_by_hand(length, 0, padding, window))
            for split in (parts, [1] * length):
                cache = LayerCache(length if window is None else window + 3, window)
                cache.reset(None if padding is None else torch.tensor(padding))
                found, end = [], 0
                for part in split:
                    found.append(cache(*(x[:, :, end : end + part] for x in (query, key, value))))
                    end += part
                hint = f"shape {tuple(query.shape)} in pieces of {split}, padding {padding}, window {window}"
                same(torch.cat(found, 2), expected, hint)


@checks("kv_cache.LayerCache")
def caches_in_turns_and_again(LayerCache, generator):
    """Two caches used in turns, one of them for a second text, do not disturb one another."""
    one, other, third = (normal(generator, 3, 1, 2, 5, 4) for _ in range(3))
    first, second = LayerCache(5), LayerCache(8)
    found = {}
    for t in range(5):
        for name, cache, x in (("one", first, one), ("other", second, other)):
            found[name, t] = cache(*(part[:, :, t : t + 1] for part in x))
    causal = mask_by_hand(5, 0, None, None)
    for name, x in (("one", one), ("other", other)):
        together = torch.cat([found[name, t] for t in range(5)], 2)
        same(together, gathered(x[0], x[1], x[2], causal), "two caches in turns")
    first.reset()
    same(first(*third), gathered(third[0], third[1], third[2], causal), "a new text after `reset`")
    with raises(ValueError, "5 places"):
        first(*(part[:, :, :1] for part in third))


@checks("kv_cache.LayerCache")
def single_precision_stays_single(LayerCache, generator):
    """A cache of float32 numbers gives float32 back."""
    query, key, value = (normal(generator, 2, 2, 6, 3).float() for _ in range(3))
    cache = LayerCache(6)
    parts = [cache(query[:, :, cut], key[:, :, cut], value[:, :, cut]) for cut in (slice(0, 4), slice(4, 6))]
    same(torch.cat(parts, 2), gathered(query, key, value, mask_by_hand(6, 0, None, None)), "float32, 4 + 2 positions")


def drawn_state(generator: torch.Generator, shape: Shape) -> dict[str, Tensor]:
    """Drawn parameters of a GPT-2; nothing is at its start."""
    layers, width, _, vocabulary, context, inner = shape
    state = {"token_embedding.weight": normal(generator, vocabulary, width),
             "position_embedding.weight": normal(generator, context, width)}  # fmt: skip
    for number in range(layers):
        for name, rows, columns in (("attention.qkv", 3 * width, width), ("attention.output", width, width),
                                    ("up", inner, width), ("down", width, inner)):  # fmt: skip
            state[f"blocks.{number}.{name}.weight"] = normal(generator, rows, columns, std=1.5 * columns**-0.5)
            state[f"blocks.{number}.{name}.bias"] = normal(generator, rows, std=0.5)
        for name in ("attention_norm", "feed_forward_norm"):
            state[f"blocks.{number}.{name}.weight"] = 1 + normal(generator, width, std=0.3)
            state[f"blocks.{number}.{name}.bias"] = normal(generator, width, std=0.3)
    return state | {"final_norm.weight": 1 + normal(generator, width, std=0.3),
                    "final_norm.bias": normal(generator, width, std=0.3)}  # fmt: skip


def uncached(
    state: dict[str, Tensor], shape: Shape, tokens: Tensor, window: int | None = None,
    read: tuple[dict[str, Tensor], int] | None = None,
) -> Tensor:  # fmt: skip
    """The logits of texts without filling, at one go. With `read`, its first positions have another model's keys."""
    layers, width, heads, *_ = shape
    length = tokens.size(1)
    allowed = mask_by_hand(length, 0, None, window)
    states = [state] if read is None else [state, read[0]]
    streams = [s["token_embedding.weight"][tokens] + s["position_embedding.weight"][:length] for s in states]
    for number in range(layers):
        made = []
        for s, x in zip(states, streams, strict=True):
            part = {k.removeprefix(f"blocks.{number}."): t for k, t in s.items()}
            normed = F.layer_norm(x, (width,), part["attention_norm.weight"], part["attention_norm.bias"])
            joined = normed @ part["attention.qkv.weight"].T + part["attention.qkv.bias"]
            made.append((part, [p.unflatten(-1, (heads, -1)).transpose(1, 2) for p in joined.chunk(3, -1)]))
        if read is not None:  # the old model's keys and values stand where it has read
            for i in (1, 2):
                made[0][1][i] = torch.cat([made[1][1][i][:, :, : read[1]], made[0][1][i][:, :, read[1] :]], 2)
        for i, (part, qkv) in enumerate(made):
            found = gathered(qkv[0], qkv[1], qkv[2], allowed).transpose(1, 2).flatten(2)
            x = streams[i] + found @ part["attention.output.weight"].T + part["attention.output.bias"]
            normed = F.layer_norm(x, (width,), part["feed_forward_norm.weight"], part["feed_forward_norm.bias"])
            u = normed @ part["up.weight"].T + part["up.bias"]
            u = 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))
            streams[i] = x + u @ part["down.weight"].T + part["down.bias"]
    normed = F.layer_norm(streams[0], (width,), state["final_norm.weight"], state["final_norm.bias"])
    return normed @ state["token_embedding.weight"].T


def model_of(CachedGPT2, shape: Shape, state: dict[str, Tensor], size: int | None = None, window: int | None = None):
    """The learner's cached model with these weights."""
    weights = {f"model.{name}": tensor for name, tensor in state.items()}
    return loaded(CachedGPT2, weights, dict(zip(NAMES, shape, strict=True)), size, window).eval()


def texts(generator: torch.Generator, shape: Shape, batch: int, length: int) -> Tensor:
    """Drawn tokens."""
    return torch.randint(shape[3], (batch, length), generator=generator)


@checks("kv_cache.CachedGPT2")
def any_split_gives_the_same_logits(CachedGPT2, generator):
    """Whatever the pieces, the logits are those of a model without a cache, text after text."""
    for shape in SHAPES:
        state, context = drawn_state(generator, shape), shape[4]
        tokens = [texts(generator, shape, batch, context) for batch in (1, 2, 3)]
        splits = [[1] * context, [context], [context - 1, 1]] + [pieces(generator, context) for _ in range(3)]
        model = model_of(CachedGPT2, shape, state)
        for number, parts in enumerate(splits):
            text = tokens[number % 3]
            model.reset()
            found = torch.cat([model(part) for part in text.split(parts, 1)], 1)
            same(found, uncached(state, shape, text), f"shape {shape}, {len(text)} texts in pieces of {parts}")


@checks("kv_cache.CachedGPT2")
def filling_changes_nothing(CachedGPT2, generator):
    """Each row of a batch filled up on the left has the logits that it has alone."""
    for shape in SHAPES:
        state, length = drawn_state(generator, shape), shape[4]
        filling = [0] + [whole(generator, 1, length - 2) for _ in range(3)]
        tokens, parts = texts(generator, shape, 4, length), pieces(generator, length)
        model = model_of(CachedGPT2, shape, state, size=length + 1)
        for split in (parts, [1] * length):
            model.reset(torch.tensor(filling))
            found = torch.cat([model(part) for part in tokens.split(split, 1)], 1)
            for row, left in enumerate(filling):
                hint = f"shape {shape}, {left} of {length} places are filling, pieces of {split}"
                same(found[row : row + 1, left:], uncached(state, shape, tokens[row : row + 1, left:]), hint)


@checks("kv_cache.CachedGPT2")
def windows_are_bands(CachedGPT2, generator):
    """With a window, the logits are those of a model whose masks are bands, even when old places are given up."""
    for shape in SHAPES:
        state, length = drawn_state(generator, shape), shape[4]
        text = texts(generator, shape, 2, length)
        splits = [pieces(generator, length) for _ in range(3)]
        for window, size, parts in zip((1, 3, 5), (None, 4, 5), splits, strict=True):
            model = model_of(CachedGPT2, shape, state, size, window)
            found = torch.cat([model(part) for part in text.split(parts, 1)], 1)
            hint = f"shape {shape}, window {window}, {size} places, pieces of {parts}"
            same(found, uncached(state, shape, text, window), hint)


@checks("kv_cache.CachedGPT2")
def two_models_in_turns(CachedGPT2, generator):
    """Two readers used in turns do not disturb one another; the last position alone is the last of all."""
    shape = SHAPES[0]
    states = [drawn_state(generator, shape) for _ in range(2)]
    tokens = [texts(generator, shape, 2, 9) for _ in range(2)]
    models = [model_of(CachedGPT2, shape, state) for state in states]
    for begin, end in ((0, 4), (4, 5), (5, 9)):
        for model, state, text in zip(models, states, tokens, strict=True):
            found = model(text[:, begin:end], last_only=True)
            same(found, uncached(state, shape, text)[:, end - 1 : end], f"to {end}, two readers in turns")


@checks("kv_cache.CachedGPT2")
def old_keys_are_kept(CachedGPT2, generator):
    """When the weights change between two calls, new tokens meet keys and values of the old weights."""
    for shape in SHAPES:
        before, after = drawn_state(generator, shape), drawn_state(generator, shape)
        text = texts(generator, shape, 2, 6)
        model = model_of(CachedGPT2, shape, before)
        same(model(text[:, :4]), uncached(before, shape, text[:, :4]), "before the change")
        load(model, {f"model.{name}": tensor.clone() for name, tensor in after.items()})
        hint = "After the change of weights earlier tokens must not be read again: their keys and values are stored."
        same(model(text[:, 4:]), uncached(after, shape, text, read=(before, 4))[:, 4:], hint)


@checks("kv_cache.CachedGPT2")
def limits_are_kept(CachedGPT2, generator):
    """Too many tokens, or none, are refused, and what was read stays."""
    shape = SHAPES[1]
    state, text = drawn_state(generator, shape), texts(generator, shape, 1, 7)
    model, expected = model_of(CachedGPT2, shape, state, size=5), uncached(state, shape, text)
    same(model(text[:, :3]), expected[:, :3], "three tokens")
    with raises(ValueError, "cache of 5"):
        model(text[:, 3:6])
    same(model(text[:, 3:5]), expected[:, 3:5], "two more, after three were too many")
    model = model_of(CachedGPT2, shape, state, size=3, window=2)
    same(model(text), uncached(state, shape, text, 2), "a window of 2 in 3 places reads the whole context of 7")
    with raises(ValueError, "context of 7"):
        model(text[:, :1])
    model.reset()
    same(model(text[:, :2]), expected[:, :2], "a new text after `reset`")
    with raises(ValueError, "at least one"):
        model(text[:, :0])
