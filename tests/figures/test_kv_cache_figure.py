"""The cache's figure counts and weighs in the page as gptlib.kv_cache does in Python."""
import json

import pytest
import torch

from gptlib import figures, gpt2, kv_cache
from tests.figures.node import run_js


def page(expression: str):
    """The value of an expression in the figure's module."""
    return run_js(figures.module_text("kv_cache"), expression)


def read_by(length, prompt, use_cache, monkeypatch):
    """Count the positions that a real model computes in one head: a prompt, then one token after the other."""
    counted, model = [], gpt2.GPT2(dict(n_layers=1, d_model=4, n_heads=1, vocab_size=5, context_length=length)).eval()
    project = model.blocks[0].attention.qkv.forward
    monkeypatch.setattr(model.blocks[0].attention.qkv, "forward", lambda x: counted.append(x.size(1)) or project(x))
    tokens = torch.zeros(1, length, dtype=torch.int64)
    predict = kv_cache.cached(model) if use_cache else model
    sums = []
    for end in range(prompt, length + 1):
        predict(tokens[:, :end])
        sums.append(sum(counted))
    return sums


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("prompt", [1, 4, 8])
def test_as_many_pairs_are_computed_as_by_a_real_model(prompt, use_cache, monkeypatch):
    ends = range(prompt, 10)
    cache = json.dumps(use_cache)
    found = page(f"[{','.join(f'computed({prompt}, {end - 1}, {cache})' for end in ends)}]")
    assert found == read_by(9, prompt, use_cache, monkeypatch)
    rows = page(f"[{','.join(f'states(9, {prompt}, {end - 1}, {cache}, 9)' for end in ends)}]")
    steps = [row.count("computed") for row in rows]
    assert [sum(steps[: i + 1]) for i in range(len(steps))] == found


def test_weights_and_states_are_those_of_the_mask():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(7, 7, generator=generator, dtype=torch.float64)
    for window in (1, 3, 7):
        mask = kv_cache.cache_mask(7, 0, None, window)[0, 0]
        expected = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        found = page(f"[{','.join(f'weights({scores[t].tolist()}, {t}, {window})' for t in range(7))}]")
        torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), expected)
        for now in range(2, 7):
            places = page(f"states(7, 2, {now}, true, {window})")
            assert [name in ("computed", "read") for name in places] == mask[now].tolist() or now < 2
            assert page(f"compared({now}, {window})") == int(mask[now].sum())


def test_bytes_are_those_of_the_formula():
    shape = {"n_layers": 3, "n_heads": 5, "d_head": 7}
    assert page(f"cacheBytes({json.dumps(shape)}, 11, 2)") == kv_cache.cache_bytes(3, 5, 7, 11, 1, 2)
    assert page("[12, 1500, 73728, 9663676416].map(inWords)") == ["12 bytes", "1.50 kB", "73.7 kB", "9.66 GB"]


def test_the_sentence_says_what_happened():
    tokens = json.dumps(list("abcdef"))
    prefill, step, without, narrow = page(
        f"[describe({tokens}, 3, 0, true, 6), describe({tokens}, 3, 3, true, 6), describe({tokens}, 3, 4, false, 6),"
        f" describe({tokens}, 3, 5, true, 2)]"
    )
    assert prefill.startswith("Prefill") and "3 pairs of key and value computed, 0 taken from the cache" in prefill
    assert "Step 1: the model reads “d”. 1 pair of key and value computed, 3 taken from the cache, 4 compared" in step
    assert "So far 4 pairs were computed; without a cache it would be 7." in step
    assert "5 pairs of key and value computed, 0 taken" in without and "with a cache it would be 5." in without
    assert "1 taken from the cache, 2 compared" in narrow and "before the window: 4 places." in narrow
