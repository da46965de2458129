"""The figure of laws computes in the page what gptlib.decoding computes in Python."""

import json
import math

import pytest
import torch

from gptlib import decoding, figures
from tests.figures.node import run_js

CODE = figures.module_text("decoding")
SETTINGS = [
    {}, {"temperature": 0.0}, {"temperature": 0.35}, {"temperature": 2.5}, {"k": 1}, {"k": 7}, {"k": 400}, {"p": 0.3},
    {"p": 0.95}, {"minimum": 0.2}, {"minimum": 1.0}, {"penalty": 1.7},
    {"temperature": 1.4, "k": 20, "p": 0.8, "minimum": 0.05, "penalty": 1.25},
]  # fmt: skip


def laws():
    generator = torch.Generator().manual_seed(0)
    for size, spread in ((2, 1.0), (30, 2.0), (300, 4.0)):
        seen = torch.randint(size, (5,), generator=generator)
        yield spread * torch.randn(size, generator=generator, dtype=torch.float64), seen


def test_adjusted_laws_are_those_of_python():
    cases = [(logits, seen, how) for logits, seen in laws() for how in SETTINGS]
    asked = [[logits.tolist(), seen.tolist(), how] for logits, seen, how in cases]
    program = "asked.map(([l, s, how]) => { const { logits, by } = adjust(l, s, how); return [softmax(logits), by]; })"
    answers = run_js(CODE + f"const asked = {json.dumps(asked)};\n", program)
    for (logits, seen, how), (shares, by) in zip(cases, answers, strict=True):
        expected = decoding.adjust(logits[None], seen[None], **how)[0]
        assert shares == pytest.approx(expected.softmax(-1).tolist(), abs=1e-12), how
        assert [bool(name) for name in by] == (expected == -math.inf).tolist()


def test_what_cuts_a_token_is_named_once():
    logits = torch.tensor([0.4, 0.3, 0.2, 0.07, 0.03], dtype=torch.float64).log().tolist()
    how = {"k": 4, "p": 0.85, "minimum": 0.6}
    assert run_js(CODE, f"adjust({logits}, [], {json.dumps(how)}).by") == ["", "", "min-p", "top-p", "top-k"]
    sentence = run_js(CODE, f"(() => {{ const l = {logits}; const a = adjust(l, [], {json.dumps(how)});"
                            " return describe(softmax(l), softmax(a.logits), a.by); })()")  # fmt: skip
    assert sentence.startswith("2 of 5 tokens are left, with 70.0 % of the model's probability (top-k cut 1, top-p ")


def test_entropy_ranking_and_draws():
    assert run_js(CODE, "[entropy([0.5, 0.25, 0.25, 0]), entropy([1, 0])]") == [1.5, 0]
    assert run_js(CODE, "ranking([1, 3, 3, 2])") == [1, 2, 3, 0]
    assert run_js(CODE, "[0, 0.49, 0.5, 0.999, 1].map((x) => pick([0.5, 0, 0.5, 0], x))") == [0, 0, 2, 2, 2]


def test_moving_the_knobs_in_chromium(tmp_path, browser):
    tokens, shares = ["of", "is", "has", "was"], [0.5, 0.3, 0.15, 0.05]
    law = {"name": "a", "prompt": "the mutation ", "note": "Four words.", "tokens": tokens, "seen": [],
           "logits": [math.log(x) for x in shares]}  # fmt: skip
    html = figures.Figure("decoding", {"laws": [law]}, "A law.")._repr_mimebundle_()["text/html"]
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{html}", encoding="utf-8")
    page = browser.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    page.get_by_role("button", name="greedy").click()
    rows = page.locator("tbody tr").all_inner_texts()
    assert "100.0 %" in rows[0] and "cut by temperature" in rows[1]
    page.get_by_role("button", name="as the model says").click()
    page.get_by_label("top-k").press("Home")
    page.get_by_label("top-k").press("ArrowRight")
    rows = page.locator("tbody tr").all_inner_texts()
    assert "62.5 %" in rows[0] and "37.5 %" in rows[1] and "cut by top-k" in rows[2]
    page.get_by_role("button", name="Draw 100 times").click()
    drawn = [int(row.split("\t")[4]) for row in page.locator("tbody tr").all_inner_texts()]
    page.close()
    assert sum(drawn) == 100 and drawn[2:4] == [0, 0] and not problems


BEAMS = figures.module_text("beams")


def test_what_beams_share_and_whose_children_they_are():
    assert run_js(BEAMS, '[shared(["abcd", "abxd", "abc"]), shared(["ab", "ab"]), shared(["x", "y"])]') == [2, 2, 0]
    assert run_js(BEAMS, 'parents(["ab", "ac", "bb"], ["acd", "ace", "abb", "zzz"])') == [1, 1, 0, -1]
    told = run_js(BEAMS, 'describe(["ab", "ac", "bb"], ["acd", "ace", "abb"], 3, [-4.5, -5, -6])')
    assert told == (
        "Step 3: 3 texts are kept, children of 2 of the 3 before (1 died out). They agree in their first 1 of 3 "
        "characters. The best costs 4.5 bits, 1.50 a character."
    )


def test_stepping_through_a_search_in_chromium(tmp_path, browser):
    kept = [([""], [0]), (["a", "b"], [-1, -2]), (["bc", "aa"], [-2, -3])]
    steps = [{"texts": texts, "bits": bits} for texts, bits in kept]
    data = {"prompt": "x", "start": 0, "searches": [{"beams": 2, "steps": steps}]}
    html = figures.Figure("beams", data, "A search.")._repr_mimebundle_()["text/html"]
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{html}", encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    for _ in range(2):
        page.get_by_role("button", name="Next step").click()
    rows = page.locator("tbody tr").all_inner_texts()
    said = page.locator("p[role=status]").inner_text()
    page.close()
    assert [row.split("\t") for row in rows] == [["1", "bc", "2.0", "2"], ["2", "aa", "3.0", "1"]]
    assert said.startswith("Step 2: 2 texts are kept, children of 2 of the 2 before. They agree in their first 0 of 2")
