"""A Dask cluster in Slurm jobs, and the grading command on it.

python deploy/dask_jobqueue.py COURSE ASSIGNMENT [JOBS]

Needs `pip install "dask[distributed]" dask-jobqueue` in the clone's environment, and a disk that all nodes share.
"""
import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parents[1]


def main(course: str, assignment: str, jobs: str = "20") -> int:
    from dask_jobqueue import SLURMCluster

    cluster = SLURMCluster(
        cores=1, processes=1, memory="3GB", walltime="02:00:00", python=str(CLONE / ".venv/bin/python"),
        job_script_prologue=[f"cd {CLONE}"],
    )  # fmt: skip
    with cluster:
        cluster.scale(jobs=int(jobs))
        line = [sys.executable, "-m", "autograder", "grade", course, assignment, "--dask", cluster.scheduler_address]
        return subprocess.run(line, cwd=CLONE).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
