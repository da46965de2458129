"""How a capstone is graded: a model's handed-in weights are measured on hidden text.

No learner's code runs. Their files are read by `gptlib.capstone.hand_in`, which checks every byte's place before it is
used; the model that computes is the course's own. What was measured is recorded, and a second run measures nothing
again.
"""
import collections
import functools
import hashlib
import hmac
import importlib
import json
import math
import random
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.capstone import HANDED_IN, Capstone, is_loss
from autograder.course.config import Course
from autograder.engine import intake, rebuild
from autograder.engine.run import Cells
from autograder.engine.verdicts import GRADED, HUMAN, RETRY, ZERO, write
from autograder.strip import build_reference

PIECES, LENGTH = 8, 2000  # of hidden text, in characters
CLAIM = 1.15  # how many times its claim a model may need on hidden text before that is said


def modules() -> Any:
    """The course's own library, complete: models are built of it, never of what learners wrote."""
    if (place := str(build_reference())) not in sys.path:
        sys.path.insert(0, place)
    places = {"capstone_gpt": "capstone.gpt", "data": "data", "envelopes": "capstone.envelopes", "gpt2": "gpt2",
              "hand_in": "capstone.hand_in"}  # fmt: skip
    found = {name: importlib.import_module(f"gptlib.{place}") for name, place in places.items()}
    return type("Library", (), found)


def pieces(text: str, secret: str, name: str) -> list[str]:
    """Draw pieces of a text by the course's secret: the same when graded again, foretold by nobody.

    Args:
        text: held-out text; a short one is taken whole.
        secret: the course's.
        name: of the capstone and source.
    """
    if len(text) <= PIECES * LENGTH:
        return [text]
    drawn = random.Random(hmac.new(secret.encode(), f"capstone {name}".encode(), hashlib.sha256).digest())
    starts = sorted(drawn.randrange(len(text) - LENGTH) for _ in range(PIECES))
    return [text[start : start + LENGTH] for start in starts]


def letters(text: str) -> float:
    """Bits per byte of a text for someone who knows how often each of its bytes occurs, and nothing else."""
    data = text.encode()
    counts = collections.Counter(data).values()
    return -sum(n / len(data) * math.log2(n / len(data)) for n in counts)


class Judge:
    """Measures handed-in weights on hidden text, and says what they are worth."""

    def __init__(self, library: Any, capstone: Capstone, secret: str) -> None:
        self.library, self.capstone, self.secret = library, capstone, secret

    def hidden(self, source: str) -> tuple[list[str], float] | None:
        """Hidden pieces for models that were trained on `source`, and the bits per byte that earn all points."""
        if source in self.capstone.texts:
            row = self.capstone.texts[source]
            text, bits = row.file.read_text(encoding="utf-8"), row.bits
        elif source == "shakespeare":
            text, bits = "\n\n".join(self.library.data.shakespeare("held-out").values()), self.capstone.bits
        else:
            return None
        return pieces(text, self.secret, f"{self.capstone.name} {source}"), bits

    def judge(self, folder: Path) -> dict[str, Any]:
        """Read, measure, and give a verdict with text, message and points."""
        refused, start = self.library.hand_in.Refused, time.process_time()
        try:
            came = self.library.hand_in.read(folder, self.library.gpt2.GPT2, int(self.capstone.most_mb * 2**20))
            hidden = self.hidden(came.manifest["source"])
            if hidden is None:
                return verdict(HUMAN, f"The model was trained on {came.manifest['source']!r:.60}, and the course has "
                               "no hidden text of that kind. Your instructor will look at it.")  # fmt: skip
            bits, base = self.measure(came, hidden[0])
        except refused as error:
            return verdict(ZERO, f"The weights were not graded: {error}")
        facts, target = came.manifest, hidden[1]
        share = min(1.0, max(0.0, (base - bits) / (base - target))) if base > target else 0.0
        points = round(self.capstone.loss * share, 1)
        text = [
            f"{sum(p.numel() for p in came.model.parameters()):,} parameters, {facts['tokens']:,.0f} tokens seen "
            f"(preset {facts['preset']!r:.40})",
            f"bits per byte on hidden text: {bits:.3f}; you measured {facts['bits_per_byte']:.3f}",
            f"letter frequencies alone need {base:.3f}; all {self.capstone.loss:g} points are given at {target:g}: "
            f"{points:g} points",
        ]
        if bits > CLAIM * facts["bits_per_byte"]:
            text.append("Your own measurement was much better than ours. Was your text held out from training?")
        cpu = round(time.process_time() - start, 2)
        if reason := self.suspicion(facts, bits):
            return verdict(HUMAN, f"{reason} A person will look at it.", text, points) | {"cpu": cpu}
        return verdict(GRADED, "", text, points) | {"cpu": cpu}

    def measure(self, came: Any, hidden: list[str]) -> tuple[float, float]:
        """Bits per byte of the model, and of letter frequencies, over all pieces.

        Raises:
            Refused: the tokenizer cannot write the text.
        """
        length = min(came.manifest["model"]["context_length"], 1024)
        nats = size = 0.0
        for piece in hidden:
            try:
                bits = self.library.capstone_gpt.bits_per_byte(came.model, piece, came.tool, length)
            except ValueError as error:
                raise self.library.hand_in.Refused(f"the tokenizer cannot write the hidden text ({error}).") from None
            nats, size = nats + bits * len(piece.encode()), size + len(piece.encode())
        return nats / size, letters("".join(hidden))

    def suspicion(self, facts: dict[str, Any], bits: float) -> str:
        """Say what is too good, or nothing."""
        if not math.isfinite(bits) or bits < self.capstone.suspicious and facts["source"] == "shakespeare":
            return f"{bits:.3f} bits per byte is better than any model of this size that we know of."
        curve = facts.get("curve")
        if not isinstance(curve, list) or not all(_is_point(row) for row in curve):
            return ""
        band = self.library.envelopes.band(facts["preset"])
        found = self.library.envelopes.judge([{"tokens": t, "held_out": h, "loss": h} for t, h in curve], band)
        return f"The run is suspiciously good: {found.words}" if found.name == "suspiciously good" else ""


