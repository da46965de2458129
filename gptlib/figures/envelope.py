"""A run beside the band of other seeds: a drawing, and the figure's Python half."""
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..capstone.envelopes import Band, judge
from .drawing import COLOURS, Drawing, style
from .figure import Figure, rounded


def draw(rows: Sequence[Mapping[str, Any]], known: Band | None) -> Drawing:
    """Draw a run over its preset's band, loss against tokens.

    Args:
        rows: of the run.
        known: the band; None draws the run alone.
    """
    from matplotlib.figure import Figure as Canvas

    held = [(row["tokens"], row["held_out"]) for row in rows if row["held_out"] is not None]
    with style():
        canvas = Canvas(figsize=(6.6, 3.6))
        axes = canvas.subplots()
        if known:
            axes.fill_between(known.tokens, known.low, known.high, color=COLOURS[2], alpha=0.3, lw=0,
                              label=f"band of {known.seeds} runs of ours")  # fmt: skip
        axes.plot([r["tokens"] for r in rows], [r["loss"] for r in rows], lw=0.7, color=COLOURS[0], label="training")
        axes.plot(*zip(*held, strict=True), "o-", color=COLOURS[1], label="held out")
        axes.set(xlabel="tokens seen", ylabel="loss (nats per token)")
        axes.legend()
    where = f" {judge(rows, known).name}, by the band of our runs" if known else ""
    return Drawing(canvas, f"Held-out loss falls from {held[0][1]:.2f} to {held[-1][1]:.2f}:{where or ' one run'}.")


def envelope_figure(rows: Sequence[Mapping[str, Any]], known: Band | None, samples: Sequence[str] = ()) -> Figure:
    """Put a run into the page: scrub through its evaluations, bend its loss, and see the verdict.

    Args:
        rows: of the run, with at least one evaluation.
        known: the band; None shows the run alone.
        samples: what the model wrote at each evaluation, the last ones if there are fewer.

    Raises:
        ValueError: there is no evaluation with a finite loss.
    """
    held = [[row["tokens"], row["held_out"]] for row in rows if row["held_out"] is not None]
    held = [pair for pair in held if math.isfinite(pair[1])]
    if not held:
        raise ValueError("rows must hold at least one evaluation with a finite loss")
    texts = [*[""] * (len(held) - len(samples)), *samples[-len(held) :]] if samples else []
    band = {"tokens": known.tokens, "low": known.low, "high": known.high} if known else None
    data = {"run": rounded(held), "band": rounded(band) if band else None, "samples": texts}
    last = judge(rows, known).name
    return Figure("envelope", data, f"Interactive: a run's {len(held)} evaluations against the band of other seeds. "
                  f"Move its loss and see the verdict; at the end it is {last}.")  # fmt: skip
