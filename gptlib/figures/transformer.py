"""A small translator at work, station by station: the figure's Python half."""
import base64
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..weights import parts
from .figure import Figure


def transformer_figure(
    config: Any, state: Mapping[str, Tensor], names: Sequence[str], number: int, examples: Sequence[int],
    layer: int = 0, head: int = 0,
) -> Figure:  # fmt: skip
    """Let the reader send a number in English words through encoder and decoder of a trained translator.

    Args:
        config: of the model, with `n_layers`, `n_heads` and `d_model`.
        state: the model's `state_dict()`.
        names: the vocabulary: what token 0, 1, … is called.
        number: what is translated at first.
        examples: numbers to pick.
        layer: whose cross-attention is shown at first.
        head: likewise.
    """
    shape = {name: getattr(config, name) for name in ("n_layers", "n_heads", "d_model")}
    data = {"config": shape, "names": list(names), "weights": packed(state), "number": number,
            "examples": list(examples), "layer": layer, "head": head}  # fmt: skip
    return Figure("transformer", data, "Interactive: a number in English words goes through encoder and decoder of the "
                  f"trained translator, station by station, with every vector and attention map; at first {number}.")


def packed(state: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """Write every weight as 16-bit integers with one scale a tensor: small enough for a page."""
    found = {}
    for name, weight in parts.renamed(state).items():
        scale = max(weight.abs().max().item(), 1e-12) / 32767
        numbers = (weight / scale).round().to(torch.int16).numpy().astype("<i2").tobytes()
        found[name] = {"scale": scale, "numbers": base64.b64encode(numbers).decode()}
    return found
