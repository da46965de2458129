"""Other right answers to the exercises of the key-value cache: the checks must accept every one."""

import math

import torch
import torch.nn.functional as F

from autograder.alternatives import alternative
from gptlib import kv_cache as reference
from gptlib.attention import attend

BYTES, MASK = "kv_cache.cache_bytes", "kv_cache.cache_mask"
LAYER, WHOLE = "kv_cache.LayerCache", "kv_cache.CachedGPT2"


@alternative(BYTES, "tensors without memory, counted")
def by_tensors(n_layers, n_heads, d_head, length, batch=1, bytes_per_number=4):
    kind = {1: torch.int8, 2: torch.bfloat16, 4: torch.float32, 8: torch.float64}[bytes_per_number]
    return n_layers * torch.empty(2, batch, n_heads, length, d_head, dtype=kind, device="meta").nbytes


@alternative(BYTES, "a product of a list")
def by_list(n_layers, n_heads, d_head, length, batch=1, bytes_per_number=4):
    return math.prod([n_layers, n_heads, d_head, length, batch, bytes_per_number, 2])


@alternative(BYTES, "keys and values apart")
def by_parts(n_layers, n_heads, d_head, length, batch=1, bytes_per_number=4):
    width = n_heads * d_head
    keys = values = length * width * batch
    return sum((keys + values) * bytes_per_number for _ in range(n_layers))


def refuse(length, offset, window):
    """What is given above the region."""
    if length < 1 or offset < 0 or (window is not None and window < 1):
        raise ValueError(f"length, offset and window must be in range, got {length}, {offset}, {window}")


@alternative(MASK, "loops over all entries")
def loops(length, offset=0, padding=None, window=None):
    refuse(length, offset, window)
    filling = [0] if padding is None else padding.tolist()
    mask = torch.zeros(len(filling), 1, length, offset + length, dtype=torch.bool)
    for row, left in enumerate(filling):
        for query in range(length):
            place = offset + query
            first = left if window is None else max(left, place - window + 1)
            mask[row, 0, query, first : place + 1] = True
    return mask


@alternative(MASK, "triangles with a diagonal")
def triangles(length, offset=0, padding=None, window=None):
    refuse(length, offset, window)
    mask = torch.ones(length, offset + length, dtype=torch.bool).tril(offset)
    if window is not None:
        mask = mask.triu(offset - window + 1)
    mask = mask[None, None]
    return mask if padding is None else mask & (torch.arange(offset + length)[None] >= padding[:, None])[:, None, None]


@alternative(MASK, "distances")
def distances(length, offset=0, padding=None, window=None):
    refuse(length, offset, window)
    behind = torch.arange(length)[:, None] + offset - torch.arange(offset + length)
    allowed = (behind >= 0) & (behind < (offset + length if window is None else window))
    filling = torch.zeros(1) if padding is None else padding
    hidden = torch.arange(offset + length) < filling.view(-1, 1, 1, 1)
    return torch.logical_and(allowed, ~hidden)


@alternative(LAYER, "copies into narrowed views, and `attend` of the attention chapter")
class Narrow(reference.LayerCache):
    def append(self, key, value):
        length = key.size(2)
        stores = self.allocate(key)
        for store, new in zip(stores, (key, value), strict=True):
            store.narrow(2, self.stored, length).copy_(new)
        self.stored += length
        return tuple(store.narrow(2, 0, self.stored) for store in stores)

    def forward(self, query, key, value):
        keys, values = self.append(key, value)
        mask = reference.cache_mask(query.size(2), self.stored - query.size(2), self.padding, self.window)
        return attend(query, keys, values, mask)


@alternative(LAYER, "index_copy, and copies given back")
class IndexCopy(reference.LayerCache):
    def append(self, key, value):
        keys, values = self.allocate(key)
        places = torch.arange(self.stored, self.stored + key.size(-2))
        keys.index_copy_(2, places, key)
        values.index_copy_(2, places, value)
        self.stored += len(places)
        return keys[:, :, : self.stored].clone(), values[:, :, : self.stored].clone()


@alternative(LAYER, "tensors that are concatenated")
class Concatenated(reference.LayerCache):
    def append(self, key, value):
        keys, values = self.allocate(key)
        old = self.stored
        found = torch.cat([keys[:, :, :old], key], 2), torch.cat([values[:, :, :old], value], 2)
        self.stored = old + key.size(2)
        keys[:, :, : self.stored], values[:, :, : self.stored] = found
        return found


@alternative(LAYER, "one query at a time, no mask but a slice")
class Sliced(reference.LayerCache):
    def forward(self, query, key, value):
        keys, values = self.append(key, value)
        found = []
        for t in range(query.size(2)):
            place = self.stored - query.size(2) + t
            mask = reference.cache_mask(1, place, self.padding, self.window)
            found.append(attend(query[:, :, t : t + 1], keys[:, :, : place + 1], values[:, :, : place + 1], mask))
        return torch.cat(found, 2)


@alternative(WHOLE, "the whole model with its `mixes`, and a slice of the logits")
class Mixes(reference.CachedGPT2):
    def step(self, tokens, last_only=False):
        positions = self.seen + torch.arange(tokens.size(1))
        if self.padding is not None:
            positions = F.relu(positions[None] - self.padding[:, None])
        logits = self.model(tokens, positions, list(self.layers))
        self.seen = self.seen + tokens.shape[1]
        return logits[:, -1:] if last_only else logits


@alternative(WHOLE, "positions by counting, blocks by number")
class Counted(reference.CachedGPT2):
    def step(self, tokens, last_only=False):
        filling = torch.zeros(len(tokens), dtype=torch.int64) if self.padding is None else self.padding
        positions = (torch.ones_like(tokens).cumsum(1) - 1 + self.seen - filling[:, None]).clip(0)
        self.seen += tokens.size(1)
        x = self.model.embed(tokens, positions)
        for number in range(len(self.layers)):
            x = self.model.blocks[number](x, mix=self.layers[number])
        if last_only:
            x = x[:, -1].unsqueeze(1)
        return self.model.unembed(x)


@alternative(WHOLE, "filling at the last position instead of the first")
class OtherFilling(reference.CachedGPT2):
    def step(self, tokens, last_only=False):
        positions = torch.arange(self.seen, self.seen + tokens.size(1)).expand(tokens.shape)
        if self.padding is not None:
            positions = (positions - self.padding[:, None]) % self.model.config.context_length
        x = self.model.embed(tokens, positions)
        for block, layer in zip(self.model.blocks, self.layers, strict=True):
            x = block(x, lambda q, k, v, layer=layer: layer(q, k, v))
        self.seen += tokens.size(1)
        return self.model.unembed(x)[:, -1:] if last_only else self.model.unembed(x)
