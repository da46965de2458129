"""One head of attention, query by query: the figure's Python half."""
from collections.abc import Sequence
from typing import Any

from .figure import Figure, rounded


def attention_figure(
    tokens: Sequence[str], query: Any, key: Any, value: Any, *, position: int | None = None, causal: bool = True,
    scaled: bool = True, readout: tuple[Sequence[str], Any, Any] | None = None,
) -> Figure:  # fmt: skip
    """One head of attention, query by query: products, scale, mask, softmax and weighted sum, to play with.

    Args:
        tokens: T names of positions.
        query: T rows of K numbers.
        key: T rows of K numbers.
        value: T rows of V numbers.
        position: the query that is shown first; the last one by default.
        causal: whether the causal mask is on at first.
        scaled: whether scores are divided by √dₖ at first.
        readout: labels, weights (a row of V numbers for each label) and biases of a linear layer that turns the
            weighted sum into probabilities of the labels; without it the weighted sum is shown.

    Raises:
        ValueError: the numbers of tokens, queries, keys and values differ, or there is no such position.
    """
    sizes = len(tokens), len(query), len(key), len(value)
    if len(set(sizes)) > 1:
        raise ValueError(f"tokens, query, key and value must have one row for each position, got {sizes} rows")
    position = len(tokens) - 1 if position is None else position
    if not 0 <= position < len(tokens):
        raise ValueError(f"position must be between 0 and {len(tokens) - 1}, got {position}")
    data: dict[str, Any] = {"tokens": list(tokens), "position": position, "causal": causal, "scaled": scaled}
    data |= {"query": rounded(query), "key": rounded(key), "value": rounded(value)}
    if readout is not None:
        labels, weight, bias = readout
        data["readout"] = {"labels": list(labels), "weight": rounded(weight), "bias": rounded(bias)}
    start = f"{'causal' if causal else 'unmasked'} attention of “{tokens[position]}” (position {position})"
    return Figure("attention", data, f"Interactive table: one head over {' '.join(tokens)}; at first {start}.")
