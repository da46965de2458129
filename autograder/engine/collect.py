"""`python -m autograder collect COURSE ASSIGNMENT`: archives that learners sent become submissions, with receipts."""
import csv
import datetime
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autograder.course import command
from autograder.engine import archive, intake
from autograder.engine.intake import Rejected
from autograder.engine.verdicts import write
from autograder.table import Chapter, chapters

RECEIPTS = "private/engine/archives"
MOST = 4096  # archives in one download
LMS = (re.compile(r"(?P<who>.+?)_\d+_assignsubmission_file(_|/)"),  # Moodle
       re.compile(r"(?P<who>[^_/]+)(_LATE)?_\d+_\d+_"))  # Canvas  # fmt: skip
TAKEN, UNCHANGED = "TAKEN", "UNCHANGED"


def main(argv: list[str]) -> int:
    """Take in zip and tar files that learners sent or a learning platform downloaded; no code of them runs."""
    parser = command.parser("collect", main.__doc__)
    parser.add_argument("archives", type=Path, nargs="*", help="NAME.zip, or folders of them "
                        "(default: downloaded/ASSIGNMENT/archive in the course's folder)")  # fmt: skip
    parser.add_argument("--lms", type=Path, action="append", default=[], help="a download of all submissions from "
                        "Canvas or Moodle: a zip file with an archive a learner")  # fmt: skip
    parser.add_argument("--names", type=Path, help="CSV file with the columns name and learner: who is who")
    parser.add_argument("--received", help="when they came, for example '2026-03-01 23:50:00 UTC' (default: now)")
    options = parser.parse_args(argv)
    course = options.course
    try:
        command.settings(course, options.assignment)
        names = dict(read_names(options.names)) if options.names else {}
        now = received(options.received)
        places = options.archives or ([] if options.lms else [course / "downloaded" / options.assignment / "archive"])
        collector = Collector(course, chapters()[options.assignment], names, now)
        for place in places:
            for path in sorted(place.iterdir(), key=changed) if place.is_dir() else [place]:
                if stat.S_ISREG(path.lstat().st_mode) and not path.name.startswith("."):
                    collector.take_file(path)
        for place in options.lms:
            collector.take_download(place)
    except (OSError, ValueError) as error:
        print(f"Stopped: {error}")
        return 2
    print("  ".join(f"{n} {what}" for what, n in sorted(collector.counts.items())) or "There is nothing to take in.")
    return 0


def changed(path: Path) -> tuple[float, str]:
    """For sorting: when a file was changed last, and its name."""
    return path.lstat().st_mtime, path.name


