"""Similarity: copies are found under other names and in another order; a class that solved it alike is not."""
import ast
import csv
import random
import re
import textwrap

import pytest

pytest.importorskip("copydetect")
from autograder.review import similarity
from autograder.strip import build_reference, reference
from tests.conftest import ROOT

STUB = (ROOT / "gptlib" / "attention.py").read_text("utf-8")
KNOWN = [STUB, reference((ROOT / "solutions" / "attention.py").read_text("utf-8"))]
HEAD = "import math\n\nimport torch\nimport torch.nn.functional as F\nfrom torch import Tensor, nn\n\n"
ORIGINAL = HEAD + '''
def causal_mask(length, offset=0):
    rows = []
    for position in range(length):
        row = [True] * (position + offset + 1)
        while len(row) < length + offset:
            row.append(False)
        rows.append(row)
    return torch.tensor(rows, dtype=torch.bool)


def attend(query, key, value, mask=None):
    width = query.shape[-1]
    raw = torch.einsum("...ik,...jk->...ij", query / width**0.25, key / width**0.25)
    if mask is not None:
        floor = torch.full_like(raw, -1e30)
        raw = torch.where(mask.expand(raw.shape), raw, floor)
    top = raw.max(dim=-1, keepdim=True).values
    shifted = (raw - top.detach()).exp()
    if mask is not None:
        shifted = shifted * mask.to(shifted.dtype)
    total = shifted.sum(dim=-1, keepdim=True)
    total = total + (total == 0).to(total.dtype)
    return torch.matmul(shifted / total, value)


def split_heads(x, n_heads):
    pieces = []
    each = x.shape[-1] // n_heads
    for number in range(n_heads):
        begin = number * each
        pieces.append(x[..., begin : begin + each].unsqueeze(-3))
    return torch.cat(pieces, dim=-3)
'''


def disguised(text):
    """The same code with other names, other comments, other spacing and its functions in another order."""
    tree = ast.parse(text)
    public = {"causal_mask", "attend", "split_heads", "torch", "math", "F", "nn", "Tensor"}
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    names |= {a.arg for n in ast.walk(tree) if isinstance(n, ast.arguments) for a in (*n.args, *n.kwonlyargs)}
    for i, name in enumerate(sorted(names - public)):
        text = re.sub(rf"\b{name}\b", f"my_{i}_thing", text)
    head, *functions = re.split(r"(?m)^(?=def )", text)
    random.Random(1).shuffle(functions)
    out = [head, *(f.rstrip() + "\n\n\n\n" for f in functions)]
    return "# all my own work\n" + "".join(out).replace("    return", "    # give it back\n    return")


WAYS = {
    "causal_mask": [
        ["", "n = offset + length", "width = length + offset\nassert width > 0"],
        ["return torch.ones(length, offset + length, dtype=torch.bool).tril(offset)",
         "q = torch.arange(length)[:, None] + offset\nk = torch.arange(offset + length)[None]\nreturn k <= q",
         "full = torch.tril(torch.ones(offset + length, offset + length))\nreturn full[offset:] > 0",
         "return ~torch.triu(torch.ones(length, length + offset, dtype=torch.bool), diagonal=offset + 1)"],
    ],
    "attend": [
        ["d = query.size(-1)", "d = query.shape[-1]", "*_, d = query.shape"],
        ["scores = query @ key.transpose(-2, -1) / math.sqrt(d)", "scores = (query / d**0.5) @ key.mT",
         "scores = torch.matmul(query, key.transpose(-1, -2)) * d ** -0.5",
         "scores = torch.einsum('...qd,...kd->...qk', query, key) / math.sqrt(d)"],
        ["if mask is not None:\n    scores = scores.masked_fill(~mask, float('-inf'))",
         "if mask is not None:\n    scores = torch.where(mask, scores, torch.tensor(-1e9, dtype=scores.dtype))",
         "if mask is not None:\n    scores = scores.masked_fill(mask.logical_not(), -torch.inf)"],
        ["weights = scores.softmax(-1)", "weights = torch.softmax(scores, dim=-1)",
         "weights = F.softmax(scores, dim=-1)",
         "weights = nn.Softmax(dim=-1)(scores)"],
        ["weights = torch.nan_to_num(weights)", "if mask is not None:\n    weights = weights.masked_fill(~mask, 0.0)",
         "if mask is not None:\n    weights = torch.where(mask.any(-1, keepdim=True), weights, 0.0)",
         "weights = torch.where(weights.isnan(), torch.zeros_like(weights), weights)"],
        ["return weights @ value", "return torch.matmul(weights, value)", "out = weights @ value\nreturn out",
         "return torch.einsum('...qk,...kv->...qv', weights, value)"],
    ],
    "split_heads": [
        ["", "size = x.size(-1) // n_heads", "batch = x.shape[:-1]"],
        ["return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2)",
         "return x.reshape(*x.shape[:-1], n_heads, x.shape[-1] // n_heads).transpose(-2, -3)",
         "parts = x.chunk(n_heads, dim=-1)\nreturn torch.stack(parts, dim=-3)"],
    ],
    "merge_heads": [
        ["", "h = x.size(-3)"],
        ["return x.transpose(-3, -2).flatten(-2)", "x = x.transpose(-2, -3)\nreturn x.reshape(*x.shape[:-2], -1)",
         "return torch.cat(list(x.unbind(-3)), dim=-1)", "return torch.cat([p for p in x.unbind(-3)], dim=-1)"],
    ],
}  # fmt: skip
ARGUMENTS = {"causal_mask": "length, offset=0", "attend": "query, key, value, mask=None",
             "split_heads": "x, n_heads", "merge_heads": "x"}  # fmt: skip


