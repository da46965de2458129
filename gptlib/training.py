"""Training: the one loop of all chapters; and what every chapter's runs share, budget and recorded numbers.

`fit` can be killed at any moment and run again: it goes on from its last checkpoint, and the losses are those of a run
that nobody killed, bit by bit on a CPU. That needs no luck: examples, dropout and learning rate of a step are
functions of the settings and the step's number, and everything else lies in the checkpoint.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    V: vocabulary
"""
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import devices
from .batches import Data
from .training_log import LivePlot, Log, Progress
from .training_loop import Loop, Loss, Settings

T = TypeVar("T")
BUDGETS = ("smoke", "quick", "full")
__all__ = ["Run", "Settings", "budget", "fit", "next_token_loss", "record"]


@dataclass(frozen=True)
class Run:
    """What `fit` gives back.

    Attributes:
        rows: one dict a step, as in `log.csv`: step, tokens, loss, held_out, lr, norm, skipped.
        held_out: the last loss on held-out data, in nats per token; None without such data.
        resumed: the step from which this call went on; 0 when it began.
    """

    rows: list[dict[str, Any]]
    held_out: float | None
    resumed: int


def next_token_loss(model: nn.Module, tokens: Tensor, targets: Tensor) -> Tensor:
    """Give the mean cross-entropy of the next token, in nats.

    Args:
        model: gives logits (B, T, V) for tokens.
        tokens: (B, T).
        targets: (B, T); −100 is left out of the mean.
    """
    return F.cross_entropy(model(tokens).flatten(0, 1).float(), targets.flatten())


def fit(
    model: nn.Module,
    data: Data,
    settings: Settings,
    *,
    held_out: Data | None = None,
    folder: str | Path | None = None,
    loss: Loss = next_token_loss,
    sample: Callable[[nn.Module], str] | None = None,
    device: str | torch.device | None = None,
    plot: bool = False,
) -> Run:
    """Train a model, or go on training it where the folder's last checkpoint stands.

    Under `torchrun` the ranks share each batch; only the first prints and writes, and `folder` must be one that all
    can read.

    Args:
        model: is moved to the device and trained in place. All ranks must build the same one.
        data: what to train on, e.g. `batches.Windows`.
        settings: of the run.
        held_out: what to evaluate on.
        folder: for `log.csv` and checkpoints; None keeps nothing.
        loss: called as loss(model, *batch), gives a mean over the batch.
        sample: called after each evaluation; what it gives is printed. Not called under FSDP2.
        device: None takes the GPU where there is one.
        plot: draw the curve at each evaluation, in a notebook.

    Returns:
        The run's rows, from its first step on.

    Raises:
        ValueError: settings that cannot be, or a folder that holds another run.
        CheckpointError: a checkpoint cannot be written, or none can be read.
        TrainingDiverged: the loss does not come back.
    """
    where = devices.place(device)
    loop = Loop(model, data, settings, held_out, Path(folder) if folder else None, loss, where)
    state = torch.random.get_rng_state()
    try:
        start = loop.resume()
        progress, picture = Progress(settings.steps, start), LivePlot() if plot else None
        alone = where.ranks == 1 or not settings.shard  # a sharded model can speak only with all ranks at once
        for step in range(start, settings.steps):
            row = loop.step(step)
            last = row["step"] == settings.steps
            if held_out is not None and (last or settings.eval_every and row["step"] % settings.eval_every == 0):
                row["held_out"] = loop.evaluate()
            loop.log.add(**row)
            if last or settings.checkpoint_every and row["step"] % settings.checkpoint_every == 0:
                loop.save(row["step"])
            if where.first:
                evaluated = row["held_out"] is not None
                progress.report(row, row["tokens"] // row["step"], force=evaluated or last)
                if evaluated:
                    _tell(model, sample if alone else None, picture, loop.log)
        losses = [row["held_out"] for row in loop.log.rows if row["held_out"] is not None]
        return Run(loop.log.rows, losses[-1] if losses else None, start)
    finally:
        torch.random.set_rng_state(state)
        model.eval()


def _tell(model: nn.Module, sample: Callable[[nn.Module], str] | None, picture: LivePlot | None, log: Log) -> None:
    """Show how far the model is: a sample of its own, and the curve."""
    if sample is not None:
        model.eval()
        with torch.no_grad():
            print(sample(model), flush=True)
    if picture is not None:
        picture.show(log.rows)


def budget(*, smoke: T, quick: T, full: T | None = None) -> T:
    """Pick a size for this run by the environment variable GPTLIB_BUDGET.

    `smoke` proves that the cell runs (tests, a few seconds a chapter), `quick` is what the book shows
    (at most 45 s a chapter on two CPU cores) and `full` is for a GPU; without a `full` value, `quick` is used.

    Raises:
        ValueError: GPTLIB_BUDGET is none of smoke, quick, full.
    """
    name = os.environ.get("GPTLIB_BUDGET", "quick")
    if name not in BUDGETS:
        raise ValueError(f"GPTLIB_BUDGET must be one of {', '.join(BUDGETS)}, got {name!r}")
    if name == "full" and full is not None:
        return full
    return smoke if name == "smoke" else quick


def record(chapter: str, **numbers: float | int | str) -> None:
    """Keep numbers that the chapter's prose quotes, in `<COURSE_RESULTS>/<chapter>.json`.

    Does nothing when the environment variable COURSE_RESULTS is not set: only the book's build sets it.
    Later calls add to earlier ones.
    """
    folder = os.environ.get("COURSE_RESULTS")
    if not folder:
        return
    path = Path(folder) / f"{chapter}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known |= {k: v.item() if hasattr(v, "item") else v for k, v in numbers.items()}
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
