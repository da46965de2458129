"""What a GPT-1 expects next, read off before and after each block: the figure's Python half."""
from collections.abc import Sequence
from typing import Any

from .figure import Figure, rounded


def gpt1_layers_figure(
    texts: Sequence[tuple[Sequence[int], Any]], names: Sequence[str], position: int = 2, best: int = 6
) -> Figure:
    """Let the reader ask at every word of some texts what the model expects, and what the word had cost.

    Args:
        texts: for each, its T tokens, and log-probabilities of the next token, (stages, T, V): before the first block,
            and after each.
        names: the vocabulary: what token 0, 1, … is called.
        position: which word is picked at first.
        best: how many guesses are shown.
    """
    examples = []
    for tokens, scores in texts:
        top = scores.topk(best, dim=-1)
        cost = [-row[token] for row, token in zip(scores[-1, :-1].tolist(), tokens[1:], strict=True)]
        guesses = [[[names[i] for i in row] for row in stage] for stage in top.indices.tolist()]
        examples.append({"tokens": [names[i] for i in tokens], "cost": rounded(cost), "guesses": guesses,
                         "logs": rounded(top.values)})  # fmt: skip
    data = {"examples": examples, "position": position}
    return Figure("gpt1_layers", data, "Interactive table: for a word of a held-out sentence, what the small GPT-1 "
                  "expects next before and after its block.")  # fmt: skip
