"""How four tasks become sequences of tokens: the figure's Python half."""
from collections.abc import Sequence

from .figure import Figure


def gpt1_tasks_figure(kinds: Sequence[str], texts: Sequence[str], limit: int) -> Figure:
    """Let the reader write a task's texts as the sequences that GPT-1 reads.

    Args:
        kinds: the tasks, as `gpt.KINDS`.
        texts: three texts to begin with.
        limit: tokens of a sequence at first.
    """
    data = {"kinds": list(kinds), "texts": list(texts), "limit": limit}
    return Figure("gpt1_tasks", data, "Interactive figure: two or three texts written as the token sequences of "
                  "classification, entailment, similarity and multiple choice.")  # fmt: skip