def classmates(count, seed=2):
    """Right solutions as a class writes them, each on its own: every step in one of the usual ways."""
    rng, found = random.Random(seed), {}
    for i in range(count):
        text = HEAD
        for name, steps in WAYS.items():
            body = "\n".join(filter(None, map(rng.choice, steps)))
            text += f"\n\ndef {name}({ARGUMENTS[name]}):\n{textwrap.indent(body, '    ')}\n"
        found[f"learner{i}"] = text
    return found


def pairs(texts):
    return similarity.compare({who: similarity.fingerprints(text) for who, text in texts.items()}, KNOWN)


def test_a_disguised_copy_is_found_and_it_alone():
    copy = disguised(ORIGINAL)
    assert "pieces" not in copy and ast.parse(copy)
    found = pairs(classmates(30) | {"owner": ORIGINAL, "copier": copy})
    assert [(p.one, p.other) for p in found] == [("copier", "owner")]
    assert found[0].share > 0.8 and len(found[0].common) > similarity.ENOUGH


def test_three_who_share_are_three_pairs():
    found = pairs(classmates(30) | {"a": ORIGINAL, "b": disguised(ORIGINAL), "c": ORIGINAL.replace("floor", "low")})
    assert {(p.one, p.other) for p in found} == {("a", "b"), ("a", "c"), ("b", "c")}


def test_stub_and_published_solution_say_nothing():
    assert "def attend(" in KNOWN[1] and "NotImplementedError" not in KNOWN[1]
    texts = {f"stub{i}": STUB for i in range(2)} | {f"right{i}": KNOWN[1] + f"\n# {i}\n" for i in range(2)}
    assert pairs(texts | {"broken": "def attend(:", "empty": ""}) == []


@pytest.mark.parametrize("count", [8, 25, 100])
def test_a_class_that_solved_it_in_the_usual_ways_is_not_listed(count):
    found = [pairs(classmates(count, seed)) for seed in range(3)]
    assert sum(map(len, found)) == 0, [(p.share, len(p.common)) for one in found for p in one]


def test_a_copied_part_is_found_in_a_file_that_cannot_be_parsed():
    found = pairs(classmates(20) | {"owner": ORIGINAL, "copier": ORIGINAL + "\ndef broken(:\n"})
    assert [(p.one, p.other) for p in found] == [("copier", "owner")]


def test_the_page_marks_what_is_shared_and_escapes_everything(tmp_path):
    bad = "<script>alert(1)</script>"
    prints = {"a": similarity.fingerprints(ORIGINAL + f"# {bad}\n"), bad: similarity.fingerprints(disguised(ORIGINAL))}
    found = similarity.compare(prints, KNOWN)
    text = similarity.page(bad, found, prints)
    assert len(found) == 1 and "<script" not in text and "Content-Security-Policy" in text
    assert text.count("<mark>") > 2 and "&lt;script&gt;" in text and f"{similarity.SHARE:.0%}" in text
    marks = "".join(re.findall(r"<mark>(.*?)</mark>", text.split("<h3>a</h3>")[1], re.S))
    assert "shifted" in marks and len(marks) > 400


def test_the_command_writes_page_and_table(tmp_path, capsys):
    from autograder.course import config as course_config

    assert build_reference().is_dir()
    course, name = tmp_path / "course", "05_attention"
    (course / "source" / name / "gptlib").mkdir(parents=True)
    course_config.write_template(course / "course.toml")
    (course / "source" / name / "gptlib" / "attention.py").write_text(STUB, "utf-8")
    (course / "source" / name / f"{name}.ipynb").write_text('{"nbformat": 4, "metadata": {}, "cells": []}')
    for who, text in (classmates(12) | {"owner": ORIGINAL, "copier": disguised(ORIGINAL)}).items():
        (course / "submitted" / who / name / "gptlib").mkdir(parents=True)
        (course / "submitted" / who / name / "gptlib" / "attention.py").write_text(text, "utf-8")
    assert similarity.main([str(course), name]) == 0
    said = capsys.readouterr().out
    assert "1 pairs of 14 submissions" in said and "copier  owner" in said
    place = course / "private" / "review" / f"{name}-similarity.csv"
    with place.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["one"], row["other"]) for row in rows] == [("copier", "owner")]
    assert similarity.main([str(course), "07_nothing"]) == 2
