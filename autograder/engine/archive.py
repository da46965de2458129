"""Read what an assignment needs from a zip or tar file that somebody sent, without unpacking anything else of it.

Only the wanted files are ever decompressed, each up to its cap; nothing is written. What could be a trick (a path
that leads out, an archive that grows a hundredfold) is refused as a whole, with words that an honest sender can use.
"""
import bz2
import io
import lzma
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autograder.engine import intake
from autograder.engine.intake import Rejected

MAX_ARCHIVE, MAX_UNPACKED, MAX_RATIO, FREE = 64 << 20, 256 << 20, 100, 10 << 20
MAX_PATH = 300
NOISE = re.compile(r"(^|/)(__MACOSX|\.ipynb_checkpoints|__pycache__|\.git)(/|$)|(^|/)(\.DS_Store|\._[^/]*)$")
ZIP, TAR = b"PK", ((b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "xz"))
OTHERS = ((b"Rar!", "RAR"), (b"7z\xbc\xaf", "7z"), (b"\x28\xb5\x2f\xfd", "Zstandard"))
ADVICE = "Send one .zip file with the notebook and the folder gptlib, as `python -m autograder submit` makes it."


@dataclass(frozen=True)
class Contents:
    """The wanted files of an archive by what they are, and what its sender should know."""

    taken: Mapping[str, bytes]
    notices: tuple[str, ...]


def contents(data: bytes, names: Mapping[str, str]) -> Contents:
    """Read the wanted files of an archive.

    Args:
        data: the archive.
        names: the wanted names, by what they are; all may stand in one folder within the archive.

    Raises:
        Rejected: with a reason and what to do.
    """
    if len(data) > MAX_ARCHIVE:
        raise Rejected(f"The archive is larger than {MAX_ARCHIVE >> 20} MB. {ADVICE}")
    try:
        return _contents(data, names)
    except Rejected:
        raise
    except Exception as error:  # the libraries raise a dozen kinds at damaged archives
        if "encrypted" in str(error) or "password" in str(error):
            raise Rejected(f"The archive is locked with a password. {ADVICE}") from None
        raise Rejected(f"The archive is damaged ({type(error).__name__}). Make it again. {ADVICE}") from None


def _contents(data: bytes, names: Mapping[str, str]) -> Contents:
    archive = Zip(data) if data[:2] == ZIP else Tar(data)
    notices, files = list[str](), list[str]()
    for name in archive.names():
        check_path(name)
        if NOISE.search(name):
            continue
        if len(files) >= intake.MAX_FILES:
            raise Rejected(f"The archive holds more than {intake.MAX_FILES} files. {ADVICE}")
        files.append(name)
    if archive.odd:
        shown = ", ".join(repr(name)[:60] for name in archive.odd[:10])
        notices.append(f"Not taken, because they are links or no ordinary files: {shown}.")
    if len(set(files)) < len(files):
        twice = next(name for name in files if files.count(name) > 1)
        raise Rejected(f"The archive holds {twice!r:.80} twice, so it is not clear which counts. {ADVICE}")
    top = folder_of(files, names)
    inside = [name[len(top) :] for name in files if name.startswith(top)]
    taken, places = intake.choose(inside, lambda name, most: archive.read(top + name, most), names, notices)
    if not {"notebook", "module"} & set(taken):
        more = " Archives inside the archive are not opened." if any(map(packed, files)) else ""
        raise Rejected(f"The archive holds neither {names['notebook']} nor {names['module']}.{more} {ADVICE}")
    own = re.compile(r"(autograder/|gptlib/)")  # a whole assignment was sent: its other files are the course's
    intake.say_dropped({n for n in inside if n not in places and not own.match(n)}, notices)
    return Contents(taken, tuple(notices))


