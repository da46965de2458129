#!/usr/bin/env bash
# T2: the whole engine in a rootless container without a network.   deploy/podman.sh COURSE ASSIGNMENT [more of grade's options]
# Inside, T1 still holds every child apart where the host allows nested user namespaces; where it does not, `grade` says T0:
# then the container is the only wall, and within it learners' code can reach the course. `doctor` in the container tells.
# Podman sets the limits of memory and processes only where your session has control groups of version 2; it does not complain.
set -euo pipefail
course=$(realpath "$1") assignment=$2
shift 2
runtime=()
if [ -n "${RUNTIME:-}" ]; then runtime=(--runtime "$RUNTIME"); fi
for flag in ${RUNTIME_FLAGS:-}; do runtime+=(--runtime-flag "$flag"); done
exec podman "${runtime[@]}" run --rm --network none --read-only --tmpfs /tmp:rw,size=1g,mode=1777 \
    --cap-drop ALL --security-opt no-new-privileges --security-opt "unmask=/proc/*" \
    --pids-limit 512 --memory 6g --userns keep-id --volume "$course:/course:rw" \
    gpt-lineage-grader python -m autograder grade /course "$assignment" "$@"
