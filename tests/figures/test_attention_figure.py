"""The attention figure computes in the page what gptlib.attention computes in Python."""
import json
import math
import subprocess

import pytest
import torch

from gptlib import figures
from gptlib.attention import attend, causal_mask
from tests.conftest import needs_tool

RUN = """
import { attend, causalRow, describe, read, softmax } from "MODULE";
import { readFileSync } from "node:fs";
const calls = JSON.parse(readFileSync(0, "utf8"));
const known = { attend, causalRow, describe, read, softmax };
console.log(JSON.stringify(calls.map(([name, ...args]) => known[name](...args)),
  (_, x) => (x === -Infinity ? "-inf" : x)));
"""


@pytest.fixture(scope="module")
def in_the_page(tmp_path_factory):
    """Run calls of the figure's functions, and of those that all figures share, in Node."""
    node = needs_tool("node")
    module = tmp_path_factory.mktemp("js") / "attention.mjs"
    module.write_text(figures.module_text("attention") + "export { softmax };\n", encoding="utf-8")

    def run(*calls):
        script = RUN.replace("MODULE", module.as_uri())
        done = subprocess.run([node, "--input-type=module", "-e", script], input=json.dumps(calls), capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def drawn(seed, keys, width, values, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    sizes = ((width,), (keys, width), (keys, values))
    query, key, value = (torch.randn(*size, generator=generator, dtype=torch.float64) for size in sizes)
    return scale * query, key, value, torch.rand(keys, generator=generator) < 0.6


SIZES = [(1, 1, 1, 1.0), (7, 5, 3, 1.0), (4, 16, 16, 3e4), (11, 2, 1, 0.0)]


@pytest.mark.parametrize(("keys", "width", "values", "scale"), SIZES)
def test_one_row_of_attention(in_the_page, keys, width, values, scale):
    query, key, value, mask = drawn(keys, keys, width, values, scale)
    nothing, everything = torch.zeros_like(mask), torch.ones_like(mask)
    given = [query.tolist(), key.tolist(), value.tolist()]
    results = in_the_page(*(["attend", *given, allowed.tolist()] for allowed in (everything, mask, nothing)))
    for allowed, result in zip((everything, mask, nothing), results, strict=True):
        weights = attend(query[None], key, torch.eye(keys, dtype=torch.float64), allowed[None])[0]
        mean = attend(query[None], key, value, allowed[None])[0]
        torch.testing.assert_close(torch.tensor(result["weights"], dtype=torch.float64), weights)
        torch.testing.assert_close(torch.tensor(result["mean"], dtype=torch.float64), mean)
        hidden = [x == "-inf" for x in result["masked"]]
        assert hidden == (~allowed).tolist()


def test_the_scale_can_be_left_out(in_the_page):
    query, key, value, _ = drawn(3, 5, 4, 2)
    with_scale, without = in_the_page(
        ["attend", query.tolist(), key.tolist(), value.tolist(), [True] * 5, True],
        ["attend", (query / 2).tolist(), key.tolist(), value.tolist(), [True] * 5, False],
    )
    assert with_scale["weights"] == pytest.approx(without["weights"])
    assert with_scale["products"] == pytest.approx([2 * x for x in without["products"]])


def test_causal_rows(in_the_page):
    rows = in_the_page(*(["causalRow", 5, t] for t in range(5)))
    assert rows == causal_mask(5).tolist()


def test_reading_out_is_a_softmax_of_a_linear_layer(in_the_page):
    generator = torch.Generator().manual_seed(0)
    mean, weight, bias = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((3,), (4, 3), (4,)))
    (found,) = in_the_page(["read", mean.tolist(), {"weight": weight.tolist(), "bias": bias.tolist()}])
    assert found == pytest.approx((weight @ mean + bias).softmax(0).tolist())


def test_softmax_keeps_its_head(in_the_page):
    found = in_the_page(["softmax", [1e4, 0, -1e4]], ["softmax", [0, 0]])
    assert found == [[1, 0, 0], [0.5, 0.5]]
    assert math.fsum(in_the_page(["softmax", [0.1, 0.7, -3]])[0]) == pytest.approx(1)


def test_the_sentence_names_what_was_found(in_the_page):
    found = {"weights": [0.1, 0.9], "mean": [2.0, -1.0]}
    nothing = {"weights": [0, 0], "mean": [0, 0]}
    plain, read_out, empty = in_the_page(
        ["describe", ["a", "b"], 1, found], ["describe", ["a", "b"], 1, found, [0.25, 0.75], ["x", "y"]],
        ["describe", ["a", "b"], 0, nothing],
    )
    assert "“b” (weight 0.90)" in plain and "(2.00, −1.00)" in plain
    assert "reads as y with probability 0.75" in read_out
    assert "may look nowhere" in empty


def test_the_figure_holds_what_it_was_given():
    query, key, value, _ = drawn(1, 3, 4, 2)
    readout = ["x", "y"], value[:2], value[0]
    figure = figures.attention_figure(["a", "b", "c"], key, key, value, position=1, readout=readout)
    data = json.loads(figure.data)
    assert data["tokens"] == ["a", "b", "c"] and data["position"] == 1 and data["causal"] and data["scaled"]
    assert torch.allclose(torch.tensor(data["value"], dtype=torch.float64), value, atol=1e-4)
    assert data["readout"]["labels"] == ["x", "y"]
    assert "a b c" in figure.alt
    with pytest.raises(ValueError, match="tokens"):
        figures.attention_figure(["a", "b"], key, key, value)
    with pytest.raises(ValueError, match="position"):
        figures.attention_figure(["a", "b", "c"], key, key, value, position=3)
