"""One immutable verdict a question, in a file named by the SHA-256 of all that it depends on."""
import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from autograder.course import imports
from autograder.engine.question import UNSURE, Outcome, Question
from autograder.engine.sandbox import PACKAGE, Limits
from autograder.engine.verdicts import HUMAN, write

ROOTS = ("engine/work.py", "engine/child.py", "visible/*.py")  # what they import judges, too
DATA = ("exercises/*.toml", "fingerprints/*.jsonl", "given.txt")


def key_of(question: Question, limits: Limits, tier: str, secret: str, hidden: Path) -> str:
    """The SHA-256 of the sources, the exercise, its checks, the limits, the tier, the secret and the engine."""
    return keys_of([question], limits, tier, secret, hidden)[0]


def keys_of(questions: Sequence[Question], limits: Limits, tier: str, secret: str, hidden: Path) -> list[str]:
    """The keys of the questions of one submission, which have files and cells in common."""
    if not questions:
        return []
    files, cells = questions[0].files, questions[0].cells
    own = sorted((name, digest_of(text)) for name, text in files.items())
    shared = [own, cells, dataclasses.astuple(limits), tier, hashlib.sha256(secret.encode()).hexdigest(),
              version(hidden)]  # fmt: skip
    begun = hashlib.sha256(json.dumps(shared).encode())
    keys = []
    for question in questions:
        digest = begun.copy()
        digest.update(json.dumps([question.name, question.suite]).encode())
        keys.append(digest.hexdigest())
    return keys


@functools.lru_cache(maxsize=256)
def digest_of(text: str) -> str:
    """The SHA-256 of a file's text, remembered: the course's own files come with every submission."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@functools.cache
def version(hidden: Path) -> str:
    """What the engine and its checks are: another version asks again."""
    digest = hashlib.sha256(torch.__version__.encode())
    for path in (*judging(), *sorted(hidden.rglob("*.py"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def judging() -> list[Path]:
    """The files of autograder/ that a verdict depends on."""
    texts = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    roots = [path.relative_to(PACKAGE).as_posix() for pattern in ROOTS for path in PACKAGE.glob(pattern)]
    code = [PACKAGE / name for name in sorted(imports.needed(texts, PACKAGE.name, [], roots))]
    return code + [path for pattern in DATA for path in sorted(PACKAGE.glob(pattern))]


class Records:
    """A folder of verdicts; a verdict is there whole or not at all, and never changes.

    A machine that loses its power may lose the last ones, or leave files of them that are empty or cut off. What is
    read so is run again, to the same verdict; so that one which chance decided stays with a person, that is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Where a verdict stands."""
        return self.folder / key[:2] / f"{key}.json"

    def get(self, key: str) -> dict[str, Any] | None:
        """Read a verdict; None if there is none, or the disk lost some of it."""
        try:
            found = json.loads(self.path(key).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("key") == key else None

    def put(self, key: str, question: Question, tier: str, outcome: Outcome) -> dict[str, Any]:
        """Write a verdict. If another run was faster, its verdict stays; if the two disagree, a person decides."""
        row: dict[str, Any] = {"key": key, "exercise": question.name, "suite": question.suite, "tier": tier}
        row |= dataclasses.asdict(outcome)
        if before := self.get(key):
            if before["verdict"] == HUMAN or (before["verdict"], before["passed"]) == (row["verdict"], row["passed"]):
                return before
            row |= {"verdict": HUMAN, "passed": False, "message": f"{UNSURE}\n\n{before['message']}"}
        self.store(row)
        return row

    def store(self, row: dict[str, Any]) -> None:
        """Write a verdict, wherever it comes from."""
        write(self.path(row["key"]), row, lasting=row["verdict"] == HUMAN)
