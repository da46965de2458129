"""The parts of a training run: its settings, and a step, an evaluation and a checkpoint of it; see `training.fit`.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    V: vocabulary
"""
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import checkpoint, devices
from .batches import Data, Order, mix
from .log import Guard, Log
from .optimizer import OPTIMIZERS, build, learning_rate

Loss = Callable[..., Tensor]


@dataclass(frozen=True)
class Settings:
    """What decides a run's numbers, and, below, what only decides how it is done.

    Attributes:
        steps: changes of the model in the whole run.
        batch_size: sequences that one step sees, over all ranks and parts together.
        lr: highest learning rate.
        warmup: steps until it is reached.
        schedule: "cosine", "wsd" or "constant"; see `optimizer.learning_rate`.
        floor: the last learning rate as a part of the highest.
        decay: the part of the run in which "wsd" falls.
        weight_decay: of matrices; see `optimizer.decay_groups`.
        betas: of AdamW.
        optimizer: "adamw" or "muon"; see `optimizer`.
        clip: longest gradient; 0 does not clip.
        seed: of the order of examples and of dropout.
        spike: standard deviations above which a loss is a spike; see `training_log.Guard`.
        micro_batch: most sequences that a rank computes at once; None takes its whole share. Less memory, same step.
        precision: "auto", "fp32", "bf16" or "fp16"; see `devices`.
        compile: torch.compile; None decides by device and length of the run.
        shard: over several ranks, FSDP2 instead of DDP.
        eval_every: steps between evaluations; 0 evaluates at the end alone.
        eval_batches: batches of each; None takes all of the held-out data that fills whole batches.
        checkpoint_every: steps between checkpoints; 0 writes one at the end alone.
        keep: checkpoints to keep.

    Raises:
        ValueError: a number is out of range.
    """

    steps: int
    batch_size: int
    lr: float = 1e-3
    warmup: int = 0
    schedule: str = "cosine"
    floor: float = 0.1
    decay: float = 0.2
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    optimizer: str = "adamw"
    clip: float = 1.0
    seed: int = 0
    spike: float = 8.0
    micro_batch: int | None = None
    precision: str = "auto"
    compile: bool | None = None
    shard: bool = False
    eval_every: int = 0
    eval_batches: int | None = 20
    checkpoint_every: int = 0
    keep: int = 2

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("warmup", 0), ("eval_every", 0), ("checkpoint_every", 0),
                            ("keep", 1), ("clip", 0), ("weight_decay", 0)):  # fmt: skip
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)!r}")
        if not self.lr > 0:
            raise ValueError(f"lr must be more than 0, got {self.lr!r}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        learning_rate(0, **self.rates())

    def rates(self) -> dict[str, Any]:
        """Give what `optimizer.learning_rate` wants besides the step."""
        names = ("steps", "lr", "warmup", "schedule", "floor", "decay")
        return {name: getattr(self, name) for name in names}


# A resumed run may change these: they do not change what is computed, but for rounding.
FREE = {"micro_batch", "precision", "compile", "shard", "eval_every", "eval_batches", "checkpoint_every", "keep"}


class Loop:
    """The parts of a run and the three things done with them: a step, an evaluation, a checkpoint."""

    def __init__(
        self, model: nn.Module, data: Data, settings: Settings, held_out: Data | None, folder: Path | None,
        loss: Loss, where: devices.Rank,
    ) -> None:  # fmt: skip
        self.data, self.settings, self.held_out, self.folder = data, settings, held_out, folder
        self.loss, self.where = loss, where
        share, rest = divmod(settings.batch_size, where.ranks)
        micro = settings.micro_batch or share
        if rest or micro < 1 or share % micro:
            raise ValueError(
                f"batch_size must be a multiple of ranks · micro_batch = {where.ranks} · {micro}, "
                f"got {settings.batch_size}"
            )
        self.share, self.micro = share, micro
        self.precision = devices.precision_for(where.device, settings.precision)
        if settings.shard and settings.optimizer == "muon":
            raise ValueError('optimizer must be "adamw" where shard is set, for Muon needs whole matrices, got "muon"')
        self.model = devices.distribute(model.to(where.device), where, settings.shard)
        self.optimizer = build(settings.optimizer, self.model, settings.lr, settings.weight_decay, settings.betas)
        self.optimizer.zero_grad(set_to_none=True)  # nothing that was there before counts
        pays = devices.compile_pays(where.device, settings.steps)
        compiled = pays if settings.compile is None else settings.compile
        self.called: Any = torch.compile(self.model) if compiled else self.model
        self.scaler = torch.amp.GradScaler(where.device.type, enabled=self.precision == "fp16")
        self.order, self.guard, self.log = Order(len(data), settings.seed), Guard(settings.spike), Log(None)
        self.tokens = 0

    def resume(self) -> int:
        """Load the latest checkpoint that is whole; give the number of finished steps."""
        if self.folder is None:
            return 0
        found, step = checkpoint.latest(self.folder), 0
        if found:
            tensors, state, spoiled = found
            self._same_run(state)
            checkpoint.restore(self.model, self.optimizer, tensors)
            if state["scaler"]:
                self.scaler.load_state_dict(state["scaler"])
            self.guard = Guard(self.settings.spike, state=state["guard"])
            step, self.tokens = state["step"], state["tokens"]
            if self.where.first:
                print("\n".join([*spoiled, f"Going on after step {step} of {self.settings.steps}."]), flush=True)
        self.where.wait()
        self.log = Log(self.folder if self.where.first else None, step)
        return step

    def _same_run(self, state: dict[str, Any]) -> None:
        """Refuse to go on with other settings or other tokens."""
        now = {"settings": _plain(self.settings), "data": _identity(self.data)}
        for kind, held in now.items():
            for name, value in held.items():
                before = state[kind].get(name)
                if before != value and name not in FREE:
                    raise ValueError(
                        f"{name} must be {before!r}, as it was when the run in {self.folder} began, got {value!r}.\n"
                        "Set it back to go on, or give another folder to begin a new run; nothing was changed."
                    )

    def step(self, step: int) -> dict[str, Any]:
        """Take one step: gradients of the rank's share part by part, clip, judge, change the model."""
        settings, parts = self.settings, self.share // self.micro
        rate = learning_rate(step, **settings.rates())
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.called.train()
        total = torch.zeros((), device=self.where.device)
        for part in range(parts):
            self._only_last_part_talks(part == parts - 1)
            first = step * settings.batch_size + self.where.rank * self.share + part * self.micro
            batch = self._batch(self.data, *self.order[first : first + self.micro])
            torch.manual_seed(mix(settings.seed, 1 + step, self.where.rank, part))  # dropout, whenever this step is run
            with devices.autocast(self.where.device, self.precision):
                value = self.loss(self.called, *batch) / parts
            self.scaler.scale(value).backward()
            total += value.detach()
            self.tokens += batch[0].numel() * self.where.ranks
        self.scaler.unscale_(self.optimizer)
        length = nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip or float("inf"))
        mean, norm = self.where.mean(total), float(checkpoint.whole(length))
        if taken := self.guard.allows(mean, norm):
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        row = {"step": step + 1, "tokens": self.tokens, "loss": mean, "held_out": None, "lr": rate, "norm": norm}
        return row | {"skipped": int(not taken)}

    def _only_last_part_talks(self, last: bool) -> None:
        """Let the ranks average gradients once a step, not once a part."""
        sharded: Any = getattr(self.model, "set_requires_gradient_sync", None)
        if sharded is not None:
            sharded(last)
        elif isinstance(self.model, nn.parallel.DistributedDataParallel):
            self.model.require_backward_grad_sync = last

    def _batch(self, data: Data, ids: list[int], epochs: list[int]) -> list[Tensor]:
        device = self.where.device
        if device.type != "cuda":
            return [tensor.to(device) for tensor in data.batch(ids, epochs)]
        return [tensor.pin_memory().to(device, non_blocking=True) for tensor in data.batch(ids, epochs)]

    @torch.no_grad()
    def evaluate(self) -> float:
        """Give the mean loss over held-out examples, the same ones each time, spread evenly over the data."""
        assert self.held_out is not None
        size, count = self.settings.batch_size, len(self.held_out)
        wanted = min(count, size * (self.settings.eval_batches or count))
        wanted -= wanted % (size if wanted >= size else self.where.ranks)  # each rank takes as many as any other
        if not wanted:
            raise ValueError(f"held_out must have an example for each of {self.where.ranks} ranks, got {count}")
        ids = [i * count // wanted for i in range(wanted)]
        self.called.eval()
        total, seen = torch.zeros((), device=self.where.device), 0
        for start in range(0, wanted, self.micro * self.where.ranks):
            chosen = ids[start : start + self.micro * self.where.ranks][self.where.rank :: self.where.ranks]
            with devices.autocast(self.where.device, self.precision):
                value = self.loss(self.called, *self._batch(self.held_out, chosen, [0] * len(chosen)))
            total, seen = total + value * len(chosen), seen + len(chosen)
        return self.where.mean(total / seen)

    def save(self, step: int) -> None:
        """Write a checkpoint; all ranks take part, for each may hold only a part of the model."""
        if self.folder is None:
            return
        tensors = {
            "model": checkpoint.model_tensors(self.model),
            "optimizer": checkpoint.optimizer_tensors(self.model, self.optimizer),
        }
        if self.where.first:
            state = {"settings": _plain(self.settings), "data": _identity(self.data), "tokens": self.tokens}
            state |= {"scaler": self.scaler.state_dict(), "guard": self.guard.state, "torch": torch.__version__}
            checkpoint.save(self.folder, step, tensors, state)
            checkpoint.prune(self.folder, self.settings.keep)
        self.where.wait()


def _plain(settings: Settings) -> dict[str, Any]:
    """Give settings as JSON gives them back."""
    return json.loads(json.dumps(asdict(settings)))


def _identity(data: Data) -> dict[str, Any]:
    """Say what the data is: its size, and what it tells about itself."""
    return json.loads(json.dumps({"examples": len(data), **getattr(data, "identity", {})}))
