"""The key-value cache against transformers' own, against bands and rows alone, and at its limits."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlib import gpt2, kv_cache

transformers = pytest.importorskip("transformers")
TINY = dict(n_layers=3, d_model=12, n_heads=3, vocab_size=17, context_length=12)


@pytest.fixture(scope="module")
def pair():
    """A GPT-2 of ours in float64, and transformers' with the same weights, none of which is at its start."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=3, n_embd=12, n_head=3, vocab_size=17, n_positions=12,
                                     attn_implementation="eager", bos_token_id=None, eos_token_id=None)  # fmt: skip
    theirs = transformers.GPT2LMHeadModel(config).double().eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    ours = gpt2.GPT2(TINY).double().eval()
    ours.load_state_dict(gpt2.from_hugging_face(theirs.state_dict(), 3))
    return ours, theirs


def in_pieces(reader, tokens, parts, padding=None):
    reader.reset(padding)
    return torch.cat([reader(part) for part in tokens.split(parts, 1)], 1)


@st.composite
def splits(draw):
    length = draw(st.integers(1, 12))
    cuts = sorted(draw(st.sets(st.integers(1, length - 1)))) if length > 1 else []
    return [end - start for start, end in zip([0, *cuts], [*cuts, length], strict=True)]


@torch.no_grad()
def test_every_step_is_that_of_transformers(pair):
    """Piece by piece both keep keys and values, and give the same logits."""
    ours, theirs = pair
    tokens = torch.randint(17, (2, 12), generator=torch.Generator().manual_seed(1))
    reader, past = kv_cache.CachedGPT2(ours).eval(), None
    for part in tokens.split([5, 1, 3, 1, 2], 1):
        found = theirs(part, past_key_values=past, use_cache=True)
        past = found.past_key_values
        assert (reader(part) - found.logits).abs().max() < 1e-10
    for layer, stored in zip(reader.layers, past.layers, strict=True):
        assert torch.allclose(layer.keys, stored.keys, atol=1e-10)
        assert torch.allclose(layer.values, stored.values, atol=1e-10)


@torch.no_grad()
def test_left_padding_is_that_of_transformers(pair):
    ours, theirs = pair
    tokens, padding = torch.randint(17, (3, 9), generator=torch.Generator().manual_seed(2)), torch.tensor([0, 4, 2])
    mask = (torch.arange(9) >= padding[:, None]).long()
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    expected = theirs(tokens, attention_mask=mask, position_ids=positions).logits
    found = in_pieces(kv_cache.CachedGPT2(ours).eval(), tokens, [3, 5, 1], padding)
    assert (found - expected)[mask.bool()].abs().max() < 1e-10


@settings(max_examples=40, deadline=None)
@given(parts=splits(), batch=st.integers(1, 3), extra=st.integers(0, 5), seed=st.integers(0, 99))
def test_any_split_gives_the_logits_of_the_whole(pair, parts, batch, extra, seed):
    tokens = torch.randint(17, (batch, sum(parts)), generator=torch.Generator().manual_seed(seed))
    reader = kv_cache.CachedGPT2(pair[0], size=sum(parts) + extra).eval()
    with torch.no_grad():
        assert (in_pieces(reader, tokens, parts) - pair[1](tokens).logits).abs().max() < 1e-10


@settings(max_examples=30, deadline=None)
@given(parts=splits(), seed=st.integers(0, 99), data=st.data())
def test_padded_rows_are_what_they_are_alone(pair, parts, seed, data):
    length = sum(parts)
    padding = data.draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=4))
    tokens = torch.randint(17, (len(padding), length), generator=torch.Generator().manual_seed(seed))
    found = in_pieces(kv_cache.CachedGPT2(pair[0]).eval(), tokens, parts, torch.tensor(padding))
    for row, left in enumerate(padding):
        with torch.no_grad():
            assert (found[row, left:] - pair[1](tokens[row : row + 1, left:]).logits[0]).abs().max() < 1e-10


@settings(max_examples=30, deadline=None)
@given(parts=splits(), window=st.integers(1, 7), extra=st.integers(0, 4), left=st.integers(0, 5), seed=st.just(1))
def test_a_window_is_a_banded_mask(pair, parts, window, extra, left, seed):
    """Whatever the number of slots, padding or not; the band is written entry by entry."""
    length, ours = sum(parts), pair[0]
    left = min(left, length - 1)
    tokens = torch.randint(17, (1, length), generator=torch.Generator().manual_seed(seed))
    reader = kv_cache.CachedGPT2(ours, window + extra, window).eval()
    found = in_pieces(reader, tokens, parts, torch.tensor([left]))
    size = length - left
    band = torch.tensor([[0 <= t - s < window for s in range(size)] for t in range(size)])
    mixes = [lambda q, k, v: F.scaled_dot_product_attention(q, k, v, band)] * 3
    with torch.no_grad():
        assert (found[:, left:] - ours(tokens[:, left:], None, mixes)).abs().max() < 1e-10
    assert all(layer.keys.size(2) == window + extra for layer in reader.layers)


def test_the_bytes_are_those_of_the_formula(pair):
    for dtype, batch, size in ((torch.float64, 1, 12), (torch.float32, 3, 7), (torch.bfloat16, 2, 12)):
        reader = kv_cache.CachedGPT2(gpt2.GPT2(TINY).to(dtype), size)
        assert reader.bytes() == 0
        reader(torch.zeros(batch, 2, dtype=torch.int64))
        number = torch.zeros(1, dtype=dtype).element_size()
        assert reader.bytes() == kv_cache.cache_bytes(3, 3, 4, size, batch, number)
        stored = [layer.keys.untyped_storage().nbytes() for layer in reader.layers]  # keys and values share it
        assert sum(stored) == reader.bytes()


