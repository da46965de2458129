"""What turns gradients into steps: AdamW whose decay spares some parameters, and learning-rate schedules."""
import math

import torch
from torch import nn

SCHEDULES = ("cosine", "wsd", "constant")


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Split the parameters: matrices decay; biases, and the scales and shifts of norms, do not.

    A parameter with two axes or more takes part in a matrix product or is an embedding; pulling it to zero costs
    little and keeps it from growing. A norm's scale belongs near 1, and a bias is one number a channel.

    Args:
        model: its parameters that need a gradient; a tied one counts once.
        weight_decay: for the first group; the second has 0.

    Source:
        Loshchilov and Hutter 2019 for the decay; the split by axes is nanoGPT's.
    """
    wanted = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in wanted if p.dim() >= 2]
    others = [p for p in wanted if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def adamw(model: nn.Module, lr: float, weight_decay: float, betas: tuple[float, float]) -> torch.optim.AdamW:
    """Build AdamW over `decay_groups`; all parameters of a group are updated by one fused kernel where there is one.

    Raises:
        ValueError: the model has nothing to learn.
    """
    groups = decay_groups(model, weight_decay)
    if not groups:
        raise ValueError("model must have a parameter that needs a gradient, got none")
    kinds = {p.device.type for group in groups for p in group["params"]}
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=kinds <= {"cuda", "cpu"})


def learning_rate(
    step: int, *, steps: int, lr: float, warmup: int, schedule: str, floor: float = 0.1, decay: float = 0.2
) -> float:
    """Give the learning rate of one step: a linear warm-up, then the schedule.

    Args:
        step: from 0 to steps − 1.
        steps: steps of the whole run, N.
        lr: the highest rate.
        warmup: steps until it is reached; step 0 already has lr / warmup.
        schedule: "cosine" falls along half a cosine to floor · lr at the end; "wsd" (warm-up, stable, decay) stays at
            lr until the last `decay` part of the run and then falls in a line to floor · lr; "constant" stays.
        floor: the last rate as a part of lr.
        decay: the part of the run in which "wsd" falls.

    Raises:
        ValueError: the schedule has another name, or the warm-up is longer than the run.

    Source:
        Loshchilov and Hutter 2017, equation 5, without restarts; Hu et al. 2024 for "wsd".
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
    if not 0 <= warmup <= steps:
        raise ValueError(f"warmup must lie between 0 and steps = {steps}, got {warmup}")
    if step < warmup:
        return lr * (step + 1) / warmup
    if schedule == "constant":
        return lr
    start = warmup if schedule == "cosine" else max(warmup, steps - round(decay * steps))
    if step < start:
        return lr
    passed = (step - start) / max(1, steps - 1 - start)
    falling = 0.5 * (1 + math.cos(math.pi * min(1.0, passed))) if schedule == "cosine" else 1 - min(1.0, passed)
    return lr * (floor + (1 - floor) * falling)
