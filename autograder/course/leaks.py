"""Look for answers, hidden checks and secrets where learners can read: releases, feedback, the built book."""
import ast
import functools
import hashlib
import html
import json
import re
import zipfile
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.strip import ROOT, modules, regions, strip

LONG = 40  # squeezed characters of a passage that no one writes by chance
SHORT = 16  # and of the shortest that is looked for
STEP = 8


@dataclass(frozen=True)
class Secret:
    """Something that must not be found: its passages without white space, and how many of them betray it."""

    what: str
    passages: tuple[str, ...]
    share: float = 0.0

    def found_in(self, views: Iterable[Container[str]]) -> bool:
        """Whether more than `share` of the passages stand in one of the squeezed texts, or sets of passages."""
        return any(sum(p in v for p in self.passages) > self.share * len(self.passages) for v in views)

    def less(self, public: str) -> "Secret":
        """The same secret without the passages that `public` text holds."""
        shown = squeeze(public)
        return Secret(self.what, tuple(p for p in self.passages if p not in shown), self.share)


@dataclass(frozen=True)
class Leak:
    """A secret and the file it was found in."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def squeeze(text: str) -> str:
    """Drop all white space, so that line breaks and indentation hide nothing."""
    return "".join(text.split())


def passages(code: str) -> tuple[str, ...]:
    """Cut code into overlapping passages of whole lines, each at least LONG squeezed characters if it can be."""
    found = []
    for text in (code, re.sub(r"(?m)(^|\s)#[^\n]*$", "", code)):
        lines = [line for line in map(squeeze, text.splitlines()) if line]
        for start in range(len(lines)):
            passage = ""
            for line in lines[start:]:
                passage += line
                if len(passage) >= LONG:
                    break
            if len(passage) >= LONG or start == 0:
                found.append(passage)
    return tuple(dict.fromkeys(p for p in found if len(p) >= SHORT))


def answers(exercises: Iterable[str], public: str = "", root: Path = ROOT) -> list[Secret]:
    """The solution regions of some exercises, less what `public` text says anyway."""
    names = set(exercises)
    found = []
    for module in sorted({name.split(".")[0] for name in names}):
        stub, solved = _solutions((root / "solutions" / f"{module}.py").read_text(encoding="utf-8"), module)
        shown = squeeze(public) + stub
        for function, cut in solved.items():
            if f"{module}.{function.split('.')[0]}" in names:
                kept = tuple(p for p in cut if p not in shown)
                found.append(Secret(f"the answer of {module}.{function}", kept))
    return [secret for secret in found if secret.passages]


@functools.lru_cache(maxsize=256)
def _solutions(text: str, module: str) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The squeezed stub of a module, and the passages of each of its solutions."""
    return squeeze(strip(text, module)), {name: passages(region) for name, region in regions(text).items()}


def functions(path: Path, what: str) -> tuple[Secret, ...]:
    """The top-level functions and classes of a file: a hidden check, another right answer.

    Lines with long strings are left out, because a failing check shows its message on purpose.
    """
    return _functions(path.read_text(encoding="utf-8"), f"{what} {path.stem}")


@functools.lru_cache(maxsize=256)
def _functions(text: str, what: str) -> tuple[Secret, ...]:
    found = []
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
        body = "\n".join(text.splitlines()[first.lineno - 1 : node.end_lineno])
        runs = re.split(r"""(?m)^[^\n]*["'][^"'\n]{10,}[^\n]*\n?""", body)
        kept = tuple(p for run in runs for p in passages(run) if len(p) >= LONG)
        if kept:
            found.append(Secret(f"{what}.{node.name}", kept, share=0.3))
    return tuple(found)


def everything(root: Path = ROOT, hidden: Path | None = None, secret: str = "") -> list[Secret]:
    """All that the built book must not show: every answer, every hidden check, the course secret."""
    names = []
    for module, text in modules(root / "solutions").items():
        names += [f"{module}.{function.split('.')[0]}" for function in regions(text)]
    return answers(names, root=root) + unseen(root, hidden, secret)


def unseen(root: Path = ROOT, hidden: Path | None = None, secret: str = "") -> list[Secret]:
    """What no learner's file may hold, whatever they have solved: hidden checks and the course secret."""
    found = [Secret("the course secret", (squeeze(secret),))] if secret else []
    for path in sorted((hidden or root / "autograder" / "hidden").glob("[a-z]*.py")):
        found += functions(path, "the hidden check")
    return found


def views(path: Path) -> Iterator[str]:
    """The squeezed texts of a file: as it is, without tags, and the strings inside JSON; archives opened."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield from _views(archive.read(name).decode("utf-8", "ignore"), name)
        return
    yield from _views(path.read_bytes().decode("utf-8", "ignore"), path.name)


def _views(text: str, name: str) -> Iterator[str]:
    yield squeeze(text)
    if "<" in text:
        yield squeeze(html.unescape(re.sub(r"<[^>]*>", "", text)))
    if name.endswith((".ipynb", ".json", ".html")):
        try:
            yield squeeze("".join(_strings(json.loads(text))))
        except (ValueError, RecursionError):
            yield squeeze(text.replace("\\n", "\n").replace('\\"', '"').replace('",', "").replace('"', ""))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield html.unescape(re.sub(r"</?(?:span|pre|code|div)\b[^>]*>", "", value)) + "\n"
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            yield "".join(value) + "\n"
        else:
            for item in value:
                yield from _strings(item)


class Search:
    """Looks for the passages of some secrets in files; what files have in common is read once.

    A text is cut into pieces of SHORT characters, one at every STEP. A passage that stands in it has such a piece near
    its own beginning, so only passages with a piece of the text are looked for.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self.seen: dict[tuple[str, bytes], list[set[str]]] = {}
        self.short: set[str] = set()
        self.pieces: dict[str, set[str]] = {}
        for passage in {passage for secret in secrets for passage in secret.passages}:
            if len(passage) < SHORT + STEP - 1:
                self.short.add(passage)
            else:
                for start in range(STEP):
                    self.pieces.setdefault(passage[start : start + SHORT], set()).add(passage)

    def within(self, text: str) -> set[str]:
        """The passages that stand in a squeezed text."""
        pieces = {text[start : start + SHORT] for start in range(0, len(text) - SHORT + 1, STEP)}
        near = self.short.union(*(self.pieces[piece] for piece in pieces & self.pieces.keys()))
        return {passage for passage in near if passage in text}

    def of_file(self, path: Path) -> list[set[str]]:
        """The passages that stand in each view of a file."""
        key = (path.suffix, hashlib.sha256(path.read_bytes()).digest())
        if key not in self.seen:
            self.seen[key] = [self.within(view) for view in views(path)]
        return self.seen[key]


def scan(folder: Path, secrets: list[Secret], search: Search | None = None) -> list[Leak]:
    """List every secret that stands in a file below `folder`.

    Args:
        folder: where to look.
        secrets: what to look for.
        search: one that knows their passages, to look through several folders.
    """
    search = search or Search(secrets)
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if any(texts := search.of_file(path)):
            found += [Leak(path, secret.what) for secret in secrets if secret.found_in(texts)]
    return found
