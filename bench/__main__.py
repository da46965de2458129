"""`python -m bench [NAME …] [--OPTION VALUE …]`: measure, and write bench/results/NAME.json with the machine it ran on.

Options are those of the benchmark's `measure`; give one name with them.
"""
import importlib
import json
import os
import sys
from pathlib import Path

from autograder.strip import build_reference
from bench.machine import machine

NAMES = ("attention", "bpe", "grading", "setup_time", "to_loss", "training")


def main(words: list[str]) -> int:
    options = {words[i][2:]: words[i + 1] for i in range(len(words) - 1) if words[i].startswith("--")}
    names = [w for i, w in enumerate(words) if not w.startswith("--") and not (i and words[i - 1].startswith("--"))]
    unknown = set(names) - set(NAMES)
    if unknown:
        print(f"no benchmark is called {' or '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
        return 2
    sys.path.insert(0, str(build_reference()))
    for name in names or NAMES:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        numbers = importlib.import_module(f"bench.{name}").measure(**options)
        path = Path(__file__).parent / "results" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"machine": machine(), "load": load, "numbers": numbers}, indent=1) + "\n")
        print(f"{path}:\n{path.read_text()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
