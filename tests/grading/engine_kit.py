"""What the engine's tests share: a zygote of each tier, and other implementations as a learner's files."""
import atexit
import functools
import os

import pytest

from autograder.engine.question import Outcome, Question, grade
from autograder.engine.sandbox import Limits, Refused, Zygote
from autograder.strip import build_reference
from tests.conftest import ROOT, needs_tool

LIBRARY = build_reference()
REFERENCE = {p.relative_to(LIBRARY).as_posix(): p.read_text("utf-8") for p in sorted(LIBRARY.rglob("*.py"))}
SMALL = Limits(cpu=3, wall=4.0)


@functools.cache
def zygote(tier: str) -> Zygote:
    """The one zygote of a tier; where T1 is refused its tests fail under CI=true and are skipped elsewhere."""
    if tier == "T1":
        needs_tool("bwrap")
    try:
        made = Zygote(tier, REFERENCE)
    except Refused as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{tier} is refused here: {error}")
    atexit.register(made.close)
    return made


def swapped(package: str, module: str, name: str, function: str) -> dict[str, str]:
    """The reference with one function in place of an exercise, taken from autograder/PACKAGE."""
    files = {path.replace("gptlib/", "refs/", 1): text for path, text in REFERENCE.items()} | REFERENCE
    for file in ("__init__", module):
        text = (ROOT / "autograder" / package / f"{file}.py").read_text("utf-8")
        text = text.replace("from gptlib import", "from refs import").replace("from gptlib.", "from refs.")
        files[f"others/{package}/{file}.py"] = text.replace(f"autograder.{package}", f"others.{package}")
    files["others/__init__.py"] = ""
    exercise = name.split(".")[1]
    files[f"gptlib/{module}.py"] += f"\n\nfrom others.{package}.{module} import {function} as {exercise}\n"
    return files


def graded(files: dict[str, str], name: str, suite: str, tier: str = "T1", limits: Limits = SMALL) -> Outcome:
    """What the engine says of an exercise in these files."""
    hidden = str(ROOT / "autograder" / "hidden")
    return grade(zygote(tier), Question(name, suite, files, "test"), limits, "a secret", hidden)
