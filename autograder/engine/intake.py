"""Take a submission in without running any of it: its allowed files, and a notebook rebuilt from the release.

Whatever a learner did to the notebook (metadata, points, duplicated, deleted or reordered cells) cannot matter:
only the text of answer cells and `%%implement` cells is read. What is not understood is refused with a reason.
"""
import functools
import hashlib
import json
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.engine.rebuild import Template, rebuilt, source_of

MAX_FILES, MAX_DEPTH, MAX_NOTEBOOK, MAX_FILE, MAX_CELLS = 2000, 6, 20 << 20, 1 << 20, 2000
LEARNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
IMPLEMENT = re.compile(r"\s*%%implement[ \t]+([\w.]+)[^\n]*\n")
TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?( ?[A-Za-z/_+-]{1,32}| ?[+-]\d\d:?\d\d)?")


class Rejected(Exception):
    """The submission cannot be graded; the message tells the learner why and what to do."""


@dataclass(frozen=True)
class Job:
    """A submission that can be graded."""

    learner: str
    files: Mapping[str, str]  # what the child gets, by path
    cells: tuple[tuple[str, str], ...]  # (exercise, text) of `%%implement` cells
    notebook: dict[str, Any]  # rebuilt
    receipt: str  # SHA-256 of everything that was taken
    timestamp: str = ""
    notices: list[str] = field(default_factory=list)


class Source:
    """An assignment's folder in source/, read once for all its submissions.

    Raises:
        ValueError: there is none.
    """

    def __init__(self, folder: Path, name: str) -> None:
        path = folder / f"{name}.ipynb"
        if not path.is_file():
            raise ValueError(f"there is no {path}: write the course, and run nbgrader generate_assignment")
        self.folder, self.name = folder, name
        self.template = Template(json.loads(path.read_text("utf-8")))
        self.files = frozenset(p.relative_to(folder).as_posix() for p in folder.rglob("*"))
        self.given = given(folder)


def wanted(chapter: str, module: str) -> dict[str, str]:
    """The files of a submission that are taken, by what they are."""
    return {"notebook": f"{chapter}.ipynb", "module": f"gptlib/{module}.py", "time": "timestamp.txt"}


def take(learner: str, folder: Path, source: Source, module: str) -> Job:
    """Take one submission in.

    Args:
        learner: the name of its folder in submitted/.
        folder: where it lies.
        source: the assignment.
        module: the module whose file learners edit.

    Raises:
        Rejected: with a reason for the learner.
    """
    check_name(learner)
    found, notices = listing(folder), list[str]()
    names = wanted(source.name, module)
    taken, places = choose(found, functools.partial(read, folder), names, notices)
    if "notebook" not in taken and "module" not in taken:
        neither = f"Neither {names['notebook']} nor {names['module']} came."
        raise Rejected(f"{neither} Send the folder of the assignment again.")
    if "notebook" not in taken:
        notices.append(f"No {names['notebook']} came; only {names['module']} was graded.")
    files = {name: text for name, text in source.given.items() if name != names["module"]}
    if "module" in taken:
        files[names["module"]] = taken["module"].decode("utf-8", "surrogateescape")
    came = cells_of(taken["notebook"]) if "notebook" in taken else []
    notebook = rebuilt(source.template, came)
    say_dropped(set(found) - set(places) - source.files, notices)
    time = timestamp(taken.get("time", b""), notices)
    implement = tuple((m[1], text[m.end() :]) for text in map(source_of, came) if (m := IMPLEMENT.match(text)))
    return Job(learner, files, implement, notebook, receipt(taken), time, notices)


def receipt(taken: Mapping[str, bytes]) -> str:
    """The SHA-256 of all that was taken of a submission, by what it is."""
    digest = hashlib.sha256()
    for kind in sorted(taken):
        digest.update(f"{kind} {len(taken[kind])}\n".encode() + taken[kind])
    return digest.hexdigest()


def choose(
    found: list[str], get: Callable[[str, int], bytes], names: Mapping[str, str], notices: list[str]
) -> tuple[dict[str, bytes], list[str]]:
    """Read the wanted files among those found; give them by what they are, and the names they had.

    Args:
        found: all names.
        get: reads one of them, up to a number of bytes.
        names: the wanted names by what they are.
        notices: is told what the learner should know.
    """
    places = {kind: place(name, found, notices) for kind, name in names.items()}
    if "notebook" in names and places["notebook"] is None:
        others = [name for name in found if name.endswith(".ipynb") and "/" not in name]
        if len(others) == 1:
            notices.append(f"The notebook was called {others[0]!r:.100}; it was graded as {names['notebook']}.")
            places["notebook"] = others[0]
    there = {kind: name for kind, name in places.items() if name is not None}
    taken = {k: get(name, MAX_NOTEBOOK if k == "notebook" else MAX_FILE) for k, name in there.items()}
    return taken, list(there.values())


