"""The figure's JavaScript gives the probabilities of our Python, and backs off as it does."""
import json
import random
import subprocess

import pytest

from gptlib import figures, ngram
from gptlib.figures import ngram_figure
from tests.conftest import needs_tool

TEXT = "To be, or not to be, that is the question:\nWhether 'tis nobler in the mind to suffer\n"
SCRIPT = """
import { readFileSync, writeFileSync } from "node:fs";
const [modulePath, dataPath] = process.argv.slice(2);
const { unpack, estimate, pick } = await import(modulePath);
const { tables, contexts, numbers } = JSON.parse(readFileSync(dataPath, "utf8"));
const unpacked = tables.map((text, i) => unpack(text, i + 1));
const estimates = contexts.map((c) => tables.map((_, i) => estimate(unpacked, c, i + 1)));
const picked = numbers.map((x) => pick({ tokens: ["a", "b", "c"], probabilities: [0.5, 0.2, 0.1] }, x));
console.log(JSON.stringify({ estimates, picked }));
"""


def in_node(tmp_path, figure, contexts, numbers=()):
    """Run the module's pure functions in node on a figure's own data."""
    data = json.loads(figure.data)
    (tmp_path / "ngram.mjs").write_text(figures.module_text("ngram"), encoding="utf-8")
    (tmp_path / "run.mjs").write_text(SCRIPT, encoding="utf-8")
    asked = {"tables": data["tables"], "contexts": contexts, "numbers": list(numbers)}
    (tmp_path / "data.json").write_text(json.dumps(asked), encoding="utf-8")
    command = [needs_tool("node"), tmp_path / "run.mjs", tmp_path / "ngram.mjs", tmp_path / "data.json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_probabilities_are_those_of_python(tmp_path):
    documents, n = [TEXT, TEXT.upper(), "xyzzy"], 5
    tables = [ngram.count(documents, m) for m in range(1, n + 1)]
    letters = ngram.vocabulary(documents)
    draw = random.Random(0)
    starts = [draw.randrange(len(TEXT)) for _ in range(40)]
    contexts = ["", "q", "zzzz", "e qq", "\n", *(TEXT[max(0, s - draw.randrange(8)) : s] for s in starts)]
    found = in_node(tmp_path, ngram_figure(tables, "to", ["be"]), contexts)["estimates"]
    for context, orders in zip(contexts, found, strict=True):
        for m, seen in enumerate(orders, 1):
            expected = ngram.probability(tables[:m], context, letters)
            top = dict(zip(seen["tokens"], seen["probabilities"], strict=True))
            for token, share in top.items():
                assert share == pytest.approx(float(expected[letters.index(token)]), abs=1e-12), (context, m, token)
            assert sum(top.values()) + seen["rest"] == pytest.approx(1)
            assert max(top.values()) == pytest.approx(float(expected.max()))
            assert seen["seen"] == context[max(0, len(context) - seen["order"] + 1) :]


def test_it_backs_off_to_the_longest_context_in_the_page(tmp_path):
    tables = [{"": {"a": 6, "b": 2}}, {"a": {"b": 4}, "b": {"a": 1}}, {"ab": {"a": 3}}]
    contexts = ["ab", "bb", "a", "zz", ""]
    found = in_node(tmp_path, ngram_figure(tables, "ab", []), contexts)["estimates"]
    assert [orders[2]["order"] for orders in found] == [3, 2, 2, 1, 1]
    assert [orders[2]["total"] for orders in found] == [3, 1, 4, 8, 8]


def test_a_number_picks_a_token_by_its_share(tmp_path):
    numbers = [0.0, 0.62, 0.63, 0.87, 0.88, 0.9999999]
    figure = ngram_figure([{"": {"a": 1}}], "", [])
    assert in_node(tmp_path, figure, [""], numbers)["picked"] == ["a", "a", "b", "b", "c", "c"]


def test_size_decides_which_contexts_the_page_carries():
    documents = [TEXT * 3]
    tables = [ngram.count(documents, m) for m in range(1, 6)]
    whole, small = ngram_figure(tables, "", []), ngram_figure(tables, "", [], size=900)
    assert json.loads(whole.data)["floor"] == 1
    packed = json.loads(small.data)
    assert packed["floor"] > 1 and sum(len(text) for text in packed["tables"]) <= 900


def test_separators_in_the_text_are_refused():
    with pytest.raises(ValueError, match="separate the records"):
        ngram_figure([ngram.count(["a|b"], 1)], "", [])
