"""Weights of GPT-2: read, fetched, written, squeezed into bytes, and compared layer by layer with another model's.

Nothing here unpickles: a pickle runs whatever its author wrote into it. A safetensors file is a header of names, types
and shapes, then plain numbers. This given module knows tensors and modules only, not the class that learners write.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    D: d_model, the width of the model
    P: rows of a matrix
    Q: columns of a matrix
"""
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import torch
from torch import Tensor, nn

from ..data.download import DataError, folder, sha256_of, written_whole
from . import parts

# One revision of the published file; its digest makes sure that it is this one, whoever sends it.
SMALL = "https://huggingface.co/openai-community/gpt2/resolve/607a30d783dfa663caf39e06633721c8d4cfcd7e/"
SMALL_SHA256 = "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707"
SMALL_SETTINGS = {"n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257, "n_positions": 1024}
FIELDS = {"n_layer": "n_layers", "n_embd": "d_model", "n_head": "n_heads", "vocab_size": "vocab_size",
          "n_positions": "context_length", "n_inner": "d_ff"}  # fmt: skip


def parameter_names(n_layers: int) -> dict[str, str]:
    """Map our name of every parameter to the published one.

    Args:
        n_layers: number of blocks.

    Returns:
        For instance "blocks.0.up.bias": "h.0.mlp.c_fc.bias".
    """
    layers = {
        "attention_norm": "ln_1", "attention.qkv": "attn.c_attn", "attention.output": "attn.c_proj",
        "feed_forward_norm": "ln_2", "up": "mlp.c_fc", "down": "mlp.c_proj",
    }  # fmt: skip
    kinds = ("weight", "bias")
    names = {"token_embedding.weight": "wte.weight", "position_embedding.weight": "wpe.weight"}
    for layer in range(n_layers):
        for ours, theirs in layers.items():
            names |= {f"blocks.{layer}.{ours}.{kind}": f"h.{layer}.{theirs}.{kind}" for kind in kinds}
    return names | {f"final_norm.{kind}": f"ln_f.{kind}" for kind in kinds}


def to_hugging_face(state: Mapping[str, Tensor], n_layers: int) -> dict[str, Tensor]:
    """Give our parameters their published names and directions: the way back of `gpt2.from_hugging_face`.

    Args:
        state: of a `GPT2`.
        n_layers: number of its blocks.

    Returns:
        What `transformers.GPT2LMHeadModel` saves, head and causal masks left out.
    """
    names, found = parameter_names(n_layers), {}
    for ours, tensor in parts.renamed(state).items():
        tensor = tensor.t() if ours.startswith("blocks.") and tensor.dim() == 2 else tensor
        found[f"transformer.{names[ours]}"] = tensor.detach().contiguous()
    return found


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        ValueError: the file is not there, is a pickle, is cut short or is not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise ValueError(f"path must be a safetensors file, and there is none at {path}")
    with path.open("rb") as stream:
        begin = stream.read(8)
    # The first eight bytes of a safetensors file are the length of its header; a pickle's make an absurd number.
    if int.from_bytes(begin, "little") > 100_000_000 and (begin[:2] == b"PK" or begin[:1] == b"\x80"):
        raise ValueError(f"path must be safetensors; {path.name} is a pickle, which can run any code when opened")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"path must be whole safetensors; {path.name} is cut short or foreign ({error})") from None


def read_checkpoint(path: str | Path) -> tuple[dict[str, int], dict[str, Tensor]]:
    """Read a folder with the config.json and model.safetensors of a published GPT-2.

    Args:
        path: the folder.

    Returns:
        The fields of a `GPT2Config`, and the tensors by their published names.

    Raises:
        ValueError: a file is missing, cut short or foreign, or the model is no GPT-2.
    """
    path = Path(path)
    try:
        settings = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"path must hold a config.json in JSON, got {path} ({error})") from None
    if not isinstance(settings, dict) or settings.get("model_type", "gpt2") != "gpt2":
        raise ValueError(f"config.json must be of a gpt2, got {settings!r:.80}")
    wrong = {"activation_function": "gelu_new", "scale_attn_by_inverse_layer_idx": False, "layer_norm_epsilon": 1e-5}
    for name, wanted in wrong.items():
        if settings.get(name, wanted) != wanted:
            raise ValueError(f"config.json must have {name} = {wanted!r}, got {settings[name]!r}")
    missing = [name for name in FIELDS if name != "n_inner" and name not in settings]
    if missing:
        raise ValueError(f"config.json must have {missing[0]}, and does not")
    fields = {ours: settings[name] for name, ours in FIELDS.items() if settings.get(name) is not None}
    return fields, read_tensors(path / "model.safetensors")


def write_checkpoint(path: str | Path, state: Mapping[str, Tensor], config: Any) -> None:
    """Write a folder that `read_checkpoint` and `transformers.GPT2LMHeadModel.from_pretrained` read.

    Args:
        path: the folder; made if need be.
        state: of a `GPT2`.
        config: its `GPT2Config`.
    """
    from safetensors.torch import save_file

    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    settings = {theirs: getattr(config, ours) for theirs, ours in FIELDS.items()}
    extra = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new",
             "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True,
             "bos_token_id": None, "eos_token_id": None}  # fmt: skip
    save_file(to_hugging_face(state, config.n_layers), path / "model.safetensors", metadata={"format": "pt"})
    (path / "config.json").write_text(json.dumps(settings | extra, indent=1) + "\n", encoding="utf-8")


