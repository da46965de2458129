"""Find the checks of an exercise and run them on any implementation: a learner's, the reference, a mistake."""
import functools
import hashlib
import hmac
import importlib.util
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import torch

from autograder import sideeffects
from autograder.checks import Check, Failed

SUITES = ("visible", "hidden")


def checks_of(exercise: str, suite: str = "visible") -> list[Check]:
    """List the checks of an exercise in a suite, in file order.

    The hidden suite lies in the folder that the environment variable AUTOGRADER_HIDDEN names, else beside this
    file; where there is none (a released assignment) the list is empty.

    Raises:
        ValueError: the suite is neither "visible" nor "hidden".
    """
    if suite not in SUITES:
        raise ValueError(f'suite must be "visible" or "hidden", got {suite!r}')
    module = _fresh(_folder(suite) / f"{exercise.split('.')[0]}.py")
    return [f for f in vars(module).values() if getattr(f, "exercise", None) == exercise] if module else []


def _folder(suite: str) -> Path:
    chosen = os.environ.get("AUTOGRADER_HIDDEN") if suite == "hidden" else None
    return Path(chosen or Path(__file__).with_name(suite))


def _fresh(path: Path) -> ModuleType | None:
    """Run a file of checks as a new module: what an earlier implementation did to its inputs is forgotten."""
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location(f"autograder_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(_compiled(path.read_bytes(), str(path)), vars(module))
    return module


@functools.lru_cache(maxsize=8)
def _compiled(text: bytes, path: str) -> CodeType:
    return compile(text, path, "exec", dont_inherit=True)


def secret() -> str:
    """The course secret: AUTOGRADER_SECRET, the file AUTOGRADER_SECRET_FILE names, or "public"."""
    if value := os.environ.get("AUTOGRADER_SECRET"):
        return value
    path = os.environ.get("AUTOGRADER_SECRET_FILE")
    if path and Path(path).exists():
        return Path(path).read_text(encoding="utf-8").strip()
    return "public"


def generator_for(check: Check) -> torch.Generator:
    """A generator seeded by HMAC(course secret, exercise and check): reproducible, not guessable."""
    message = f"{check.exercise}:{check.__name__}".encode()  # type: ignore[attr-defined]
    digest = hmac.new(secret().encode(), message, hashlib.sha256).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def run_one(check: Check, implementation: Any) -> None:
    """Run one check; it raises what the check or the implementation raises."""
    if len(inspect.signature(check).parameters) > 1:
        check(implementation, generator_for(check))
    else:
        check(implementation)


def sentence(check: Check) -> str:
    """The sentence of a check that learners read."""
    return " ".join((check.__doc__ or check.__name__).split("\n\n")[0].split())


def run(
    found: list[Check], implementation: Any, passed: Callable[[str], None] = lambda text: None,
    watch: Callable[[Any], tuple[Any, Any]] = sideeffects.watch,
) -> None:
    """Run checks in order, then look at the side effects that their calls had.

    Args:
        found: the checks.
        implementation: what they are to check.
        passed: called with the sentence of each check that holds.
        watch: gives the implementation to call and the growing list of facts about its calls.

    Raises:
        Exception: what the first failing check or the implementation raised; its attribute `sentence`
            is the check's sentence.
    """
    watched, facts = watch(implementation)
    for check in found:
        try:
            run_one(check, watched)
        except BaseException as error:
            if isinstance(error, Failed) and facts:
                break  # a changed argument explains a wrong value, not the other way round
            error.sentence = sentence(check)  # type: ignore[attr-defined]
            raise
        passed(sentence(check))
    if facts:
        failure = Failed(facts[0])
        failure.sentence = sideeffects.SENTENCE  # type: ignore[attr-defined]
        raise failure
    if found:
        passed(sideeffects.SENTENCE)
