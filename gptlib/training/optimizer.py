"""What turns gradients into steps: AdamW whose decay spares some parameters, Muon, and learning-rate schedules.

Axes:
    P: rows of a matrix
    Q: columns of a matrix
"""
import math
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

SCHEDULES = ("cosine", "wsd", "constant")
OPTIMIZERS = ("adamw", "muon")


def decay_groups(model: nn.Module, weight_decay: float, without: Collection[int] = ()) -> list[dict]:
    """Split the parameters: matrices decay; biases, and the scales and shifts of norms, do not.

    A parameter with two axes or more takes part in a matrix product or is an embedding; pulling it to zero costs
    little and keeps it from growing. A norm's scale belongs near 1, and a bias is one number a channel.

    Args:
        model: its parameters that need a gradient; a tied one counts once.
        weight_decay: for the first group; the second has 0.
        without: `id`s of parameters that another optimizer takes.

    Source:
        Loshchilov and Hutter 2019 for the decay; the split by axes is nanoGPT's.
    """
    wanted = [p for p in model.parameters() if p.requires_grad and id(p) not in without]
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
    return _adamw(groups, lr, betas)


def _adamw(groups: list[dict], lr: float, betas: tuple[float, float]) -> torch.optim.AdamW:
    kinds = {p.device.type for group in groups for p in group["params"]}
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=kinds <= {"cuda", "cpu"})


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Bring all singular values of matrices near 1, between about 0.7 and 1.2, without computing them.

    Each step applies the odd polynomial 3.4445 s − 4.775 s³ + 2.0315 s⁵ to every singular value s at once, by products
    of matrices alone: X becomes F X with F = 3.4445 − 4.775 G + 2.0315 G² and G = X Xᵀ. G and all F commute, so of a
    matrix that is much wider than high only the small square G has to take the steps (it becomes F G F), and the
    product of all F meets X once. On a GPU the products are taken in bf16, for nothing here needs more, and X takes
    every step itself: bf16 is too coarse for G, which holds squares.

    Args:
        matrices: (..., P, Q).
        steps: how often.

    Returns:
        (..., P, Q). the same singular vectors, in the same dtype.

    Source:
        Jordan et al. 2024, "Newton–Schulz" iteration and its coefficients.
    """
    x = matrices.bfloat16() if matrices.device.type == "cuda" else matrices
    wide = x if x.size(-2) <= x.size(-1) else x.mT
    wide = wide / (torch.linalg.matrix_norm(wide, keepdim=True) + 1e-7)
    if x.dtype == torch.bfloat16 or 2 * wide.size(-2) > wide.size(-1):
        for _ in range(steps):
            square = wide @ wide.mT
            wide = 3.4445 * wide + (-4.775 * square + 2.0315 * square @ square) @ wide
    else:
        square = wide @ wide.mT
        one = whole = torch.eye(wide.size(-2), dtype=x.dtype, device=x.device)
        for _ in range(steps):
            factor = 3.4445 * one - 4.775 * square + 2.0315 * square @ square
            square = factor @ square @ factor
            whole = factor @ whole
        wide = whole @ wide
    return (wide if x.size(-2) <= x.size(-1) else wide.mT).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Muon for the matrices of linear layers, AdamW for all else: embeddings, biases, the scales and shifts of norms.

    AdamW scales each number of a gradient alone. Muon takes a weight matrix as a whole: it makes all singular values of
    the gradient (with momentum 0.95) about equal, so that a step turns every direction of the matrix, not only the few
    that the gradient is full of. Its steps are brought to the size of AdamW's, so both share one learning rate.
    `torch.optim.Muon` computes the same in bf16 everywhere, which a CPU without bf16 units pays with a slow step.

    Args:
        model: the weights of its `nn.Linear` go to Muon, unless an embedding shares them.
        lr: learning rate of both.
        weight_decay: of matrices, as in `decay_groups`.
        betas: of AdamW.

    Raises:
        ValueError: the model has no such matrix.

    Source:
        Jordan et al. 2024; the size of a step, 0.2 · √max(P, Q), is that of Liu et al. 2025, section 2.2.
    """

    def __init__(self, model: nn.Module, lr: float, weight_decay: float, betas: tuple[float, float]) -> None:
        tied = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
        linear = {id(m.weight): m.weight for m in model.modules() if isinstance(m, nn.Linear)}
        inner = [p for key, p in linear.items() if p.requires_grad and key not in tied]
        if not inner:
            raise ValueError('optimizer must be "adamw" for a model without linear layers, got "muon"')
        self.others = _adamw(decay_groups(model, weight_decay, without={id(p) for p in inner}), lr, betas)
        muon = {"params": inner, "lr": lr, "weight_decay": weight_decay}
        super().__init__([muon, *self.others.param_groups], dict(self.others.defaults))
        self.others.param_groups, self.others.state = self.param_groups[1:], self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Change the parameters by their gradients."""
        found = closure() if closure else None
        group = self.param_groups[0]
        alike: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                momentum.lerp_(parameter.grad, 0.05)
                alike.setdefault(parameter.shape, []).append((parameter, torch.lerp(parameter.grad, momentum, 0.95)))
        for shape, pairs in alike.items():  # matrices of one shape share their products
            updates = orthogonalise(torch.stack([update for _, update in pairs]))
            size = 0.2 * math.sqrt(max(shape))
            for (parameter, _), update in zip(pairs, updates, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * size)
        self.others.step()
        return found


def build(
    name: str, model: nn.Module, lr: float, weight_decay: float, betas: tuple[float, float]
) -> torch.optim.Optimizer:
    """Build an optimizer by its name, "adamw" or "muon".

    Raises:
        ValueError: another name, or the model has nothing to learn.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {name!r}")
    return (adamw if name == "adamw" else Muon)(model, lr, weight_decay, betas)


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
