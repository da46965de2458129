"""Start JupyterLab in a course's folder, with nbgrader's formgrader as its first page."""
import argparse
import os
import subprocess
import sys
from pathlib import Path

from autograder.strip import ROOT


def main(argv: list[str]) -> int:
    """Start JupyterLab with nbgrader's formgrader on a course; more options go to JupyterLab."""
    parser = argparse.ArgumentParser(prog="python -m autograder formgrader", description=main.__doc__)
    parser.add_argument("--course", type=Path, default=ROOT / "build" / "course", help="the course's folder")
    options, rest = parser.parse_known_args(argv)
    course = options.course.expanduser().resolve()
    if not (course / "nbgrader_config.py").exists():
        print(f"There is no course in {course}: write one with `make course` first.")
        return 1
    # nbgrader takes its settings from the folder the server starts in, kernels take nbgrader's environment.
    command = [sys.executable, "-m", "jupyterlab", "--LabApp.default_url=/formgrader", *rest]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    print("JupyterLab starts; its first page is the formgrader, /lab is JupyterLab. Stop it with Ctrl-C.")
    try:
        return subprocess.run(command, cwd=course).returncode
    except KeyboardInterrupt:
        return 0
