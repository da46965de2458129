#!/usr/bin/env bash
# T3: the container of T2 on gVisor's own kernel, so that a fault in Linux is not enough to get out.
# Install runsc (https://gvisor.dev/docs/user_guide/install/) where podman finds it.   deploy/gvisor.sh COURSE ASSIGNMENT
set -euo pipefail
RUNTIME=$(command -v runsc) exec "$(dirname "$0")/podman.sh" "$@"
