"""Several workers at once: processes of this machine, of a Dask cluster, or none but this one. Any may be killed."""
import contextlib
import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from autograder.engine import groups
from autograder.engine.records import Records
from autograder.engine.work import TRIES, Setting, Task, Worker
from autograder.strip import build_reference

ROOT = Path(__file__).parents[2]
AHEAD = 2  # tasks that a worker has at hand, so that it need not wait while grades are entered
Rows = list[dict[str, Any]]
Found = Iterator[tuple[Task, Rows]]


class Stopped(Exception):
    """No worker can go on; the message says why. What was recorded stays."""


class WorkerProcess:
    """A worker process, held by two pipes."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.tasks, self.rest = setting, deque[Task](), b""
        self.folder = tempfile.mkdtemp(prefix="grade-")
        path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "WORKER_FOLDER": self.folder}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autograder.engine.work"], cwd=ROOT, env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdin and self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.send(setting.line())

    def send(self, line: bytes) -> None:
        """Send a line; that the process is gone is noticed when its answer is read."""
        with contextlib.suppress(OSError):
            self.stdin.write(line)
            self.stdin.flush()

    def give(self, task: Task) -> None:
        """Give it a task."""
        self.tasks.append(task)
        self.send(task.line(self.setting.given))

    def answers(self) -> list[bytes] | None:
        """Wait for something from it; give the answers that are complete, None if the process is gone."""
        data = os.read(self.stdout.fileno(), 1 << 20)
        *lines, self.rest = (self.rest + data).split(b"\n")
        return lines if data else None

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def in_this_process(tasks: Iterable[Task], setting: Setting) -> Found:
    """Run tasks in this process, one after the other."""
    worker = Worker(setting)
    try:
        for task in tasks:
            yield task, worker.run_task(task)
    finally:
        worker.close()


def in_processes(tasks: Iterable[Task], setting: Setting, workers: int) -> Found:
    """Run tasks in several processes; give each as it is done.

    Tasks are taken only when there is a worker for them, so few submissions are in memory at any time. The task of a
    worker that dies is run by another, `TRIES` times in all.
    """
    build_reference()  # before several do it at once
    with contextlib.suppress(OSError):
        groups.parents()  # while this process is the only one
    records, source = Records(Path(setting.records)), iter(tasks)
    again, lost, started = deque[Task](), Counter[str](), list[WorkerProcess]()
    try:
        while True:
            while len(started) < workers or any(len(worker.tasks) < AHEAD for worker in started):
                task = again.popleft() if again else next(source, None)
                if task is None:
                    break
                if rows := task.recorded(records):
                    yield task, rows
                else:
                    least_busy(started, workers, setting).give(task)
            if not any(worker.tasks for worker in started):
                return
            for worker in wait_for_any([worker for worker in started if worker.tasks]):
                lines = worker.answers()
                for line in lines or ():
                    yield worker.tasks.popleft(), rows_in(line)
                if lines is None:
                    worker.close()
                    started.remove(worker)
                    first, *others = worker.tasks
                    lost[first.learner] += 1
                    if lost[first.learner] < TRIES:
                        again.append(first)
                    else:
                        yield first, first.failed(records)
                    again.extend(others)
    finally:
        for worker in started:
            worker.close()


def least_busy(started: list[WorkerProcess], workers: int, setting: Setting) -> WorkerProcess:
    """The worker with the least to do, a new one while there may be more and nobody is idle."""
    if len(started) < workers and all(worker.tasks for worker in started):
        started.append(WorkerProcess(setting))
    return min(started, key=lambda worker: len(worker.tasks))


def rows_in(line: bytes) -> Rows:
    """The verdicts in a worker's answer.

    Raises:
        Stopped: the worker says that it cannot work at all.
    """
    found = json.loads(line)
    if isinstance(found, dict):
        raise Stopped(f"a worker {found['error']}")
    return found


def wait_for_any(started: list[WorkerProcess]) -> list[WorkerProcess]:
    """Wait until some worker has answered or died."""
    with selectors.DefaultSelector() as selector:
        for worker in started:
            selector.register(worker.stdout, selectors.EVENT_READ, worker)
        return [key.data for key, _ in selector.select()]


_local = threading.local()


def run_on_dask(setting: bytes, task: bytes) -> bytes:
    """Run a task on a machine of a Dask cluster: in a worker process of ours, never in Dask's own."""
    for _ in range(TRIES):
        held = getattr(_local, "held", None)
        if held is None or held[0] != setting:
            if held:
                held[1].close()
            held = _local.held = (setting, WorkerProcess(Setting.read(setting)))
        worker = held[1]
        worker.send(task)
        while (lines := worker.answers()) == []:
            pass
        if lines:
            return lines[0]
        worker.close()
        _local.held = None
    return b"null"


def on_cluster(tasks: Iterable[Task], setting: Setting, address: str) -> Found:
    """Run tasks on a Dask cluster, which gives those of a worker that it lost to another.

    Raises:
        Stopped: `distributed` is not installed, or nobody answers at the address.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise Stopped('Dask is not installed: pip install "dask[distributed]"') from None
    try:
        client = Client(address, timeout=30)
    except (OSError, ValueError) as error:
        raise Stopped(f"no Dask scheduler answers at {address}: {error}") from None
    records, source, line = Records(Path(setting.records)), iter(tasks), setting.line()
    with client:
        held: dict[Any, Task] = {}
        done = as_completed(raise_errors=False)

        def submit() -> Found:
            for task in source:
                if rows := task.recorded(records):
                    yield task, rows
                    continue
                future = client.submit(run_on_dask, line, task.line(setting.given), pure=False, retries=TRIES)
                held[future] = task
                done.add(future)
                return

        for _ in range(AHEAD * max(sum(client.nthreads().values()), 1)):
            yield from submit()
        for future in done:
            task = held.pop(future)
            found = rows_in(future.result()) if future.status == "finished" else None
            for row in found or ():  # of a machine that may share no disk with this one
                if "exercise" in row and records.get(row["key"]) is None:
                    records.store(row)
            yield task, found or task.failed(records)
            yield from submit()


def run_all(tasks: Iterable[Task], setting: Setting, workers: int, dask: str = "") -> Found:
    """Run tasks and give each with its verdicts; what was recorded before is not run again."""
    if dask:
        return on_cluster(tasks, setting, dask)
    return in_this_process(tasks, setting) if workers == 1 else in_processes(tasks, setting, workers)
