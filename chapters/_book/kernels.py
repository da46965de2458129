"""Notebooks run side by side, each in a kernel of its own; a cell that measures time has the machine to itself."""
import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient

from chapters._book import cells

CELL_SECONDS = 600  # of the clock, which goes on while other kernels have the machine to themselves


class Turns:
    """Who may run: all kernels, or one that measures time while the others are stopped."""

    def __init__(self) -> None:
        self.kernels: dict[int, psutil.Process] = {}
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def alone(self, kernel: int) -> Iterator[None]:
        """Stop all kernels but one in the block."""
        with self.lock:
            others = [process for pid, process in self.kernels.items() if pid != kernel]
            each(others, "suspend")
            try:
                yield
            finally:
                each(others, "resume")

    def end(self) -> None:
        """End all kernels, when the build is interrupted."""
        each(list(self.kernels.values()), "kill")

    @contextlib.contextmanager
    def ended_on_signals(self) -> Iterator[None]:
        """Let the signals that end a program raise in the block: a kernel that is stopped would stay for ever."""
        names = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        mine = names if threading.current_thread() is threading.main_thread() else []
        before = [signal.signal(number, leave) for number in mine]
        try:
            yield
        finally:
            for number, handler in zip(mine, before, strict=True):
                signal.signal(number, handler)


def leave(number: int, frame: object) -> None:
    """End the program as a shell would report it."""
    sys.exit(128 + number)


def each(kernels: list[psutil.Process], what: str) -> None:
    """Suspend, resume or kill kernels with the processes that they have started."""
    for kernel in kernels:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [kernel, *kernel.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    getattr(process, what)()


class Client(NotebookClient):
    """Runs one notebook and takes turns with others."""

    def __init__(self, notebook: nbformat.NotebookNode, turns: Turns, **settings) -> None:
        super().__init__(notebook, **settings)
        self.turns = turns
        self.pid = 0
        sources = [cell.source if cell.cell_type == "code" else "" for cell in notebook.cells]
        self.measures = cells.timed(sources)

    async def async_start_new_kernel(self, **settings) -> None:
        """Start the kernel, when no other measures time."""
        with self.turns.lock:
            await super().async_start_new_kernel(**settings)
            self.pid = self.km.provisioner.pid
            self.turns.kernels[self.pid] = psutil.Process(self.pid)

    async def async_execute_cell(self, cell, cell_index, **settings) -> nbformat.NotebookNode:
        """Run a cell, alone if it measures time."""
        with self.turns.alone(self.pid) if self.measures[cell_index] else contextlib.nullcontext():
            return await super().async_execute_cell(cell, cell_index, **settings)


def run(notebook: nbformat.NotebookNode, folder: Path, environment: Mapping[str, str], turns: Turns) -> None:
    """Run a notebook in place, in a folder.

    Raises:
        CellExecutionError: a cell fails; the ones behind it have not run.
        CellTimeoutError: a cell takes too long.
        DeadKernelError: the kernel ended.
    """
    resources = {"metadata": {"path": str(folder)}}
    client = Client(
        notebook, turns, timeout=CELL_SECONDS, startup_timeout=CELL_SECONDS, resources=resources,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # else each warns that it listens on this machine
    )  # fmt: skip
    try:
        client.execute(env=dict(environment))
    finally:
        turns.kernels.pop(client.pid, None)
