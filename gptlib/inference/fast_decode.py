"""Fast decoding: the steps of `kv_cache.CachedGPT2` with fewer calls, fewer copies and, if wanted, fewer bytes.

For one new token a GPT-2 does a dozen products of a matrix with a vector for each block, and each reads its matrix from
memory once. So speed is a matter of two things: how many bytes are read, and how much is done besides. `FastGPT2`
reads a model's weights where they are (or a copy in 16 bits), writes keys and values into memory that is set apart
once, computes the logits of the last position only, and calls PyTorch's functions without a module around each.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    V: vocabulary
"""
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..weights import parts

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class FastGPT2:
    """Reads texts as `kv_cache.CachedGPT2` does: `reset`, then tokens, piece by piece. `kv_cache.cached` takes it, too.

    It sees the weights that the model had when it was made, or has changed in place since then; a copy in another
    dtype sees no later change.

    Args:
        model: a `gpt2.GPT2`.
        size: places in the cache; None means the model's context.
        dtype: of the weights and of the stream; None keeps the model's. bfloat16 leaves two to three digits.

    Raises:
        ValueError: `size` is less than 1.
    """

    def __init__(self, model: nn.Module, size: int | None = None, dtype: torch.dtype | None = None) -> None:
        config: Any = model.config
        self.config, self.size = config, config.context_length if size is None else int(size)
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        weights = {name: t.detach() for name, t in parts.renamed(model.state_dict()).items()}
        self.dtype = weights["token_embedding.weight"].dtype if dtype is None else dtype
        weights = {name: t.to(self.dtype) for name, t in weights.items()}
        self.tokens, self.positions = weights["token_embedding.weight"], weights["position_embedding.weight"]
        self.final = weights["final_norm.weight"], weights["final_norm.bias"]
        names = ("attention_norm", "attention.qkv", "attention.output", "feed_forward_norm", "up", "down")
        self.blocks = [
            [weights[f"blocks.{i}.{name}.{kind}"] for name in names for kind in ("weight", "bias")]
            for i in range(config.n_layers)
        ]
        self.seen, self.padding = 0, None
        self.stores: list[tuple[Tensor, Tensor]] = []

    def reset(self, padding: Tensor | None = None) -> None:
        """Forget what was read; the next texts have `padding`, (B,), filling at their left ends.

        Raises:
            ValueError: there is padding; rows of unequal length are for `kv_cache.CachedGPT2`.
        """
        if padding is not None and bool(padding.any()):
            raise ValueError(f"padding must be 0 everywhere here, got {padding.tolist()}; take kv_cache.CachedGPT2")
        self.seen = 0

    def __call__(self, tokens: Tensor, last_only: bool = False) -> Tensor:
        """Read new tokens.

        Args:
            tokens: (B, T) what comes behind all that was read since the last `reset`.
            last_only: whether to compute the logits of the last position only.

        Returns:
            Logits of the next token at every new position, (B, T, V); with `last_only` at the last one, (B, 1, V).

        Raises:
            ValueError: there are no tokens, they do not fit, or the batch is another one.
        """
        batch, length = tokens.shape
        if length < 1:
            raise ValueError(f"tokens must be (B, T) with at least one position, got shape {tuple(tokens.shape)}")
        limit = min(self.size, self.config.context_length)
        if self.seen + length > limit:
            raise ValueError(f"tokens must fit into the cache of {limit} places, got {self.seen + length}")
        if self.seen and self.stores[0][0].size(0) != batch:
            raise ValueError(f"tokens must have {self.stores[0][0].size(0)} rows until reset, got {batch}")
        with torch.no_grad():
            if self.seen == 0 and (not self.stores or self.stores[0][0].size(0) != batch):
                self._set_apart(batch)
            logits = self._step(tokens) if length == 1 else self._read(tokens, last_only)
        self.seen += length
        return logits

    def _set_apart(self, batch: int) -> None:
        heads = self.config.n_heads
        shape = (batch, heads, self.size, self.config.d_model // heads)
        # On CPUs attention over a few thousand numbers is several times slower in 16 bits than in 32.
        kind = self.dtype if self.tokens.is_cuda or self.dtype == torch.float64 else torch.float32
        self.stores = [tuple(self.tokens.new_zeros(2, *shape, dtype=kind).unbind()) for _ in self.blocks]  # type: ignore

    def _read(self, tokens: Tensor, last_only: bool) -> Tensor:
        """Several positions at once."""
        batch, length = tokens.shape
        begin, end, width = self.seen, self.seen + length, self.config.d_model
        x = F.embedding(tokens, self.tokens) + self.positions[begin:end]
        mask = None if begin == 0 else torch.ones(length, end, dtype=torch.bool, device=x.device).tril(begin)
        for block, (keys, values) in zip(self.blocks, self.stores, strict=True):
            g1, b1, qkv, qkv_bias, out, out_bias, g2, b2, up, up_bias, down, down_bias = block
            joined = F.linear(F.layer_norm(x, (width,), g1, b1), qkv, qkv_bias)
            query, key, value = joined.to(keys.dtype).view(batch, length, 3, keys.size(1), -1).permute(2, 0, 3, 1, 4)
            keys[:, :, begin:end], values[:, :, begin:end] = key, value
            found = F.scaled_dot_product_attention(query, keys[:, :, :end], values[:, :, :end], mask, 0.0, mask is None)
            x = x + F.linear(found.transpose(1, 2).reshape(batch, length, width).to(x.dtype), out, out_bias)
            inner = F.gelu(F.linear(F.layer_norm(x, (width,), g2, b2), up, up_bias), approximate="tanh")
            x = x + F.linear(inner, down, down_bias)
        x = x[:, -1:] if last_only else x
        return F.linear(F.layer_norm(x, (width,), *self.final), self.tokens)

    def _step(self, tokens: Tensor) -> Tensor:
        """One position of each text."""
        if len(tokens) == 1:
            return self._one(tokens[0])[None, None]
        batch, place, width = len(tokens), self.seen, self.config.d_model
        heads = self.config.n_heads
        flat = len(tokens) <= 32 and not self.tokens.is_cuda and self.dtype != torch.bfloat16
        product: Product = flat_product if flat else F.linear
        x = self.tokens[tokens[:, 0]] + self.positions[place]  # (B, D)
        for block, (keys, values) in zip(self.blocks, self.stores, strict=True):
            g1, b1, qkv, qkv_bias, out, out_bias, g2, b2, up, up_bias, down, down_bias = block
            joined = product(F.layer_norm(x, (width,), g1, b1), qkv, qkv_bias).to(keys.dtype)
            joined = joined.view(batch, 3, heads, 1, -1)
            keys[:, :, place : place + 1], values[:, :, place : place + 1] = joined[:, 1], joined[:, 2]
            seen = keys[:, :, : place + 1], values[:, :, : place + 1]
            found = F.scaled_dot_product_attention(joined[:, 0], *seen).reshape(batch, width)
            x = x + product(found.to(x.dtype), out, out_bias)
            inner = F.gelu(product(F.layer_norm(x, (width,), g2, b2), up, up_bias), approximate="tanh")
            x = x + product(inner, down, down_bias)
        return product(F.layer_norm(x, (width,), *self.final), self.tokens, None)[:, None]

    def _one(self, token: Tensor) -> Tensor:
        """One position of one text, by products of a matrix with a vector; gives (V)."""
        place, norm, addmv, width = self.seen, torch.layer_norm, torch.addmv, [self.config.d_model]
        gelu, attend, heads = F.gelu, F.scaled_dot_product_attention, self.config.n_heads
        x = self.tokens[token[0]] + self.positions[place]  # (D)
        for block, (keys, values) in zip(self.blocks, self.stores, strict=True):
            g1, b1, qkv, qkv_bias, out, out_bias, g2, b2, up, up_bias, down, down_bias = block
            joined = addmv(qkv_bias, qkv, norm(x, width, g1, b1)).to(keys.dtype)
            query, key, value = joined.view(3, 1, heads, 1, -1).unbind()
            keys.select(2, place).copy_(key[:, :, 0])
            values.select(2, place).copy_(value[:, :, 0])
            found = attend(query, keys.narrow(2, 0, place + 1), values.narrow(2, 0, place + 1))
            x = x + addmv(out_bias, out, found.reshape(-1).to(x.dtype))
            inner = gelu(addmv(up_bias, up, norm(x, width, g2, b2)), approximate="tanh")
            x = x + addmv(down_bias, down, inner)
        return torch.mv(self.tokens, norm(x, width, *self.final))


def flat_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Give x @ weight.T + bias for a few rows, as (weight @ x.T).T: CPUs read a float32 matrix faster this way."""
    found = weight @ x.t()
    return (found.t() if bias is None else torch.add(found, bias[:, None]).t()).contiguous()
