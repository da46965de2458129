"""Inference (given): what a model is when it writes, and the models that learners write, run with fewer calls.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    V: vocabulary
"""
from collections.abc import Callable

from torch import Tensor

# Takes tokens (B, T), int64, and gives the logits (B, V) of the token after each row.
Predict = Callable[[Tensor], Tensor]
