"""The key-value cache: keep what attention has computed, and read only the new tokens.

A model that reads from left to right never changes what it made of earlier tokens: no earlier position sees a later
one. So the keys and values of all blocks can be stored, and a new token needs one pass of its own. A `LayerCache`
stores those of one block and is a `Mix` of `gpt2`: it does what attention does, with the stored keys besides the new
ones. `CachedGPT2` is a model with one for each block; `cached` makes a function of it that remembers its text.

Rows of unequal length are filled up on the left, so that all rows end at the same place. `padding` says how many
places of each row are such filling; the text of row b begins at place `padding[b]` of the cache, as its position 0.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    S: key positions
    H: heads
    K: d_head, the width of a query and a key in one head
    V: vocabulary
"""
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .gpt2 import GPT2, GPT2Config
from .inference import Predict


def cache_bytes(
    n_layers: int, n_heads: int, d_head: int, length: int, batch: int = 1, bytes_per_number: int = 4
) -> int:
    """Count the bytes that the keys and values of some texts need.

    Args:
        n_layers: number of blocks.
        n_heads: number of heads that have keys and values of their own; in GPT-2 all heads.
        d_head: width K of a key, and of a value.
        length: positions of each text.
        batch: number of texts B.
        bytes_per_number: 4 for float32, 2 for float16 and bfloat16.

    Returns:
        The number of bytes.

    Source:
        Pope et al. 2023, "Efficiently Scaling Transformer Inference".
    """
    # YOUR CODE HERE
    raise NotImplementedError("kv_cache.cache_bytes")


def cache_mask(
    length: int, offset: int = 0, padding: Tensor | None = None, window: int | None = None
) -> Tensor:
    """Say which stored and new keys each new position may look at.

    The keys of `offset` earlier places come first, then those of the `length` new ones, so S = offset + length and the
    first query stands at place `offset`. It may look at itself and at places before it; with a window, at the last
    `window` of these, itself among them; and never at the filling on the left of its row.

    Args:
        length: number of new positions T, at least 1.
        offset: number of earlier places whose keys are stored, at least 0.
        padding: (B,) for each row the number of places at its left end that are filling; None means none.
        window: most places a query looks at, at least 1; None means all.

    Returns:
        (B, 1, T, S) booleans, True where a query may look; B is 1 without `padding`.

    Raises:
        ValueError: `length` or `window` is less than 1, or `offset` is negative.

    Source:
        Vaswani et al. 2017, section 3.2.3; windows as in Child et al. 2019 and Jiang et al. 2023, "Mistral 7B".
    """
    if length < 1 or offset < 0:
        raise ValueError(f"length must be at least 1 and offset not negative, got {length} and {offset}")
    if window is not None and window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    padding = torch.zeros(1, dtype=torch.int64) if padding is None else padding
    # YOUR CODE HERE
    raise NotImplementedError("kv_cache.cache_mask")


