"""Where a run runs: its device, the number format that pays there, whether to compile, and its share of several ranks.

| device | format | why |
|---|---|---|
| T4, V100, other GPUs older than Ampere (compute capability 7.x) | fp16 with scaled gradients | no bf16 units; PyTorch says yes to bf16 there, and emulates it |
| P100, K80 and older (below 7.0) | fp32 | no tensor cores: half precision gains little |
| A100, L4, RTX 30 and later (8.0 and up) | bf16 | the range of fp32, so nothing needs to be scaled |
| CPU, Apple | fp32 | the same numbers at every run; ask for "bf16" where the CPU has it |
"""  # noqa: E501
import contextlib
import importlib.util
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
COMPILE_PAYS_FROM = 1000  # steps on a GPU; compiling takes one to two minutes there


@dataclass(frozen=True)
class Rank:
    """One process of a run, and where it computes.

    Attributes:
        device: where the rank computes.
        rank: its number, from 0.
        ranks: how many there are, R.
    """

    device: torch.device
    rank: int = 0
    ranks: int = 1

    @property
    def first(self) -> bool:
        """Whether this rank is the one that prints and writes."""
        return self.rank == 0

    def mean(self, value: torch.Tensor) -> float:
        """Average a number over all ranks; each gets the same."""
        if self.ranks > 1:
            value = value.detach().clone()
            torch.distributed.all_reduce(value)
            value /= self.ranks
        return float(value)

    def wait(self) -> None:
        """Wait until every rank is here."""
        if self.ranks > 1:
            torch.distributed.barrier()


def this_rank(device: str | torch.device | None = None) -> Rank:
    """Find the device and, under `torchrun`, this process's rank.

    Args:
        device: None takes the GPU where there is one; under `torchrun`, each rank takes the GPU of its local number.

    Raises:
        ValueError: the device is not there.
    """
    ranks, rank, local = (int(os.environ.get(n, d)) for n, d in (("WORLD_SIZE", 1), ("RANK", 0), ("LOCAL_RANK", 0)))
    if device is None:
        mps = torch.backends.mps.is_available()
        device = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device must be one of this machine's, got {device!r} and there is no CUDA GPU")
    if chosen.type == "cuda" and ranks > 1:
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    if ranks > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return Rank(chosen, rank, ranks)


def precision_for(device: torch.device, wish: str = "auto", capability: tuple[int, int] | None = None) -> str:
    """Choose "fp32", "bf16" or "fp16" by the table at the head of this module.

    Args:
        device: where the run computes.
        wish: "auto", or a format to take.
        capability: of the GPU; None asks it.

    Raises:
        ValueError: the wish has another name, or the device has no such format.
    """
    if wish not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {wish!r}")
    if device.type != "cuda":
        if wish == "fp16":
            raise ValueError(f'precision must be "fp32" or "bf16" on {device.type}, got "fp16"')
        return "fp32" if wish == "auto" else wish
    capability = capability or torch.cuda.get_device_capability(device)
    if wish == "bf16" and capability < (8, 0):
        raise ValueError(f'precision must be "fp16" or "fp32" on a GPU without bf16 (T4, V100, …), got {wish!r}')
    if wish != "auto":
        return wish
    return "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else "fp32"


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Give the context in which products are taken in the run's format; parameters stay in fp32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if precision == "bf16" else torch.float16)


def compile_pays(device: torch.device, steps: int) -> bool:
    """Whether torch.compile gains more than it costs: long runs on GPUs that Triton serves; never unasked on a CPU."""
    if device.type != "cuda" or steps < COMPILE_PAYS_FROM or not importlib.util.find_spec("triton"):
        return False
    return torch.cuda.get_device_capability(device) >= (7, 0)


def distribute(model: nn.Module, where: Rank, shard: bool) -> nn.Module:
    """Let the ranks share a model: each a whole copy (DDP), or each a part of every parameter (FSDP2).

    Args:
        model: the same on every rank, on the rank's device.
        where: this rank, see `this_rank`.
        shard: FSDP2 instead of DDP, for models that fill a GPU; blocks in an `nn.ModuleList` are sharded one by one.
    """
    if where.ranks == 1:
        return model
    if shard:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(where.device.type, (where.ranks,))
        for part in [m for holder in model.modules() if isinstance(holder, nn.ModuleList) for m in holder]:
            fully_shard(part, mesh=mesh)
        fully_shard(model, mesh=mesh)
        return model
    from torch.nn.parallel import DistributedDataParallel

    devices: Any = [where.device] if where.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=devices)
