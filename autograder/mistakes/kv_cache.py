"""What learners get wrong in the key-value cache: each a complete wrong implementation, often in several code forms."""
import torch
import torch.nn.functional as F

from autograder.mistakes import mistake
from gptlib import kv_cache as reference

# kv_cache.cache_bytes --------------------------------------------------------------------------------------------

BYTES = "kv_cache.cache_bytes"


@mistake(BYTES, "keys are counted and values forgotten")
def keys_only(n_layers, n_heads, d_head, length, batch=1, bytes_per_number=4):
    return n_layers * n_heads * d_head * length * batch * bytes_per_number


@mistake(BYTES, "only one block is counted")
def one_block(n_layers, n_heads, d_head, length, batch=1, bytes_per_number=4):
    return 2 * n_heads * d_head * length * batch * bytes_per_number


@mistake(BYTES, "only one of the texts is counted")
def one_text(n_layers, n_heads, d_head, length, batch=1, bytes_per_number=4):
    return 2 * n_layers * n_heads * d_head * length * bytes_per_number


@mistake(BYTES, "numbers are counted instead of bytes")
def numbers(n_layers, n_heads, d_head, length, batch=1, bytes_per_number=4):
    return 2 * n_layers * n_heads * d_head * length * batch


@mistake(BYTES, "bits are counted instead of bytes")
def bits(n_layers, n_heads, d_head, length, batch=1, bytes_per_number=4):
    return 2 * n_layers * n_heads * d_head * length * batch * bytes_per_number * 8


@mistake(BYTES, "the weights of attention, one for each pair of positions, are counted with the keys and values")
def with_weights(n_layers, n_heads, d_head, length, batch=1, bytes_per_number=4):
    numbers = 2 * d_head * length + length**2
    return n_layers * n_heads * numbers * batch * bytes_per_number


ONE_HEAD = "the heads are forgotten"


@mistake(BYTES, ONE_HEAD)
def heads_forgotten(n_layers, n_heads, d_head, length, batch=1, bytes_per_number=4):
    return 2 * n_layers * d_head * length * batch * bytes_per_number


@mistake(BYTES, "queries are counted as well")
def three_parts(n_layers, n_heads, d_head, length, batch=1, bytes_per_number=4):
    return 3 * n_layers * n_heads * d_head * length * batch * bytes_per_number


# kv_cache.cache_mask ---------------------------------------------------------------------------------------------

MASK = "kv_cache.cache_mask"


def checked(length, offset, window):
    """What is given above the region."""
    if length < 1 or offset < 0 or (window is not None and window < 1):
        raise ValueError(f"length, offset and window must be in range, got {length}, {offset}, {window}")


def joined(causal, padding):
    """A mask (T, S) with the filling of each row hidden."""
    if padding is None:
        return causal[None, None]
    return causal & (torch.arange(causal.size(1)) >= padding[:, None, None, None])


def distance(length, offset):
    """How far each key lies behind each query, (T, S)."""
    return torch.arange(offset, offset + length)[:, None] - torch.arange(offset + length)


NO_OFFSET = "the first query is taken for position 0, although keys are stored before it"


