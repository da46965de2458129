"""What is handed in of a capstone: weights as safetensors, a manifest, and the same model for `transformers`.

Reading is made for files of strangers: nothing is unpickled; size, header and every tensor's name, type, shape and
place are checked before memory is given to any of it. A file that is refused is refused with a reason.
"""
import hashlib
import json
import math
import os
import platform
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data import token_files
from ..training import Run
from ..weights import parts
from ..weights.gpt2 import write_checkpoint
from .gpt import Preset, seconds

LARGEST, LARGEST_HEADER, LARGEST_MANIFEST = 600 << 20, 1 << 20, 4 << 20  # bytes
TYPES = {"F32": 4, "F16": 2, "BF16": 2}
LIMITS = {"n_layers": 128, "d_model": 8192, "n_heads": 128, "vocab_size": 1 << 17, "context_length": 8192,
          "d_ff": 1 << 16}  # fmt: skip
# GPT-2's, as `bpe.GPT2`: a foreign pattern could keep the grader busy for ever.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
FILES = ("model.safetensors", "manifest.json")


class Refused(ValueError):
    """What came cannot be read or is not what it says; the message says why."""


@dataclass(frozen=True)
class HandedIn:
    """A model that was read, with the tokenizer and the manifest that came with it."""

    model: Any
    tool: token_files.Tokenizer
    manifest: dict[str, Any]


def pack(
    folder: str | Path, model: nn.Module, chosen: Preset, run: Run, tokens: str | Path, run_folder: str | Path,
    bits: float, samples: list[str],
) -> dict[str, Any]:  # fmt: skip
    """Write what is to be handed in: `model.safetensors`, `manifest.json`, and `hugging_face/` for use elsewhere.

    Args:
        folder: is made.
        model: the trained `gpt2.GPT2`.
        chosen: the preset it was trained by.
        run: what `gpt.train` gave.
        tokens: the folder of token files.
        run_folder: of the run, with its log.
        bits: bits per byte on held-out text, by your own measurement.
        samples: texts of the model, for those who read.

    Returns:
        The manifest.
    """
    from safetensors.torch import save_file

    folder, config = Path(folder), model.config
    folder.mkdir(parents=True, exist_ok=True)
    state = parts.renamed(model.state_dict())
    state = {name: t.detach().to("cpu", torch.float32).contiguous() for name, t in state.items()}
    save_file(state, folder / FILES[0], metadata={"format": "pt"})
    write_checkpoint(folder / "hugging_face", state, config)
    manifest = {
        "format": 1, "preset": chosen.name, "source": chosen.source, "minutes": chosen.minutes,
        "tokenizer": described(token_files.tokenizer_of(tokens)),
        "model": {name: getattr(config, name) for name in (*LIMITS, "dropout")},
        "settings": dict(chosen.settings), "steps": run.rows[-1]["step"], "tokens": run.rows[-1]["tokens"],
        "loss": run.held_out, "bits_per_byte": bits, "seconds": seconds(run_folder), "samples": samples[:4],
        "curve": [[row["tokens"], row["held_out"]] for row in run.rows if row["held_out"] is not None],
        "files": {FILES[0]: about(folder / FILES[0]), "log.csv": about(Path(run_folder) / "log.csv")},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "machine": _machine()},
    }  # fmt: skip
    (folder / FILES[1]).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def described(tool: token_files.Tokenizer) -> dict[str, Any]:
    """Say all about a tokenizer that builds it again."""
    name = tool.name
    if name.startswith(token_files.TRAINED):  # what the file holds goes along; where it lay is nobody's business
        name = token_files.TRAINED + Path(name.removeprefix(token_files.TRAINED)).name
    return {"name": name, "vocab_size": tool.vocab_size} | ({"symbols": tool.symbols} if tool.symbols else {})


