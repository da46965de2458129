"""What the set-up cell of every chapter runs.

As a script (`python autograder/begin.py`) it installs the small packages that are missing, before the course
can be imported; `begin()` then says where everything is and what has been done. Only the standard library is
imported at the top, because the script runs where nothing is installed yet.
"""
import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ON_COLAB = "google.colab" in sys.modules


def missing(root: Path = ROOT) -> list[str]:
    """Return those requirements of the course's pyproject.toml whose package is not installed here."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [line for line in project["dependencies"] if not _installed(_name(line))]


def install(requirements: list[str], root: Path = ROOT) -> None:
    """Install packages with pip; what the course needs and is there already, torch above all, stays as it is.

    Raises:
        RuntimeError: pip could not install them; the message holds what it said.
    """
    print(f"Installing {', '.join(map(_name, requirements))} …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in _kept(root)), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(constraints)]
        done = subprocess.run([*command, *requirements], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip could not install {', '.join(requirements)}:\n{done.stdout}{done.stderr}")


def begin() -> None:
    """Print versions, device, where the learner's files are, and which exercises are done."""
    _import_path()
    torch = _version("torch")
    print(f"Python {platform.python_version()} · torch {torch} · {_device()}")
    spec = importlib.util.find_spec("gptlib")
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        print("gptlib was not found: run this cell in a clone of the course.")
        return
    folder = Path(places[0]).resolve()
    reference = folder.is_relative_to(ROOT / "build")
    print(f"gptlib: {f'the complete library ({folder.relative_to(ROOT)})' if reference else folder}")
    if ON_COLAB:
        _colab(folder)
    if not reference and not os.environ.get("NBGRADER_EXECUTION"):  # grading runs the checks itself
        _progress()
    follow_edits()
    _magics()


def _magics() -> None:
    from autograder.learner import magics

    magics.load()


def follow_edits() -> None:
    """In a notebook, let every cell see gptlib's files as they were last saved, without a restart.

    IPython's own autoreload writes to stderr when a file has a mistake, which costs a graded cell its points.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if shell is not None and refresh not in shell.events.callbacks["pre_run_cell"]:
        for event in ("pre_run_cell", "post_run_cell"):
            shell.events.register(event, refresh)


def refresh(*_: object) -> None:
    """Run again, in their own modules, those files of gptlib that were saved since they were last seen."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not name.startswith("gptlib.") or not file or not Path(file).exists():
            continue
        saved = Path(file).stat().st_mtime_ns
        if _seen.setdefault(name, saved) == saved:
            continue
        _seen[name] = saved
        try:
            exec(compile(Path(file).read_text(encoding="utf-8"), file, "exec"), module.__dict__)
        except Exception as error:
            print(f"{Path(file).name} as saved cannot be used: {type(error).__name__}: {error}")
            print("This cell still uses what it said before.")


_seen: dict[str, int] = {}


def _colab(folder: Path) -> None:
    print(f'To edit an exercise here: from google.colab import files; files.view("{folder}/attention.py")')
    if "MyDrive" in folder.parts:
        print("Your work is kept in your Google Drive.")
        return
    bar = "!" * 100
    print(
        f"{bar}\n!! YOUR WORK IS NOT KEPT: it is on this machine only, which Colab deletes when idle.\n"
        "!! To keep it, run  !python -m autograder submit 05_attention  (your chapter's name) before you stop\n"
        "!! and download the zip file it writes. Or open Google Drive with the folder icon on the left and run\n"
        f"!!   !cp -r {ROOT} /content/drive/MyDrive/\n"
        f"{bar}"
    )


def _progress() -> None:
    try:
        from autograder.learner.progress import status
    except ImportError:
        return
    status()


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"GPU {torch.cuda.get_device_name()}"
    if torch.backends.mps.is_available():
        return "Apple GPU"
    return f"CPU, threads: {torch.get_num_threads()}"


def _import_path() -> None:
    """Let `!python -m autograder …` find the course too; what is on the path already stays first."""
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(ROOT) in sys.path and str(ROOT) not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, paths), str(ROOT)])


def _name(requirement: str) -> str:
    """Return the package that a requirement such as `torch>=2.6` asks for."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    if not found:
        raise ValueError(f"a requirement must begin with a package's name, got {requirement!r}")
    return found[0]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _installed(package: str) -> bool:
    return _version(package) != "not installed"


def _kept(root: Path) -> list[str]:
    """Pin those of the course's requirements that are installed."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [_name(line) for line in project["dependencies"]]
    return [f"{name}=={_version(name)}" for name in names if _installed(name)]


if __name__ == "__main__":
    lacking = missing()
    if lacking:
        install(lacking)
