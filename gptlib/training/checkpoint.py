"""Checkpoints: a run's whole state in a folder that appears complete or not at all.

`run/step-00000500/` holds `model.safetensors`, `optimizer.safetensors` and `state.json`, which has the SHA-256 of both,
the settings, and what else the run must know to go on. Nothing in it is a pickle: reading one runs no code. A
checkpoint is written beside its place, brought to the disk, and then renamed; whenever the machine dies, the folder
under its final name is whole.
"""
import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.download import sha256_of
from ..weights import parts

NAME = re.compile(r"step-(\d{8})")
PARTS = ("model.safetensors", "optimizer.safetensors")


class CheckpointError(Exception):
    """A checkpoint cannot be written or read; the message says which, why, and what to do."""


def save(folder: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> Path:
    """Write the checkpoint of a step, complete or not at all; those already there stay as they are.

    Args:
        folder: of the run.
        step: number of finished steps.
        tensors: for each of "model" and "optimizer", tensors by name.
        state: what JSON can hold.

    Raises:
        CheckpointError: no room or no right to write. The checkpoints before this one are untouched.
    """
    from safetensors.torch import save_file

    final, part = folder / f"step-{step:08}", folder / f"step-{step:08}.part"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        sums = {}
        for name in PARTS:
            held = {k: v.detach().cpu().contiguous() for k, v in tensors[name.split(".")[0]].items()}
            save_file(held, part / name)
            sums[name] = sha256_of(part / name)
        text = json.dumps({"step": step, "sha256": sums, **state}, indent=1)
        (part / "state.json").write_text(text + "\n", encoding="utf-8")
        for path in [*part.iterdir(), part]:
            _to_disk(path)
        shutil.rmtree(final, ignore_errors=True)
        part.rename(final)
        _to_disk(folder)
    except Exception as error:
        shutil.rmtree(part, ignore_errors=True)
        codes = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        full = getattr(error, "errno", None) in codes or "No space left" in str(error)
        if not (full or isinstance(error, OSError) or type(error).__name__ == "SafetensorError"):
            raise
        need = sum(t.numel() * t.element_size() for group in tensors.values() for t in group.values())
        raise CheckpointError(
            f"Cannot write the checkpoint of step {step} to {folder}: {'the disk is full' if full else error}.\n"
            f"It takes {need / 1e6:,.1f} MB. {_kept(folder)} Make room, or copy the folder elsewhere, and run the same "
            "command again: it goes on from there."
        ) from error
    return final


def checkpoints(folder: Path) -> list[Path]:
    """List a run's complete checkpoints, the latest first."""
    found = [p for p in folder.glob("step-*") if NAME.fullmatch(p.name) and p.is_dir()]
    return sorted(found, key=lambda p: p.name, reverse=True)


def load(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Read a checkpoint whose every byte is as it was written.

    Returns:
        Its tensors as `save` took them, and the state with "step".

    Raises:
        CheckpointError: a file is missing, cut short, changed, or of another kind.
    """
    from safetensors.torch import load_file

    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        sums = {name: state["sha256"][name] for name in PARTS}
        for name, wanted in sums.items():
            if sha256_of(path / name) != wanted:
                raise CheckpointError(f"{path / name} is missing, or not as it was written: its SHA-256 differs.")
        return {name.split(".")[0]: load_file(path / name) for name in PARTS}, state
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path / 'state.json'} is not the state of a checkpoint: {error!r}.") from error


def latest(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any], list[str]] | None:
    """Read the latest checkpoint that is whole; None where the run has none.

    Returns:
        Tensors, state, and a sentence for each later checkpoint that is spoiled.

    Raises:
        CheckpointError: there are checkpoints, and all are spoiled. None is deleted.
    """
    spoiled: list[str] = []
    for path in checkpoints(folder):
        try:
            return *load(path), spoiled
        except CheckpointError as error:
            spoiled.append(str(error))
    if spoiled:
        raise CheckpointError(
            "\n".join(spoiled) + f"\nNo checkpoint in {folder} is whole. Bring one back from a copy, "
            "or name another folder to start anew; nothing was deleted."
        )
    return None


def prune(folder: Path, keep: int) -> None:
    """Delete all but the `keep` latest checkpoints, and leftovers of writes that did not finish."""
    for path in [*checkpoints(folder)[keep:], *folder.glob("step-*.part")]:
        shutil.rmtree(path, ignore_errors=True)


def whole(tensor: Tensor) -> Tensor:
    """Give all of a tensor of which each rank may hold a part; every rank must ask."""
    if not hasattr(tensor, "full_tensor"):
        return tensor
    gathered = tensor.full_tensor()
    return gathered.wait() if hasattr(gathered, "wait") else gathered  # it may still be on its way


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Give a model's parameters and buffers by name, each once and whole."""
    model = getattr(model, "module", model)
    for part in model.modules():
        reshard: Any = getattr(part, "reshard", None)  # FSDP2 leaves the outermost parameters gathered after a
        if reshard is not None:  # forward pass
            reshard()
    named = [*model.named_parameters(), *model.named_buffers()]  # named_… give a tied tensor once
    kept = model.state_dict().keys()
    return {name: whole(tensor.detach()) for name, tensor in named if name in kept}


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Give the optimizer's state as tensors, named PARAMETER/PART."""
    model = getattr(model, "module", model)
    return {
        f"{name}/{part}": whole(torch.as_tensor(value))
        for name, parameter in model.named_parameters()
        for part, value in optimizer.state.get(parameter, {}).items()
    }


@torch.no_grad()
def restore(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Put a checkpoint's tensors into a model and its optimizer, in place; see `parts.fitted` for older ones.

    Raises:
        ValueError: names or shapes are not this model's; nothing was changed.
    """
    model = getattr(model, "module", model)
    own = dict([*model.named_parameters(), *model.named_buffers()])
    kept = model.state_dict().keys()
    own = {name: tensor for name, tensor in own.items() if name in kept}
    held = parts.fitted(tensors["model"], own)
    names = dict(zip(tensors["model"], held, strict=True))
    if strange := sorted(set(own) ^ set(held)):
        raise ValueError(f"the checkpoint is of another model: only one of the two has {strange[0]!r}")
    for name, tensor in own.items():
        if tensor.shape != held[name].shape:
            raise ValueError(
                f"the checkpoint is of another model: {name} must have shape {tuple(tensor.shape)}, "
                f"got {tuple(held[name].shape)}"
            )
    for name, tensor in own.items():
        tensor.copy_(_like(held[name], tensor))
    for key, value in tensors["optimizer"].items():
        name, part = key.rsplit("/", 1)
        parameter = own[names[name]]
        value = value.clone() if value.dim() == 0 else _like(value, parameter)
        if optimizer.defaults.get("fused") or value.dim():
            value = value.to(parameter.device)
        optimizer.state[parameter][part] = value


def _like(tensor: Tensor, model: Tensor) -> Tensor:
    """Cut a whole tensor into parts over the ranks as `model` is; an ordinary one is only moved and copied."""
    tensor = tensor.to(model.device, copy=True)
    mesh: Any = getattr(model, "device_mesh", None)
    if mesh is None:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    placements: Any = getattr(model, "placements", None)
    return distribute_tensor(tensor, mesh, placements)


def _kept(folder: Path) -> str:
    there = checkpoints(folder)
    return f"{there[0].name} is there and whole." if there else "There is no earlier one."


def _to_disk(path: Path) -> None:
    """Wait until the disk has it; where a folder cannot be waited for (Windows, some network disks), go on."""
    with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
