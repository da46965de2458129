"""Write autograder/fingerprints.json: what the registered mistakes give in each visible claim."""
import json
import sys
from typing import Any

import torch
import yaml

from autograder.checks import Failed
from autograder.fingerprints import FILE, encode
from autograder.limits import TimeUp, quiet, time_limit
from autograder.strip import ROOT, build_reference
from autograder.suites import checks_of, run_one
from autograder.table import chapters, exercise


def book_address() -> str:
    """Where the published book lies: html.baseurl of _config.yml, the one place that knows."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return config["html"]["baseurl"].rstrip("/") + "/chapters/"


def collect() -> dict[str, Any]:
    """Run every mistake through the visible checks of its exercise and keep its small outputs."""
    from tests.mutants import mutants_of

    found: dict[str, Any] = {}
    for chapter in chapters().values():
        for mutant in mutants_of(chapter.module):
            row = exercise(mutant.exercise)
            see = f"{row.chapter}.html#{mutant.see or row.see}"
            claims = checks_of(mutant.exercise)
            once = {check: _output(check, mutant.implementation, 0) for check in claims}
            again = {check: _output(check, mutant.implementation, 1) for check in claims}
            for check in claims:
                hint, output = once[check]
                if output is None or again[check] != once[check]:
                    continue  # nothing to compare with, or decided by chance or by earlier calls
                entry = {"hint": hint, "mistake": mutant.mistake, "see": see, "output": output}
                rows = found.setdefault(mutant.exercise, {}).setdefault(check.__name__, [])
                if entry not in rows:
                    rows.append(entry)
    return {"book": book_address(), "exercises": found}


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


def text() -> str:
    """The file's text."""
    return json.dumps(collect(), indent=0, ensure_ascii=False, sort_keys=True) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Generate autograder/fingerprints.json from the registered mistakes."""
    sys.path.insert(0, str(build_reference()))
    FILE.write_text(text(), encoding="utf-8")
    print(f"wrote {FILE.relative_to(ROOT)}")
    return 0