def fetch() -> Path:
    """Bring OpenAI's smallest GPT-2 (548 MB) once, check its digest, and return its folder for `read_checkpoint`.

    Raises:
        DataError: there is no network, or what came is not the published file.
    """
    goal = folder() / "gpt2-small"
    weights = goal / "model.safetensors"
    if not weights.exists():
        goal.mkdir(parents=True, exist_ok=True)
        with written_whole(weights) as part:
            with part.open("wb") as stream:
                for block in _blocks(SMALL + "model.safetensors"):
                    stream.write(block)
            if (found := sha256_of(part)) != SMALL_SHA256:
                raise DataError(f"What came from {SMALL} is not the published GPT-2 (SHA-256 {found}): try again.")
        (goal / "config.json").write_text(json.dumps(SMALL_SETTINGS | {"model_type": "gpt2"}), encoding="utf-8")
    return goal


def _blocks(address: str) -> Iterator[bytes]:
    try:
        with urlopen(address, timeout=20) as answer:
            while block := answer.read(2**20):
                yield block
    except OSError as error:
        raise DataError(f"GPT-2's weights could not be fetched from {address}: {error}") from None


def quantise(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Squeeze each number of a matrix into one byte, with one scale a row.

    Args:
        matrix: (P, Q).

    Returns:
        (P, Q) int8 numbers from −127 to 127, and (P) float32 scales; their product is about `matrix`.
    """
    scale = (matrix.abs().amax(dim=1) / 127).clamp(min=1e-12).float()
    return (matrix / scale[:, None]).round().to(torch.int8), scale


def squeeze(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Quantise every matrix of a state; scales get the name of their matrix and ".scale". Vectors become float32."""
    small = {}
    for name, tensor in parts.renamed(state).items():
        if tensor.dim() == 2:
            small[name], small[f"{name}.scale"] = quantise(tensor)
        else:
            small[name] = tensor.float()
    return small


def unsqueeze(small: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn what `squeeze` gave, now or before names changed, back into float32 matrices and vectors."""
    small = parts.renamed(small)
    return {
        name: tensor.float() * small[f"{name}.scale"][:, None] if tensor.dtype == torch.int8 else tensor
        for name, tensor in small.items() if not name.endswith(".scale")
    }  # fmt: skip


class Difference(NamedTuple):
    """How far two models are apart at one place: the largest difference, and whether that is within the tolerance."""

    place: str
    largest: float
    agree: bool


def places(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the places where the numbers of our `GPT2`, or of a transformers.GPT2LMHeadModel, can be compared."""
    theirs = hasattr(model, "transformer")
    inner: Any = model.transformer if theirs else model
    names = {"attention_norm": "ln_1", "attention": "attn", "feed_forward_norm": "ln_2", "down": "mlp.c_proj"}
    yield "embedding", inner.drop if theirs else inner.dropout
    for number, block in enumerate(inner.h if theirs else inner.blocks):
        for ours, name in names.items():
            words = "feed-forward" if ours == "down" else ours
            yield f"block {number}: {words}", block.get_submodule(name) if theirs else parts.part(block, ours)
        yield f"block {number}: its output", block
    yield "final norm", inner.ln_f if theirs else inner.final_norm


def trace(model: nn.Module, tokens: Tensor) -> dict[str, Tensor]:
    """Run a model and note what came out at each of its `places`, the logits last."""
    noted: dict[str, Tensor] = {}
    hooks = []
    for name, module in places(model):
        def note(_module: nn.Module, _inputs: Any, out: Any, name: str = name) -> None:
            noted[name] = (out[0] if isinstance(out, tuple) else out).detach()

        hooks.append(module.register_forward_hook(note))
    try:
        with torch.no_grad():
            out = model(tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return noted | {"logits": getattr(out, "logits", out)}


def compare(model: nn.Module, other: nn.Module, tokens: Tensor, tolerance: float = 1e-4) -> list[Difference]:
    """Compare two models layer by layer on the same tokens, in the order of the calculation.

    Args:
        model: our `GPT2`, in evaluation mode.
        other: the model to agree with, of either kind, with the same weights and as many blocks.
        tokens: (B, T) token numbers.
        tolerance: largest difference that still counts as agreement.

    Returns:
        One entry for each place. A place that `model` never reached differs by infinity.

    Raises:
        ValueError: the two models have not equally many blocks.
    """
    mine, theirs = trace(model, tokens), trace(other, tokens)
    if len(list(places(model))) != len(list(places(other))):
        raise ValueError("other must have as many blocks as model")
    found = []
    for place, expected in theirs.items():
        actual = mine.get(place)
        far = float("inf")
        if actual is not None and actual.shape == expected.shape:
            far = (actual - expected).abs().max().item()
        found.append(Difference(place, far, far <= tolerance))
    return found


def first_difference(found: list[Difference]) -> str:
    """Say in a sentence at which place the comparison leaves the path."""
    for before, here in zip([None, *found], found, strict=False):
        if not here.agree:
            so_far = f"equal up to {before.place}" if before else "different from the start"
            return f"{so_far}; {here.place} differs by {here.largest:.2g}"
    return f"equal everywhere; the largest difference is {max(d.largest for d in found):.2g}"