def read_names(path: Path) -> Iterator[tuple[str, str]]:
    """Pairs of a platform's name and a learner's."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if not {"name", "learner"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{path} must have the columns name and learner, it has {rows.fieldnames}")
        yield from ((row["name"].strip(), row["learner"].strip()) for row in rows)


def received(text: str | None) -> str:
    """A time as nbgrader writes it, now if none is given."""
    from nbgrader.utils import parse_utc

    when = datetime.datetime.now(datetime.UTC)
    if text:
        if not intake.TIME.fullmatch(text):
            raise ValueError(f"--received must be a time such as '2026-03-01 23:50:00 UTC', got {text!r}")
        when = parse_utc(text)
    return when.strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def receipts(course: Path, assignment: str, learner: str) -> list[dict[str, Any]]:
    """All receipts of a learner's archives, the last one last."""
    try:
        found = json.loads((course / RECEIPTS / assignment / f"{learner}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def on_roster(course: Path, learner: str) -> bool:
    """Whether a learner may get a row in the gradebook: a plain name, and on the roster if there is one."""
    try:
        intake.check_name(learner)
    except Rejected:
        return False
    roster = course / "roster.txt"
    return not roster.exists() or learner in roster.read_text("utf-8").split()


class Collector:
    """Where archives are handed in: one after the other, and a bad one stops no other."""

    def __init__(self, course: Path, chapter: Chapter, names: dict[str, str], now: str) -> None:
        self.course, self.chapter, self.now = course, chapter, now
        self.names, self.counts = names, dict[str, int]()
        wanted = intake.wanted(chapter.name, chapter.module)
        self.wanted = {kind: wanted[kind] for kind in ("notebook", "module")}

    def take_file(self, path: Path) -> None:
        """Take a file that is named after its learner."""
        who = re.sub(rf"(-{re.escape(self.chapter.name)})?(\.zip|\.tar|\.tgz|(\.tar)?\.(gz|bz2|xz))?$", "", path.name)
        try:
            data = intake.read(path.parent, path.name, archive.MAX_ARCHIVE)
        except Rejected as error:
            data = b""
            self.hand_in(who, path.name, data, str(error))
            return
        self.hand_in(who, path.name, data)

    def take_download(self, path: Path) -> None:
        """Take what a learning platform packed: an archive a learner, named as Canvas or Moodle does.

        Raises:
            ValueError: it is no such download.
        """
        try:
            with zipfile.ZipFile(path) as bundle:
                entries = [e for e in bundle.infolist() if not e.is_dir() and not archive.NOISE.search(e.filename)]
                if len(entries) > MOST:
                    raise ValueError(f"{path} holds more than {MOST} files")
                for entry in sorted(entries, key=lambda e: (e.date_time, e.filename)):
                    match = next((m for form in LMS if (m := form.match(entry.filename))), None)
                    if match is None:
                        print(f"PASSED OVER {entry.filename!r:.100}: not named as Canvas or Moodle name submissions")
                        continue
                    with bundle.open(entry) as file:
                        data = file.read(archive.MAX_ARCHIVE + 1)
                    self.hand_in(match["who"], entry.filename, data)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise ValueError(f"{path} is not a zip file that can be read: {error}") from None

    def hand_in(self, who: str, name: str, data: bytes, refused: str = "") -> None:
        """Take one learner's archive, or write down why not."""
        learner = self.names.get(who, who)
        if not on_roster(self.course, learner):
            self.say("UNKNOWN", f"{name!r:.100}: {learner!r:.80} is no plain name or not on the roster; "
                                "name it in the file of --names")  # fmt: skip
            return
        digest, before = hashlib.sha256(data).hexdigest(), receipts(self.course, self.chapter.name, learner)
        folder = self.course / "submitted" / learner / self.chapter.name
        if before and before[-1]["sha256"] == digest and (before[-1]["refused"] or folder.is_dir()):
            self.say(UNCHANGED, f"{learner}")
            return
        found = archive.Contents({}, ())
        try:
            if refused:
                raise Rejected(refused)
            found = archive.contents(data, self.wanted)
            self.put(folder, found)
        except Rejected as error:
            refused = str(error)
        row = {"archive": name[-200:], "bytes": len(data), "sha256": digest, "received": self.now,
               "taken": sorted(found.taken), "notices": list(found.notices), "refused": refused}  # fmt: skip
        write(self.course / RECEIPTS / self.chapter.name / f"{learner}.json", [*before, row])
        self.say("REJECTED" if refused else TAKEN, f"{learner}  {refused or f'received {self.now}  SHA-256 {digest}'}")

    def put(self, folder: Path, found: archive.Contents) -> None:
        """Write a submission so that it is there whole or not at all."""
        waiting = self.course / "private" / "engine" / "incoming"
        waiting.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=waiting))
        new.chmod(0o755)
        for kind, data in found.taken.items():
            goal = new / self.wanted[kind]
            goal.parent.mkdir(parents=True, exist_ok=True)
            goal.write_bytes(data)
        (new / "timestamp.txt").write_text(self.now, encoding="utf-8")
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(new, folder)

    def say(self, what: str, text: str) -> None:
        """Print a line and count it."""
        self.counts[what] = self.counts.get(what, 0) + 1
        print(f"{what} {text}")
