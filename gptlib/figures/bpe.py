"""Byte-pair encoding, merge by merge: the figure's Python half."""
from collections.abc import Sequence

from .figure import Figure


def bpe_figure(merges: Sequence[tuple[int, int]], text: str, examples: Sequence[str] = (), step: int = 0) -> Figure:
    """Put merges into the page: type a text, and step from its bytes to its tokens, lowest number first.

    Args:
        merges: as `bpe.learn` gives them.
        text: what stands in the box at first.
        examples: texts to pick.
        step: how many merges are done at first.

    Raises:
        ValueError: a merge joins a token that is not there yet.
    """
    for number, pair in enumerate(merges, 256):
        if not all(0 <= token < number for token in pair):
            raise ValueError(f"merges must join earlier tokens, got {tuple(pair)} for token {number}")
    data = {"merges": [list(pair) for pair in merges], "text": text, "examples": list(examples), "step": step}
    alt = f"Interactive: byte-pair encoding with {len(merges)} merges. Step from the bytes of a text such as {text!r} "
    return Figure("bpe", data, alt + "to its tokens; the neighbours with the lowest number are joined first.")
