"""`update`: a newer course into a clone with own edits; what the learner wrote stays, nothing is lost.

The learner's tracked changes are first copied to .course/backups and the branch is remembered in a ref. Then the
newer course is checked out, and in gptlib/ a three-way merge puts the learner's edits back; where it
conflicts, each of their functions is put back by name.
"""
import argparse
import ast
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from autograder import editing
from autograder.strip import ROOT
from autograder.table import exercises


class Refused(Exception):
    """The update cannot begin; nothing was changed. The message says why."""


def git(*arguments: str, root: Path, check: bool = True) -> str:
    """Run git in the clone and return what it prints.

    Raises:
        Refused: git failed; the message is git's.
    """
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if check and done.returncode:
        raise Refused(f"git {arguments[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def main(argv: list[str]) -> int:
    """Bring a newer course into your clone and keep what you wrote."""
    parser = argparse.ArgumentParser(prog="python -m autograder update", description=main.__doc__)
    parser.add_argument("--source", default="origin", help="remote, address or folder to take the course from")
    parser.add_argument("--branch", default="main")
    arguments = parser.parse_args(argv)
    try:
        for line in update(ROOT, arguments.source, arguments.branch):
            print(line)
    except Refused as error:
        print(error)
        return 1
    return 0


def update(root: Path, source: str = "origin", branch: str = "main") -> list[str]:
    """Update the clone at `root`; return what happened, line by line.

    Raises:
        Refused: no clone, a merge in progress, or the source cannot be fetched; nothing was changed.
    """
    if git("rev-parse", "--is-inside-work-tree", root=root, check=False).strip() != "true":
        raise Refused(f"{root} is not a git clone, so there is nothing to update. Clone the course, copy gptlib/.")
    if (root / git("rev-parse", "--git-path", "MERGE_HEAD", root=root).strip()).exists():
        raise Refused("A merge is going on in this clone. Finish it (git commit) or stop it (git merge --abort) first.")
    git("fetch", "--quiet", source, branch, root=root)
    new, old = (git("rev-parse", ref, root=root).strip() for ref in ("FETCH_HEAD", "HEAD"))
    base = git("merge-base", old, new, root=root, check=False).strip() or old
    if base == new:
        return ["The course is up to date."]
    changed = _own_changes(root, base, new)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    store = _keep(root, changed, stamp)
    git("update-ref", f"refs/course/before-{stamp}", old, root=root)
    goal = new if base == old else _joined(root, new, old)
    git("reset", "--quiet", "--hard", goal, root=root)
    told = [f"The course is now at {git('log', '-1', '--format=%h of %ad', '--date=short', new, root=root).strip()}."]
    for path in changed:
        told += _put_back(root, path, store / path, base)
    if changed:
        told.append(f"Your files as they were: {store}")
    return told


def _own_changes(root: Path, base: str, new: str) -> list[str]:
    """Tracked files the learner changed since `base`, and untracked ones the newer course would write over."""
    changed = set(git("diff", "--name-only", "-z", base, root=root).split("\0")) - {""}
    untracked = set(git("ls-files", "--others", "-z", root=root).split("\0")) - {""}
    incoming = set(git("ls-tree", "-r", "--name-only", "-z", new, root=root).split("\0"))
    return sorted(p for p in changed | (untracked & incoming) if (root / p).is_file())


def _keep(root: Path, changed: list[str], stamp: str) -> Path:
    store = root / ".course" / "backups" / f"{stamp}-update"
    for path in changed:
        (store / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, store / path)
    return store


def _joined(root: Path, new: str, old: str) -> str:
    """A commit with the newer course's files and both histories, so that the learner's commits stay in theirs."""
    message = "Update the course"
    identity = ["-c", "user.name=gpt-lineage update", "-c", "user.email=update@localhost"]
    own = git("config", "user.email", root=root, check=False).strip()
    return git(*([] if own else identity), "commit-tree", f"{new}^{{tree}}", "-p", old, "-p", new, "-m", message,
               root=root).strip()


def _put_back(root: Path, path: str, mine: Path, base: str) -> list[str]:
    """Put one changed file of the learner's back, in the way that fits its kind."""
    here = root / path
    if here.exists() and here.read_bytes() == mine.read_bytes():
        return []
    if path.startswith("gptlib/") and path.endswith(".py") and here.exists():
        return _merge(root, path, mine, base)
    if path.endswith(".ipynb"):
        copy = here.with_name(f"{here.stem} (mine){here.suffix}")
        count = 2
        while copy.exists():
            copy, count = here.with_name(f"{here.stem} (mine {count}){here.suffix}"), count + 1
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(mine, copy)
        return [f"{path}: the new notebook; yours is beside it as “{copy.name}”."]
    if not here.exists():
        here.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(mine, here)
        return [f"{path}: is no longer part of the course; yours was left."]
    return [f"{path}: is the course's new version; your changes are in the backup."]


def _merge(root: Path, path: str, mine: Path, base: str) -> list[str]:
    here = root / path
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "base.py"
        before.write_text(git("show", f"{base}:{path}", root=root, check=False), encoding="utf-8")
        command = ["git", "merge-file", "-p", "--quiet", str(mine), str(before), str(here)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if done.returncode == 0 and _parses(done.stdout):
            here.write_text(done.stdout, encoding="utf-8")
            return [f"{path}: your edits are kept."]
        text = mine.read_text(encoding="utf-8")
        if not _parses(text):
            return [f"{path}: yours has a syntax error, so it could not be merged. The file is the course's; copy your "
                    "functions from the backup."]
        new, kept = _by_function(here.read_text(encoding="utf-8"), text, before.read_text(encoding="utf-8"), path)
    here.write_text(new, encoding="utf-8")
    return [f"{path}: the course changed near your edits. Your {', '.join(kept) or 'edits'} were put back by name; "
            "look the file through."]


def _by_function(new: str, mine: str, base: str, path: str) -> tuple[str, list[str]]:
    """The new file with those functions of the learner's that differ from the stub, and what they added."""
    module = Path(path).stem
    kept: list[str] = []
    for row in exercises().values():
        if row.module != module:
            continue
        try:
            own, stub = editing.get(mine, row.function), editing.get(base, row.function)
        except (LookupError, SyntaxError):
            continue
        if own != stub:
            new, kept = editing.put(new, row.function, own), [*kept, row.function]
    there = {name for name, _ in _top_level(new)} | {name for name, _ in _top_level(base)}
    added = [code for name, code in _top_level(mine) if name not in there]
    if added:
        lines = new.split("\n")
        place = max((n.end_lineno or 0 for n in ast.parse(new).body if isinstance(n, ast.Import | ast.ImportFrom)),
                    default=ast.parse(new).body[0].end_lineno or 0)
        new = "\n".join([*lines[:place], *("\n".join(added)).split("\n"), *lines[place:]])
        kept.append("own additions")
    return new, kept


def _top_level(text: str) -> list[tuple[str, str]]:
    lines, found = text.split("\n"), []
    for node in ast.parse(text).body:
        code = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        name = getattr(node, "name", None) or code
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            found.append((name, code))
    return found


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