def packed(name: str) -> bool:
    """Whether a name is one of an archive."""
    return name.lower().endswith((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"))


def check_path(name: str) -> None:
    """Refuse an archive with a path that leads out of its folder or that no honest program writes."""
    parts = name.split("/")
    control = any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in name)
    if name.startswith("/") or ".." in parts or "\\" in name or re.match(r"[A-Za-z]:", name) or control or not name:
        raise Rejected(f"The archive holds the path {name!r:.100}, which is not a plain one. {ADVICE}")
    if len(name) > MAX_PATH or len(parts) > intake.MAX_DEPTH + 4:
        raise Rejected(f"The archive holds a path that is too long or too deep: {name!r:.100}. {ADVICE}")


def folder_of(files: list[str], names: Mapping[str, str]) -> str:
    """The folder within the archive that holds the assignment, "" or with a slash at its end.

    Raises:
        Rejected: there are several.
    """
    wanted = [intake.plain(names[kind]) for kind in ("notebook", "module")]
    tops = {name[: len(name) - len(w)] for name in files for w in wanted if f"/{intake.plain(name)}".endswith(f"/{w}")
            and len(intake.plain(name)) == len(name)}  # fmt: skip
    if len(tops) > 1:
        shown = ", ".join(repr(top)[:60] for top in sorted(tops)[:5])
        raise Rejected(f"The archive holds the assignment several times, in {shown}. {ADVICE}")
    if tops:
        return tops.pop()
    first = {name.split("/")[0] for name in files}
    return f"{first.pop()}/" if len(first) == 1 and all("/" in name for name in files) else ""


def too_large(unpacked: int, size: int) -> None:
    """Refuse an archive that grows too much."""
    if unpacked > MAX_UNPACKED or unpacked > max(FREE, MAX_RATIO * size):
        raise Rejected(f"The archive unpacks to at least {unpacked >> 20} MB from {size >> 10} kB. {ADVICE}")


class Zip:
    """A zip file in memory."""

    def __init__(self, data: bytes) -> None:
        self.archive, self.size = zipfile.ZipFile(io.BytesIO(data)), len(data)
        self.odd: list[str] = []

    def names(self) -> Iterator[str]:
        """The names of ordinary files, once the sizes that the archive claims are found bearable."""
        entries = self.archive.infolist()
        if len(entries) > 2 * intake.MAX_FILES:
            raise Rejected(f"The archive has more than {2 * intake.MAX_FILES} entries. {ADVICE}")
        too_large(sum(entry.file_size for entry in entries), self.size)
        for entry in entries:
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Rejected(f"The archive is compressed in an unusual way. {ADVICE}")
            kind = stat.S_IFMT(entry.external_attr >> 16)
            check_path(entry.filename)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                self.odd.append(entry.filename)
            elif not entry.is_dir():
                yield entry.filename

    def read(self, name: str, most: int) -> bytes:
        """Read one file, up to a cap, whatever size the archive claims for it."""
        with self.archive.open(name) as file:
            return capped(file.read(most + 1), name, most)


class Tar:
    """A tar file in memory, compressed or not; it is read once, from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        for magic, name in OTHERS:
            if data.startswith(magic):
                raise Rejected(f"This is a {name} archive, which is not read here. {ADVICE}")
        self.data, self.odd = data, list[str]()
        self.kind = next((name for magic, name in TAR if data.startswith(magic)), "")
        if not self.kind and data[257:262] != b"ustar":
            raise Rejected(f"The file is neither a zip nor a tar archive. {ADVICE}")

    def members(self) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
        """The entries, counted."""
        with tarfile.open(fileobj=Unpacking(self.data, self.kind), mode="r|", errorlevel=2) as archive:
            for count, member in enumerate(archive):
                if count > 2 * intake.MAX_FILES:
                    raise Rejected(f"The archive has more than {2 * intake.MAX_FILES} entries. {ADVICE}")
                if not 0 <= member.size <= MAX_UNPACKED:
                    raise ValueError("a file of a size that cannot be")
                yield archive, member

    def names(self) -> Iterator[str]:
        """The names of ordinary files."""
        for _, member in self.members():
            check_path(member.name)
            name = member.name.removeprefix("./")
            if member.isreg() and not member.issparse():
                yield name
            elif not member.isdir():
                self.odd.append(name)

    def read(self, name: str, most: int) -> bytes:
        """Read one file, up to a cap."""
        for archive, member in self.members():
            if member.name.removeprefix("./") == name and member.isreg():
                file = archive.extractfile(member)
                return capped(file.read(most + 1) if file else b"", name, most)
        raise KeyError(name)


def capped(data: bytes, name: str, most: int) -> bytes:
    """What was read, unless it is more than is allowed."""
    if len(data) > most:
        raise Rejected(f"{name!r:.80} is larger than {most >> 20} MB. Clear the notebook's outputs and send it again.")
    return data


class Unpacking(io.RawIOBase):
    """The decompressed bytes of a tar file as a stream, which refuses to grow too much."""

    def __init__(self, data: bytes, kind: str) -> None:
        self.data, self.at, self.given, self.rest = data, 0, 0, bytearray()
        self.empty = 0
        unpackers: dict[str, Any] = {
            "gz": lambda: zlib.decompressobj(31), "bz2": bz2.BZ2Decompressor,
            "xz": lambda: lzma.LZMADecompressor(memlimit=128 << 20),
        }  # fmt: skip
        self.unpacker = unpackers[kind]() if kind else None
        self.kind = kind

    def read(self, size: int = -1) -> bytes:
        """Some bytes; fewer than asked for only at the end."""
        size = MAX_UNPACKED if size < 0 else size
        while len(self.rest) < size and (more := self.more()):
            self.given += len(more)
            too_large(self.given, len(self.data))
            self.rest += more
        self.empty += not self.rest
        if self.empty > 20:  # tarfile looks for the end of what an archive claims to hold block by block
            raise EOFError("the archive ends too early")
        out = bytes(self.rest[:size])
        del self.rest[:size]
        return out

    def more(self) -> bytes:
        """The next bytes, none at the end."""
        step = 1 << 16
        if self.unpacker is None:
            self.at += step
            return self.data[self.at - step : self.at]
        while not self.unpacker.eof:
            held = self.unpacker.unconsumed_tail if self.kind == "gz" else b""
            chunk = held
            if not held and (self.kind == "gz" or self.unpacker.needs_input):
                chunk = self.data[self.at : self.at + step]
                self.at += step
                if not chunk:
                    raise EOFError("the archive ends too early")
            if out := self.unpacker.decompress(chunk, 1 << 20):
                return out
        return b""
