"""Online texts: larger than any package may carry, fetched in part or whole, resumed where the line broke.

A download that stops half-way keeps what came. The next call asks the server for the rest (`Range`), and for all of it
where the server's file has changed meanwhile (`If-Range`). A whole file is compared with the SHA-256 that its
publisher's repository states for it; of a part no digest is published, so ours is kept and told.
"""
import contextlib
import http.client
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from .download import DataError, folder, sha256_of, written_whole

TRIES = 5  # connections that may break without having brought anything
BLOCK = 1 << 20
END = "<|endoftext|>"


@dataclass(frozen=True)
class OnlineText:
    """A file of texts that somebody publishes.

    Attributes:
        name, title: for `fetch`, and for people.
        address: of the file.
        kind: "text" (documents end with a line <|endoftext|>), "jsonl" or "parquet" (a field "text" in each row).
        licence, citation: of the texts; key in the book's bibliography.
        pointer: address at which the publisher's repository states "oid sha256:…" of the file; "" where none does.
        sha256: known to us; "" where it is not.
    """

    name: str
    title: str
    address: str
    kind: str
    licence: str
    citation: str
    pointer: str = ""
    sha256: str = ""


HUB = "https://huggingface.co/datasets/"
STORIES = f"{HUB}roneneldan/TinyStories/{{}}/f54c09fd23315a6f9c86f9dc80f725de7d8f9c64/TinyStoriesV2-GPT4-train.txt"
LESSONS = f"{HUB}karpathy/fineweb-edu-100b-shuffle/{{}}/main/shard_00000.parquet"
TEXTS = {
    text.name: text
    for text in (
        OnlineText("tinystories", "Short stories in the words of small children, written by GPT-4",
                   STORIES.format("resolve"), "text", "CDLA-Sharing-1.0", "eldan2023", STORIES.format("raw")),
        OnlineText("fineweb-edu", "Web pages that a classifier found instructive, shuffled: the first shard",
                   LESSONS.format("resolve"), "parquet", "ODC-By 1.0", "penedo2024", LESSONS.format("raw")),
    )
}  # fmt: skip


def fetch(name: str, most_bytes: int, texts: dict[str, OnlineText] = TEXTS) -> Path:
    """Bring about the first `most_bytes` of a text as one UTF-8 file, an empty line between documents.

    Of a parquet file, all is downloaded before it is cut: it cannot be read from its beginning alone.

    Args:
        name: of one of `texts`.
        most_bytes: of text to keep; the last document is left out if it is cut.
        texts: what there is.

    Returns:
        The text's file, in the data folder. Beside it lies a `.json` that says where it came from.

    Raises:
        ValueError: no such text, or fewer than one byte allowed.
        DataError: the network is not there or broke down for good (what came is kept), the file is not the published
            one, the disk is full, or reading parquet needs a package that is not here.
    """
    if name not in texts:
        raise ValueError(f"name must be one of {', '.join(texts)}, got {name!r}")
    if most_bytes < 1:
        raise ValueError(f"most_bytes must be at least 1, got {most_bytes}")
    text = texts[name]
    goal = folder() / f"{name}-{most_bytes}.txt"
    note = goal.with_suffix(".json")
    if goal.exists() and note.exists():
        return goal
    if text.kind == "parquet":
        _pyarrow()  # say what is missing before bringing anything
    whole = text.kind == "parquet"
    raw = folder() / f"{name}-{'whole' if whole else most_bytes}.{text.kind}"
    download(text, raw, None if whole else most_bytes)
    size = 0
    with written_whole(goal) as part, part.open("w", encoding="utf-8", newline="") as file:
        for document in _documents(text.kind, raw):
            if size + len(document.encode()) + 2 > most_bytes:
                break
            size += len(document.encode()) + 2
            file.write(f"{document}\n\n")
    if not size:
        goal.unlink()
        raise DataError(f"{raw} holds no document that fits into {most_bytes:,} bytes.")
    with written_whole(note) as part:
        facts = {"name": name, "address": text.address, "licence": text.licence, "bytes": size,
                 "sha256": sha256_of(goal), "download_sha256": sha256_of(raw)}  # fmt: skip
        part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(f"{name}: {size:,} bytes of text, SHA-256 {sha256_of(goal)}")
    raw.unlink()
    return goal


