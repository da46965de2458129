"""Next-token tables and what temperature, top-k, top-p and min-p do to them: the figure's Python half."""
from collections.abc import Mapping, Sequence
from typing import Any

from .figure import Figure


def decoding_figure(distributions: Sequence[Mapping[str, Any]]) -> Figure:
    """Let the reader change how the next token is drawn.

    Args:
        distributions: tables to pick from, each with `name`, `prompt`, `tokens`, their `logits`, the numbers of tokens
            that were `seen` in the prompt, and a `note`.
    """
    data = {"distributions": [dict(one) for one in distributions]}
    words = ("Interactive table: the likeliest next tokens of a small GPT after four sentences, and how temperature, "
             "top-k, top-p, min-p and a repetition penalty change their probabilities.")  # fmt: skip
    return Figure("decoding", data, words)
