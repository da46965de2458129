"""`python -m autograder doctor`: what this machine can do for the grading engine, and how to get more."""
import argparse
import functools
import os
import shutil
import sys

from autograder.engine import confine, groups
from autograder.engine.judge import ChildEnded, Session
from autograder.engine.sandbox import MEANING, TIERS, EngineFailed, Limits, Refused, Zygote

PROBE = {"gptlib/__init__.py": "", "gptlib/probe.py": '''
import os, socket
def seen():
    found = {"users": os.path.exists("/etc/passwd"), "network": len(socket.if_nameindex()) > 1,
             "processes": sum(name.isdigit() for name in os.listdir("/proc")) if os.path.isdir("/proc") else 99}
    try:
        os.fork() or os._exit(0)
        found["fork"] = True
    except OSError:
        found["fork"] = False
    return found
'''}  # fmt: skip
ADVICE = """\
How to get T1: use Linux; install bubblewrap (on Debian and Ubuntu: apt-get install bubblewrap libseccomp2); and let
ordinary users make namespaces. Where the kernel refuses them (most containers; Ubuntu 24.04 and later, while
`sysctl kernel.apparmor_restrict_unprivileged_userns` says 1), allow them, or grade in a virtual machine."""
MORE = """T1 holds without them. They count what the limits of a process leave out. Where systemd runs, the command
    `systemd-run --user --scope -p Delegate=yes python -m autograder grade …` has them (root: without --user)."""


@functools.cache
def probe(tier: str) -> str:
    """Start a tier, run a child in it and look around; give what is wrong, or nothing."""
    try:
        zygote = Zygote(tier)
    except Refused as error:
        return str(error)
    try:
        session = Session(zygote, Limits(cpu=5, wall=20))
        try:
            session.load(PROBE, "probe.seen")
            seen = session.exercise()
        finally:
            session.close()
    except (ChildEnded, EngineFailed, Exception) as error:
        return f"a child does not run: {error}"
    finally:
        zygote.close()
    if tier == "T1" and (seen["users"] or seen["network"] or seen["processes"] != 1 or seen["fork"]):
        return f"the sandbox does not hold: {seen}"
    return ""


def best() -> str:
    """The best tier that this machine has.

    Raises:
        ValueError: not even T0 runs.
    """
    for tier in reversed(TIERS):
        if not probe(tier):
            return tier
    raise ValueError(f"learners' code cannot be run here: {probe('T0')}")


def main(argv: list[str]) -> int:
    """Say what this machine can do for the grading engine, and how to get more."""
    argparse.ArgumentParser(prog="python -m autograder doctor", description=main.__doc__).parse_args(argv)
    print(f"{sys.platform}, {os.cpu_count()} cores, bubblewrap {'found' if shutil.which('bwrap') else 'NOT FOUND'}, "
          f"libseccomp {'found' if confine.seccomp else 'NOT FOUND (fewer system calls are refused)'}")  # fmt: skip
    for tier in TIERS:
        problem = probe(tier)
        print(f"{tier}  {'works' if not problem else 'does not work'}: {MEANING[tier]}")
        if problem:
            print(f"    {problem}")
    try:
        groups.Group().close()
        print("control groups  used: all memory and all processes of a child are counted, files and root's own too")
    except OSError as error:
        print(f"control groups  not used: {error}\n    {MORE}")
    if probe("T1"):
        print(f"\n{ADVICE}")
    return 0 if not probe("T1") else 1
