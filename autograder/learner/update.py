"""`update`: a newer course into a clone with own edits; what the learner wrote stays, nothing is lost.

The learner's files are first copied to .course/backups, and a git ref remembers the branch as it was. Then the
newer course is checked out, and what the learner changed is put back in the way that fits each file. The given files
of gptlib are the course's own: an edited one is replaced, newer course or not.
"""
import argparse
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from autograder import given
from autograder.learner import editing, merging, renaming
from autograder.source import Unusable
from autograder.strip import ROOT

GOING_ON = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply", "BISECT_LOG")
IDENTITY = ("-c", "user.name=gpt-lineage update", "-c", "user.email=update@localhost", "-c", "commit.gpgsign=false")


KNOWN_BY = "autograder/begin.py"  # every version of the course has it, for notebooks name it


class Refused(Exception):
    """The update cannot begin; nothing was changed. The message says why."""


def git(*arguments: str, root: Path, check: bool = True) -> str:
    """Run git in the clone and return what it prints.

    Raises:
        Refused: git failed or is not installed; the message is git's.
    """
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, encoding="utf-8",
                              errors="surrogateescape", env=os.environ | {"GIT_TERMINAL_PROMPT": "0"})
    except FileNotFoundError:
        raise Refused("git is not installed here, and update needs it.") from None
    if check and done.returncode:
        name = next(a for a in arguments if not a.startswith("-") and "=" not in a)
        raise Refused(f"git {name} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def main(argv: list[str]) -> int:
    """Bring a newer course into your clone and keep what you wrote."""
    parser = argparse.ArgumentParser(prog="python -m autograder update", description=main.__doc__)
    parser.add_argument("--from", "--source", dest="source", default="origin", metavar="PLACE",
                        help="remote, address, folder, or a branch or tag of this clone (default: origin)")
    parser.add_argument("--branch", default="HEAD", help="branch or tag there (default: the one it shows)")
    arguments = parser.parse_args(argv)
    try:
        for line in update(ROOT, arguments.source, arguments.branch):
            print(line)
    except Refused as error:
        print(error)
        return 1
    return 0


def update(root: Path, source: str = "origin", branch: str = "HEAD") -> list[str]:
    """Update the clone at `root`; return what happened, line by line.

    Raises:
        Refused: no clone, git is in the midst of something, the source cannot be fetched, or it is not this
            course; nothing was changed.
    """
    top = git("rev-parse", "--show-toplevel", root=root, check=False).strip()
    if not top or Path(top).resolve() != root.resolve():
        raise Refused(f"{root} is not a git clone, so there is nothing to update. Clone the course, copy gptlib/.")
    for name in GOING_ON:
        if (root / git("rev-parse", "--git-path", name, root=root).strip()).exists():
            raise Refused(f"git is in the midst of something here ({name}). Finish or stop it first: see `git status`.")
    new, old = _newer(root, source, branch), git("rev-parse", "HEAD", root=root).strip()
    base = git("merge-base", old, new, root=root, check=False).strip()
    if not base or not git("ls-tree", new, KNOWN_BY, root=root).strip():
        raise Refused(f"{source} is not a newer version of this course: it shares no history with your clone. If the "
                      "course was started anew, clone it again and copy your functions over. Nothing was changed.")
    if base == new:
        return ["The course is up to date.", *_mend(root, old), *_rename(root, old, new)]
    changed = _own_changes(root, base, new)
    store = _keep(root, changed, old)
    goal = new if base == old else _joined(root, new, old)
    try:
        git("reset", "--quiet", "--hard", goal, root=root)
    except Refused as error:
        raise Refused(f"{error}\nThe update stopped half-way. Your files are safe in {store}.") from None
    return _put_all_back(root, changed, store, base, old, new)


def _mend(root: Path, old: str) -> list[str]:
    """Put back given files that were edited, in a clone that needs no newer course."""
    wrong = given.edited(root)
    if not wrong:
        return []
    store = _keep(root, [f"gptlib/{name}" for name in wrong if (root / "gptlib" / name).is_file()], old)
    told = []
    for name in wrong:
        data = given.original(name, root)
        if data is None:
            told.append(f"gptlib/{name}: the course's version is not in this clone; clone the course again.")
            continue
        (root / "gptlib" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "gptlib" / name).write_bytes(data)
        told.append(f"gptlib/{name}: is the course's again, for it is given.")
    return [*told, f"The files as they were: {store}", "Restart the kernels of open notebooks."]


def _rename(root: Path, old: str, new: str) -> list[str]:
    """Change names of before that an update by an older course has left in the learner's files."""
    told, found = list[str](), dict[Path, str]()
    for path in sorted(_paths(root, "diff", "--name-only", new, "--", "gptlib/*.py")):
        with contextlib.suppress(Unusable):
            text = editing.read(root / path)
            own = text.removeprefix(editing.BYTE_ORDER_MARK)
            course = git("show", f"{new}:{path}", root=root, check=False)
            text_now, _, names = renaming.named_as_now(own, "", course, Path(path).stem)
            if names:
                found[root / path] = text[: len(text) - len(own)] + text_now
                told += _told(path, names)
    if not found:
        return []
    store = _keep(root, [path.relative_to(root).as_posix() for path in found], old)
    for here, text in found.items():
        editing.write(here, text)
    return [*told, f"The files as they were: {store}", "Restart the kernels of open notebooks."]


def _told(path: str, names: Mapping[str, str]) -> list[str]:
    return [f"{path}: your {old} is called {now} now, in your code too." for old, now in names.items()]


def _newer(root: Path, source: str, branch: str) -> str:
    """The commit to update to: fetched, or a branch, tag or commit that this clone has."""
    known = git("remote", root=root).split()
    if source.startswith("-") or branch.startswith("-"):
        raise Refused(f"A place or branch cannot begin with a dash, got {source!r} and {branch!r}.")
    if source not in known and not Path(source).exists() and ":" not in source:
        here = git("rev-parse", "--verify", "--quiet", f"{source}^{{commit}}", root=root, check=False).strip()
        if here:
            return here
    git("fetch", "--quiet", "--no-tags", source, branch, root=root)
    return git("rev-parse", "FETCH_HEAD^{commit}", root=root).strip()


def _own_changes(root: Path, base: str, new: str) -> list[str]:
    """Tracked files the learner changed since `base`, and untracked ones the newer course would write over."""
    changed = _paths(root, "diff", "--name-only", "--no-renames", base)
    untracked = _paths(root, "ls-files", "--others")
    incoming = _paths(root, "ls-tree", "-r", "--name-only", new)
    folders = {str(parent) for path in incoming for parent in Path(path).parents}
    in_the_way = {p for p in untracked if p in incoming or p in folders or incoming & {str(q) for q in Path(p).parents}}
    return sorted(p for p in changed | in_the_way if (root / p).is_file())


def _paths(root: Path, command: str, *arguments: str) -> set[str]:
    return set(git(command, "-z", *arguments, root=root).split("\0")) - {""}


def _keep(root: Path, changed: list[str], old: str) -> Path:
    """Copy the learner's files, and let a ref remember the branch with the work tree and index."""
    backups, stamp = root / ".course" / "backups", time.strftime("%Y%m%d-%H%M%S-update")
    names = (stamp if i == 1 else f"{stamp}-{i}" for i in range(1, 10_000))
    store = next(backups / name for name in names if not (backups / name).exists())
    try:
        for path in changed:
            (store / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / path, store / path)
    except OSError as error:
        raise Refused(f"Your files could not be copied to {store}: {error.strerror}. Nothing was changed.") from None
    saved = git(*IDENTITY, "stash", "create", root=root, check=False).strip()
    git("update-ref", f"refs/course/{store.name}", saved or old, root=root)
    return store


def _joined(root: Path, new: str, old: str) -> str:
    """A commit with the newer course's files and both histories, so that the learner's commits stay in theirs."""
    own = git("config", "user.email", root=root, check=False).strip()
    return git(*(IDENTITY[4:] if own else IDENTITY), "commit-tree", f"{new}^{{tree}}", "-p", old, "-p", new, "-m",
               "Update the course", root=root).strip()


def _put_all_back(root: Path, changed: list[str], store: Path, base: str, old: str, new: str) -> list[str]:
    told = [f"The course is now at {git('log', '-1', '--format=%h of %ad', '--date=short', new, root=root).strip()}."]
    for path in changed:
        try:
            told += _put_back(root, path, store / path, base, new)
        except OSError as error:
            told.append(f"{path}: could not be put back ({error.strerror}). Yours is in the backup.")
    if base != old:
        told.append("Your own commits stay in the history; your edits stand in the files again, not committed.")
    if changed:
        told.append(f"All these files as they were: {store}")
    if git("diff", "--name-only", base, new, "--", "pyproject.toml", "requirements", root=root).strip():
        told.append("The packages it needs may have changed: run `make` or `pip install -e .` again.")
    return [*told, "Restart the kernels of open notebooks."]


def _put_back(root: Path, path: str, mine: Path, base: str, new: str) -> list[str]:
    """Put one changed file of the learner's back, in the way that fits its kind."""
    here = root / path
    before, now = (git("rev-parse", "--verify", "--quiet", f"{c}:{path}", root=root, check=False) for c in (base, new))
    if here.is_file() and here.read_bytes() == mine.read_bytes():
        return []
    if not now:
        here.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(mine, here)
        return [f"{path}: is no longer part of the course; yours was left."] if before else []
    if path.removeprefix("gptlib/") in given.listed(root):
        return [f"{path}: is the course's version, for it is given; yours is in the backup."]
    if path.endswith(".ipynb"):
        return _notebook(here, path, mine, unchanged=before == now)
    if path.startswith("gptlib/") and path.endswith(".py"):
        return _library(root, path, mine, base)
    return [f"{path}: is the course's version; yours is in the backup."]


def _notebook(here: Path, path: str, mine: Path, unchanged: bool) -> list[str]:
    if unchanged:
        shutil.copyfile(mine, here)
        return [f"{path}: yours stays, the course has not changed it."]
    names = (f"{here.stem} (mine{'' if i == 1 else f' {i}'}){here.suffix}" for i in range(1, 10_000))
    copy = next(here.with_name(name) for name in names if not here.with_name(name).exists())
    shutil.copyfile(mine, copy)
    return [f"{path}: the new notebook; yours is beside it as “{copy.name}”."]


def _library(root: Path, path: str, mine: Path, base: str) -> list[str]:
    here = root / path
    try:
        own = mine.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return [f"{path}: yours is not saved as UTF-8, so it could not be merged. The file is the course's; copy your "
                "functions from the backup."]
    before = git("show", f"{base}:{path}", root=root, check=False).replace("\r\n", "\n")
    new = here.read_text(encoding="utf-8")
    own, before, names = renaming.named_as_now(own, before, new, here.stem)
    text, kept, lost = merging.merge(own, before, new, here.stem)
    if text is None:
        return [f"{path}: yours has a syntax error, so it could not be merged. The file is the course's; copy your "
                "functions from the backup."]
    here.write_text(text, encoding="utf-8")
    told = _told(path, names)
    if not kept and not lost:
        return [f"{path}: your edits are kept.", *told]
    told.append(f"{path}: the course changed the same lines as you. Look the file through.")
    if kept:
        told.append(f"{path}: your {', '.join(kept)} were put back by name.")
    if lost:
        told.append(f"{path}: {', '.join(lost)} is the course's; your version is in the backup.")
    return told
