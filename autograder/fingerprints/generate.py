"""Write the fingerprints: what the registered mistakes give in each visible claim."""
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

from autograder import kept
from autograder.checks import Failed
from autograder.fingerprints import FOLDER, encode, path_of, text
from autograder.limits import TimeUp, quiet, time_limit
from autograder.mistakes import mistakes_of
from autograder.mistakes.kill_matrix import key_of
from autograder.strip import ROOT, build_reference
from autograder.suites import checks_of, run_one
from autograder.table import chapters, exercise


def book_address() -> str:
    """Where the published book lies: html.baseurl of _config.yml, the one place that knows."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return config["html"]["baseurl"].rstrip("/") + "/chapters/"


def collect(module: str) -> list[dict[str, Any]]:
    """Run every mistake of a module through the visible checks of its exercise and keep its small outputs."""
    found: list[dict[str, Any]] = []
    for one in mistakes_of(module):
        row = exercise(one.exercise)
        see = f"{row.chapter}.html#{one.see or row.see}"
        claims = checks_of(one.exercise)
        once = {check: _output(check, one.implementation, 0) for check in claims}
        again = {check: _output(check, one.implementation, 1) for check in claims}
        for check in claims:
            hint, output = once[check]
            if output is None or again[check] != once[check]:
                continue  # nothing to compare with, or decided by chance or by earlier calls
            entry = {"exercise": one.exercise, "check": check.__name__, "hint": hint, "mistake": one.when,
                     "see": see, "output": output}  # fmt: skip
            if entry not in found:
                found.append(entry)
    return sorted(found, key=lambda entry: (entry["exercise"], entry["check"]))


def _output(check: Any, implementation: Any, seed: int) -> tuple[str, Any]:
    """The hint of the claim that fails and the encoded output there, or "" and None."""
    torch.manual_seed(seed)
    try:
        with quiet(), time_limit(20):
            run_one(check, implementation)
    except Failed as failure:
        return failure.hint, None if failure.actual is None else encode(failure.actual)
    except (Exception, TimeUp):
        pass
    return "", None


def made(module: str) -> str:
    """The text of a module's file; what it was made of is run anew only if it has changed."""
    ours = [Path(__file__).read_text("utf-8"), (FOLDER / "__init__.py").read_text("utf-8")]
    return text(book_address(), kept.kept(f"fingerprints/{module}", key_of(module, *ours), lambda: collect(module)))


def main(argv: list[str] | None = None) -> int:
    """Generate autograder/fingerprints/ from the registered mistakes, of the modules named or of all."""
    sys.path.insert(0, str(build_reference()))
    modules = [chapter.module for chapter in chapters().values()]
    if unknown := [name for name in argv or () if name not in modules]:
        print(f"no module is called {unknown[0]}; there are {', '.join(modules)}")
        return 2
    for module in argv or modules:
        path, now = path_of(module), made(module)
        if not path.exists() or path.read_text(encoding="utf-8") != now:
            path.write_text(now, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    for path in FOLDER.glob("*.jsonl"):
        if path.stem not in modules:
            path.unlink()
    return 0
