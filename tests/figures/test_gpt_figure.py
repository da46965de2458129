"""GPT-1's figures compute in the page what gptlib.gpt computes in Python."""
import json
import math

import pytest

from gptlib import figures, gpt
from tests.figures.node import run_js

SPECIAL = [100, 101, 102]


def page(name: str, expression: str):
    """The value of an expression in the figure's module."""
    return run_js(figures.module_text(name), expression)


PARTS = {
    "classification": [[1, 2, 3, 4]],
    "entailment": [[1, 2, 3], [4, 5]],
    "similarity": [[1, 2, 3], [4, 5]],
    "multiple choice": [[1, 2, 3], [4, 5], [6], []],
}


@pytest.mark.parametrize("kind", gpt.KINDS)
def test_the_page_writes_tasks_as_python_does(kind):
    limits = list(range(1, 12))
    calls = [f"formatTask({json.dumps(kind)}, {PARTS[kind]}, {SPECIAL}, {limit})" for limit in limits]
    for limit, found in zip(limits, page("gpt1_tasks", f"[{','.join(calls)}]"), strict=True):
        try:
            expected = gpt.format_task(kind, PARTS[kind], tuple(SPECIAL), limit)
        except ValueError:
            expected = None
        assert found == expected, limit


def test_the_sentence_counts_what_was_cut():
    calls = ['describe("entailment", [["a","b"],["c"]], formatTask("entailment", [["a","b"],["c"]], ["","",""], 5), 5)',
             'describe("classification", [["a"]], formatTask("classification", [["a"]], ["","",""], 5), 5)',
             'describe("entailment", [["a"],["b"]], null, 3)']  # fmt: skip
    cut, whole, nothing = page("gpt1_tasks", f"[{','.join(calls)}]")
    assert "one sequence of 5 tokens" in cut and "1 words were cut" in cut
    assert "Nothing was cut" in whole and "no room" in nothing
    assert page("gpt1_tasks", 'words("  two  words ")') == ["two", "words"]


def test_each_task_takes_as_many_texts_as_it_needs():
    kinds = json.dumps(list(gpt.KINDS))
    assert page("gpt1_tasks", f'{kinds}.map((kind) => partsOf(kind, ["a", "b", "c"]).length)') == [1, 2, 2, 3]


def test_perplexity_and_the_sentence():
    costs = [0.5, 2.0, 1.25]
    assert page("gpt1_layers", f"perplexity({costs})") == pytest.approx(math.exp(sum(costs) / 3))
    assert page("gpt1_layers", "probability(-0.5)") == pytest.approx(math.exp(-0.5))
    assert page("gpt1_layers", 'places([[["a","b"]],[["c","b"]]], 0, "b")') == [1, 1]
    example = {"tokens": ["[start]", "good", "[extract]"], "cost": [math.log(4), 9.0]}
    calls = [f"describe({json.dumps(example)}, {position})" for position in range(3)]
    likely, rare, last = page("gpt1_layers", f"[{','.join(calls)}]")
    assert "came “good”, which had probability 0.250 (1.39 nats)" in likely
    assert "less than 0.001" in rare and "Nothing follows" in last
