"""Which examples a step sees: an order that is a function of seed and step alone, so a run can begin anywhere in it.

Data, for `training.fit`, is anything with a length and a method `batch(ids, epochs)` that gives a tuple of tensors,
one row for each id; `Windows` is that for a long row of tokens.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
"""
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

GOLDEN = 0.6180339887498949  # multiples of it, without their whole part, fill [0, 1) evenly


class Data(Protocol):
    """What `training.fit` trains on."""

    def __len__(self) -> int:
        """Count the examples of one epoch."""

    def batch(self, ids: Sequence[int], epochs: Sequence[int]) -> tuple[Tensor, ...]:
        """Give the examples of these numbers, as seen in these epochs."""


class Windows:
    """Cuts a row of tokens into windows of a context length; each epoch cuts at other positions.

    Args:
        tokens: one axis, whole numbers: a tensor, an array, or a memory-mapped file, of which only what a batch needs
            is read.
        context_length: positions T of a window; T + 1 tokens are read, for the last position has a next token too.
        identity: what the tokens are (tokenizer, vocabulary size, checksum), kept in every checkpoint.

    Raises:
        ValueError: the tokens are not one row, or too few for a window.
    """

    def __init__(self, tokens: Any, context_length: int, identity: dict[str, Any] | None = None) -> None:
        array = tokens.numpy() if isinstance(tokens, Tensor) else np.asanyarray(tokens)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ValueError(f"tokens must be one row of whole numbers, got {array.dtype} of shape {array.shape}")
        if context_length < 1 or len(array) < context_length + 1:
            raise ValueError(
                f"context_length must be at least 1 and less than the number of tokens, {len(array)}, "
                f"got {context_length}"
            )
        self.tokens, self.context_length, self.identity = array, context_length, identity or {}

    def __len__(self) -> int:
        """Count the windows that fit wherever an epoch begins to cut."""
        return max(1, len(self.tokens) // self.context_length - 1)

    def batch(self, ids: Sequence[int], epochs: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Read windows.

        Args:
            ids: of windows, from 0.
            epochs: of each; epoch 0 cuts at token 0.

        Returns:
            Two of (B, T), int64: tokens, and at each position the token that follows.
        """
        length = self.context_length
        rest = len(self.tokens) - 1 - len(self) * length  # how far the cuts can be shifted
        shifts = [int(epoch * GOLDEN % 1 * (min(length, rest + 1))) for epoch in epochs]
        starts = np.array([i * length + shift for i, shift in zip(ids, shifts, strict=True)])
        rows = torch.from_numpy(self.tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64))
        return rows[:, :-1], rows[:, 1:]


class Order:
    """An endless row of examples: epoch after epoch, each in an order of its own drawn from the seed.

    Args:
        count: examples in an epoch.
        seed: of the run.
    """

    def __init__(self, count: int, seed: int) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        self.count, self.seed = count, seed
        self._known: dict[int, Tensor] = {}

    def __getitem__(self, positions: slice) -> tuple[list[int], list[int]]:
        """Give the numbers of examples, and their epochs, at the positions start … stop − 1 of the row."""
        numbers = range(positions.start, positions.stop)
        epochs = [p // self.count for p in numbers]
        self._known = {e: self._known.get(e, self._epoch(e)) for e in dict.fromkeys(epochs)}
        return [int(self._known[e][p % self.count]) for p, e in zip(numbers, epochs, strict=True)], epochs

    def _epoch(self, epoch: int) -> Tensor:
        if epoch in self._known:
            return self._known[epoch]
        generator = torch.Generator().manual_seed(mix(self.seed, epoch))
        return torch.randperm(self.count, generator=generator)


def mix(*numbers: int) -> int:
    """Stir whole numbers into one seed below 2⁶³, the same on every machine; near numbers give far seeds.

    Source:
        The multiplier and shifts of Steele, Lea and Flood 2014 (SplitMix64).
    """
    state = 0
    for number in numbers:
        state = (state ^ number) + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
