"""Write an nbgrader course from the chapters, the table of exercises and an instructor's course.toml."""
import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autograder import kept
from autograder.course import assignment, leaks
from autograder.course.config import CELL_SECONDS, Course, read, write_template
from autograder.limits import SECONDS
from autograder.strip import ROOT, build_reference
from autograder.table import chapters

TEMPLATE = Path(__file__).with_name("template")
LEDGER = Path("private") / "written.json"
BOTH = '''\
"""Hidden checks: the book's, then the instructor's own."""
import importlib.util
from pathlib import Path
from typing import Any

for _part in ("book", "own"):
    _path = Path(__file__).parent / _part / Path(__file__).name
    _spec = importlib.util.spec_from_file_location(f"autograder_{_part}_{_path.stem}", _path)
    _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)
    for _name, _value in list(vars(_module).items()):
        if hasattr(_value, "exercise"):
            globals()[f"{_part}_{_name}"] = _value
'''


TRY = '''\
import sys
from autograder import check
from autograder.suites import SUITES, checks_of
for name in sys.argv[1:]:
    for suite in SUITES:
        if not checks_of(name, suite):
            sys.exit(f"{name} has no {suite} check")
        try:
            check(name, suite)
        except Exception as error:
            sys.exit(f"{name}, {suite}: {error}")
'''


def main(argv: list[str]) -> int:
    """Write an nbgrader course: assignments, configuration, hidden checks; see the page for instructors."""
    parser = argparse.ArgumentParser(prog="python -m autograder course", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "course", help="the course's folder")
    parser.add_argument("--config", type=Path, help="course.toml (default: the one in the course's folder)")
    options = parser.parse_args(argv)
    out = options.out.expanduser().resolve()
    try:
        return write(out, options.config)
    except (ValueError, subprocess.CalledProcessError) as error:
        print(f"The course was not written: {error}")
        return 1


def write(out: Path, config: Path | None = None) -> int:
    """Write the course, try its hidden checks, look for leaks, and print what to do next.

    Args:
        out: the course's folder; submissions, grades and files changed by hand in it are kept.
        config: a course.toml to use instead of the one in `out`; it is copied there.

    Returns:
        0, or 1 when an answer, a hidden check or the secret stands where learners would see it.

    Raises:
        ValueError: the configuration, a chapter or a hidden check does not fit; nothing is written then.
    """
    place = (config or out / "course.toml").expanduser().resolve()
    if not place.exists():
        write_template(place)
        print(f"wrote {place}: edit it to choose chapters, exercises and points")
    course = read(place)
    table = chapters()
    made = {name: assignment.files(table[name], points) for name, points in course.assignments.items()}
    made |= {name: assignment.capstone_files(chosen) for name, chosen in course.capstones.items()}
    hidden = hidden_checks(course)
    problem = gate(course, hidden, out)
    if problem:
        raise ValueError(problem)
    _write_settings(out, place, course)
    for name, text in hidden.items():
        _put(out / "private" / "hidden" / name, text)
    for own in _write_source(out, made):
        print(f"kept your own {own}: remove it to get the course's again")
    for name in table:
        if name not in course.assignments:
            print(f"left out {name}, which {place.name} does not name")
    found = find_leaks(out, course)
    for leak in found:
        print(f"LEAK {leak}")
    _report(out, course)
    return 1 if found else 0


def hidden_checks(course: Course) -> dict[str, bytes]:
    """The hidden suites of the course's modules, with the instructor's private checks beside ours."""
    found = {}
    table = chapters()
    modules = sorted({table[name].module for name in course.assignments})
    for module in modules:
        ours = (ROOT / "autograder" / "hidden" / f"{module}.py").read_bytes()
        own = course.private_checks / f"{module}.py" if course.private_checks else None
        if own and own.exists():
            found[f"{module}.py"] = BOTH.encode()
            found[f"book/{module}.py"], found[f"own/{module}.py"] = ours, own.read_bytes()
        else:
            found[f"{module}.py"] = ours
    if course.private_checks:
        for path in sorted(course.private_checks.glob("*.py")):
            if path.stem not in modules:
                raise ValueError(f"{path}: no assignment of this course has a module {path.stem!r}")
    return found


def gate(course: Course, hidden: Mapping[str, bytes], out: Path) -> str:
    """Run all checks of the course on the reference; say what is wrong, or nothing. What passed is not tried again."""
    names = [e for points in course.assignments.values() for e in points]
    trial, passed = out / "private" / ".trial", out / "private" / "passed"
    tried = [[name, _digest(text)] for name, text in hidden.items()] + [course.secret, *names]
    now = kept.digest([*build_reference().rglob("*.py"), *(ROOT / "autograder").rglob("*.py")], tried).encode()
    if passed.exists() and passed.read_bytes() == now:
        return ""
    shutil.rmtree(trial, ignore_errors=True)
    try:
        for name, text in hidden.items():
            _put(trial / name, text)
        path = os.pathsep.join([str(build_reference()), str(ROOT)])
        here = {"PYTHONPATH": path, "AUTOGRADER_HIDDEN": str(trial), "AUTOGRADER_SECRET": course.secret}
        done = subprocess.run(
            [sys.executable, "-c", TRY, *names], env=os.environ | here, cwd=out, text=True, capture_output=True
        )
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    if done.returncode == 0:
        _put(passed, now)
        return ""
    words = done.stderr.strip().splitlines()[-12:]
    return "\n".join(["the reference does not pass the checks of this course:", *words])