def about(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _machine() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores"


def read(folder: str | Path, build: Callable[[dict[str, Any]], nn.Module], most: int = LARGEST) -> HandedIn:
    """Read what was handed in, trusting nothing of it.

    Args:
        folder: with the two `FILES`.
        build: makes a model of the fields of a config, `gpt2.GPT2`; it is called without giving memory to parameters.
        most: bytes that the weights may have.

    Raises:
        Refused: with a reason for the one who handed in.
    """
    folder = Path(folder)
    manifest = read_manifest(capped(folder / FILES[1], LARGEST_MANIFEST))
    data = capped(folder / FILES[0], most)
    if hashlib.sha256(data).hexdigest() != manifest["files"][FILES[0]]["sha256"]:
        raise Refused("manifest.json speaks of another model.safetensors: their SHA-256 differ. Pack both again.")
    try:
        with torch.device("meta"):
            model = build(manifest["model"])
    except (ValueError, TypeError) as error:
        raise Refused(f"manifest.json describes no model that can be built: {error}") from None
    wanted = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    model.load_state_dict(tensors(data, wanted), assign=True)
    tool = _tokenizer(manifest["tokenizer"])
    if tool.vocab_size > manifest["model"]["vocab_size"]:
        known = manifest["model"]["vocab_size"]
        raise Refused(f"The tokenizer of manifest.json has {tool.vocab_size:,} tokens, and the model knows {known:,}.")
    return HandedIn(model.eval(), tool, manifest)


def _tokenizer(row: Mapping[str, str]) -> token_files.Tokenizer:
    """Build the tokenizer of a manifest; nothing is read from the disk for it, and no foreign pattern is run."""
    name, symbols = row["name"], row.get("symbols", "")
    try:
        if name == "characters" and len(set(symbols)) != len(symbols):
            raise ValueError("a character stands in it twice")
        if name.startswith(token_files.TRAINED) and json.loads(symbols)["pattern"] != PATTERN:
            raise ValueError("a vocabulary of one's own must be cut by GPT-2's pattern")
        return token_files.tokenizer(name, symbols)
    except (ValueError, KeyError, TypeError, RecursionError, token_files.DataError) as error:
        raise Refused(f"The tokenizer of manifest.json cannot be built: {error}") from None


def capped(path: Path, most: int) -> bytes:
    """Read an ordinary file of bounded size; no link is followed.

    Raises:
        Refused: it is missing, too large, or no ordinary file.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise Refused(f"{path.name} cannot be read: {error.strerror}.") from None
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise Refused(f"{path.name} is not an ordinary file.")
        if facts.st_size > most:
            raise Refused(f"{path.name} has {facts.st_size:,} bytes; {most:,} are allowed.")
        return file.read(most)


def read_manifest(data: bytes) -> dict[str, Any]:
    """Read a manifest and check what the grader relies on.

    Raises:
        Refused: it is not JSON, or a part is missing or not what it may be.
    """
    try:
        found = json.loads(data.decode("utf-8"))
        model, tokenizer = found["model"], found["tokenizer"]
        digest = found["files"][FILES[0]]["sha256"]
        numbers = [found[name] for name in ("loss", "bits_per_byte", "tokens")]
        words = [found["preset"], found["source"], tokenizer["name"], tokenizer.get("symbols", ""), digest]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"manifest.json is not one that hand_in.pack wrote ({error!r:.100}).") from None
    if found.get("format") != 1 or not all(isinstance(word, str) for word in words) or not isinstance(model, dict):
        raise Refused("manifest.json is not one that hand_in.pack wrote.")
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        raise Refused(f"manifest.json must state finite loss, bits_per_byte and tokens as numbers, got {numbers!r:.90}")
    if foreign := set(model) - {*LIMITS, "dropout"}:
        raise Refused(f"manifest.json describes a model with {min(foreign)!r:.40}.")
    for name, most in LIMITS.items():
        value = model.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise Refused(f"manifest.json: {name} must be a whole number from 1 to {most}, got {value!r:.40}")
    model["dropout"] = 0.0
    return found


def header(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    """Read the head of a safetensors file: type, shape, first byte and end of every tensor.

    Raises:
        Refused: it is a pickle, cut short, too long, not JSON, or its tensors overlap, leave gaps or do not fit.
    """
    length = int.from_bytes(data[:8], "little")
    if data[:2] == b"PK" or data[:1] == b"\x80" and length > LARGEST_HEADER:
        raise Refused("model.safetensors is a pickle, which can run any code when opened. Use hand_in.pack.")
    if len(data) < 8 or not 2 <= length <= min(LARGEST_HEADER, len(data) - 8):
        raise Refused("model.safetensors is no whole safetensors file: its head is missing, cut short or too long.")
    try:
        rows = json.loads(data[8 : 8 + length].decode("utf-8"))
        rows.pop("__metadata__", None)
        found = {}
        for name, row in rows.items():
            begin, end = row["data_offsets"]
            found[name] = (row["dtype"], list(row["shape"]), begin, end)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused("model.safetensors has a head that cannot be read.") from None
    place = 0
    if not all(isinstance(row[2], int) for row in found.values()):
        raise Refused("model.safetensors has a head that cannot be read.")
    for name, (kind, shape, begin, end) in sorted(found.items(), key=lambda row: row[1][2:3]):
        sizes = [*shape, begin, end]
        if kind not in TYPES or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in sizes):
            raise Refused(f"{name!r:.80} is of type {kind!r:.20} and shape {shape!r:.60}; "
                          f"{', '.join(TYPES)} are allowed.")  # fmt: skip
        if begin != place or end - begin != math.prod(shape) * TYPES[kind]:
            raise Refused(f"{name!r:.80} does not lie where its shape says: the file is damaged.")
        place = end
    if place != len(data) - 8 - length:
        raise Refused(f"model.safetensors has {len(data) - 8 - length:,} bytes of numbers, its head says {place:,}.")
    return found


def tensors(data: bytes, wanted: Mapping[str, list[int]]) -> dict[str, Tensor]:
    """Read exactly the tensors that a model has, as float32.

    Raises:
        Refused: see `header`; or a tensor is missing, foreign, of another shape, or holds what is no finite number.
    """
    from safetensors.torch import load

    head = header(data)
    found = parts.fitted(head, wanted)
    names = dict(zip(head, found, strict=True))
    missing, foreign = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or foreign:
        which = f"lacks {missing[0]!r}" if missing else f"has {foreign[0]!r:.80}, which the model has not"
        raise Refused(f"model.safetensors is not the weights of the model in manifest.json: it {which}.")
    for name, shape in wanted.items():
        if found[name][1] != shape:
            raise Refused(f"{name} has shape {found[name][1]!r:.60}; the model of manifest.json has {shape}.")
    read_in = {names[name]: tensor.float() for name, tensor in load(data).items()}
    for name, tensor in read_in.items():
        if not torch.isfinite(tensor).all():
            raise Refused(f"{name} holds numbers that are not finite: the run diverged.")
    return read_in
