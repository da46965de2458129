#!/usr/bin/env bash
# Slurm: an array of parts and, when all have ended, the commit.   deploy/slurm.sh COURSE ASSIGNMENT [PARTS] [AT_ONCE]
# The clone and the course lie on a disk that all nodes share. PARTS must be below the cluster's MaxArraySize (often 1001).
set -euo pipefail
course=$(realpath "$1") assignment=$2 parts=${3:-100} at_once=${4:-50}
clone=$(realpath "$(dirname "$0")/..")
python=$clone/.venv/bin/python
array=$(sbatch --parsable --job-name="grade-$assignment" --array="1-$parts%$at_once" --chdir="$clone" \
    --cpus-per-task=1 --mem=3G --time=02:00:00 --requeue --output="$course/private/slurm-%a.log" \
    --wrap "$python -m autograder grade $course $assignment --workers 1 --shard \$SLURM_ARRAY_TASK_ID/$parts")
# afterany, not afterok: what a lost part did not run is run by the last command itself
sbatch --dependency="afterany:$array" --job-name="enter-$assignment" --chdir="$clone" \
    --cpus-per-task=2 --mem=4G --time=04:00:00 --output="$course/private/slurm-enter.log" \
    --wrap "$python -m autograder grade $course $assignment --workers 2"
