"""`python -m bench [NAME …]`: measure, and write bench/results/NAME.json with the machine it ran on.

README and the instructor's page show the new numbers at once. A machine that has other work to do is refused; with
`--busy` it is measured all the same, and the result is marked.

A single NAME may be followed by options of its own: `python -m bench scale --submissions 100 1000`;
`python -m bench training --nanogpt PATH`. `python -m bench envelopes PRESET` measures how the loss of a capstone
preset falls, over several seeds.
"""
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from autograder.strip import build_reference
from bench import pages
from bench.machine import kind, load, machine, noise

NAMES = ("attention", "bpe", "generation", "grading", "scale", "setup_time", "survival", "to_loss", "training")
ASKED_FOR = {"scale", "survival", "to_loss"}  # long, or in need of an option: only by name
BY_CPU = {"generation"}  # what one kind of processor says is not true of another: the last result of each is kept


def main(names: list[str]) -> int:
    if names[:1] == ["envelopes"]:  # made for one preset at a time, and kept with the data of the course
        sys.path.insert(0, str(build_reference()))
        return importlib.import_module("bench.envelopes").main(names[1:])
    busy = "--busy" in names
    names = [name for name in names if name != "--busy"]
    first = next((i for i, name in enumerate(names) if name.startswith("-")), len(names))
    names, options = names[:first], names[first:]
    if options and len(names) != 1:
        print("options belong to one benchmark: name it first")
        return 2
    unknown = set(names) - set(NAMES)
    if unknown:
        print(f"no benchmark is called {' or '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
        return 2
    sys.path.insert(0, str(build_reference()))
    for name in names or [name for name in NAMES if name not in ASKED_FOR]:
        now = load()
        if said := noise(now):
            if not busy:
                print(f"{name} was not measured: {said}. Wait until it is quiet, or say --busy to mark the result.")
                return 1
        found = {"machine": machine(), "load": now} | ({"busy": said} if said else {})
        found["numbers"] = importlib.import_module(f"bench.{name}").measure(*([options] if options else []))
        path = Path(__file__).parent / "results" / f"{name}.json"
        if name in BY_CPU:
            found["elsewhere"] = elsewhere(path, found["machine"])
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{path}:\n{path.read_text()}")
    pages.write()
    return 0


def elsewhere(path: Path, here: dict[str, Any]) -> list[dict[str, Any]]:
    """The last results of other kinds of processor in a file of results."""
    if not path.exists():
        return []
    before = json.loads(path.read_text())
    rows = [{key: value for key, value in before.items() if key != "elsewhere"}, *before.get("elsewhere", [])]
    return [row for row in rows if kind(row["machine"]) != kind(here)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
