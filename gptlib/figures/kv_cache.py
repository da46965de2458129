"""What a cache of keys and values computes, reads and forgets: the figure's Python half."""
from collections.abc import Mapping, Sequence
from typing import Any

from .figure import Figure, rounded


def kv_cache_figure(
    tokens: Sequence[str], scores: Any, prompt: int, shapes: Sequence[Mapping[str, Any]]
) -> Figure:
    """Let the reader write a text token by token, with a cache and without, with a window and without.

    Args:
        tokens: T names of positions.
        scores: of one head, T rows of T numbers, before mask and softmax.
        prompt: how many tokens are read at once.
        shapes: models whose bytes are counted, each with `name`, `n_layers`, `n_heads`, `d_head` and `context`.
    """
    data = {"tokens": list(tokens), "scores": rounded(scores), "prompt": prompt, "shapes": [dict(s) for s in shapes]}
    return Figure("kv_cache", data, "Interactive table: which keys and values a model computes, reads from its cache "
                  f"and forgets while it writes “{''.join(tokens)}”, and how many bytes they are in models of several "
                  "shapes.")  # fmt: skip
