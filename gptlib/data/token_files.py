"""Token files: a text as one long row of token numbers on the disk, of which training reads only what it needs.

One command makes them: `python -m gptlib.data.token_files shakespeare --tokenizer characters --out tokens`. A folder of
token files holds `train.bin` and `held_out.bin`, little-endian numbers of two bytes (four where the vocabulary is
larger than 65,536), and `meta.json`, which says what they are. `meta.json` is written last: where it is, all is there.
"""
import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..training.batches import Windows
from .download import DataError, sha256_of, written_whole
from .sources import load, shakespeare

SPLITS = ("train", "held_out")
TRAINED = "bpe:"  # before the file of a vocabulary
TOKENIZERS = ("characters", "bytes", "gpt2", f"{TRAINED}FILE")
CHUNK = 1 << 20  # characters that are encoded at once
HELD_OUT_PART = 20  # of a text without a split of its own, one chunk of this many is held out


@dataclass(frozen=True)
class Tokenizer:
    """Turns text into numbers and back.

    Attributes:
        name: "characters", "bytes", "gpt2", "bpe:FILE", or of your own.
        vocab_size: of numbers, from 0.
        encode: from text to numbers.
        decode: and back.
        symbols: for "characters", all of them in the order of their numbers; for "bpe:FILE", the vocabulary as JSON.
    """

    name: str
    vocab_size: int
    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    symbols: str = ""


def tokenizer(name: str, symbols: str = "") -> Tokenizer:
    """Build a tokenizer that the course knows.

    Args:
        name: "characters", "bytes" (UTF-8), "gpt2", or "bpe:FILE", a vocabulary that `bpe.Tokenizer.save` wrote.
        symbols: for "characters": all that can occur. For "bpe:FILE": what the file held, if it may be gone by now.

    Raises:
        ValueError: another name, a file that is no vocabulary, or no symbols. `encode` raises it too, for a character
            that is none of them.
        DataError: GPT-2's vocabulary cannot be fetched.
    """
    if name == "bytes":
        return Tokenizer(name, 256, lambda t: list(t.encode()), lambda ids: bytes(ids).decode(errors="replace"))
    if name == "gpt2":
        known = load("gpt2")
        return Tokenizer(name, known.n_vocab, lambda text: known.encode(text, disallowed_special=()), known.decode)
    if name.startswith(TRAINED):
        return _trained(name, symbols)
    if name != "characters":
        raise ValueError(f"tokenizer must be one of {', '.join(TOKENIZERS)}, got {name!r}")
    if not symbols:
        raise ValueError("symbols must be all characters of the text, got none")
    numbers = {symbol: i for i, symbol in enumerate(symbols)}

    def encode(text: str) -> list[int]:
        if strange := set(text) - set(numbers):
            raise ValueError(f"text must hold only characters of the vocabulary, got {min(strange)!r}")
        return [numbers[symbol] for symbol in text]

    return Tokenizer(name, len(symbols), encode, lambda ids: "".join(symbols[i] for i in ids), symbols)


def _trained(name: str, text: str) -> Tokenizer:
    """Build a tokenizer from a saved vocabulary, spelt by tiktoken's compiled code: the same tokens, sooner."""
    bpe = importlib.import_module("gptlib.bpe")  # a chapter's own: not every assignment brings it
    path = Path(name.removeprefix(TRAINED))
    if not text and not path.is_file():
        raise ValueError(f"tokenizer must name the file of a vocabulary after {TRAINED!r}, and there is none at {path}")
    known = bpe.Tokenizer.from_json(text, name) if text else bpe.Tokenizer.load(path)
    compiled = known.to_tiktoken()
    return Tokenizer(name, known.vocab_size, compiled.encode_ordinary, known.decode, known.to_json())


def write(folder: Path, texts: dict[str, Callable[[], Iterable[str]]], tool: Tokenizer, source: str) -> dict[str, Any]:
    """Encode the texts of each split, piece by piece, into a folder of token files.

    Args:
        folder: is made; files of an earlier, unfinished try are replaced.
        texts: for "train" and "held_out", a function that gives the text in pieces.
        tool: the tokenizer.
        source: what the text is.

    Returns:
        What `meta.json` holds.

    Raises:
        DataError: the disk is full, or the folder cannot be written; nothing half-written remains.
        ValueError: a split has no token.
    """
    kind = np.dtype("<u2" if tool.vocab_size <= 1 << 16 else "<u4")
    meta: dict[str, Any] = {"source": source, "tokenizer": tool.name, "vocab_size": tool.vocab_size, "dtype": kind.str}
    meta |= {"symbols": tool.symbols} if tool.symbols else {}
    for split in SPLITS:
        tokens = size = 0
        with written_whole(folder / f"{split}.bin") as part, part.open("wb") as file:
            for text in texts[split]():
                numbers = np.array(tool.encode(text), dtype=kind)
                file.write(numbers.tobytes())
                tokens, size = tokens + len(numbers), size + len(text.encode())
        if not tokens:
            raise ValueError(f"texts must hold something in each split, got none in {split!r}")
        meta[split] = {"tokens": tokens, "bytes": size, "sha256": sha256_of(folder / f"{split}.bin")}
    with written_whole(folder / "meta.json") as part:
        part.write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    return meta