def find_leaks(out: Path, course: Course) -> list[leaks.Leak]:
    """Search what learners of the course can read: source/, release/ and feedback/."""
    found, secret = [], {name: secrets_of(out, course, name) for name in (*course.assignments, *course.capstones)}
    search = leaks.Search(one for secrets in secret.values() for one in secrets)
    for name, secrets in secret.items():
        for kind in ("source", "release"):
            found += leaks.scan(out / kind / name, secrets, search)
        for folder in sorted((out / "feedback").glob(f"*/{name}")):
            # Feedback shows learners their own code, and that may be the answer.
            sent = out / "submitted" / folder.parent.name / name
            files = [p for p in sent.rglob("*") if p.is_file() and not p.is_symlink()] if sent.is_dir() else []
            own = "".join(p.read_text("utf-8", "ignore") for p in files if p.suffix == ".py")
            own += "".join(view for p in files if p.suffix == ".ipynb" for view in leaks.views(p))
            found += leaks.scan(folder, [s.less(own) for s in secrets], search)
    return found


def secrets_of(out: Path, course: Course, name: str) -> list[leaks.Secret]:
    """What may not be found in an assignment: its own and later answers, hidden checks, the course secret."""
    table = chapters()
    if name not in table:  # a capstone brings no library, so there is nothing that it may give away
        every = [e.name for chapter in table.values() for e in chapter.exercises]
        return leaks.answers(every) + leaks.unseen(ROOT, out / "private" / "hidden", course.secret)
    order = list(table)
    given = {table[name].module, *table[name].requires}
    later = [e.name for n in order[order.index(name) + 1 :] for e in table[n].exercises if e.module not in given]
    public = "".join((ROOT / "solutions" / f"{m}.py").read_text("utf-8") for m in table[name].requires)
    found = leaks.answers([*course.assignments[name], *later], public=public)
    found += leaks.unseen(ROOT, out / "private" / "hidden", course.secret)
    return found + leaks.unseen(ROOT, out / "private" / "hidden" / "own")


def _write_settings(out: Path, place: Path, course: Course) -> None:
    if place != out / "course.toml":
        _put(out / "course.toml", place.read_bytes(), 0o600)
    table = chapters()
    exact = {name: [f"gptlib/{table[name].module}.py"] for name in course.assignments}
    text = (TEMPLATE / "nbgrader_config.py").read_text(encoding="utf-8")
    values = {"EXCLUDE_OVERWRITING": exact, "CHECK_SECONDS": SECONDS, "CELL_SECONDS": CELL_SECONDS}
    _put(out / "nbgrader_config.py", _filled_in(text, values).encode())
    _put(out / "private" / "grading.py", (TEMPLATE / "grading.py").read_bytes())
    (out / "private").chmod(0o700)
    if not (exchange := out / course.exchange).exists() and exchange.parent == out:
        exchange.mkdir()
        exchange.chmod(0o777)


def _filled_in(text: str, values: Mapping[str, Any]) -> str:
    """The template of a Python file with a literal for each of its unknown names, and no note about these."""
    for name, value in values.items():
        line = re.compile(rf"^(.*)\b{name}\b(.*?)  # type: ignore\[name-defined\]  # noqa: F821$", re.M)
        literal = json.dumps(value, indent=4)
        text = line.sub(lambda m, literal=literal: f"{m[1]}{literal}{m[2]}", text)  # type: ignore[misc]
    return text


def _write_source(out: Path, made: Mapping[str, Mapping[str, bytes]]) -> list[Path]:
    """Write source/, remove what is no longer made, keep and list what was changed by hand."""
    ledger = out / LEDGER
    before: dict[str, str] = json.loads(ledger.read_text(encoding="utf-8")) if ledger.exists() else {}
    now = {f"source/{a}/{p}": text for a, files in made.items() for p, text in files.items()}
    kept, written = [], {}
    for name in sorted(set(before) | set(now)):
        path = out / name
        mine = not path.exists() or before.get(name) == _digest(path.read_bytes())
        if name in now:
            written[name] = _digest(now[name])
            if mine:
                _put(path, now[name])
            elif path.read_bytes() != now[name]:
                kept.append(path)
        elif mine:
            path.unlink(missing_ok=True)
    for folder in sorted((out / "source").rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    _put(ledger, json.dumps(written, indent=1, sort_keys=True).encode())
    return kept


def _report(out: Path, course: Course) -> None:
    print(f"\nThe course {course.course_id} is in {out}:")
    for name, points in course.assignments.items():
        total = sum(p.visible + p.hidden for p in points.values())
        print(f"  {name:<24} {len(points)} exercises, {total:g} points")
    for name, chosen in course.capstones.items():
        print(f"  {name:<24} {chosen.loss:g} points for the loss, and those of the written answers")
    print("\nNext:")
    print(f"  cd {out}")
    for name in (*course.assignments, *course.capstones):
        print(f"  nbgrader generate_assignment {name}")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _put(path: Path, data: bytes, mode: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != data:
        path.write_bytes(data)
    if mode is not None:
        path.chmod(mode)


def leaks_main(argv: list[str]) -> int:
    """Look for answers, hidden checks and the secret in a course, or in the built book if --html names it."""
    parser = argparse.ArgumentParser(prog="python -m autograder leaks", description=leaks_main.__doc__)
    parser.add_argument("--course", type=Path, help="a course's folder (default: build/course)")
    parser.add_argument("--html", type=Path, help="the folder of the built book")
    options = parser.parse_args(argv)
    found = []
    if options.html:
        found += leaks.scan(options.html, leaks.everything(ROOT))
    if options.course or not options.html:
        out = (options.course or ROOT / "build" / "course").expanduser().resolve()
        try:
            found += find_leaks(out, read(out / "course.toml"))
        except (OSError, ValueError) as error:
            print(error)
            return 1
    for leak in found:
        print(f"LEAK {leak}")
    print(f"{len(found)} leaks found")
    return 1 if found else 0
