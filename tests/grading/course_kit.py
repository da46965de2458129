"""A whole term in a temporary folder: the instructor's page is run, and made-up learners hand in."""
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from autograder.course import config as course_config
from autograder.course.assignment import stub
from autograder.strip import reference
from autograder.table import chapters
from tests.conftest import ROOT

CHAPTER = "05_attention"
SOLVED = (ROOT / "solutions" / "attention.py").read_text(encoding="utf-8")
NAMES = [e.name for e in chapters()[CHAPTER].exercises]
FULL = sum(e.points for e in chapters()[CHAPTER].exercises)
NOISE = '''
    import os, sys, warnings
    warnings.warn("this is only a warning")
    print("a line on stdout")
    print("a line on stderr", file=sys.stderr)
    os.write(2, b"a line from C\\n")
'''


def points(*names: str) -> int:
    """The points of some exercises of the attention chapter."""
    return sum(e.points for e in chapters()[CHAPTER].exercises if e.name in names)


def solve(folder: Path, *names: str) -> None:
    """Write the reference's solution of the named exercises, all if none, into a learner's file."""
    left = [n for n in NAMES if names and n not in names]
    module(folder).write_text(stub(SOLVED, "attention", left), encoding="utf-8")


def module(folder: Path) -> Path:
    """The file a learner edits."""
    return folder / "gptlib" / "attention.py"


def change(path: Path, old: str, new: str) -> None:
    """Replace a passage that must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path.name} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def before_solution(folder: Path, function: str, text: str) -> None:
    """Put lines after the docstring of a function of the learner's file."""
    path = module(folder)
    found = re.search(rf'    def {function}\(|^def {function}\(', path.read_text("utf-8"), re.M)
    assert found
    head, tail = path.read_text("utf-8")[: found.start()], path.read_text("utf-8")[found.start() :]
    parts = tail.split('"""', 2)
    path.write_text(head + '"""'.join([parts[0], parts[1], text + parts[2]]), encoding="utf-8")


def edit_notebook(folder: Path, edit: Callable[[list[dict]], None], chapter: str = CHAPTER) -> None:
    """Change the cells of a learner's notebook."""
    path = folder / f"{chapter}.ipynb"
    book = json.loads(path.read_text(encoding="utf-8"))
    edit(book["cells"])
    path.write_text(json.dumps(book), encoding="utf-8")


def graded(cells: list[dict]) -> list[dict]:
    """The grade cells among some cells."""
    return [c for c in cells if "nbgrader" in c["metadata"]]


def code(text: str) -> dict:
    """A code cell."""
    return {"cell_type": "code", "id": "own", "metadata": {}, "source": text, "outputs": [], "execution_count": None}


def weaken(cells: list[dict]) -> None:
    """What a learner may do to grade cells by accident or otherwise."""
    first, second, third, fourth, *_ = graded(cells)
    first["source"] = "pass"
    second["metadata"]["nbgrader"] |= {"points": 300, "locked": False}
    third["metadata"]["nbgrader"] |= {"grade": False, "schema_version": 1}
    cells.insert(0, json.loads(json.dumps(fourth)) | {"id": "copy"})
    cells.remove(graded(cells)[-1])


def tamper(folder: Path) -> None:
    """Spoil the grade cells, and replace support files by ones that pass everything."""
    edit_notebook(folder, weaken)
    (folder / "autograder" / "runner.py").write_text("def check(*args): pass\n")
    (folder / "autograder" / "hidden").mkdir(exist_ok=True)
    (folder / "autograder" / "hidden" / "attention.py").write_text("")
    (folder / "gptlib" / "training" / "loop.py").write_text("broken(\n")


def noisy(folder: Path) -> None:
    """A right solution that warns and prints in every way there is."""
    solve(folder)
    before_solution(folder, "attend", NOISE)
    before_solution(folder, "causal_mask", NOISE)


def implement(folder: Path) -> None:
    """Solve in the notebook: two functions in `%%implement` cells, the file untouched."""
    text = reference(SOLVED)
    cells = []
    for name in ("split_heads", "merge_heads"):
        body = re.search(rf"^def {name}\(.*?(?=^\S)", text, re.M | re.S)
        assert body
        cells.append(code(f"%%implement attention.{name}\n{body[0].rstrip()}\n"))
    edit_notebook(folder, lambda found: found.__setitem__(slice(1, 1), cells))
    setup = json.loads((folder / f"{CHAPTER}.ipynb").read_text("utf-8"))["cells"]
    order = [i for i, c in enumerate(setup) if "setup" in c["metadata"].get("tags", [])]
    if order and order[0] > 0:  # the set-up cell comes first, then the two
        edit_notebook(folder, lambda found: found.insert(0, found.pop(order[0])))


def solved_but_spoiled(folder: Path) -> None:
    """A right solution in a notebook whose grade cells are spoiled."""
    solve(folder)
    edit_notebook(folder, weaken)


def wrong(folder: Path) -> None:
    """The classical mistake: scores are not divided by √K."""
    solve(folder)
    change(module(folder), " / math.sqrt(query.size(-1))", "")


