"""How the cost of grading grows with the number of submissions, and whether memory stays flat.

`python -m bench scale --submissions 100 1000 --one 100 1000 10000` grades synthetic submissions of the attention
chapter, all its exercises or only one: each is the solution with a comment of its own, so that nothing is taken from
a record. Measured is the whole command, with taking in, running and entering into SQLite, on all cores; the machine's
load is kept beside.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from autograder.course import config as course_config
from bench.machine import cpu_seconds

CHAPTER, ONE = "05_attention", "attention.causal_mask"


def hand_in(course: Path, count: int) -> None:
    """Write so many submissions."""
    from tests.grading.course_kit import SOLVED

    book = course / "release" / CHAPTER / f"{CHAPTER}.ipynb"
    for i in range(count):
        folder = course / "submitted" / f"learner{i:06}" / CHAPTER
        (folder / "gptlib").mkdir(parents=True)
        shutil.copy(book, folder)
        (folder / "gptlib" / "attention.py").write_text(f"{SOLVED}\n# submission {i} of {count}\n", "utf-8")


class Memory(threading.Thread):
    """The resident memory of one process, several times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.place, self.seen = Path(f"/proc/{pid}/status"), list[float]()

    def run(self) -> None:
        while True:
            try:
                found = re.search(r"VmRSS:\s+(\d+) kB", self.place.read_text())
            except OSError:
                return
            if not found:
                return
            self.seen.append(int(found[1]) / 1024)
            time.sleep(0.2)

    def peaks(self) -> list[float]:
        """The highest of each quarter of the run, in MiB."""
        n = max(len(self.seen) // 4, 1)
        return [round(max(self.seen[i : i + n], default=0), 1) for i in range(0, 4 * n, n)]


def one(course: Path, env: dict[str, str], count: int) -> dict:
    """Grade `count` submissions in a fresh copy of the course."""
    hand_in(course, count)
    load, start = os.getloadavg()[0], time.monotonic()
    line = [sys.executable, "-m", "autograder", "grade", str(course), CHAPTER]
    said, memory = "", None

    def grade() -> None:
        nonlocal said, memory
        process = subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        memory = Memory(process.pid)
        memory.start()
        said = process.communicate()[0]
        memory.join()
        if process.returncode or f"{count} GRADED" not in said:
            raise RuntimeError(said[-3000:])

    used = cpu_seconds(grade)
    wall = time.monotonic() - start
    tier = re.search(r"Tier (\w+)", said)
    exercises = len(course_config.read(course / "course.toml").assignments[CHAPTER])
    return {
        "submissions": count, "exercises": exercises, "tier": tier[1] if tier else "", "wall_s": round(wall, 1),
        "cpu_s": round(used, 1),
        "cpu_s_per_submission": round(used / count, 3), "per_hour": round(3600 * count / wall),
        "coordinator_mib_by_quarter": memory.peaks(), "load_before": load, "load_after": os.getloadavg()[0],
    }  # fmt: skip


def measure(options: Sequence[str] = ()) -> list[dict]:
    from tests.grading.course_kit import Term

    parser = argparse.ArgumentParser(prog="python -m bench scale", description=__doc__)
    parser.add_argument("--submissions", type=int, nargs="*", default=[100], help="with all exercises")
    parser.add_argument("--one", type=int, nargs="*", default=[], help=f"with one exercise, {ONE}")
    parser.add_argument("--keep", action="store_true", help="keep what the last measurements say of other sizes")
    chosen, found = parser.parse_args(options), list[dict]()
    for count, only in [*((n, ()) for n in chosen.submissions), *((n, (ONE,)) for n in chosen.one)]:
        with tempfile.TemporaryDirectory() as home:
            term = Term(Path(home))
            if only:
                term.set_exercises(only)
            term.run(f"python -m autograder course --out {term.course}")
            term.run(f"nbgrader generate_assignment {CHAPTER}", term.course)
            found.append(one(term.course, term.env, count))
            print(found[-1], flush=True)
    path = Path(__file__).parent / "results" / "scale.json"
    known = json.loads(path.read_text("utf-8"))["numbers"] if chosen.keep and path.exists() else []
    measured = {size(row) for row in found}
    return sorted([row for row in known if size(row) not in measured] + found, key=size)


def size(row: dict) -> tuple[int, int]:
    """What a row is about: many exercises first, then few submissions."""
    return -row["exercises"], row["submissions"]
