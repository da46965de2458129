"""The files that an assignment's folder in source/ adds to every graded submission."""
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nbgrader import utils
from nbgrader.converters import Autograde

WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


class GivenFiles:
    """Those of one assignment, each stored once for all its submissions.

    The folders of learners hold links to them, so a class of thousands takes the room of one. nbgrader makes what it
    writes read-only, and replaces a file by another when it grades again; where the course's settings let a group
    write, files are copies.

    Args:
        app: nbgrader's converter, for its settings.
        assignment: its name.
        store: the folder where they are stored.
    """

    def __init__(self, app: Autograde, assignment: str, store: Path) -> None:
        self.app, self.assignment, self.store = app, assignment, store
        self.mode, course = int(str(app.permissions), 8), app.coursedir
        source = Path(course.format_path(course.source_directory, ".", assignment)).resolve()
        left_out = {source / name for name in app.exclude_overwriting.get(assignment, [])}
        found = {Path(path) for path in utils.find_all_files(str(source), [*course.ignore, "*.ipynb"])} - left_out
        self.places = {path.relative_to(source).as_posix(): path for path in sorted(found)}
        self.folders = sorted({parent.as_posix() for name in self.places for parent in Path(name).parents} | {"."})
        self.stored: dict[str, str] = {}

    def put(self, folder: Path, own: Mapping[str, bytes]) -> None:
        """Write a learner's folder anew.

        Args:
            folder: where.
            own: the learner's files by path; a given file of the same path counts instead.
        """
        shutil.rmtree(folder, ignore_errors=True)
        for name in self.folders:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name in own:
            if name not in self.places:
                goal = folder / name
                goal.parent.mkdir(parents=True, exist_ok=True)
                goal.write_bytes(own[name])
                goal.chmod(self.mode)
        for name in self.places:
            self.place(name, f"{folder}/{name}")
        if self.app.coursedir.groupshared:
            self.app.set_permissions(self.assignment, self.app.coursedir.student_id)

    def place(self, name: str, goal: str) -> None:
        """Put one given file where it belongs."""
        if not self.mode & WRITABLE:
            try:
                os.link(self.in_store(name), goal)
                return
            except OSError:
                pass  # a file system without links, or with as many of this file as it can hold
        shutil.copyfile(self.places[name], goal)
        os.chmod(goal, self.mode)

    def in_store(self, name: str) -> str:
        """Where a given file is stored, after it was looked at once."""
        if name not in self.stored:
            data = self.places[name].read_bytes()
            digest = hashlib.sha256(f"{name}\n".encode() + data).hexdigest()
            goal = self.store / self.assignment / digest
            if not goal.exists() or goal.read_bytes() != data:
                goal.parent.mkdir(parents=True, exist_ok=True)
                handle, new = tempfile.mkstemp(dir=goal.parent, prefix=".")
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.chmod(new, self.mode)
                os.replace(new, goal)
            self.stored[name] = str(goal)
        return self.stored[name]
