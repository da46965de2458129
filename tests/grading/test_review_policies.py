"""Policies: every way to name a forbidden call raises a flag, the course's own code and mere words do not."""
import dataclasses
import functools

import pytest
import torch
from torch import nn

from autograder import optrace, policies
from autograder.source import defined
from autograder.table import Exercise, chapters, exercises
from tests.conftest import ROOT
from tests.grading.engine_kit import graded, swapped

ROWS = exercises()
FORBIDDING = [name for name, row in ROWS.items() if row.forbids]
HEAD = "import math\nimport torch\nfrom torch import Tensor, nn\n\n"
ATTEND = "def attend(query, key, value, mask=None):\n    return {}\n"
LAYER = Exercise("transformer.LayerNorm", "06", "", 1, 1, 1, 1, 1, "x", forbids=("torch.layer_norm",), because="No.")
BPE = Exercise("bpe.encode", "07", "", 1, 1, 1, 1, 1, "x", forbids=("tiktoken", "tokenizers"), because="No.")
SDPA = {
    "by its module": HEAD + ATTEND.format("nn.functional.scaled_dot_product_attention(query, key, value, mask)"),
    "under another name": "import torch.nn.functional as F\n" + ATTEND.format("F.scaled_dot_product_attention(query)"),
    "imported": "from torch.nn.functional import scaled_dot_product_attention\n"
    + ATTEND.format("scaled_dot_product_attention(query, key, value)"),
    "imported as": "from torch.nn.functional import scaled_dot_product_attention as sum\n"
    + ATTEND.format("sum(query)"),
    "imported inside": ATTEND.format("0").replace("return 0", "from torch.nn import functional as t\n    "
                                                  "return t.scaled_dot_product_attention(query, key, value)"),
    "imported with a star": "from torch.nn.functional import *\n"
    + ATTEND.format("scaled_dot_product_attention(query)"),
    "assigned": HEAD + "best = torch.nn.functional\nf = best.scaled_dot_product_attention\n"
    + ATTEND.format("f(query)"),
    "assigned in a tuple": HEAD
    + "a, f = 1, torch.nn.functional.scaled_dot_product_attention\n"
    + ATTEND.format("f(1)"),
    "a default": HEAD
    + "def attend(q, k, v, mask=None, f=nn.functional.scaled_dot_product_attention): return f(q, k, v)",
    "a walrus": HEAD + ATTEND.format("(f := nn.functional).scaled_dot_product_attention(query)"),
    "getattr": HEAD + ATTEND.format('getattr(nn.functional, "scaled_dot_product_attention")(query, key, value)'),
    "getattr in parts": HEAD + ATTEND.format('getattr(nn.functional, "scaled_dot_" + "product_attention")(query)'),
    "getattr joined": HEAD + ATTEND.format('getattr(torch.nn.functional, "_".join(["scaled", "dot_product_x"]))(1)'),
    "vars": HEAD + ATTEND.format('vars(nn.functional)["scaled_dot_product_attention"](query, key, value)'),
    "__dict__": HEAD + ATTEND.format('nn.functional.__dict__["scaled_dot_product_attention"](query)'),
    "sys.modules": "import sys\n" + ATTEND.format('sys.modules["torch"].nn.functional.scaled_dot_product_attention(1)'),
    "__import__": ATTEND.format('__import__("torch").nn.functional.scaled_dot_product_attention(query)'),
    "import_module": "from importlib import import_module as load\n"
    + ATTEND.format('load("torch.nn.functional").scaled_dot_product_attention(query)'),
    "attrgetter": "import operator, torch\n"
    + ATTEND.format('operator.attrgetter("nn.functional.scaled_dot_product_attention")(torch)(query)'),
    "an operation": HEAD + ATTEND.format("torch.ops.aten.scaled_dot_product_attention.default(query, key, value)"),
    "an inner operation": HEAD + ATTEND.format("torch._scaled_dot_product_attention_math(query, key, value)"),
    "a kernel": HEAD + ATTEND.format("torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value)"),
    "the C library": HEAD + ATTEND.format("torch._C._nn.scaled_dot_product_attention(query, key, value)"),
    "eval": HEAD + ATTEND.format('eval("nn.functional.scaled_dot_product_attention(query, key, value)")'),
    "exec": HEAD + 'exec("from torch.nn.functional import scaled_dot_product_attention as f")\n' + ATTEND.format("0"),
    "a module of PyTorch": HEAD + ATTEND.format("nn.MultiheadAttention(4, 2)(query, key, value)[0]"),
    "its function": HEAD + ATTEND.format("torch.nn.functional.multi_head_attention_forward(query)"),
    "in a helper": HEAD + "def help(q):\n    return nn.functional.scaled_dot_product_attention(q, q, q)\n"
    + ATTEND.format("help(query)"),
    "in a helper's helper": HEAD + "class Deep:\n    f = nn.functional.scaled_dot_product_attention\n\n"
    "def help(q):\n    return Deep.f(q)\n" + ATTEND.format("help(query)"),
    "decorated": HEAD + "@nn.functional.scaled_dot_product_attention\n" + ATTEND.format("0"),
}  # fmt: skip
CLEAN = {
    "a comment": HEAD + "# F.scaled_dot_product_attention would do it\n" + ATTEND.format("query @ key.mT"),
    "a docstring": HEAD + 'def attend(q, k, v):\n    """As torch.nn.functional.scaled_dot_product_attention."""\n',
    "a string": HEAD + ATTEND.format('print("nn.functional.scaled_dot_product_attention(query, key, value)")'),
    "a name of one's own": "def scaled_dot_product_attention(q):\n    return q\n\n"
    + ATTEND.format("scaled_dot_product_attention(query)"),
    "an attribute of one's own": "class mine: scaled_dot_product_attention = 1\n\n"
    + ATTEND.format("mine.scaled_dot_product_attention"),
    "a helper nobody calls": HEAD
    + "def compare(q):\n    return nn.functional.scaled_dot_product_attention(q, q, q)\n\n"
    + ATTEND.format("query @ key.mT"),
    "another exercise": HEAD + ATTEND.format("query")
    + "\nclass MultiHeadAttention(nn.MultiheadAttention):\n    pass\n",
    "softmax": HEAD + ATTEND.format("(query @ key.mT).softmax(-1) @ value"),
}  # fmt: skip


