"""`submit`: one zip file with all that is handed in, ready for upload and for nbgrader's zip_collect."""
import argparse
import getpass
import hashlib
import re
import time
import zipfile
from pathlib import Path

from autograder import source
from autograder.capstone import HANDED_IN, capstones, look
from autograder.learner import progress
from autograder.strip import ROOT
from autograder.table import chapters


def main(argv: list[str]) -> int:
    """Write a zip file with a chapter's notebook and your file, or a capstone's weights: `submit 05_attention`."""
    parser = argparse.ArgumentParser(prog="python -m autograder submit", description=main.__doc__)
    parser.add_argument("chapter", help=f"one of {', '.join([*chapters(), *capstones()])}")
    parser.add_argument("--name", default=getpass.getuser(), help="the name your instructor knows you by")
    parser.add_argument("--out", type=Path, default=Path("submissions"), help="folder for CHAPTER/NAME.zip")
    parser.add_argument("--notebook", type=Path, help="the notebook, if it is not the one in chapters/")
    parser.add_argument("--weights", type=Path, help="of a capstone: the folder that hand_in.pack wrote")
    arguments = parser.parse_args(argv)
    try:
        path = pack(arguments.chapter, arguments.name, arguments.out, arguments.notebook, arguments.weights)
    except (ValueError, OSError, source.Unusable) as error:
        print(error)
        return 1
    print(f"{path}\nSHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return 0


def pack(chapter: str, name: str, out: Path, notebook: Path | None = None, weights: Path | None = None) -> Path:
    """Write `<out>/<chapter>/<name>.zip`, as zip_collect wants it; print what is in it and what does not pass yet.

    Args:
        chapter: with exercises, or a capstone.
        name: the learner's.
        out: the folder of zip files.
        notebook: if it is not the one in chapters/.
        weights: of a capstone, the folder with its `HANDED_IN` files.

    Raises:
        ValueError: no such chapter, no such notebook or weights, or a name that is no plain file name.
    """
    known = [*chapters(), *capstones()]
    if chapter not in known:
        raise ValueError(f"chapter must be one of {', '.join(known)}, got {chapter!r}")
    if not re.fullmatch(r"[\w@+][\w.@+-]*", name):
        raise ValueError(f"--name must hold letters, digits and . _ @ + - only, got {name!r}")
    places = (ROOT / "chapters" / f"{chapter}.ipynb", ROOT / f"{chapter}.ipynb")  # a clone, a released assignment
    notebook = notebook or next((path for path in places if path.is_file()), places[0])
    if not notebook.is_file():
        raise ValueError(f"there is no notebook {notebook}; name yours with --notebook")
    files = {f"{chapter}.ipynb": notebook, **(model(weights) if chapter in capstones() else edited(chapter))}
    path = out / chapter / f"{name}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, file in files.items():
            stored = zipfile.ZIP_STORED if file.suffix == ".safetensors" else None  # weights do not get smaller
            archive.write(file, f"{chapter}/{inside}", stored)
            saved = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.stat().st_mtime))
            print(f"  {inside:<28} {file.stat().st_size:>9,} bytes, saved {saved}")
    part.replace(path)
    if chapter in capstones():
        look(files[HANDED_IN[0]].parent)
        return path
    for one in progress.progress(chapters()[chapter].exercises, hidden=False):
        if one.state != progress.VISIBLE:
            print(f"  note: {one.exercise.name} is {one.state}" if one.state != progress.BEGUN
                  else f"  note: {one.exercise.name} does not pass its visible checks yet"
                  + (f" ({one.note})" if one.note else ""))
    return path


def edited(chapter: str) -> dict[str, Path]:
    """The file that a learner edits, by its name in the zip file."""
    module = chapters()[chapter].module
    return {f"gptlib/{module}.py": source.path_of(module)}


def model(weights: Path | None) -> dict[str, Path]:
    """The files of a trained model, by their names in the zip file.

    Raises:
        ValueError: no folder is named, or it lacks one of them.
    """
    if weights is None:
        raise ValueError("name the folder that hand_in.pack wrote: --weights FOLDER")
    if missing := [name for name in HANDED_IN if not (weights / name).is_file()]:
        raise ValueError(f"there is no {missing[0]} in {weights}; hand_in.pack writes it")
    return {name: weights / name for name in HANDED_IN}
