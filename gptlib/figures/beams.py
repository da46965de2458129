"""A beam search step by step: the figure's Python half."""
from collections.abc import Mapping, Sequence
from typing import Any

from .figure import Figure


def beams_figure(prompt: str, searches: Sequence[Mapping[str, Any]], start: int) -> Figure:
    """Let the reader step through beam searches of several widths.

    Args:
        prompt: what all of them continue.
        searches: each with its number of `beams` and, for each of its `steps`, the `texts` that it keeps and their
            log-probabilities in `bits`.
        start: the step that is shown first.
    """
    data = {"prompt": prompt, "searches": [dict(search) for search in searches], "start": start}
    return Figure("beams", data, "Interactive table: the texts that a beam search with one to six beams keeps at each "
                  "step, and whose children they are. Most of them share all but their last characters.")  # fmt: skip
