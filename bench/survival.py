"""A batch with hostile submissions in it, once in peace and once under kill -9: the same grades, byte for byte.

`python -m bench survival --submissions 300` runs the large version and keeps its result; CI runs a small one.
The first run enters grades into SQLite. The second enters the same submissions into PostgreSQL, while the coordinator,
workers, zygotes and PostgreSQL are killed at random moments; whoever would do it by hand starts them again.
"""
import argparse
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

CHAPTER = "05_attention"
CHOSEN = ("attention.causal_mask", "attention.attend")
HIDDEN_ATTEND = ("attention.attend", "hidden")
QUICK = ("leaves", "segmentation_fault", "patches_comparisons", "forged_verdict", "frame_of_exabytes", "null_bytes")
REFUSED = ("deep", "old", "latin", "unreadable")
ARCHIVES = ("path_out", "zip_bomb", "links_in_a_tar", "locked", "the_same_name_twice")


@functools.cache
def hostile_code() -> dict[str, dict]:
    """The hostile suite's cases that run in this batch: those that end by a limit, a crash or a wrong answer."""
    from tests.hostile.test_hostile import CASES

    return {name: case for name, case in CASES.items() if "T1" in case.get("tiers", ["T1"]) and "wall" not in case}


class Batch:
    """A course with submissions, of which a tenth is hostile, in random order."""

    def __init__(self, home: Path, count: int, seed: int, quick: bool) -> None:
        from autograder.engine import doctor
        from tests.grading.course_kit import Term

        self.term, self.rng, self.count = Term(home), random.Random(seed), count
        self.course, self.tier = self.term.course, doctor.best()
        self.choose()
        self.term.run(f"nbgrader generate_assignment {CHAPTER}", self.course)
        bad = self.hostile(max(count // 10, 3), quick)
        kinds = ["right"] * (count - len(bad)) + bad
        self.rng.shuffle(kinds)
        self.kinds = {f"learner{i:05}": kind for i, kind in enumerate(kinds)}
        for learner, kind in self.kinds.items():
            self.hand_in(learner, kind)

    def choose(self) -> None:
        """Set two exercises and a small limit, so that a large batch takes minutes."""
        self.term.set_exercises(CHOSEN)
        self.term.choose(check_seconds="2")
        self.term.run(f"python -m autograder course --out {self.course}")

    def hostile(self, count: int, quick: bool) -> list[str]:
        """Names of hostile submissions: code, damaged notebooks, archives."""
        code = list(QUICK if quick else hostile_code())
        self.rng.shuffle(code)
        refused, archives = [f"refused {n}" for n in REFUSED], [f"archive {n}" for n in ARCHIVES]
        pool = [f"code {name}" for name in code]
        mixed = [kind for three in zip(pool, refused * 99, archives * 99, strict=False) for kind in three] + pool
        return mixed[:count]

    def hand_in(self, learner: str, kind: str) -> None:
        """Write one submission."""
        from tests.grading.course_kit import SOLVED, module
        from tests.hostile.archives import CASES

        family, _, name = kind.partition(" ")
        if family == "archive":
            folder = self.course / "downloaded" / CHAPTER / "archive"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{learner}.zip").write_bytes(CASES[name][0](b"{}", b"pass\n"))
            return
        folder = self.course / "submitted" / learner / CHAPTER
        (folder / "gptlib").mkdir(parents=True)
        shutil.copy(self.course / "release" / CHAPTER / f"{CHAPTER}.ipynb", folder)
        module(folder).write_text(f"{SOLVED}\n# {learner}\n", "utf-8")
        if family == "code":
            from tests.hostile.test_hostile import files_of

            module(folder).write_text(files_of(hostile_code()[name])["gptlib/attention.py"] + f"# {learner}\n", "utf-8")
        elif family == "refused":
            from tests.grading import test_engine_course

            getattr(test_engine_course, name)(folder)

    def copy(self, home: Path) -> Path:
        """The same course with nothing graded yet."""
        goal = home / "copy"
        shutil.rmtree(goal, ignore_errors=True)
        shutil.copytree(self.course, goal, ignore=shutil.ignore_patterns("autograded", "engine", "feedback"))
        return goal

    def wrong(self, course: Path, db: str = "") -> list[str]:
        """What is not as it must be after grading, submission by submission."""
        scored, found = json.loads(self.scored(course, db)), []
        points = Counter[str]()
        for learner, _, score, _, _, _ in scored["grades"]:
            points[learner] += score or 0
        full = max(points.values())
        for learner, kind in self.kinds.items():
            family, _, name = kind.partition(" ")
            verdicts = scored["verdicts"].get(learner, {})
            if family == "right" and (points[learner] != full or {v for v, _ in verdicts.values()} != {"GRADED"}):
                found.append(f"{learner} is right and has {points[learner]} of {full}: {verdicts}")
            elif family == "code":
                case = hostile_code()[name]
                if verdicts.get("/".join(HIDDEN_ATTEND)) != [case["verdict"], case.get("right", False)]:
                    found.append(f"{learner}, {name}: {verdicts}")
            elif family in ("refused", "archive") and (learner not in points or points[learner] or verdicts):
                found.append(f"{learner}, {kind}: {points[learner]} points, {verdicts}")
        return found

    def scored(self, course: Path, db: str = "") -> bytes:
        """All that grades are made of, in an order of its own: rows of the gradebook, verdicts of the engine."""
        from sqlalchemy import create_engine, text

        from autograder.engine.chapter import grade_cells
        from autograder.engine.commit import RESULTS
        from autograder.engine.nbgrader_steps import address

        engine = create_engine(address(db) if db else f"sqlite:///{course / 'gradebook.db'}")
        with engine.connect() as connection:
            rows = connection.execute(text(
                "SELECT a.student_id, b.name, g.auto_score, g.manual_score, g.needs_manual_grade, g.extra_credit "
                "FROM grade g JOIN submitted_notebook n ON g.notebook_id = n.id "
                "JOIN submitted_assignment a ON n.assignment_id = a.id "
                "JOIN grade_cells c ON g.cell_id = c.id JOIN base_cell b ON c.id = b.id"
            )).fetchall()  # fmt: skip
        engine.dispose()
        grades = sorted([r[0], r[1], r[2], r[3], bool(r[4]), r[5]] for r in rows)
        names = grade_cells(json.loads((course / "source" / CHAPTER / f"{CHAPTER}.ipynb").read_text("utf-8")))
        verdicts = {
            path.stem: {"/".join(names[cell]): [row["verdict"], not row["message"]]
                        for cell, row in sorted(json.loads(path.read_text("utf-8"))["cells"].items())}
            for path in sorted((course / RESULTS / CHAPTER).glob("*.json"))
        }  # fmt: skip
        return json.dumps({"grades": grades, "verdicts": verdicts}, indent=0, sort_keys=True).encode()

    def grade(self, course: Path, *more: str) -> subprocess.Popen:
        """Start the command that grades."""
        line = [sys.executable, "-m", "autograder", "grade", str(course), CHAPTER, "--tier", self.tier,
                "--workers", "2", *more]  # fmt: skip
        return subprocess.Popen(line, env=self.term.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def collect(self, course: Path) -> str:
        """Take the archives in."""
        (course / "downloaded" / CHAPTER / "archive").mkdir(parents=True, exist_ok=True)
        return self.term.run(f"python -m autograder collect {course} {CHAPTER}")


def children(parents: list[int], word: str = "") -> list[int]:
    """Processes whose parent is one of these, and whose command line holds a word."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent in parents and word in Path(f"/proc/{entry}/cmdline").read_text():
                found.append(int(entry))
        except (OSError, IndexError):
            continue
    return found


class Killer(threading.Thread):
    """Kills something of a run every few seconds, until it has killed each kind often enough."""

    def __init__(self, rng: random.Random, each: int, every: float, database) -> None:
        super().__init__(daemon=True)
        self.rng, self.every, self.database = rng, every, database
        self.left = ["coordinator", "worker", "zygote", *(["database"] if database else [])] * each
        rng.shuffle(self.left)
        self.counts, self.coordinator, self.over = Counter[str](), 0, threading.Event()

    def run(self) -> None:
        while self.left and not self.over.wait(self.rng.uniform(0.2, 2) * self.every):
            if self.hit(self.left[0]):
                self.counts[self.left.pop(0)] += 1

    def hit(self, kind: str) -> bool:
        """Kill one process of a kind; say whether there was one."""
        if kind == "database":
            self.database.kill()
            time.sleep(self.rng.uniform(0, 2))
            self.database.start()
            return True
        found = [self.coordinator] if self.coordinator else []
        if kind != "coordinator":
            found = children(found, "autograder.engine.work")
        if kind == "zygote":
            found = children(found)
        if not found:
            return False
        try:
            os.kill(self.rng.choice(found), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True


def under_fire(batch: Batch, course: Path, killer: Killer, *more: str, most: int = 60) -> tuple[int, str]:
    """Run the same command until it ends well; how often it was started, and what it said last."""
    killer.start()
    try:
        for start in range(1, most + 1):
            process = batch.grade(course, *more)
            killer.coordinator = process.pid
            said = process.communicate()[0]
            killer.coordinator = 0
            if process.returncode == 0:
                return start, said
            if process.returncode not in (1, -signal.SIGKILL):
                raise RuntimeError(f"grading ended with {process.returncode}:\n{said[-3000:]}")
        raise RuntimeError(f"not done after {most} starts:\n{said[-3000:]}")
    finally:
        killer.over.set()
        killer.join()


def survive(count: int, seed: int = 0, quick: bool = False, kills: int = 5, every: float = 5.0) -> dict:
    """Grade a batch in peace and under fire; give counts, and what differs."""
    from tests.grading.postgres import Postgres, tools

    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        batch = Batch(home, count, seed, quick)
        fresh = batch.copy(home)
        batch.collect(batch.course)
        start = time.monotonic()
        process = batch.grade(batch.course)
        said = process.communicate()[0]
        peace = time.monotonic() - start
        if process.returncode:
            raise RuntimeError(f"grading ended with {process.returncode}:\n{said[-3000:]}")
        wrong, expected = batch.wrong(batch.course), batch.scored(batch.course)
        database = Postgres() if tools() else None
        try:
            more = []
            if database:
                url = database.url.replace("postgresql:", "postgresql+psycopg:")
                batch.term.run(f"nbgrader generate_assignment {CHAPTER} --force --db '{url}'", fresh)
                more = ["--db", database.url]
            batch.collect(fresh)
            killer = Killer(random.Random(seed + 1), kills, every, database)
            start = time.monotonic()
            starts, _ = under_fire(batch, fresh, killer, *more)
            fire = time.monotonic() - start
            same = batch.scored(fresh, database.url if database else "") == expected
        finally:
            if database:
                database.close()
        kinds = Counter(kind.partition(" ")[0] for kind in batch.kinds.values())
        return {
            "submissions": count, "seed": seed, "right": kinds.pop("right"), "hostile": dict(kinds),
            "wrong outcomes": wrong, "seconds in peace": round(peace), "last line": said.strip().splitlines()[-1],
            "killed": dict(killer.counts), "commands until done": starts, "seconds under fire": round(fire),
            "database": "PostgreSQL" if database else "SQLite", "the same scored bytes": same, "bytes": len(expected),
        }  # fmt: skip


def measure(options: Sequence[str] = ()) -> dict:
    parser = argparse.ArgumentParser(prog="python -m bench survival", description=measure.__doc__)
    parser.add_argument("--submissions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(options)
    return survive(chosen.submissions, chosen.seed)
