"""`python -m autograder capstone COURSE ASSIGNMENT`: measure handed-in weights on hidden text, enter points.

No learner's code runs. Their files are read by `gptlib.capstone.hand_in`, which checks every byte's place before it is
used; the model that computes is the course's own. What was measured is recorded, and a second run measures nothing
again.
"""
import collections
import hashlib
import hmac
import importlib
import json
import math
import random
import sys
import time
from pathlib import Path
from typing import Any

from autograder.capstone import HANDED_IN, Capstone, is_loss
from autograder.course import command
from autograder.course.config import Course
from autograder.engine import intake
from autograder.engine.collect import on_roster
from autograder.engine.commit import Committer, alone
from autograder.engine.verdicts import GRADED, HUMAN, REJECTED, RETRY, ZERO, write
from autograder.strip import build_reference

PIECES, LENGTH = 8, 2000  # of hidden text, in characters
CLAIM = 1.15  # how many times its claim a model may need on hidden text before that is said
NEVER_RUN = "This cell was not run."


def main(argv: list[str]) -> int:
    """Grade the weights of a capstone on hidden text, and enter the points into nbgrader's gradebook."""
    parser = command.parser("capstone", main.__doc__, "13_capstone_gpt")
    parser.add_argument("--student", help="grade only this learner")
    options = parser.parse_args(argv)
    course = options.course
    try:
        settings = command.settings(course, options.assignment, "capstone")
        run = Run(course, settings, settings.capstones[options.assignment])
    except (OSError, ValueError) as error:
        print(f"Nothing was graded: {error}")
        return 2
    with alone(course):
        return run.go(options.student)


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


class Run:
    """One run over one capstone."""

    def __init__(self, course: Path, settings: Course, capstone: Capstone) -> None:
        self.course, self.settings, self.capstone = course, settings, capstone
        path = course / "source" / capstone.name / f"{capstone.name}.ipynb"
        if not path.is_file():
            raise ValueError(f"there is no {path}: write the course, and run nbgrader generate_assignment")
        self.template = json.loads(path.read_text("utf-8"))
        self.cell = next(c["metadata"]["nbgrader"]["grade_id"] for c in self.template["cells"] if is_loss(c))
        self.judge = Judge(modules(), capstone, settings.secret)
        self.known = course / "private" / "engine" / "capstones"

    def go(self, only: str | None = None) -> int:
        """Grade everybody, or one learner; a submission that is refused stops no other."""
        writer, counts = Committer(self.course, self.capstone.name), collections.Counter[str]()
        if missing := writer.ready():
            print(f"Stopped: {missing}")
            return 2
        for folder in sorted(self.course.glob(f"submitted/*/{self.capstone.name}")):
            learner = folder.parent.name
            if only and learner != only:
                continue
            try:
                if not on_roster(self.course, learner):
                    raise intake.Rejected("this name is not a plain one or not on the course's roster (roster.txt)")
                found = intake.listing(folder)
            except intake.Rejected as error:
                counts[REJECTED] += 1
                print(f"REJECTED {learner!r:.80}: {error}")
                continue
            row, files, notices = self.one(folder, found)
            points = f"{row['points']:g} of {self.capstone.loss:g} points; "
            said = row["message"] or points + row["text"].splitlines()[1]
            print(f"{row['verdict']} {learner}: {said}", flush=True)
            result = {"cells": {self.cell: row}, "notices": notices, "missing": NEVER_RUN}
            entered = writer.try_to_enter(learner, result, files)
            counts[row["verdict"] if entered else RETRY] += 1
        print("  ".join(f"{counts[name]} {name}" for name in sorted(counts)) or "There is nothing to grade.")
        return 1 if counts[RETRY] else 0

    def one(self, folder: Path, found: list[str]) -> tuple[dict[str, Any], dict[str, bytes], list[str]]:
        """Take one submission in and judge its weights."""
        name, notices = f"{self.capstone.name}.ipynb", list[str]()
        files, came = dict[str, bytes](), list[dict[str, Any]]()
        try:
            if (place := intake.place(name, found, notices)) is not None:
                came = intake.cells_of(intake.read(folder, place, intake.MAX_NOTEBOOK))
            else:
                notices.append(f"No {name} came, so there are no written answers.")
            if "timestamp.txt" in found:
                stamp = intake.timestamp(intake.read(folder, "timestamp.txt", intake.MAX_FILE), notices)
                files |= {"timestamp.txt": stamp.encode()} if stamp else {}
        except intake.Rejected as error:
            notices.append(f"The notebook was not taken: {error}")
        return self.recorded(folder), {name: intake.written(intake.rebuilt(self.template, came)), **files}, notices

    def recorded(self, folder: Path) -> dict[str, Any]:
        """Judge, unless these very files were judged before under the same settings."""
        digest = hashlib.sha256(repr((self.settings.secret, self.capstone)).encode())
        for name in HANDED_IN:
            path = folder / name
            ordinary = path.is_file() and not path.is_symlink()
            small = ordinary and path.stat().st_size <= self.capstone.most_mb * 2**20
            digest.update(path.read_bytes() if small else f"{name} {ordinary}".encode())
        for row in self.capstone.texts.values():
            digest.update(row.file.read_bytes())
        for path in (*sorted((build_reference() / "gptlib").rglob("*.py")), Path(__file__)):
            digest.update(path.read_bytes())
        place = self.known / f"{digest.hexdigest()}.json"
        if place.exists():
            return json.loads(place.read_text("utf-8"))
        found = self.judge.judge(folder)
        write(place, found)
        return found