def test_readers_in_turns_and_a_reset(pair):
    ours, theirs = pair
    one, other = (torch.randint(17, (2, 10), generator=torch.Generator().manual_seed(seed)) for seed in (3, 4))
    readers, texts = [kv_cache.CachedGPT2(ours).eval() for _ in range(2)], (one, other)
    out = [[], []]
    for begin, end in ((0, 3), (3, 4), (4, 10)):
        for number in (0, 1):
            out[number].append(readers[number](texts[number][:, begin:end]))
    with torch.no_grad():
        for text, found in zip(texts, out, strict=True):
            assert (torch.cat(found, 1) - theirs(text).logits).abs().max() < 1e-10
        readers[0].reset()
        assert (readers[0](other[:1]) - theirs(other[:1]).logits).abs().max() < 1e-10


def test_limits_are_errors_and_change_nothing(pair):
    ours, _ = pair
    tokens = torch.randint(17, (1, 12), generator=torch.Generator().manual_seed(5))
    expected = ours(tokens)
    reader = kv_cache.CachedGPT2(ours, size=6).eval()
    reader(tokens[:, :4])
    for wrong, words in ((tokens[:, 4:7], "tokens must fit into the cache of 6 slots, got 7"),
                         (tokens[:, :0], r"at least one position, got shape \(1, 0\)"),
                         (tokens[0], "must be"), (tokens[:, 4:6].repeat(2, 1), "batch")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            reader(wrong)
        assert reader.seen == 4
    assert torch.allclose(reader(tokens[:, 4:6]), expected[:, 4:6], atol=1e-10)
    with pytest.raises(ValueError, match="context of 12, got 13"):
        kv_cache.CachedGPT2(ours, window=2)(torch.zeros(1, 13, dtype=torch.int64))
    roomy = kv_cache.CachedGPT2(ours, size=20).eval()
    roomy.reset(torch.tensor([3]))
    assert roomy(torch.zeros(1, 15, dtype=torch.int64)).shape == (1, 15, 17)  # 12 positions behind 3 of padding
    roomy.reset(torch.tensor([1, 2]))
    with pytest.raises(ValueError, match=r"one number for each of 1 rows, got \[1, 2\]"):
        roomy(tokens)
    for size, window, words in ((0, None, "size"), (3, 4, "window"), (3, 0, "window")):
        with pytest.raises(ValueError, match=f"{words} must"):
            kv_cache.LayerCache(size, window)
    with pytest.raises(ValueError, match="3 slots of the cache, got 1 . 3"):
        cache, x = kv_cache.LayerCache(3, 2), torch.zeros(1, 1, 3, 1)
        cache.append(x, x)
        cache.append(x, x)


def test_dropout_is_refused_and_no_graph_is_kept():
    reader = kv_cache.CachedGPT2(TINY | {"dropout": 0.1})
    tokens = torch.zeros(1, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"evaluation mode"):
        reader(tokens)
    assert not reader.eval()(tokens).requires_grad and not reader.layers[0].keys.requires_grad


def test_cached_reads_only_what_is_new(pair, monkeypatch):
    ours, theirs = pair
    read = []
    step = kv_cache.CachedGPT2.step

    def watched(self, tokens, last_only):
        read.append(tokens.size(1))
        return step(self, tokens, last_only)

    monkeypatch.setattr(kv_cache.CachedGPT2, "step", watched)
    predict = kv_cache.cached(ours)
    tokens = torch.randint(17, (2, 12), generator=torch.Generator().manual_seed(6))
    changed = tokens.clone()
    changed[1, 2] = (changed[1, 2] + 1) % 17
    asked = [tokens[:, :end] for end in (5, 6, 6, 9)] + [changed[:, :10], changed[:, :4], tokens[:1, :5]]
    for text in asked:
        logits = predict(text)
        with torch.no_grad():
            assert (logits - theirs(text).logits[:, -1]).abs().max() < 1e-10
        logits.zero_()  # what the caller does with them is his own affair
    assert read == [5, 1, 3, 10, 4, 5]
    with pytest.raises(ValueError, match="cache of 12"):
        predict(torch.zeros(1, 13, dtype=torch.int64))
    assert torch.allclose(predict(tokens[:1, :5]), ours(tokens[:1, :5])[:, -1], atol=1e-10)
    with pytest.raises(ValueError, match="settings"):
        kv_cache.cached(kv_cache.CachedGPT2(ours), window=3)
    padded = kv_cache.cached(ours, torch.tensor([2, 0]), window=4)
    assert padded(tokens).shape == (2, 17)


def test_greedy_text_is_that_of_transformers(pair):
    ours, theirs = pair
    prompt = torch.randint(17, (2, 3), generator=torch.Generator().manual_seed(7))
    expected = theirs.generate(prompt, max_new_tokens=8, do_sample=False, pad_token_id=0, eos_token_id=None,
                               attention_mask=torch.ones_like(prompt))  # fmt: skip
    predict, text = kv_cache.cached(ours), prompt
    for _ in range(8):
        text = torch.cat([text, predict(text).argmax(-1, keepdim=True)], 1)
    assert torch.equal(text, expected)
