"""Attention: let every position gather what it needs from every other one.

A look-up in a dictionary finds one key and returns its value. Attention is the soft form: a query is compared
with all keys, and what comes back is the mean of all values, weighted by how well their keys match. Masks say
who may look where: in every mask of this course True means "may look".

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    S: key positions
    H: heads
    D: d_model, the width of the model
    K: d_head, the width of a query and a key in one head
    U: the width of a value in one head
"""
import math

import torch
from torch import Tensor, nn


def causal_mask(length: int, offset: int = 0) -> Tensor:
    """Say which positions each position may look at in a model that reads from left to right.

    Position t may look at itself, at all positions before it, and at nothing after it. With an `offset`, that
    many positions have been read before (their keys lie in a cache): the first query is position `offset`,
    and S = offset + length.

    Args:
        length: number of query positions T, at least 1.
        offset: number of earlier positions whose keys come first, at least 0.

    Returns:
        (T, S) booleans; entry [t, s] is True where query t may look at key s.

    Raises:
        ValueError: `length` is less than 1 or `offset` is negative.

    Source:
        Vaswani et al. 2017, "Attention Is All You Need", section 3.2.3.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    if offset < 0:
        raise ValueError(f"offset must not be negative, got {offset}")
    # BEGIN SOLUTION
    keys = torch.arange(offset + length)
    queries = torch.arange(offset, offset + length)
    return keys <= queries[:, None]
    # END SOLUTION


def padding_mask(lengths: Tensor, size: int) -> Tensor:
    """Hide the padding of a batch of sequences of unequal length (given; no exercise).

    The axes of size 1 stand for heads and queries, so that the mask can be joined to a causal one with `&`:
    `causal_mask(size) & padding_mask(lengths, size)` has shape (B, 1, T, S).

    Args:
        lengths: (B,) true lengths, in positions, each between 0 and `size`.
        size: number of key positions S after padding.

    Returns:
        (B, 1, 1, S) booleans; True where a key is real.

    Raises:
        ValueError: a length is negative or greater than `size`.
    """
    if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= size:
        raise ValueError(f"lengths must lie between 0 and size = {size}, got {lengths.tolist()}")
    return (torch.arange(size, device=lengths.device) < lengths[:, None])[:, None, None, :]


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Average `value` over the key positions, weighted by how well each `key` matches the `query`.

    The weights of a query are softmax(query · key / √K) over the keys it may look at. A query that may look
    at no key at all gets zeros, and gradients of zero.

    Args:
        query: (..., T, K).
        key: (..., S, K).
        value: (..., S, U).
        mask: booleans that broadcast to (..., T, S); False hides a key from a query. None hides nothing.

    Returns:
        (..., T, U), in the dtype of `query`.

    Raises:
        ValueError: `mask` is not boolean, or the widths of `query` and `key` differ.

    Source:
        Vaswani et al. 2017, equation 1 and section 3.2.3.
    """
    if query.size(-1) != key.size(-1):
        raise ValueError(f"query and key must have the same width, got {query.size(-1)} and {key.size(-1)}")
    if mask is not None and mask.dtype != torch.bool:
        raise ValueError(f"mask must be boolean (True = may look), got {mask.dtype}")
    # BEGIN SOLUTION
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))  # (..., T, S)
    if mask is None:
        return scores.softmax(dim=-1) @ value
    weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
    # A row without any key is 0/0 here; masking it after the softmax keeps its gradient at 0 as well.
    return weights.masked_fill(~mask, 0.0) @ value
    # END SOLUTION


def split_heads(x: Tensor, n_heads: int) -> Tensor:
    """Cut the last axis into `n_heads` equal slices and give every slice an axis of its own.

    Head h gets the features h·K to (h + 1)·K − 1 of every position.

    Args:
        x: (..., T, D).
        n_heads: number of heads H; it divides D.

    Returns:
        (..., H, T, K) with K = D / H.

    Raises:
        ValueError: `n_heads` is less than 1 or does not divide D.

    Source:
        Vaswani et al. 2017, section 3.2.2: one large projection holds those of all heads side by side.
    """
    if n_heads < 1 or x.size(-1) % n_heads:
        raise ValueError(f"n_heads must be at least 1 and divide the width {x.size(-1)}, got {n_heads}")
    # BEGIN SOLUTION
    by_head = x.unflatten(-1, (n_heads, -1))  # (..., T, H, K)
    return by_head.transpose(-3, -2)
    # END SOLUTION


def merge_heads(x: Tensor) -> Tensor:
    """Put the slices of all heads side by side again: the inverse of `split_heads`.

    Args:
        x: (..., H, T, K).

    Returns:
        (..., T, D) with D = H · K.

    Source:
        Vaswani et al. 2017, section 3.2.2, "Concat".
    """
    # BEGIN SOLUTION
    by_position = x.transpose(-3, -2)  # (..., T, H, K)
    return by_position.flatten(-2)
    # END SOLUTION


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in its own slice of the model's width.

    Its parameters are those of four linear layers, each (D, D) with a bias of (D,) unless `bias` is False:
    `query`, `key` and `value` make what the heads work with, `output` mixes what they found.

    Args:
        d_model: width D of what comes in and goes out.
        n_heads: number of heads H; it divides D.
        bias: whether the four linear layers have a bias.

    Raises:
        ValueError: `n_heads` is less than 1 or does not divide `d_model`.

    Source:
        Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(self, d_model: int, n_heads: int, bias: bool = True) -> None:
        super().__init__()
        if n_heads < 1 or d_model % n_heads:
            raise ValueError(f"n_heads must be at least 1 and divide d_model = {d_model}, got {n_heads}")
        self.n_heads = n_heads
        self.query = nn.Linear(d_model, d_model, bias=bias)
        self.key = nn.Linear(d_model, d_model, bias=bias)
        self.value = nn.Linear(d_model, d_model, bias=bias)
        self.output = nn.Linear(d_model, d_model, bias=bias)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Let every position of `x` gather from `context`, or from `x` itself.

        Queries come from `x`. Keys and values come from `context` (cross-attention); without a context they
        come from `x` (self-attention).

        Args:
            x: (B, T, D).
            context: (B, S, D), or None for self-attention, where S = T.
            mask: booleans that broadcast to (B, H, T, S); False hides a key from a query. None hides nothing.

        Returns:
            (B, T, D).
        """
        # BEGIN SOLUTION
        source = x if context is None else context
        query = split_heads(self.query(x), self.n_heads)  # (B, H, T, K)
        key = split_heads(self.key(source), self.n_heads)  # (B, H, S, K)
        value = split_heads(self.value(source), self.n_heads)  # (B, H, S, K)
        return self.output(merge_heads(attend(query, key, value, mask)))
        # END SOLUTION