class LayerCache(nn.Module):
    """The keys and values of one block, in tensors that are made once and filled from the left.

    `keys` and `values` are None until the first are appended, then (B, H, size, K), of which `stored` places are in
    use. With a window, `size` may be smaller than the text: when the places run out, what the window still needs is
    moved to the front, and the rest is forgotten.

    Args:
        size: number of places, at least 1, and not less than the window.
        window: most places a query looks at; None means all that are stored.

    Raises:
        ValueError: `size` or `window` is out of range.
    """

    keys: Tensor | None
    values: Tensor | None

    def __init__(self, size: int, window: int | None = None) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        if window is not None and not 1 <= window <= size:
            raise ValueError(f"window must lie between 1 and size = {size}, got {window}")
        self.size, self.window = size, window
        self.register_buffer("keys", None, persistent=False)
        self.register_buffer("values", None, persistent=False)
        self.reset()

    def reset(self, padding: Tensor | None = None) -> None:
        """Forget all texts (given); the next ones have `padding`, (B,), filling at their left ends."""
        self.keys = self.values = None
        self.stored, self.padding = 0, padding

    def allocate(self, key: Tensor) -> tuple[Tensor, Tensor]:
        """See to it that the places behind `stored` suffice for `key`, (B, H, T, K) (given; no exercise).

        Returns:
            `keys` and `values` themselves, not copies: (B, H, size, K) each.

        Raises:
            ValueError: it does not fit, or has another batch, number of heads or width than what is stored.
        """
        batch, heads, length, width = key.shape
        if self.keys is None:
            self.keys, self.values = key.new_zeros(2, batch, heads, self.size, width)
        assert self.keys is not None and self.values is not None
        if (batch, heads, width) != (self.keys.size(0), self.keys.size(1), self.keys.size(3)):
            stored = tuple(self.keys.shape)
            raise ValueError(f"key must have the batch, heads and width of {stored}, got {tuple(key.shape)}")
        if self.stored + length <= self.size:
            return self.keys, self.values
        kept = self.stored if self.window is None else min(self.stored, self.window - 1)
        if kept + length > self.size:
            raise ValueError(f"key must fit into the {self.size} places of the cache, got {kept} + {length} positions")
        for store in (self.keys, self.values):
            store[:, :, :kept] = store[:, :, self.stored - kept : self.stored].clone()
        if self.padding is not None:
            self.padding = (self.padding - (self.stored - kept)).clamp(min=0)
        self.stored = kept
        return self.keys, self.values

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values behind those that are there.

        Args:
            key: (B, H, T, K).
            value: (B, H, T, K).

        Returns:
            Keys and values of all places that are filled now, oldest first: two tensors (B, H, S, K).

        Raises:
            ValueError: the cache is full, or the batch is another one.
        """
        keys, values = self.allocate(key)  # (B, H, size, K) each, with places to write on behind `stored`
        # YOUR CODE HERE
        raise NotImplementedError("kv_cache.LayerCache")

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Append, then let each new position gather what it may see: this is a `Mix` of `gpt2`.

        `attention.attend` or PyTorch's `scaled_dot_product_attention` does the gathering; `cache_mask` says who may
        look where, and its `offset` is the number of keys that were there before.

        Args:
            query: (B, H, T, K).
            key: (B, H, T, K).
            value: (B, H, T, K).

        Returns:
            (B, H, T, K); zeros where a position may see nothing.

        Raises:
            ValueError: as `append`.
        """
        # YOUR CODE HERE
        raise NotImplementedError("kv_cache.LayerCache")

    def bytes(self) -> int:
        """Count the bytes that the tensors take (given)."""
        return sum(stored.nbytes for stored in (self.keys, self.values) if stored is not None)