@pytest.mark.parametrize("shape", SDPA)
def test_every_way_to_name_it_is_found(shape):
    found = policies.scan(SDPA[shape], ROWS["attention.attend"], tuple(ROWS))
    assert found and all(one.line >= 1 and one.rule in ROWS["attention.attend"].forbids for one in found)


@pytest.mark.parametrize("shape", CLEAN)
def test_words_and_other_code_raise_no_flag(shape):
    assert policies.scan(CLEAN[shape], ROWS["attention.attend"], tuple(ROWS)) == []


@pytest.mark.parametrize("call", [
    "nn.LayerNorm(4)(x)", "torch.layer_norm(x, (4,))", "nn.functional.layer_norm(x, (4,))",
                                  "torch.native_layer_norm(x, [4], None, None, 1e-5)[0]",
                                  "nn.modules.normalization.LayerNorm(4)(x)"])  # fmt: skip
def test_one_rule_covers_all_spellings(call):
    text = HEAD + f"class LayerNorm(nn.Module):\n    def forward(self, x):\n        return {call}\n"
    assert policies.scan(text, LAYER)[0].line == 7
    own = HEAD + "class LayerNorm(nn.Module):\n    def forward(self, x):\n        return x - x.mean(-1, keepdim=True)\n"
    assert policies.scan(own, LAYER) == []


@pytest.mark.parametrize("text", ["import tiktoken\n", "from tokenizers import Tokenizer as T\n",
                                  "def encode(s):\n    import tiktoken.load\n",
                                  "def encode(s):\n    __import__('tiktoken').get_encoding('gpt2')\n"])  # fmt: skip
def test_a_bare_rule_is_a_whole_package(text):
    assert policies.scan(text, BPE)
    assert not policies.scan("import tokenize\nimport re as tiktoken_not\n", BPE)


@pytest.mark.parametrize("text", ["def attend(:", "-" * 100_000 + "4", "x" + ".a" * 150_000, "x = 1\n" * 50_000, "\0"],
                         ids=["syntax", "deep", "long chain", "too long", "null"])  # fmt: skip
def test_what_cannot_be_read_is_for_a_person(text):
    with pytest.raises(ValueError, match="read|characters"):
        policies.scan(text, ROWS["attention.attend"])


