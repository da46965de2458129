"""A small GPT that runs in a page: the figure's Python half, and its weights."""
import base64
import json
from collections.abc import Sequence
from pathlib import Path

from ..weights import parts
from .figure import Figure

WEIGHTS = Path(__file__).with_suffix(".safetensors")  # `python -m chapters._book.page_gpt` makes them


def gpt2_figure(
    path: str | Path | None = None, text: str = "Now is the winter of our", examples: Sequence[str] = ()
) -> Figure:
    """Put a small GPT into the page: type, and see its guesses, its heads and the stages of a block.

    Args:
        path: a safetensors file as `python -m chapters._book.page_gpt` writes it; None takes the one of this library.
        text: what stands in the box at first.
        examples: texts to pick.

    Raises:
        ValueError: there is no such file.
    """
    path = WEIGHTS if path is None else Path(path)
    if not path.is_file():
        raise ValueError(f"path must be the file of a small GPT, and there is none at {path}")
    data = {"weights": base64.b64encode(renamed(path.read_bytes())).decode(), "text": text, "examples": list(examples)}
    return Figure("gpt2", data, "Interactive: a small GPT that runs in this page. Type a text and see which character "
                  "it expects next, where its heads look, and how a block changes the last position.")  # fmt: skip


def renamed(data: bytes) -> bytes:
    """Give the tensors of a safetensors file the names of now, the only ones that the page knows; see `parts`."""
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    text = json.dumps(parts.renamed(head), separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the numbers behind it begin at a multiple of eight
    return len(text).to_bytes(8, "little") + text + data[8 + size :]
