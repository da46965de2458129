"""Run the cells of pages, several pages at once, each page only if what it depends on has changed.

What came of a page is kept in build/executed/PAGE: the cells with their outputs, the numbers that they recorded, and
the key of what they ran on. The book takes it from jupyter-cache, which `offer` fills.
"""
import copy
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from autograder import kept
from autograder.strip import build_reference
from chapters._book import cells, depends, kernels
from chapters._book.site import ROOT, Site

KEPT = ROOT / "build" / "executed"
RESULTS = ROOT / "build" / "results"
CACHE = ROOT / "_build" / ".jupyter_cache"
ONE_KERNEL = 2 << 30  # bytes of memory
SETTINGS = {
    "COURSE_STATIC": "1",
    "GPTLIB_BUDGET": "quick",
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


def environment(reference: Path, results: Path = RESULTS) -> dict[str, str]:
    """The variables under which cells run: the reference as gptlib, the quick budget, one thread, results kept."""
    path = os.pathsep.join([str(reference), str(ROOT)])
    return {**os.environ, **SETTINGS, "PYTHONPATH": path, "COURSE_RESULTS": str(results)}


class Page:
    """One page, its key, and what is kept of it."""

    def __init__(self, site: Site, path: Path, reference: Path) -> None:
        self.path, self.reference, self.folder = path, reference, KEPT / path.stem
        self.shown = cells.shown(site, path)
        self.key = depends.key(self.shown, reference / "gptlib", SETTINGS)

    @property
    def current(self) -> bool:
        """Whether what is kept was made from the page as it is now."""
        path = self.folder / "key"
        return path.exists() and path.read_text(encoding="utf-8") == self.key

    @property
    def seconds(self) -> float:
        """How long the page ran last; one that never has counts as long."""
        path = self.folder / "seconds"
        return float(path.read_text(encoding="utf-8")) if path.exists() else float("inf")

    def executed(self) -> nbformat.NotebookNode:
        """Its cells with their outputs, the hidden checks among them."""
        return nbformat.read(self.folder / "page.ipynb", as_version=4)

    def run(self, turns: kernels.Turns) -> tuple[float, list[str]]:
        """Run the page and keep what comes of it if nothing is wrong; give the seconds, and what is wrong."""
        part = self.folder.with_name(f"{self.path.stem}.part{os.getpid()}")
        shutil.rmtree(part, ignore_errors=True)
        (part / "results").mkdir(parents=True)
        start, notebook = time.monotonic(), cells.to_run(self.shown)
        try:
            kernels.run(notebook, self.path.parent, environment(self.reference, part / "results"), turns)
            wrong = cells.problems(notebook)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            wrong = [str(error)]
        seconds = time.monotonic() - start
        if not wrong:
            nbformat.write(notebook, part / "page.ipynb")
            (part / "seconds").write_text(f"{seconds:.1f}", encoding="utf-8")
            (part / "key").write_text(self.key, encoding="utf-8")
            shutil.rmtree(self.folder, ignore_errors=True)
            part.rename(self.folder)
        shutil.rmtree(part, ignore_errors=True)
        return seconds, [f"{self.path.name}: {problem}" for problem in wrong]


def pages(site: Site, paths: Iterable[Path] | None = None) -> list[Page]:
    """The pages that run code, or those named, with their keys."""
    reference = build_reference()
    return [Page(site, path, reference) for path in (cells.pages(site) if paths is None else paths)]


def bring_up_to_date(found: list[Page], fresh: bool = False) -> list[str]:
    """Run those of the pages that are not current, or all, side by side; list what is wrong with them."""
    waiting = sorted((page for page in found if fresh or not page.current), key=lambda page: -page.seconds)
    if not waiting:
        return []
    turns, wrong = kernels.Turns(), list[str]()
    with ThreadPoolExecutor(kept.at_once(ONE_KERNEL)) as pool, turns.ended_on_signals():
        running = {pool.submit(page.run, turns): page for page in waiting}
        try:
            for done, future in enumerate(as_completed(running), 1):
                seconds, found_wrong = future.result()
                print(f"ran {running[future].path.name} ({seconds:.0f} s), {done} of {len(waiting)}", flush=True)
                wrong += found_wrong
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            turns.end()
            raise
    return wrong


def collect(found: Iterable[Page], target: Path = RESULTS) -> None:
    """Put the numbers that the pages recorded side by side into one folder."""
    numbers: dict[str, dict[str, object]] = {}
    for page in found:
        for path in sorted((page.folder / "results").glob("*.json")):
            numbers.setdefault(path.name, {}).update(json.loads(path.read_text(encoding="utf-8")))
    target.mkdir(parents=True, exist_ok=True)
    for path in target.glob("*.json"):
        if path.name not in numbers:
            path.unlink()
    for name, found_numbers in numbers.items():
        write(target / name, json.dumps(found_numbers, indent=1) + "\n")


def write(path: Path, text: str) -> None:
    """Write a file if that changes it, so that what depends on it stays as it is otherwise."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def offer(found: Iterable[Page], folder: Path = CACHE) -> None:
    """Let myst-nb find the outputs of the pages in its cache."""
    cache = get_cache(folder)
    for page in found:
        data: Mapping[str, object] = {"key": page.key, "execution_seconds": page.seconds}
        try:
            if cache.match_cache_notebook(page.shown).data == data:
                continue
        except KeyError:
            pass
        executed, made = page.executed(), copy.deepcopy(page.shown)
        made.metadata.update(executed.metadata)
        outputs = iter([cell for cell in executed.cells if not cells.is_hidden(cell)])
        for cell in (cell for cell in made.cells if cell.cell_type == "code"):
            ran = next(outputs)  # its metadata hold times, with which myst-nb would not know the page again
            cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
        bundle = CacheBundleIn(made, str(page.path), data=data)
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
