"""The same grades from one command, from parts in processes of their own, from a Dask cluster, and under kill -9."""
import os
import random
import shutil
import signal
import time

import pytest

from autograder.engine import commit, nbgrader_steps
from bench import survival
from tests.grading.postgres import Postgres, tools

pytest.importorskip("nbgrader")
COUNT, SEED = 24, 3


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """A batch that was graded in peace; `batch.expected` is what came out."""
    made = survival.Batch(tmp_path_factory.mktemp("batch"), COUNT, SEED, quick=True)
    made.fresh = made.copy(made.term.home / "fresh")
    made.collect(made.course)
    process = made.grade(made.course)
    made.said = process.communicate()[0]
    assert process.returncode == 0, made.said
    made.expected = made.scored(made.course)
    return made


def again(batch, name):
    """The course with its archives taken in and nothing graded."""
    goal = batch.term.home / name
    shutil.copytree(batch.fresh, goal)
    batch.collect(goal)
    return goal


def ended(process):
    said = process.communicate()[0]
    return process.returncode, said


def test_all_right_ones_and_all_bad_ones_get_what_they_should(batch):
    assert batch.wrong(batch.course) == []
    assert f"{COUNT} of {COUNT} submissions" in batch.said and "2 REJECTED" in batch.said
    assert "GRADED" in batch.said and "RETRY" not in batch.said


def test_parts_in_processes_of_their_own_and_a_commit(batch):
    course = again(batch, "parts")
    first = [ended(p) for p in [batch.grade(course, "--shard", f"{i}/3") for i in (1, 2)]]
    assert [code for code, _ in first] == [0, 0], first
    assert "Part 2 of 3 is run" in first[1][1]
    assert not (course / commit.DONE).exists()
    code, said = ended(batch.grade(course, "--commit"))
    assert code == 1 and "not all of it has been run yet" in said
    third = [ended(p) for p in [batch.grade(course, "--shard", "3/3") for _ in range(2)]]  # twice at the same time
    assert [code for code, _ in third] == [0, 0], third
    code, said = ended(batch.grade(course, "--commit"))
    assert code == 0 and batch.scored(course) == batch.expected, said


def test_killed_at_random_with_grades_in_postgresql(batch):
    """kill -9 of coordinator, worker, zygote and PostgreSQL: the same bytes as in peace with SQLite."""
    if not tools():
        message = "PostgreSQL is not installed (on Debian: apt-get install postgresql)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    course, database = again(batch, "killed"), Postgres()
    try:
        db = nbgrader_steps.address(database.url)
        batch.term.run(f"nbgrader generate_assignment {survival.CHAPTER} --force --db '{db}'", course)
        killer = survival.Killer(random.Random(SEED), 1, 4.0, database)
        survival.under_fire(batch, course, killer, "--db", database.url)
        assert killer.counts["coordinator"] and sum(killer.counts.values()) >= 2, killer.counts
        assert batch.scored(course, database.url) == batch.expected
        assert batch.scored(course) != batch.expected  # SQLite's gradebook was left alone
    finally:
        database.close()


def test_a_dask_cluster_loses_a_worker(batch):
    distributed = pytest.importorskip("distributed")
    course = again(batch, "dask")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        process = batch.grade(course, "--dask", cluster.scheduler_address)
        workers, ours, until = [w.pid for w in cluster.workers.values()], [], time.monotonic() + 120
        while not (ours := survival.children(workers, "autograder.engine.work")) and time.monotonic() < until:
            time.sleep(0.05)
        assert ours and all("autograder" not in survival_line(pid) for pid in workers)
        while not any((course / "private/engine/records").rglob("*.json")) and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(workers[0], signal.SIGKILL)
        code, said = ended(process)
    assert code == 0 and batch.scored(course) == batch.expected, said


def survival_line(pid):
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read()


def test_addresses_of_databases():
    assert nbgrader_steps.address("postgresql://u@h/n") == "postgresql+psycopg://u@h/n" == nbgrader_steps.address("postgres://u@h/n")
    assert nbgrader_steps.address("sqlite:////x.db") == "sqlite:////x.db"
