"""`python -m bench [NAME …]`: measure, and write bench/results/NAME.json with the machine it ran on."""
import importlib
import json
import os
import sys
from pathlib import Path

from autograder.strip import build_reference
from bench.machine import machine

NAMES = ("attention", "grading", "setup_time")


def main(names: list[str]) -> int:
    unknown = set(names) - set(NAMES)
    if unknown:
        print(f"no benchmark is called {' or '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
        return 2
    sys.path.insert(0, str(build_reference()))
    for name in names or NAMES:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        numbers = importlib.import_module(f"bench.{name}").measure()
        path = Path(__file__).parent / "results" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"machine": machine(), "load": load, "numbers": numbers}, indent=1) + "\n")
        print(f"{path}:\n{path.read_text()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
