"""How long the README's two commands take on a fresh clone with an empty pip cache."""
import os
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def measure() -> dict[str, float]:
    """Seconds of `make setup`, then `make book`, then `make book` again with nothing changed, and sizes in MB."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "course"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        env |= {"PIP_CACHE_DIR": f"{folder}/pip", "GPTLIB_DATA": f"{folder}/data", "npm_config_cache": f"{folder}/npm"}
        found = {}
        for name, target in (("setup_s", "setup"), ("book_s", "book"), ("book_again_s", "book")):
            start = time.perf_counter()
            subprocess.run(["make", target], cwd=clone, env=env, check=True, stdout=subprocess.DEVNULL)
            found[name] = round(time.perf_counter() - start, 1)
        found["chapters"] = len(list((clone / "chapters").glob("[0-9]*.md")))
        found["venv_mb"] = round(size(clone / ".venv") / 1e6)
        found["html_mb"] = round(size(clone / "_build/html") / 1e6, 1)
    return found


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
