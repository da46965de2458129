"""Control groups: where they are found, and that they hold what the limits of a process do not."""
import contextlib
import os
import subprocess
import sys
import time

import pytest

from autograder.engine import groups
from autograder.engine.judge import ChildEnded, Session
from autograder.engine.sandbox import EngineFailed, Limits, Zygote

SOURCE = {"gptlib/__init__.py": "", "gptlib/m.py": '''
import os, time

def many(n):
    made = 0
    try:
        for _ in range(n):
            if not os.fork():
                os.setsid()
                time.sleep(100)
            made += 1
    except OSError:
        pass
    return made

def hold(n, size):
    """Several processes, each below its own limit."""
    for _ in range(n):
        if not os.fork():
            kept = bytearray(b"x") * size
            time.sleep(100)
    time.sleep(3)
    return os.getpid()

def take(size):
    return len(b"x" * size)
'''}  # fmt: skip
LIMITS = Limits(cpu=5, wall=15, memory=300 << 20)


def system(tmp_path, mounts, groups):
    """A /proc/self that says this; %s stands for the folder of control groups."""
    (tmp_path / "mountinfo").write_text("".join(f"30 20 0:26 {line}\n" for line in mounts).replace("%s", str(tmp_path)))
    (tmp_path / "cgroup").write_text("\n".join(groups) + "\n")
    return tmp_path


def test_the_first_version_has_a_folder_for_each_controller(tmp_path):
    mounts = ["/ %s/cpu rw shared:1 - cgroup cgroup rw,cpu", "/ %s/memory rw - cgroup cgroup rw,memory",
              "/docker/7 %s/pids rw - cgroup cgroup rw,pids", "/ / rw - ext4 /dev/sda rw"]  # fmt: skip
    proc = system(tmp_path, mounts, ["9:pids:/docker/7/a", "4:memory:/b/c", "2:cpu:/d", "0::/"])
    assert groups.own(proc) == ([tmp_path / "memory/b/c", tmp_path / "pids/a"], None)


def test_the_second_version_has_one_folder(tmp_path):
    proc = system(tmp_path, ["/ %s/unified rw - cgroup2 cgroup2 rw"], ["0::/user.slice/x.scope"])
    folder = tmp_path / "unified/user.slice/x.scope"
    assert groups.own(proc) == ([], None), "without controllers it limits nothing"
    folder.mkdir(parents=True)
    (folder / "cgroup.controllers").write_text("cpu memory pids\n")
    assert groups.own(proc) == ([], folder)
    assert groups.own(tmp_path / "none") == ([], None)


@pytest.fixture
def zygote():
    with contextlib.suppress(OSError):
        groups.Group().close()
        with contextlib.closing(Zygote("T0")) as made:
            yield made
        return
    pytest.skip("this machine lets us make no control groups")


def session(zygote, name):
    made = Session(zygote, LIMITS)
    made.load(SOURCE, f"m.{name}")
    return made


def test_a_group_holds_all_processes_and_leaves_none(zygote):
    if os.getuid():
        pytest.skip("the limit of a user holds ordinary users already")
    with contextlib.closing(session(zygote, "many")) as child:
        assert 0 < child.exercise(1000) < groups.PROCESSES
    folder = zygote.group.folders[0]
    assert len(groups.words(folder / "cgroup.procs")) > 2
    with pytest.raises(EngineFailed):
        while True:  # a few processes of its own session may end with the child
            session(zygote, "many").exercise(1000)
    pids = groups.words(folder / "cgroup.procs")
    zygote.end()
    assert pids and not folder.exists()
    until = time.monotonic() + 5
    while any(running(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(running(pid) for pid in pids)


def running(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] not in "ZX"
    return False


def test_a_group_counts_memory_of_all_processes(zygote):
    if os.getuid():
        pytest.skip("the limit of a user lets nobody else start processes")
    child = session(zygote, "hold")
    with contextlib.suppress(ChildEnded):
        child.exercise(4, 200 << 20)
    child.close()
    assert zygote.group.ran_out()


def test_the_learner_is_told_of_the_limit(zygote):
    child = session(zygote, "take")
    assert child.exercise(200 << 20) == 200 << 20
    zygote.group.allow(64 << 20)
    with pytest.raises(ChildEnded, match="300 MiB of memory"):
        child.exercise(200 << 20)


def test_groups_of_the_dead_are_removed():
    try:
        groups.Group().close()
    except OSError:
        pytest.skip("this machine lets us make no control groups")
    line = "from autograder.engine.groups import Group; print(*Group().folders, flush=True); import os; os.abort()"
    left = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True).stdout.split()
    assert left and all(os.path.exists(folder) for folder in left)
    groups.Group().close()
    assert not any(os.path.exists(folder) for folder in left)