def download(text: OnlineText, path: Path, most_bytes: int | None = None) -> Path:
    """Bring the file, or its first `most_bytes`, going on behind what an earlier call left.

    Raises:
        DataError: see `fetch`.
    """
    if path.exists():
        return path
    part, mark = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.mark")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        failed, done = 0, False
        while not done:
            before = part.stat().st_size if part.exists() else 0
            try:
                done = _some(text.address, part, mark, most_bytes)
            except (HTTPError, http.client.HTTPException, TimeoutError, ConnectionError, OSError) as error:
                if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError | HTTPError):
                    raise DataError(f"Cannot write {part}: {error.strerror}. What came is kept.") from error
                now = part.stat().st_size if part.exists() else 0
                failed = 0 if now > before else failed + 1
                if failed >= TRIES or isinstance(error, HTTPError) and error.code in (401, 403, 404, 410):
                    raise DataError(
                        f"{text.name} could not be fetched from {text.address}: {error}.\n"
                        f"{now:,} bytes are kept in {part}; run this again, and it goes on from there."
                    ) from None
                time.sleep(min(2**failed - 1, 10) if failed else 0)
        _same(text, part, whole=most_bytes is None)
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror or error}.") from error
    part.replace(path)
    mark.unlink(missing_ok=True)
    return path


def _some(address: str, part: Path, mark: Path, most_bytes: int | None) -> bool:
    """Bring what one connection gives; say whether that is all there is to bring."""
    have = part.stat().st_size if part.exists() else 0
    if most_bytes is not None and have >= most_bytes:
        return True
    tag = mark.read_text(encoding="utf-8") if mark.exists() else ""
    headers = {"Accept-Encoding": "identity"}
    if have and tag:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    try:
        answer = urlopen(Request(address, headers=headers), timeout=30)
    except HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send
            return error.headers.get("Content-Range", "").endswith(f"/{have}") or _anew(part, mark)
        raise
    with answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not goes_on:
            have = 0  # the server sends the file from its beginning: it knows no ranges, or the file has changed
        mark.write_text(_tag(answer.headers), encoding="utf-8")
        length = answer.headers.get("Content-Length")
        end = have + int(length) if length else None
        with part.open("ab" if goes_on else "wb") as file:
            for block in _blocks(answer, None if most_bytes is None else most_bytes - have):
                file.write(block)
                have += len(block)
    if most_bytes is not None and have >= most_bytes:
        return True
    if end is not None and have < end:
        raise ConnectionError(f"the connection ended after {have:,} of {end:,} bytes")
    return True


def _anew(part: Path, mark: Path) -> bool:
    part.unlink()
    mark.unlink(missing_ok=True)
    return False


def _tag(headers: Any) -> str:
    """Give what names this version of the file; a weak tag does not serve for ranges."""
    tag = headers.get("ETag", "")
    return headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag


def _blocks(answer: Any, most: int | None) -> Iterator[bytes]:
    """Read an answer block by block, no more than `most` bytes, with a line of progress."""
    start, shown, came = time.monotonic(), 0.0, 0
    while most is None or came < most:
        block = answer.read(BLOCK if most is None else min(BLOCK, most - came))
        if not block:
            return
        came += len(block)
        yield block
        if (now := time.monotonic()) - shown > 5:
            shown = now
            print(f"{came / 1e6:,.1f} MB came, {came / 1e6 / max(now - start, 1e-3):.1f} MB/s", flush=True)


def _same(text: OnlineText, part: Path, whole: bool) -> None:
    """Refuse a whole file that is not the published one; without a published digest, there is nothing to compare."""
    if not whole:
        return
    wanted = text.sha256 or _published(text.pointer)
    if wanted and (found := sha256_of(part)) != wanted:
        part.unlink()
        raise DataError(
            f"What came from {text.address} is not the published file, so nothing of it was kept.\n"
            f"  SHA-256 expected {wanted}\n  SHA-256 received {found}\nRun this again."
        )


def _published(pointer: str) -> str:
    """Ask the publisher's repository for the SHA-256 of its file."""
    if not pointer:
        return ""
    with contextlib.suppress(OSError, http.client.HTTPException), urlopen(pointer, timeout=30) as answer:
        if found := re.search(rb"oid sha256:([0-9a-f]{64})", answer.read(2000)):
            return found[1].decode()
    return ""


def _documents(kind: str, raw: Path) -> Iterator[str]:
    """Read the documents of a file; the last one of a text is left out where it has no end."""
    if kind == "parquet":
        for group in _pyarrow().ParquetFile(raw).iter_batches(batch_size=256, columns=["text"]):
            yield from (row.strip() for row in group.column("text").to_pylist() if row and row.strip())
        return
    with raw.open("rb") as stream:
        lines: list[str] = []
        for line in stream:
            words = line.decode("utf-8", "replace")
            if kind == "jsonl":
                if words.endswith("\n") and (document := str(json.loads(words)["text"]).strip()):
                    yield document
            elif words.strip() == END:
                if document := "".join(lines).strip():
                    yield document
                lines = []
            else:
                lines.append(words)


def _pyarrow() -> Any:
    """Import the reader of parquet files; the course does not install it, Colab has it."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise DataError("Reading this text needs a package that is not here:  pip install pyarrow") from None
    return pyarrow.parquet

