"""The hostile suite: every case of hostile/*.toml gets its expected verdict, and the next child is unharmed."""
import contextlib
import dataclasses
import os
import re
import tomllib
from pathlib import Path

import pytest

from autograder.engine.question import Question, grade
from autograder.engine.sandbox import TIERS, Limits, Zygote
from tests.conftest import ROOT, needs_tool
from tests.grading.engine_kit import REFERENCE, graded, zygote

FILE = Path(__file__).with_name("code.toml")
CASES = tomllib.loads(FILE.read_text("utf-8"))
TIGHT = Limits(cpu=2, wall=20, memory=256 << 20)
RUNS = [(name, tier) for name, case in CASES.items() for tier in case.get("tiers", TIERS)]


def files_of(case):
    """The submission of a case."""
    text = case.get("gives", REFERENCE["gptlib/attention.py"])
    if "body" in case:
        head = text.index("    if query.dim", text.index("def attend(")) if "if query.dim" in text else None
        head = head or text.index('"""', text.index('"""', text.index("def attend(")) + 3) + 4
        lines = case["body"].strip("\n").splitlines()
        text = text[:head] + "".join(f"    {line}\n" for line in lines) + text[head:]
    return REFERENCE | {"gptlib/attention.py": text + "\n" + case.get("module", "") + "\n"}


@pytest.mark.parametrize("name, tier", RUNS)
def test_every_case_gets_its_verdict(name, tier):
    case = CASES[name]
    limits = dataclasses.replace(TIGHT, wall=case.get("wall", TIGHT.wall))
    found = graded(files_of(case), "attention.attend", "hidden", tier, limits)
    said = f"{found.verdict}, {found.passed}\n{found.message}\n{found.text}"
    assert found.verdict == case["verdict"], said
    assert found.passed == case.get("right", False), said
    assert case.get("says", "") in found.message, said
    assert len(found.message) + len(found.text) < 40_000
    other = graded(files_of(case), "attention.split_heads", "visible", tier, TIGHT)
    assert other.passed == case.get("others", True), other.message


def test_an_ordinary_users_child_writes_nowhere_either(monkeypatch):
    """Without root, children have the user of their zygote; what this one may write, the next one would find."""
    needs_tool("bwrap")
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with contextlib.closing(Zygote("T1")) as own:
        question = Question("attention.attend", "hidden", files_of(CASES["writes_wherever_it_can"]), "test")
        found = grade(own, question, TIGHT, "a secret", str(ROOT / "autograder" / "hidden"))
    assert found.passed, found.message


@pytest.mark.parametrize("tier", TIERS)
def test_no_process_survived(tier):
    """After all that, the zygote has no child and no other process of its own."""
    zygote(tier).ask({"ping": 1})
    ours = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            ours[int(entry)] = int(re.findall(r"^PPid:\t(\d+)", Path(f"/proc/{entry}/status").read_text(), re.M)[0])
        except OSError:
            continue
    roots = [zygote(tier).process.pid]
    for root in roots:
        roots += [pid for pid, parent in ours.items() if parent == root]
    assert len(roots) <= (1 if tier == "T0" else 3), [Path(f"/proc/{p}/cmdline").read_bytes() for p in roots]
