"""Look for answers, hidden checks and secrets where learners can read: releases, feedback, the built book."""
import ast
import html
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.strip import ROOT, modules, regions, strip

LONG = 40  # squeezed characters of a passage that no one writes by chance


@dataclass(frozen=True)
class Secret:
    """Something that must not be found: its passages without white space, and how many of them betray it."""

    what: str
    passages: tuple[str, ...]
    share: float = 0.0

    def found_in(self, views: Iterable[str]) -> bool:
        """Whether more than `share` of the passages stand in one of the squeezed texts."""
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
    return tuple(dict.fromkeys(p for p in found if len(p) >= 16))


def answers(exercises: Iterable[str], public: str = "", root: Path = ROOT) -> list[Secret]:
    """The solution regions of some exercises, less what `public` text says anyway."""
    names = set(exercises)
    found = []
    for module in sorted({name.split(".")[0] for name in names}):
        text = (root / "solutions" / f"{module}.py").read_text(encoding="utf-8")
        shown = squeeze(public + strip(text, module))
        for function, region in regions(text).items():
            if f"{module}.{function.split('.')[0]}" in names:
                kept = tuple(p for p in passages(region) if p not in shown)
                found.append(Secret(f"the answer of {module}.{function}", kept))
    return [secret for secret in found if secret.passages]


def functions(path: Path, what: str) -> list[Secret]:
    """The top-level functions and classes of a file: a hidden check, another right answer.

    Lines with long strings are left out, because a failing check shows its message on purpose.
    """
    text = path.read_text(encoding="utf-8")
    found = []
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
        body = "\n".join(text.splitlines()[first.lineno - 1 : node.end_lineno])
        runs = re.split(r"""(?m)^[^\n]*["'][^"'\n]{10,}[^\n]*\n?""", body)
        kept = tuple(p for run in runs for p in passages(run) if len(p) >= LONG)
        if kept:
            found.append(Secret(f"{what} {path.stem}.{node.name}", kept, share=0.3))
    return found


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


def scan(folder: Path, secrets: list[Secret]) -> list[Leak]:
    """List every secret that stands in a file below `folder`."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        texts = list(views(path))
        found += [Leak(path, secret.what) for secret in secrets if secret.found_in(texts)]
    return found
