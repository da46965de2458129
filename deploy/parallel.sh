#!/usr/bin/env bash
# GNU parallel: N parts, as many at once as there are cores, then the commit.   deploy/parallel.sh COURSE ASSIGNMENT [N]
set -euo pipefail
course=$1 assignment=$2 parts=${3:-$(nproc)}
cd "$(dirname "$0")/.."
# --joblog and --resume-failed: after a crash the same line runs only what is missing. For other machines add
# --sshlogin host1,host2 (the clone and the course at the same paths there).
seq "$parts" | parallel --joblog "$course/private/$assignment.joblog" --resume-failed --line-buffer --tag \
    .venv/bin/python -m autograder grade "$course" "$assignment" --workers 1 --shard "{}/$parts"
.venv/bin/python -m autograder grade "$course" "$assignment" --commit