class CachedGPT2(nn.Module):
    """A GPT-2 that remembers what it has read: each call reads only the tokens that are new.

    Attributes:
        model: the GPT-2.
        layers: a `LayerCache` for each block.
        seen: number of places that have been read, filling among them.
        padding: of the texts that are being read; see `reset`.

    Args:
        model: the GPT-2, or its config, from which one is made.
        size: places in the cache; None means the context of the model or, with a window, twice the window.
        window: most places a position looks at; None means all before it.

    Raises:
        ValueError: `size` or `window` is out of range.
    """

    def __init__(
        self, model: GPT2 | GPT2Config | Mapping[str, Any], size: int | None = None, window: int | None = None
    ) -> None:
        super().__init__()
        self.model = model if isinstance(model, nn.Module) else GPT2(model)
        if size is None:
            size = self.model.config.context_length if window is None else 2 * window
        self.size, self.window = size, window
        self.layers: Any = nn.ModuleList(LayerCache(size, window) for _ in self.model.blocks)
        self.reset()

    def reset(self, padding: Tensor | None = None) -> None:
        """Forget all that was read, so that new texts can begin (given; no exercise).

        Args:
            padding: (B,) how many tokens at the left end of each new text are filling; None means none.
        """
        self.seen, self.padding = 0, padding
        for layer in self.layers:
            layer.reset(padding)

    def step(self, tokens: Tensor, last_only: bool = False) -> Tensor:
        """Read new tokens, of which there are not too many.

        `model.embed(tokens, positions)`, `model.blocks` and `model.unembed` are the parts of a pass; a block takes what
        its attention is to do as its second argument. Filling has a position, too: 0 will do, nobody looks at it.

        Args:
            tokens: (B, T).
            last_only: whether to compute the logits of the last position only.

        Returns:
            Logits of the next token at every new position, (B, T, V); with `last_only` at the last one, (B, 1, V).
        """
        # YOUR CODE HERE
        raise NotImplementedError("kv_cache.CachedGPT2")

    def forward(self, tokens: Tensor, last_only: bool = False) -> Tensor:
        """Read new tokens: check them, and go through them in as many steps as the cache needs (given; no exercise).

        Args:
            tokens: (B, T) what comes behind all that was read since the last `reset`.
            last_only: whether to compute the logits of the last position only.

        Returns:
            Logits as `step` gives them. They carry no gradient.

        Raises:
            ValueError: there are no tokens, they do not fit into context or cache, or dropout is on. What was read
                stays as it was.
        """
        self._check(tokens)
        room = tokens.size(1) if self.window is None else self.size - self.window + 1
        with torch.no_grad():
            parts = [self.step(part, last_only) for part in tokens.split(room, dim=1)]
        return parts[-1] if last_only else torch.cat(parts, dim=1)

    def _check(self, tokens: Tensor) -> None:
        if tokens.dim() != 2 or tokens.size(1) < 1:
            raise ValueError(f"tokens must be (B, T) with at least one position, got shape {tuple(tokens.shape)}")
        if self.padding is not None and self.padding.shape != tokens.shape[:1]:
            raise ValueError(f"padding must have one number for each of {tokens.size(0)} rows, got "
                             f"{self.padding.tolist()}")  # fmt: skip
        places = self.seen + tokens.size(1)
        if self.window is None and places > self.size:
            raise ValueError(f"tokens must fit into the cache of {self.size} places, got {places}")
        context = self.model.config.context_length
        longest = places - (0 if self.padding is None else int(self.padding.min()))
        if longest > context:
            raise ValueError(f"tokens must fit into the context of {context}, got {longest}")
        if self.training and self.model.config.dropout > 0:
            raise ValueError("model must be in evaluation mode, model.eval(): dropout is on")

    def bytes(self) -> int:
        """Count the bytes that all caches take (given)."""
        return sum(layer.bytes() for layer in self.layers)


def cached(model: GPT2 | Any, padding: Tensor | None = None, **settings: int | None) -> Predict:
    """Make a function that predicts the next token and remembers what it has seen (given; no exercise).

    Asked with a text that begins with the text before, it reads only what is new; with any other, it starts anew.

    Args:
        model: a GPT-2, or a reader: what has `reset(padding)` and, called with tokens and `last_only`, reads on.
        padding: (B,) how many tokens at the left end of each text are filling; None means none.
        settings: `size` and `window` of `CachedGPT2`.

    Returns:
        A function of tokens (B, T) that gives logits (B, V).

    Raises:
        ValueError: there are settings for a reader, which has its own; by the function, when a text does not fit.
    """
    if settings and not isinstance(model, GPT2):
        raise ValueError(f"settings are for a GPT2; a reader has its own, got {', '.join(settings)}")
    reader = CachedGPT2(model, **settings).train(model.training) if isinstance(model, GPT2) else model
    seen: Tensor | None = None
    last: Tensor | None = None

    def predict(tokens: Tensor) -> Tensor:
        nonlocal seen, last
        old = 0 if seen is None else seen.size(1)
        if seen is None or tokens.size(1) < old or not torch.equal(tokens[:, :old], seen):
            seen, old = None, 0
            reader.reset(padding)
        if last is None or tokens.size(1) > old:
            last = reader(tokens[:, old:], last_only=True)[:, -1]
            seen = tokens.clone()
        return last.clone()

    return predict