def say_dropped(dropped: set[str], notices: list[str]) -> None:
    """Tell which files were not taken."""
    if dropped:
        shown = ", ".join(repr(name)[:60] for name in sorted(dropped)[:10])
        notices.append(f"Not taken, because the assignment has no such file: {shown}.")


def given(source: Path) -> Mapping[str, str]:
    """The course's own files of gptlib, which come with every submission of an assignment."""
    paths = sorted(p for p in source.glob("gptlib/**/*") if p.suffix == ".py" and p.is_file())
    return {p.relative_to(source).as_posix(): p.read_text("utf-8") for p in paths}


def check_name(learner: str) -> None:
    """Refuse names of learners that are not plain."""
    if not LEARNER.fullmatch(learner) or learner.endswith("."):
        raise Rejected(f"{learner!r:.80} cannot be a learner's name: letters, digits and . _ @ + - are allowed.")


def listing(folder: Path) -> list[str]:
    """The regular files of a submission by path; links, pipes, devices and folders too deep are passed over."""

    def walk(place: str, prefix: str, depth: int) -> Iterator[str]:
        with os.scandir(place) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if depth < MAX_DEPTH:
                        yield from walk(entry.path, f"{name}/", depth + 1)
                elif entry.is_file(follow_symlinks=False):
                    yield name

    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise Rejected("The submission is not a folder.")
    found = []
    for name in walk(str(folder), "", 1):
        found.append(name)
        if len(found) > MAX_FILES:
            raise Rejected(f"The submission has more than {MAX_FILES} files. Send only the folder of the assignment.")
    return sorted(found)


def place(wanted: str, found: list[str], notices: list[str]) -> str | None:
    """Where a file stands; a name that differs only in case or Unicode form is taken with a notice."""
    if wanted in found:
        return wanted
    alike = [name for name in found if plain(name) == plain(wanted)]
    if len(alike) != 1:
        return None
    notices.append(f"The file {alike[0]!r:.100} was taken as {wanted}.")
    return alike[0]


def plain(name: str) -> str:
    """A name without case and Unicode form."""
    return unicodedata.normalize("NFKC", name).casefold()


def read(folder: Path, name: str, most: int) -> bytes:
    """Read a regular file of bounded size, without following a link that took its place meanwhile."""
    try:
        handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Rejected(f"{name} cannot be read: {error.strerror}.") from None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Rejected(f"{name} is not an ordinary file.")
        data = file.read(most + 1)
    if len(data) > most:
        raise Rejected(f"{name} is larger than {most >> 20} MB. Clear the notebook's outputs and send it again.")
    return data


def cells_of(data: bytes) -> list[dict[str, Any]]:
    """The cells of a notebook that came, each a dictionary with a known cell type."""
    advice = "Open it in Jupyter, save it, and send it again."
    try:
        book = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Rejected(f"The notebook is not UTF-8. {advice}") from None
    except (ValueError, RecursionError, MemoryError):
        raise Rejected(f"The notebook is damaged: it is not JSON that can be read. {advice}") from None
    if not isinstance(book, dict) or book.get("nbformat") != 4 or not isinstance(book.get("cells"), list):
        raise Rejected(f"The file is not a notebook in the current format (nbformat 4). {advice}")
    if len(book["cells"]) > MAX_CELLS:
        raise Rejected(f"The notebook has more than {MAX_CELLS} cells.")
    return [c for c in book["cells"] if isinstance(c, dict) and c.get("cell_type") in ("code", "markdown", "raw")]


def timestamp(data: bytes, notices: list[str]) -> str:
    """The time that nbgrader wrote when the learner submitted, if it is one."""
    from nbgrader.utils import parse_utc

    text = data.decode("utf-8", "replace").strip()
    if not text:
        return ""
    try:
        if not TIME.fullmatch(text):
            raise ValueError(text)
        parse_utc(text)
    except Exception:
        notices.append(f"timestamp.txt is not a time: {text!r:.60}. It was left out.")
        return ""
    return text
