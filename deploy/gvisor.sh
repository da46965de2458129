#!/usr/bin/env bash
# T3: the container of T2 on gVisor's own kernel, so that a fault in Linux is not enough to get out.
# bubblewrap does not run on gVisor as we tried it: `grade` says T0, and learners' code can read and write the course.
# Install runsc (https://gvisor.dev/docs/user_guide/install/) where podman finds it.   deploy/gvisor.sh COURSE ASSIGNMENT
set -euo pipefail
RUNTIME=$(command -v runsc)
export RUNTIME RUNTIME_FLAGS="network=none ignore-cgroups"
exec "$(dirname "$0")/podman.sh" "$@"
