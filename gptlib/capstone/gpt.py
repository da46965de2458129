"""Capstone 1, a GPT of your own: presets of size and budget, a run that outlives its machine, and bits per byte.

This given module knows no model class: it is handed the one that you wrote. What a preset is stands in
`gpt_presets.json`; whether a run is on track, `envelopes` says; what is handed in, `hand_in` packs.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    V: vocabulary
"""
import bz2
import contextlib
import gzip
import json
import lzma
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data import online_text, token_files
from ..training import Run, Settings, fit

PRESETS = Path(__file__).with_name("gpt_presets.json")
DRIVE = Path("/content/drive/MyDrive")  # where Colab shows it
LOGITS = 1 << 26  # numbers that an evaluation holds at once


@dataclass(frozen=True)
class Preset:
    """A choice of text, tokenizer, size and budget.

    Attributes:
        name: such as "cpu-quick".
        title, device, minutes: for whom it is: a machine, and about how long it may take there.
        source: "shakespeare", or one of `online_text.TEXTS`, or a text file.
        tokenizer: as `token_files` knows it.
        text_mb: of an online text, how much of it to fetch, in 10⁶ bytes.
        model: fields of a `gpt2.GPT2Config`; without `vocab_size`, the tokenizer's is taken.
        settings: fields of `training.Settings`.
    """

    name: str
    title: str
    device: str
    minutes: float
    source: str
    tokenizer: str
    text_mb: int
    model: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def tokens(self) -> int:
        """Count the tokens that the whole run sees."""
        return self.settings["steps"] * self.settings["batch_size"] * self.model["context_length"]

    def config(self, vocab_size: int) -> dict[str, Any]:
        """Give the fields of the model's config, for a tokenizer of `vocab_size` tokens."""
        return {"vocab_size": vocab_size, **self.model}

    def run_settings(self) -> Settings:
        """Give the settings of the run."""
        return Settings(**{**self.settings, "betas": tuple(self.settings.get("betas", (0.9, 0.95)))})

    def but(self, **changes: Any) -> "Preset":
        """Change the preset: any of its own fields, of the model's or of the settings'; `name` gets a + at its end.

        Raises:
            ValueError: nothing of the preset has that name.
        """
        own = {k: v for k, v in changes.items() if k in ("source", "tokenizer", "text_mb")}
        rest = {k: v for k, v in changes.items() if k not in own}
        shapes = ("n_layers", "d_model", "n_heads", "vocab_size", "context_length", "d_ff", "dropout")
        model = {k: rest.pop(k) for k in list(rest) if k in shapes}
        if unknown := set(rest) - set(Settings.__dataclass_fields__):
            raise ValueError(f"changes must be of text, model or settings, got {sorted(unknown)[0]!r}")
        name = self.name if self.name.endswith("+") else f"{self.name}+"
        return replace(self, name=name, model={**self.model, **model}, settings={**self.settings, **rest}, **own)


def presets() -> dict[str, Preset]:
    """Read all presets, from the smallest machine to the largest."""
    rows = json.loads(PRESETS.read_text(encoding="utf-8"))
    return {name: Preset(name, **row) for name, row in rows.items()}


def preset(name: str) -> Preset:
    """Look a preset up.

    Raises:
        ValueError: there is none of this name.
    """
    known = presets()
    if name not in known:
        raise ValueError(f"name must be one of {', '.join(known)}, got {name!r}")
    return known[name]


def home(name: str) -> Path:
    """Say where a run is kept: in Drive, where Drive is mounted; else in `runs/` of the current folder.

    The book's build and its tests get a new folder each time: they show a run from its beginning.

    Args:
        name: of the run; another name begins another run.
    """
    if os.environ.get("COURSE_RESULTS") or os.environ.get("GPTLIB_BUDGET") == "smoke":
        return Path(tempfile.mkdtemp()) / name
    return (DRIVE / "gpt-lineage-runs" if DRIVE.is_dir() else Path.cwd() / "runs") / name


def prepare(chosen: Preset, folder: str | Path) -> Path:
    """Make the token files of a preset, or find that they are there; an online text is fetched first.

    Args:
        chosen: the preset.
        folder: under which they are kept; best a disk of the machine, since they can be made again.

    Returns:
        The folder of token files.

    Raises:
        DataError: the text cannot be fetched or the files cannot be written.
        ValueError: no such source or tokenizer.
    """
    source = chosen.source
    if source in online_text.TEXTS:
        source = str(online_text.fetch(source, chosen.text_mb * 10**6))
    goal = Path(folder) / f"{Path(source).stem}-{Path(chosen.tokenizer).stem}"
    token_files.prepare(source, chosen.tokenizer, goal)
    return goal


def excerpt(tokens: str | Path, split: str, start: int = 0, count: int | None = None) -> str:
    """Read a piece of the text that a folder of token files holds.

    Args:
        tokens: the folder.
        split: "train" or "held_out".
        start: its first token.
        count: of tokens; None reads to the end.
    """
    row = token_files.windows(tokens, split, 1).tokens[start : None if count is None else start + count]
    return token_files.tokenizer_of(tokens).decode(row.tolist())