def _is_point(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 2 and all(type(n) in (int, float) and n > 0 for n in row)


def verdict(name: str, message: str, text: list[str] | None = None, points: float = 0.0) -> dict[str, Any]:
    """One verdict, as `commit` enters it; without a message, the points are what the cell is worth."""
    return {"verdict": name, "message": message, "text": "\n".join(text or []), "points": points}


@dataclass(frozen=True)
class Handed(intake.Job):
    """A submission of weights: where they lie, and the SHA-256 of them."""

    folder: Path = Path()
    weights: str = ""


class CapstoneGrader:
    """Grades submissions of one capstone.

    Args:
        course: the course's folder.
        capstone: its row of the table, as the course has it.
        settings: the course's.

    Raises:
        ValueError: the course's folder has no such assignment.
    """

    def __init__(self, course: Path, capstone: Capstone, settings: Course) -> None:
        self.name, self.capstone, self.secret = capstone.name, capstone, settings.secret
        self.source = intake.Source(course / "source" / capstone.name, capstone.name)
        self.cell = next(c["metadata"]["nbgrader"]["grade_id"] for c in self.source.template.cells if is_loss(c))
        self.judge = Judge(modules(), capstone, settings.secret)
        self.known = course / "private" / "engine" / "capstones"

    def take(self, learner: str, folder: Path) -> Handed:
        """Take one submission in; weights stay where they are, and a notebook that cannot be read stops nothing."""
        intake.check_name(learner)
        found, notices, came = intake.listing(folder), list[str](), list[dict[str, Any]]()
        get = functools.partial(intake.read, folder)
        taken, places = intake.choose(found, get, {"time": "timestamp.txt"}, notices)
        try:
            book, place = intake.choose(found, get, {"notebook": f"{self.name}.ipynb"}, notices)
            places += place
            if book:
                came = intake.cells_of(book["notebook"])
                taken |= book
            else:
                notices.append(f"No {self.name}.ipynb came, so there are no written answers.")
        except intake.Rejected as error:
            notices.append(f"The notebook was not taken: {error}")
        intake.say_dropped(set(found) - {*places, *HANDED_IN, f"{self.name}.ipynb"}, notices)
        weights = self.weights_of(folder)
        receipt = intake.receipt(taken | {"weights": weights.encode()})
        stamp = intake.timestamp(taken.get("time", b""), notices)
        book = rebuild.rebuilt(self.source.template, came)
        return Handed(learner, {}, (), book, receipt, stamp, notices, folder, weights)

    def weights_of(self, folder: Path) -> str:
        """The SHA-256 of the files that are handed in, as far as they are ordinary and not too large to be read."""
        digest = hashlib.sha256()
        for name in HANDED_IN:
            path = folder / name
            ordinary = path.is_file() and not path.is_symlink()
            small = ordinary and path.stat().st_size <= self.capstone.most_mb * 2**20
            digest.update(f"{name} {ordinary}".encode())
            if small:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def grade(self, jobs: Iterable[intake.Job], most: int, anew: bool) -> Iterator[tuple[intake.Job, Cells]]:
        """Measure weights one after the other, unless these very files were measured before under the same settings."""
        for job in jobs:
            assert isinstance(job, Handed)
            place = self.known / f"{self.key_of(job)}.json"
            if place.exists():
                row = json.loads(place.read_text("utf-8"))
            else:
                row = self.judged(job.folder, place) if anew else verdict(RETRY, "")
            yield job, {self.cell: row}

    def judged(self, folder: Path, place: Path) -> dict[str, Any]:
        """Judge, and record the verdict; what this machine fails at is none."""
        try:
            row = self.judge.judge(folder)
        except Exception as error:
            print(f"{folder}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return verdict(RETRY, "")
        write(place, row)
        return row

    def key_of(self, job: Handed) -> str:
        """The SHA-256 of all that a measurement depends on."""
        digest = hashlib.sha256(repr((self.secret, self.capstone, job.weights)).encode())
        for row in self.capstone.texts.values():
            digest.update(row.file.read_bytes())
        for path in (*sorted((build_reference() / "gptlib").rglob("*.py")), Path(__file__)):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def files(self, job: intake.Job) -> dict[str, bytes]:
        """Nothing: weights are large, and lie in submitted/."""
        return {}

    def line(self, job: intake.Job, cells: Cells) -> str:
        """What was measured, or why nothing was."""
        row = cells[self.cell]
        points = f"{row['points']:g} of {self.capstone.loss:g} points; "
        return f"{row['verdict']} {job.learner}: {row['message'] or points + row['text'].splitlines()[1]}"