def missing(folder: Path) -> None:
    """The file was not handed in."""
    module(folder).unlink()


def syntax(folder: Path) -> None:
    """One bracket too many."""
    solve(folder)
    change(module(folder), "def merge_heads(x: Tensor)", "def merge_heads((x: Tensor)")


def loop(folder: Path) -> None:
    """One function never ends."""
    solve(folder)
    before_solution(folder, "split_heads", "\n    while True:\n        pass\n")


def unreadable(folder: Path) -> None:
    """Not a notebook."""
    (folder / f"{CHAPTER}.ipynb").write_text("{")


HALF = ("attention.causal_mask", "attention.attend")
HEADS = ("attention.split_heads", "attention.merge_heads")
BY_EXCHANGE = {"ada": solve}
BY_ZIP = {"noisy": noisy, "wrong": wrong}
DIRECT = {
    "half": lambda folder: solve(folder, *HALF), "stub": lambda folder: None,
    "spoiled": solved_but_spoiled, "tampered": tamper,
    "missing": missing, "syntax": syntax, "loop": loop, "implement": implement,
}  # fmt: skip
EXPECTED = {
    "ada": FULL, "half": points(*HALF), "noisy": FULL, "stub": 0, "spoiled": FULL, "tampered": 0,
    "wrong": FULL - points("attention.attend", "attention.MultiHeadAttention"), "missing": 0, "syntax": 0,
    "loop": FULL - points("attention.split_heads", "attention.MultiHeadAttention"), "implement": points(*HEADS),
}  # fmt: skip


def commands() -> list[str]:
    """Every command of the instructor's page, in order."""
    text = (ROOT / "chapters" / "instructor.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


class Term:
    """Runs the instructor's commands one after the other in one imaginary terminal."""

    def __init__(self, home: Path) -> None:
        self.home, self.here, self.log = home, ROOT, ""
        self.course = home / "gpt-course"
        self.env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "AUTOGRADER_HIDDEN")}
        self.env |= {"HOME": str(home), "PYTHONPATH": str(ROOT)}  # what the clone's editable install amounts to
        self.env |= {"JUPYTER_PLATFORM_DIRS": "1", "IPYTHONDIR": str(home / "ipython"), "OMP_NUM_THREADS": "1"}

    def run(self, line: str, folder: Path | None = None, ok: tuple[int, ...] = (0,)) -> str:
        """Run one command line; a failure shows what it printed."""
        if line.startswith("cd "):
            self.here = Path(line[3:].replace("~", str(self.home)))
            return ""
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder or self.here, env=self.env, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.log += f"$ {line}\n{done.stdout}"
        assert done.returncode in ok, f"{line} ended with {done.returncode}:\n{done.stdout[-3000:]}"
        return done.stdout

    def choose(self, **settings: str) -> None:
        """Edit course.toml as an instructor would."""
        for name, value in settings.items():
            path = self.course / "course.toml"
            path.write_text(re.sub(rf"(?m)^{name} = .*$", f"{name} = {value}", path.read_text("utf-8")), "utf-8")

    def set_chapters(self, names: Sequence[str]) -> None:
        """Write a course.toml that sets these chapters."""
        course_config.write_template(self.course / "course.toml", {name: chapters()[name] for name in names})

    def set_exercises(self, names: Sequence[str]) -> None:
        """Write a course.toml that sets these exercises of the chapter and nothing else."""
        path = self.course / "course.toml"
        course_config.write_template(path)
        head, tables = path.read_text("utf-8").split("\n[assignments.", 1)
        lines = [line for line in tables.splitlines() if line.startswith(tuple(f'"{name}" =' for name in names))]
        path.write_text("\n".join([head, f"[assignments.{CHAPTER}]", *lines, ""]), "utf-8")

    def learner(self, name: str, work: Callable[[Path], object]) -> None:
        """One learner fetches the assignment from the exchange, works, and submits."""
        folder = self.home / name
        folder.mkdir()
        shutil.copy(self.home / "hub_config.py", folder / "nbgrader_config.py")
        self.run(f"nbgrader fetch_assignment {CHAPTER}", folder)
        work(folder / CHAPTER)
        self.run(f"nbgrader submit {CHAPTER} --CourseDirectory.student_id={name}", folder)

    def upload(self, name: str, work: Callable[[Path], object]) -> None:
        """One learner works in a copy of the release and makes a zip file with `submit`."""
        folder = self.home / "laptops" / name
        shutil.copytree(self.course / "release" / CHAPTER, folder)
        work(folder)
        archive = self.course / "downloaded" / CHAPTER / "archive"
        archive.mkdir(parents=True, exist_ok=True)
        self.run(f"PYTHONPATH= python -m autograder submit {CHAPTER} --name {name}", folder)
        shutil.copy(folder / "submissions" / CHAPTER / f"{name}.zip", archive)

    def hand_in(self, name: str, work: Callable[[Path], object]) -> None:
        """A submission that is simply there."""
        folder = self.course / "submitted" / name / CHAPTER
        shutil.copytree(self.course / "release" / CHAPTER, folder)
        work(folder)