def read_meta(folder: Path) -> dict[str, Any]:
    """Read what a folder of token files is.

    Raises:
        DataError: `meta.json` is missing or spoiled.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        _ = [meta[split]["tokens"] for split in SPLITS], np.dtype(meta["dtype"]), meta["vocab_size"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        command = "python -m gptlib.data.token_files shakespeare --out"
        raise DataError(f"{folder} holds no token files ({error}).\nMake them: {command} {folder}") from error
    return meta


def windows(folder: str | Path, split: str, context_length: int, vocab_size: int | None = None) -> Windows:
    """Open one split for training: memory-mapped, with what a checkpoint should know about it.

    Args:
        folder: of token files.
        split: "train" or "held_out".
        context_length: positions of a window.
        vocab_size: of the model; None does not compare.

    Raises:
        ValueError: no such split, or the model's vocabulary is smaller than the file's.
        DataError: no token files there, or one whose size is not what `meta.json` says.
    """
    folder = Path(folder)
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    meta = read_meta(folder)
    if vocab_size is not None and vocab_size < meta["vocab_size"]:
        raise ValueError(
            f"vocab_size must be at least {meta['vocab_size']}, for the {meta['tokenizer']} in {folder}, "
            f"got {vocab_size}"
        )
    path, kind = folder / f"{split}.bin", np.dtype(meta["dtype"])
    wanted = meta[split]["tokens"] * kind.itemsize
    if not path.exists() or path.stat().st_size != wanted:
        raise DataError(f"{path} must have {wanted:,} bytes; it is missing or cut short. Make the token files again.")
    identity = {name: meta[name] for name in ("tokenizer", "vocab_size")} | {"sha256": meta[split]["sha256"]}
    return Windows(np.memmap(path, dtype=kind, mode="r"), context_length, identity)


def tokenizer_of(folder: str | Path) -> Tokenizer:
    """Build the tokenizer with which a folder of token files was made."""
    meta = read_meta(Path(folder))
    return tokenizer(meta["tokenizer"], meta.get("symbols", ""))


def bytes_per_token(folder: str | Path, split: str = "held_out") -> float:
    """Give the mean length of a token in bytes of UTF-8: loss / ln 2 / this is the loss in bits per byte."""
    meta = read_meta(Path(folder))[split]
    return meta["bytes"] / meta["tokens"]


def pieces(path: Path) -> Iterator[str]:
    """Read a UTF-8 text in pieces of about a million characters that end at a line's end."""
    with path.open(encoding="utf-8", newline="") as file:
        while text := file.read(CHUNK):
            yield text + file.readline()


def sources(name: str) -> dict[str, Callable[[], Iterable[str]]]:
    """Give the two splits of "shakespeare", or of a text file: of its pieces, every twentieth is held out.

    A file of fewer than twenty pieces (20 MB) keeps its last twentieth instead.

    Raises:
        ValueError: the name is neither "shakespeare" nor a file.
    """
    if name == "shakespeare":
        return {
            "train": lambda: shakespeare("train").values(),
            "held_out": lambda: shakespeare("held-out").values(),
        }
    path = Path(name)
    if not path.is_file():
        raise ValueError(f'source must be "shakespeare" or a text file, got {name!r}')
    if path.stat().st_size < CHUNK * HELD_OUT_PART:
        text = "".join(pieces(path))
        cut = len(text) - len(text) // HELD_OUT_PART
        return {"train": lambda: [text[:cut]], "held_out": lambda: [text[cut:]]}

    def split(held_out: bool) -> Iterator[str]:
        return (p for i, p in enumerate(pieces(path)) if (i % HELD_OUT_PART == HELD_OUT_PART - 1) == held_out)

    return {"train": lambda: split(False), "held_out": lambda: split(True)}


def prepare(source: str, tokenizer_name: str, folder: str | Path) -> dict[str, Any]:
    """Make a folder of token files, or find that it is there already.

    Raises:
        ValueError: no such source or tokenizer, or the folder holds token files of another kind.
        DataError: data cannot be fetched, or the folder cannot be written.
    """
    folder = Path(folder)
    if (folder / "meta.json").exists():
        meta = read_meta(folder)
        changed = tokenizer_name.startswith(TRAINED) and tokenizer(tokenizer_name).symbols != meta.get("symbols")
        if changed or (meta["source"], meta["tokenizer"]) != (source, tokenizer_name):
            raise ValueError(
                f"folder must be empty, or hold {source} as {tokenizer_name}; "
                f"{folder} holds {meta['source']} as {meta['tokenizer']}{', of another vocabulary' if changed else ''}"
            )
        return meta
    texts = sources(source)
    symbols = ""
    if tokenizer_name == "characters":
        symbols = "".join(sorted(set().union(*(set(text) for split in SPLITS for text in texts[split]()))))
    return write(folder, texts, tokenizer(tokenizer_name, symbols), source)


def main(argv: list[str] | None = None) -> int:
    """Make token files from a text."""
    parser = argparse.ArgumentParser(prog="python -m gptlib.data.token_files", description=main.__doc__)
    parser.add_argument("source", help='"shakespeare", or a text file in UTF-8')
    parser.add_argument("--tokenizer", default="characters", help=f"{', '.join(TOKENIZERS)} (default: characters)")
    parser.add_argument("--out", default="tokens", help="the folder (default: tokens)")
    chosen = parser.parse_args(argv)
    try:
        meta = prepare(chosen.source, chosen.tokenizer, chosen.out)
    except (DataError, ValueError, OSError) as error:
        print(error)
        return 1
    for split in SPLITS:
        tokens, size = meta[split]["tokens"], meta[split]["bytes"]
        print(f"{split}: {tokens:,} tokens of {meta['vocab_size']:,} kinds, {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