def train(
    model: nn.Module,
    chosen: Preset,
    tokens: str | Path,
    folder: str | Path,
    *,
    sample: Callable[[nn.Module], str] | None = None,
    device: str | torch.device | None = None,
    plot: bool = False,
) -> Run:
    """Train as the preset says, or go on where the folder's last checkpoint stands; see `training.fit`.

    Samples are kept in the folder's `samples.txt`, the time spent in its `seconds.json`.

    Args:
        model: built from `chosen.config(…)`; every call must build the same one.
        chosen: the preset.
        tokens: the folder of token files, from `prepare`.
        folder: for log, checkpoints and samples: in Drive, it outlives the machine.
        sample: gives a text of the model's own after each evaluation.
        device: None takes the GPU where there is one.
        plot: draw the curve at each evaluation, in a notebook.
    """
    folder, config = Path(folder), chosen.config(token_files.read_meta(Path(tokens))["vocab_size"])
    data = {split: token_files.windows(tokens, split, config["context_length"], config["vocab_size"])
            for split in token_files.SPLITS}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    clock = _Clock(folder / "seconds.json")

    def told(network: nn.Module) -> str:
        clock.keep()
        assert sample is not None
        text = sample(network)
        with (folder / "samples.txt").open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(text)}\n")
        return text

    try:
        return fit(model, data["train"], chosen.run_settings(), held_out=data["held_out"], folder=folder,
                   sample=told if sample else None, device=device, plot=plot)  # fmt: skip
    finally:
        clock.keep()


class _Clock:
    """Seconds spent on a run over all calls; a call that is killed loses what came after its last evaluation."""

    def __init__(self, path: Path) -> None:
        self.path, self.began = path, time.monotonic()
        self.before = seconds(path.parent)

    def keep(self) -> None:
        if os.environ.get("RANK", "0") != "0":  # of several processes the first one writes
            return
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps({"seconds": round(self.before + time.monotonic() - self.began, 1)}))
        part.replace(self.path)


def samples(folder: str | Path) -> list[str]:
    """Read the samples of a run, the oldest first; after a disconnect some steps may have left two."""
    path = Path(folder) / "samples.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):  # of a call that was killed while it wrote
            found.append(str(json.loads(line)))
    return found


def seconds(folder: str | Path) -> float:
    """Read how long a run took so far, over all its calls."""
    try:
        return float(json.loads((Path(folder) / "seconds.json").read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


@torch.no_grad()
def bits_per_byte(
    model: Callable[[Tensor], Tensor],
    text: str,
    tool: token_files.Tokenizer,
    context_length: int,
    stride: int | None = None,
    device: str | torch.device = "cpu",
) -> float:
    """Measure a model in bits per byte of text, so that models with different tokens can be compared.

    The bits are those of the whole text's code: −log₂ P of every token after those before it, as far as the context
    reaches, and log₂ V for the first token, which nothing predicts. They are divided by the text's bytes in UTF-8.

    Args:
        model: gives logits (B, T, V) for tokens (B, T), in evaluation mode.
        text: what to measure on; at least one character.
        tool: the model's tokenizer; must give the text back.
        context_length: positions the model can see.
        stride: by how many positions the window moves; each token but the first ones is predicted from at least
            context_length − stride others. None moves by half a context.
        device: where the model is.

    Raises:
        ValueError: the text is empty, the tokenizer loses something of it, or the stride is out of range.
    """
    ids = torch.tensor(tool.encode(text), dtype=torch.int64)
    if not text or tool.decode(ids.tolist()) != text:
        raise ValueError(f"tool must give the text back, and {tool.name!r} loses something of {text!r:.60}")
    stride = max(1, context_length // 2) if stride is None else stride
    if not 1 <= stride <= context_length:
        raise ValueError(f"stride must lie between 1 and context_length = {context_length}, got {stride}")
    count = len(ids) - 1  # tokens that something predicts
    length = min(context_length, count)
    starts = [*range(0, max(count - length, 0), stride), count - length] if count else []
    nats, known = math.log(tool.vocab_size), 0
    several = max(1, LOGITS // max(1, length * tool.vocab_size))
    for first in range(0, len(starts), several):
        chosen = starts[first : first + several]
        rows = torch.stack([ids[s : s + length + 1] for s in chosen]).to(device)
        losses = F.cross_entropy(model(rows[:, :-1]).float().transpose(1, 2), rows[:, 1:], reduction="none").double()
        for start, row in zip(chosen, losses, strict=True):
            nats += float(row[known - start :].sum())
            known = start + length
    return nats / math.log(2) / len(text.encode())


def compressed_bits(text: str, before: str = "") -> dict[str, float]:
    """Measure what file compressors make of a text, in bits per byte.

    Args:
        text: what to compress.
        before: what the compressor has read already: only what the text adds to its compressed length counts. A
            compressor whose memory is shorter forgets most of it.
    """
    kinds: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    whole, first = (before + text).encode(), before.encode()
    return {name: 8 * (len(press(whole)) - (len(press(first)) if before else 0)) / len(text.encode())
            for name, press in kinds.items()}  # fmt: skip
