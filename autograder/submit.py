"""`submit`: one zip file with the notebook and the edited file, ready for upload and for nbgrader's zip_collect."""
import argparse
import getpass
import hashlib
import re
import time
import zipfile
from pathlib import Path

from autograder import progress, source
from autograder.strip import ROOT
from autograder.table import chapters


def main(argv: list[str]) -> int:
    """Write a zip file with a chapter's notebook and your file: `submit 05_attention`."""
    parser = argparse.ArgumentParser(prog="python -m autograder submit", description=main.__doc__)
    parser.add_argument("chapter", help=f"one of {', '.join(chapters())}")
    parser.add_argument("--name", default=getpass.getuser(), help="the name your instructor knows you by")
    parser.add_argument("--out", type=Path, default=Path("submissions"), help="folder for CHAPTER/NAME.zip")
    parser.add_argument("--notebook", type=Path, help="the notebook, if it is not the one in chapters/")
    arguments = parser.parse_args(argv)
    try:
        path = pack(arguments.chapter, arguments.name, arguments.out, arguments.notebook)
    except (ValueError, OSError, source.Unusable) as error:
        print(error)
        return 1
    print(f"{path}\nSHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return 0


def pack(chapter: str, name: str, out: Path, notebook: Path | None = None) -> Path:
    """Write `<out>/<chapter>/<name>.zip`, as zip_collect wants it; print what is in it and what does not pass yet.

    Raises:
        ValueError: no such chapter, no such notebook, or a name that is no plain file name.
    """
    if chapter not in chapters():
        raise ValueError(f"chapter must be one of {', '.join(chapters())}, got {chapter!r}")
    if not re.fullmatch(r"[\w@+][\w.@+-]*", name):
        raise ValueError(f"--name must hold letters, digits and . _ @ + - only, got {name!r}")
    row = chapters()[chapter]
    places = (ROOT / "chapters" / f"{chapter}.ipynb", ROOT / f"{chapter}.ipynb")  # a clone, a released assignment
    notebook = notebook or next((path for path in places if path.is_file()), places[0])
    if not notebook.is_file():
        raise ValueError(f"there is no notebook {notebook}; name yours with --notebook")
    edited = source.path_of(row.module)
    path = out / chapter / f"{name}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, inside in ((notebook, f"{chapter}.ipynb"), (edited, f"gptlib/{row.module}.py")):
            archive.write(file, f"{chapter}/{inside}")
            saved = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.stat().st_mtime))
            print(f"  {inside:<28} {file.stat().st_size:>9,} bytes, saved {saved}")
    part.replace(path)
    for one in progress.progress(row.exercises, hidden=False):
        if one.state != progress.VISIBLE:
            print(f"  note: {one.exercise.name} is {one.state}" if one.state != progress.BEGUN
                  else f"  note: {one.exercise.name} does not pass its visible checks yet"
                  + (f" ({one.note})" if one.note else ""))
    return path
