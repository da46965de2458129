"""Envelopes: how the loss of a preset fell in runs of ours, and whether a run of yours keeps within that band.

The bands are data, `gpt_envelopes.json`, made by `python -m bench envelopes PRESET` from at least three seeds.
A preset that no machine of ours has run yet has none, and the verdict says so.
"""
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BANDS = Path(__file__).with_name("gpt_envelopes.json")
VERDICTS = ("on track", "slow", "diverging", "suspiciously good", "not measured yet", "too early")
RISE = 0.25  # nats above its own best at which a loss outside the band counts as diverging


@dataclass(frozen=True)
class Verdict:
    """What `judge` says: one of `VERDICTS`, and a sentence."""

    name: str
    words: str

    def __str__(self) -> str:
        return f"{self.name}: {self.words}"


@dataclass(frozen=True)
class Band:
    """Where held-out loss lay in measured runs.

    Attributes:
        tokens: seen at each evaluation, rising.
        low, high: loss in nats per token at each, noise added on both sides.
        seeds: runs that went in.
        seconds: median time of a run on the machine that is named.
        machine: what they ran on.
    """

    tokens: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: int
    seconds: float
    machine: str

    def at(self, tokens: int) -> tuple[float, float] | None:
        """Interpolate between evaluations, along the logarithm of tokens; None outside of what was measured."""
        counts = self.tokens
        if not counts or not counts[0] <= tokens <= counts[-1]:
            return None
        right = next(i for i, t in enumerate(counts) if t >= tokens)
        if counts[right] == tokens:
            return self.low[right], self.high[right]
        left = right - 1
        part = math.log(tokens / counts[left]) / math.log(counts[right] / counts[left])
        low, high = (side[left] + part * (side[right] - side[left]) for side in (self.low, self.high))
        return low, high


def make(runs: Sequence[Sequence[Mapping[str, Any]]], seconds: float, machine: str) -> dict[str, Any]:
    """Make a band from the rows of several runs of the same settings: what is kept in the file.

    Around the lowest and the highest loss of each evaluation comes a margin: three standard deviations over the seeds,
    and no less than 2 % of the mean, for three seeds know little about their own deviation.

    Raises:
        ValueError: fewer than three runs, or runs that were not evaluated at the same numbers of tokens.
    """
    if len(runs) < 3:
        raise ValueError(f"runs must be at least 3, got {len(runs)}")
    losses = [{row["tokens"]: row["held_out"] for row in rows if row["held_out"] is not None} for rows in runs]
    counts = sorted(losses[0])
    if any(sorted(found) != counts for found in losses):
        raise ValueError("runs must be evaluated at the same numbers of tokens")
    band: dict[str, Any] = {"tokens": counts, "low": [], "high": [], "mean": []}
    for count in counts:
        values = [found[count] for found in losses]
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
        margin = max(3 * deviation, 0.02 * mean)
        for name, value in (("low", min(values) - margin), ("high", max(values) + margin), ("mean", mean)):
            band[name].append(round(value, 4))
    return band | {"seeds": len(runs), "seconds": round(seconds, 1), "machine": machine}


def band(name: str, path: Path = BANDS) -> Band | None:
    """Read a preset's band; None where it is not measured yet."""
    row = json.loads(path.read_text(encoding="utf-8")).get(name)
    if not row:
        return None
    tokens, low, high = (tuple(row[key]) for key in ("tokens", "low", "high"))
    return Band(tokens, low, high, row["seeds"], row["seconds"], row["machine"])


def judge(rows: Sequence[Mapping[str, Any]], known: Band | None) -> Verdict:
    """Say whether a run keeps within its preset's band.

    Args:
        rows: of the run, as `training.fit` gives them and `log.csv` holds them.
        known: the band; None where the preset is not measured yet.
    """
    finite = [(row["tokens"], row["held_out"]) for row in rows if row["held_out"] is not None]
    if any(not math.isfinite(loss) for _, loss in finite) or (rows and not math.isfinite(rows[-1]["loss"])):
        return Verdict("diverging", "the loss is not a number. Try half the learning rate, in a new folder.")
    if not finite:
        return Verdict("too early", "there is no evaluation yet.")
    tokens, loss = finite[-1]
    best = min(value for _, value in finite)
    inside = known.at(tokens) if known else None
    if loss > best + RISE and (inside is None or loss > inside[1]):
        return Verdict("diverging", f"the held-out loss was {best:.3f} and is {loss:.3f} again. Try half the learning "
                       "rate, or a longer warm-up, in a new folder.")  # fmt: skip
    if known is None:
        return Verdict("not measured yet", f"held-out loss {loss:.3f} after {tokens:,} tokens; "
                       "we have no runs of our own to compare with.")  # fmt: skip
    if inside is None:
        return Verdict("too early" if tokens < known.tokens[0] else "not measured yet",
                       f"our runs were evaluated between {known.tokens[0]:,} and {known.tokens[-1]:,} tokens; "
                       f"yours at {tokens:,}.")  # fmt: skip
    low, high = inside
    facts = f"held-out loss {loss:.3f} after {tokens:,} tokens; ours lay between {low:.3f} and {high:.3f}"
    if loss < low:
        return Verdict("suspiciously good", f"{facts}. Before you celebrate: is the held-out text in the training "
                       "text? Can a position see its own target?")  # fmt: skip
    if loss > high:
        return Verdict("slow", f"{facts}. Is a setting changed, a layer left out, the learning rate too low?")
    return Verdict("on track", f"{facts}.")


def __getattr__(name: str) -> Any:
    """Say where the pictures of a run are now."""
    if name in ("draw", "play"):
        there = {"draw": "draw", "play": "envelope_figure"}[name]
        raise AttributeError(f"envelopes.{name} is now `gptlib.figures.envelope.{there}`")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