@mistake(MASK, NO_OFFSET)
def tril_of_ones(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    allowed = torch.ones(length, offset + length, dtype=torch.bool).tril()
    if window is not None:
        allowed &= ~torch.ones_like(allowed).tril(-window)
    return joined(allowed, padding)


@mistake(MASK, NO_OFFSET)
def queries_from_zero(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    behind = torch.arange(length)[:, None] - torch.arange(offset + length)
    return joined((behind >= 0) & (behind < (window or 10**9)), padding)


@mistake(MASK, "a position may not look at itself")
def not_itself(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    behind = distance(length, offset)
    return joined((behind > 0) & (behind < (window or 10**9)), padding)


ALL = "new positions see one another, the later ones too"


@mistake(MASK, ALL)
def all_see_all(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    return joined(distance(length, offset) < (window or 10**9), padding)


@mistake(MASK, ALL)
def ones(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    return joined(torch.ones(length, offset + length, dtype=torch.bool), padding)


@mistake(MASK, "True marks what is hidden")
def inverted(length, offset=0, padding=None, window=None):
    return ~reference.cache_mask(length, offset, padding, window)


TOO_WIDE = "the window is one place too wide: the position itself is not counted"


@mistake(MASK, TOO_WIDE)
def at_most_window_behind(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    behind = distance(length, offset)
    return joined((behind >= 0) & (behind <= (10**9 if window is None else window)), padding)


@mistake(MASK, TOO_WIDE)
def one_more(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    return reference.cache_mask(length, offset, padding, None if window is None else window + 1)


@mistake(MASK, "the window is forgotten")
def no_window(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    return reference.cache_mask(length, offset, padding)


@mistake(MASK, "all queries have the window of the last one")
def window_of_the_last(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    keys = torch.arange(offset + length)
    allowed = distance(length, offset) >= 0
    if window is not None:
        allowed = allowed & (keys >= offset + length - window)
    return joined(allowed, padding)


@mistake(MASK, "the window is counted from the number of the query among the new ones, without the offset")
def window_without_offset(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    allowed = distance(length, offset) >= 0
    if window is not None:
        allowed = allowed & (torch.arange(offset + length) > torch.arange(length)[:, None] - window)
    return joined(allowed, padding)


@mistake(MASK, "the filling is not hidden")
def no_padding(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    mask = reference.cache_mask(length, offset, None, window)
    return mask if padding is None else mask.expand(len(padding), -1, -1, -1).clone()


@mistake(MASK, "the filling is taken to stand on the right")
def padding_on_the_right(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    mask, size = reference.cache_mask(length, offset, None, window), offset + length
    return mask if padding is None else mask & (torch.arange(size) < size - padding[:, None, None, None])


@mistake(MASK, "one place too many is taken for filling")
def padding_off_by_one(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    mask = reference.cache_mask(length, offset, None, window)
    return mask if padding is None else mask & (torch.arange(offset + length) > padding[:, None, None, None])


@mistake(MASK, "all rows have the filling of the fullest one")
def widest_padding(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    padding = None if padding is None else padding.max().expand(len(padding))
    return reference.cache_mask(length, offset, padding, window)


@mistake(MASK, "the filling is looked for among the new keys only, although it was stored first")
def padding_among_the_new(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    mask = reference.cache_mask(length, offset, None, window)
    return mask if padding is None else mask & (torch.arange(offset + length) >= offset + padding[:, None, None, None])


@mistake(MASK, "queries are numbered by position in the text, and keys by place in the cache")
def positions_against_places(length, offset=0, padding=None, window=None):
    checked(length, offset, window)
    filling = torch.zeros(1, dtype=torch.int64) if padding is None else padding
    behind = distance(length, offset) - filling[:, None, None, None]
    keys = torch.arange(offset + length)
    return (behind >= 0) & (behind < (window or 10**9)) & (keys >= filling[:, None, None, None])


# kv_cache.LayerCache ---------------------------------------------------------------------------------------------

LAYER = "kv_cache.LayerCache"
Layer = reference.LayerCache


def store(cache, key, value, start, end):
    """Make room and write at given places; return both stores."""
    keys, values = cache.allocate(key)
    keys[:, :, start:end], values[:, :, start:end] = key, value
    return keys, values


def gather(cache, query, keys, values, **changes):
    """Attend as the reference does, with other arguments of the mask."""
    settings = {"offset": keys.size(-2) - query.size(-2), "padding": cache.padding, "window": cache.window} | changes
    mask = reference.cache_mask(query.size(-2), **settings)
    return F.scaled_dot_product_attention(query, keys, values, mask)


@mistake(LAYER, "keys are stored as values and values as keys")
class Exchanged(Layer):
    def append(self, key, value):
        return super().append(value, key)


@mistake(LAYER, "keys and values come back in the wrong order")
class ReturnedTheWrongWay(Layer):
    def append(self, key, value):
        keys, values = super().append(key, value)
        return values, keys


FIRST_PLACE = "new keys are always written to the first places"


@mistake(LAYER, FIRST_PLACE)
class AlwaysAtTheFront(Layer):
    def append(self, key, value):
        keys, values = store(self, key, value, 0, key.size(-2))
        self.stored = max(self.stored, key.size(-2))
        return keys[:, :, : self.stored], values[:, :, : self.stored]


@mistake(LAYER, FIRST_PLACE)
class NeverFilled(Layer):
    def append(self, key, value):
        end = self.stored + key.size(-2)
        keys, values = store(self, key, value, self.stored, end)
        return keys[:, :, :end], values[:, :, :end]


@mistake(LAYER, "`stored` moves on by one, however many positions are new")
class MovesByOne(Layer):
    def append(self, key, value):
        end = self.stored + key.size(-2)
        keys, values = store(self, key, value, self.stored, end)
        self.stored += 1
        return keys[:, :, :end], values[:, :, :end]


@mistake(LAYER, "only what is new comes back")
class OnlyNew(Layer):
    def append(self, key, value):
        super().append(key, value)
        return key, value


@mistake(LAYER, "the whole store comes back, with the places that were never written")
class WholeStore(Layer):
    def append(self, key, value):
        super().append(key, value)
        return self.keys, self.values


@mistake(LAYER, "what comes back ends before the newest position")
class WithoutTheNewest(Layer):
    def append(self, key, value):
        start = self.stored
        super().append(key, value)
        return self.keys[:, :, :start], self.values[:, :, :start]


@mistake(LAYER, "the newest keys come first")
class NewestFirst(Layer):
    def append(self, key, value):
        old = self.stored
        keys, values = super().append(key, value)
        return tuple(torch.cat([x[:, :, old:], x[:, :, :old]], 2) for x in (keys, values))


SHARED = "all caches share one store, kept in the class or in a global variable"
_everything: list = []


@mistake(LAYER, SHARED)
class InTheClass(Layer):
    stored: list = []

    def append(self, key, value):
        if len(self.stored) >= 8:
            self.stored.clear()
        self.stored.append((key, value))
        self.stored += key.size(-2)
        return tuple(torch.cat([pair[i] for pair in self.stored], 2) for i in (0, 1))


@mistake(LAYER, SHARED)
class InAGlobal(Layer):
    def append(self, key, value):
        if len(_everything) >= 8:
            _everything.clear()
        _everything.append((key, value))
        self.stored = sum(k.size(2) for k, _ in _everything)
        return tuple(torch.cat([pair[i] for pair in _everything], 2) for i in (0, 1))


@mistake(LAYER, "the store outlives `reset`")
class NotReset(Layer):
    def append(self, key, value):
        old = getattr(self, "old", None)
        self.old = (key, value) if old is None else tuple(torch.cat(p, 2) for p in zip(old, (key, value), strict=True))
        self.allocate(key)
        self.stored = self.old[0].size(2)
        return self.old


@mistake(LAYER, "everything is appended twice")
class Twice(Layer):
    def forward(self, query, key, value):
        self.append(key, value)
        keys, values = self.append(key, value)
        return gather(self, query, keys, values)


@mistake(LAYER, "the cache grows by concatenation along the axis of heads")
class AlongTheHeads(Layer):
    def append(self, key, value):
        keys = key if self.keys is None else torch.cat([self.keys, key], 1)
        values = value if self.values is None else torch.cat([self.values, value], 1)
        self.keys, self.values, self.stored = keys, values, self.stored + key.size(-2)
        return keys, values


@mistake(LAYER, "`is_causal=True` is used on a mask that is not square")
class IsCausal(Layer):
    def forward(self, query, key, value):
        keys, values = self.append(key, value)
        return F.scaled_dot_product_attention(query, keys, values, is_causal=True)


FUTURE = "there is no mask, so new positions see one another, the later ones too"


@mistake(LAYER, FUTURE)
class NoMask(Layer):
    def forward(self, query, key, value):
        return F.scaled_dot_product_attention(query, *self.append(key, value))


@mistake(LAYER, FUTURE)
class SeesAll(Layer):
    def forward(self, query, key, value):
        keys, values = self.append(key, value)
        allowed = reference.cache_mask(1, keys.size(2) - 1, self.padding)
        return F.scaled_dot_product_attention(query, keys, values, allowed)


@mistake(LAYER, "the offset of the mask is 0, although keys are stored")
class OffsetForgotten(Layer):
    def forward(self, query, key, value):
        keys, values = self.append(key, value)
        mask = reference.cache_mask(query.size(-2), 0, self.padding, self.window)
        mask = F.pad(mask, (0, keys.size(2) - mask.size(3)))
        return F.scaled_dot_product_attention(query, keys, values, mask)


@mistake(LAYER, "`padding` is not passed on to the mask")
class PaddingForgotten(Layer):
    def forward(self, query, key, value):
        return gather(self, query, *self.append(key, value), padding=None)


@mistake(LAYER, "`window` is not passed on to the mask")
class WindowForgotten(Layer):
    def forward(self, query, key, value):
        return gather(self, query, *self.append(key, value), window=None)


@mistake(LAYER, "queries are stored in place of keys")
class QueriesStored(Layer):
    def forward(self, query, key, value):
        return gather(self, query, *self.append(query, value))


@mistake(LAYER, "what attention found is stored in place of the values")
class FoundIsStored(Layer):
    def forward(self, query, key, value):
        keys, values = self.append(key, value)
        found = gather(self, query, keys, values)
        values[:, :, -query.size(2) :] = found
        return found


@mistake(LAYER, "new positions attend to what was stored before, and not to the new keys")
class OldOnly(Layer):
    def forward(self, query, key, value):
        old = self.stored
        keys, values = self.append(key, value)
        if old == 0:
            return gather(self, query, keys, values)
        return F.scaled_dot_product_attention(query, keys[:, :, :old], values[:, :, :old])


@mistake(LAYER, "the scores are not divided by √K", visible=False)
class Unscaled(Layer):
    def forward(self, query, key, value):
        return gather(self, query * query.size(-1) ** 0.5, *self.append(key, value))


# kv_cache.CachedGPT2 ---------------------------------------------------------------------------------------------

WHOLE = "kv_cache.CachedGPT2"
Whole = reference.CachedGPT2


class Parts(Whole):
    """A step in parts, to spoil one at a time."""

    def places(self, tokens):
        """Where the new tokens stand, (T) or (B, T)."""
        places = torch.arange(self.seen, self.seen + tokens.size(1))
        return places if self.padding is None else (places - self.padding[:, None]).clamp(min=0)

    def through(self, x):
        """All blocks."""
        for block, layer in zip(self.model.blocks, self.layers, strict=True):
            x = block(x, layer)
        return x

    def count(self, tokens):
        """Move on."""
        self.seen += tokens.size(1)

    def step(self, tokens, last_only=False):
        """As the reference's."""
        x = self.through(self.model.embed(tokens, self.places(tokens)))
        self.count(tokens)
        return self.model.unembed(x[:, -1:] if last_only else x)


RESTART = "positions begin again at 0 with every call"


@mistake(WHOLE, RESTART)
class PositionsOfTheModel(Parts):
    def places(self, tokens):
        return None


@mistake(WHOLE, RESTART)
class SeenIsNotCounted(Parts):
    def count(self, tokens):
        pass


@mistake(WHOLE, RESTART)
class PlacesFromZero(Parts):
    def places(self, tokens):
        places = torch.arange(tokens.size(1))
        return places if self.padding is None else (places - self.padding[:, None]).clamp(min=0)


@mistake(WHOLE, "all new tokens get the position of the first of them")
class OnePosition(Parts):
    def places(self, tokens):
        return super().places(tokens)[..., :1].expand(*([-1] * (1 if self.padding is None else 2))).repeat(
            *([1] * (0 if self.padding is None else 1)), tokens.size(1))  # fmt: skip


@mistake(WHOLE, "`seen` moves on by one, however many tokens are new")
class CountsCalls(Parts):
    def count(self, tokens):
        self.seen += 1


@mistake(WHOLE, "positions count from 1")
class FromOne(Parts):
    def places(self, tokens):
        return super().places(tokens) + 1


IGNORED = "positions are places in the cache, filling counted, so that a padded row stands too far to the right"


@mistake(WHOLE, IGNORED)
class PaddingNotSubtracted(Parts):
    def places(self, tokens):
        return torch.arange(self.seen, self.seen + tokens.size(1))


@mistake(WHOLE, IGNORED)
class SamePlacesForAll(Parts):
    def places(self, tokens):
        return torch.arange(self.seen, self.seen + tokens.size(1)).expand(tokens.shape)


@mistake(WHOLE, "the same filling is subtracted in all rows")
class OnePadding(Parts):
    def places(self, tokens):
        places = torch.arange(self.seen, self.seen + tokens.size(1))
        return places if self.padding is None else (places - self.padding.max()).clamp(min=0)


@mistake(WHOLE, "filling gets negative positions")
class Negative(Parts):
    def places(self, tokens):
        places = torch.arange(self.seen, self.seen + tokens.size(1))
        return places if self.padding is None else places - self.padding[:, None]


ONE_STORE = "all blocks share one store"


@mistake(WHOLE, ONE_STORE)
class FirstStoreForAll(Parts):
    def through(self, x):
        for block in self.model.blocks:
            x = block(x, self.layers[0])
        return x


@mistake(WHOLE, ONE_STORE)
class OneCacheRepeated(Parts):
    def step(self, tokens, last_only=False):
        shared = self.layers[-1]
        x = self.model.embed(tokens, self.places(tokens))
        for number in range(len(self.model.blocks)):
            x = self.model.blocks[number](x, shared)
        self.count(tokens)
        return self.model.unembed(x[:, -1:] if last_only else x)


UNUSED = "the cache is not used: new tokens see only one another"


@mistake(WHOLE, UNUSED)
class NoCache(Parts):
    def through(self, x):
        for block in self.model.blocks:
            x = block(x)
        return x


@mistake(WHOLE, UNUSED)
class TheModelAlone(Parts):
    def step(self, tokens, last_only=False):
        logits = self.model(tokens, self.places(tokens))
        self.count(tokens)
        return logits[:, -1:] if last_only else logits


@mistake(WHOLE, "the store is emptied at every call")
class Forgetful(Parts):
    def step(self, tokens, last_only=False):
        for layer in self.layers:
            layer.reset(self.padding)
        return super().step(tokens, last_only)


AGAIN = "all earlier tokens are read again at every call"


@mistake(WHOLE, AGAIN)
class ReadsAllAgain(Parts):
    def step(self, tokens, last_only=False):
        if self.seen == 0:
            self.text = tokens[:, :0]
        self.text = torch.cat([self.text, tokens], 1)
        padding, window, length = self.padding, self.window, self.text.size(1)
        places = torch.arange(length)
        places = places if padding is None else (places - padding[:, None]).clamp(min=0)
        mask = reference.cache_mask(length, 0, padding, window)
        look = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask)  # noqa: E731
        logits = self.model(self.text, places, [look] * len(self.layers))[:, -tokens.size(1) :]
        self.count(tokens)
        return logits[:, -1:] if last_only else logits


@mistake(WHOLE, AGAIN)
class FillsTheCacheAgain(Parts):
    def step(self, tokens, last_only=False):
        if self.seen == 0:
            self.text = tokens[:, :0]
        self.text, new = torch.cat([self.text, tokens], 1), tokens.size(1)
        padding = self.padding
        self.reset(padding)
        logits = super().step(self.text)[:, -new:]
        return logits[:, -1:] if last_only else logits


@mistake(WHOLE, "each token is fed to the blocks twice")
class FedTwice(Parts):
    def step(self, tokens, last_only=False):
        self.through(self.model.embed(tokens, self.places(tokens)))
        return super().step(tokens, last_only)


@mistake(WHOLE, "the final norm is left out")
class NoFinalNorm(Parts):
    def step(self, tokens, last_only=False):
        x = self.through(self.model.embed(tokens, self.places(tokens)))
        self.count(tokens)
        return F.linear(x[:, -1:] if last_only else x, self.model.token_embedding.weight)


@mistake(WHOLE, "`last_only` is not heeded")
class AllPositions(Parts):
    def step(self, tokens, last_only=False):
        return super().step(tokens)


@mistake(WHOLE, "`last_only` gives the first of the new positions")
class FirstPosition(Parts):
    def step(self, tokens, last_only=False):
        logits = super().step(tokens)
        return logits[:, :1] if last_only else logits


@mistake(WHOLE, "only the last of the new tokens goes through the blocks")
class LastTokenOnly(Parts):
    def step(self, tokens, last_only=False):
        x = self.model.embed(tokens, self.places(tokens))
        x = torch.cat([x[:, :-1], self.through(x[:, -1:])], 1)
        self.count(tokens)
        return self.model.unembed(x[:, -1:] if last_only else x)