@pytest.mark.parametrize("chapter", chapters())
def test_the_reference_raises_no_flag(chapter):
    module = chapters()[chapter].module
    text = (ROOT / "solutions" / f"{module}.py").read_text("utf-8")
    for row in chapters()[chapter].exercises:
        assert policies.scan(text, row, tuple(ROWS)) == [], row.name
        assert bool(row.forbids) == bool(row.because)


def test_some_exercises_forbid_something():
    assert "attention.attend" in FORBIDDING and "attention.MultiHeadAttention" in FORBIDDING
    assert all(len(ROWS[name].because) > 20 and ROWS[name].because.endswith(".") for name in FORBIDDING)


@pytest.mark.parametrize("name", FORBIDDING)
def test_the_reference_raises_no_flag_while_it_runs(name):
    from tests.grading.engine_kit import REFERENCE

    for suite in ("visible", "hidden"):
        found = graded(REFERENCE, name, suite, "T1")
        assert found.passed and not found.flags, found


def test_the_engine_sees_a_library_call_and_takes_no_point_for_it():
    name = "attention.attend"
    found = graded(swapped("alternatives", "attention", name, "library_call"), name, "hidden", "T1")
    assert found.passed and found.verdict == "GRADED"
    assert {"exercise": name, "name": "scaled_dot_product_attention", "rule": "torch.scaled_dot_product"} in found.flags


HIDDEN_CALLS = {
    "by its function": lambda q: nn.functional.scaled_dot_product_attention(q, q, q),
    "by a name made while running": lambda q: getattr(nn.functional, "noitnetta_tcudorp_tod_delacs"[::-1])(q, q, q),
    "by the operation": lambda q: torch.ops.aten.scaled_dot_product_attention(q, q, q),
    "by the inner one": lambda q: torch._scaled_dot_product_attention_math(q, q, q)[0],
    "by a module": lambda q: nn.MultiheadAttention(4, 2, dtype=q.dtype)(q, q, q)[0],
    "through partial": functools.partial(lambda f, q: f(q, q, q), nn.functional.scaled_dot_product_attention),
}


@pytest.mark.parametrize("how", HIDDEN_CALLS)
def test_the_trace_sees_what_the_text_hides(how):
    seen = optrace.Seen()
    traced, names = optrace.trace(HIDDEN_CALLS[how], seen), seen.names
    query = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert traced(query).shape == query.shape
    rules = ROWS["attention.attend"].forbids
    assert any(policies.broken_by_call(rules, name) for name in names), names


def test_the_trace_changes_no_value_and_no_gradient():
    layer, x = nn.LayerNorm(4), torch.randn(3, 4, requires_grad=True)
    plain = torch.autograd.grad(layer(x).sin().sum(), x)
    seen = optrace.Seen()
    traced, names = optrace.trace(lambda x: layer(x).sin(), seen), seen.names
    assert torch.equal(plain[0], torch.autograd.grad(traced(x).sum(), x)[0])
    assert any(policies.broken_by_call(LAYER.forbids, name) for name in names)
    for _ in range(20):
        traced(x)
    assert len(names) < optrace.MOST and seen.calls == 21


def test_the_trace_looks_at_later_calls_too():
    """What only a masked call does, the eighth, is seen; so is it when the calls go on in another question."""
    seen = optrace.Seen()
    for calls in (5, 3):
        traced = optrace.trace(lambda x, last: x.sin() if last else x.cos(), seen)
        for _ in range(calls):
            traced(torch.ones(2), seen.calls == 7)
    assert {"sin", "cos"} <= seen.names
    other = optrace.Seen()
    assert [n for n in range(1, 40) if other.looks()] == [1, 2, 4, 8, 16, 32]


def test_a_layer_that_holds_a_forbidden_one_is_seen():
    class LayerNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.LayerNorm(4)

        def forward(self, x):
            return self.inner(x)

    seen = optrace.Seen()
    traced, names = optrace.trace(LayerNorm, seen), seen.names
    assert isinstance(traced(), LayerNorm)
    assert any(policies.broken_by_call(LAYER.forbids, name) for name in names)


def test_a_rule_is_a_list_of_names_with_a_sentence():
    with pytest.raises(ValueError, match="because"):
        dataclasses.replace(LAYER, because="")
    with pytest.raises(ValueError, match="forbids"):
        dataclasses.replace(LAYER, forbids=("layer norm!",))


def test_definitions_are_found_for_the_rule():
    assert "attend" in defined(policies.ast.parse(SDPA["imported"]))
