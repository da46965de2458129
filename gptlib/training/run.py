"""The one training run of all chapters.

`fit` can be killed at any moment and run again: it goes on from its last checkpoint, and the losses are those of a run
that nobody killed, bit by bit on a CPU. That needs no luck: examples, dropout and learning rate of a step are
functions of the settings and the step's number, and everything else lies in the checkpoint.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    V: vocabulary
"""
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import devices
from .batches import Data
from .log import LivePlot, Log, Progress
from .loop import Loop, Loss, Settings


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
    where = devices.this_rank(device)
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
