"""Fast decoding gives what the model gives: in pieces, in batches, in 16 bits as far as they reach."""
import pytest
import torch

from gptlib import gpt2, kv_cache
from gptlib.inference import fast_decode

TINY = dict(n_layers=3, d_model=12, n_heads=3, vocab_size=17, context_length=14)


def model(dtype=torch.float64):
    made = gpt2.GPT2(TINY, torch.Generator().manual_seed(0)).to(dtype).eval()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(dtype))
    return made


@pytest.mark.parametrize("batch", [1, 2, 40])
@pytest.mark.parametrize("pieces", [[14], [1] * 14, [5, 1, 1, 4, 1, 2]])
def test_any_split_gives_the_logits_of_the_model(batch, pieces):
    own = model()
    tokens = torch.randint(17, (batch, 14), generator=torch.Generator().manual_seed(2))
    fast = fast_decode.FastGPT2(own)
    with torch.no_grad():
        expected = own(tokens)
    for _ in range(2):  # the second text overwrites the first
        found = torch.cat([fast(part) for part in tokens.split(pieces, 1)], 1)
        assert (found - expected).abs().max() < 1e-10
        fast.reset()
    last = fast(tokens[:, :6], last_only=True)
    assert last.shape == (batch, 1, 17) and (last - expected[:, 5:6]).abs().max() < 1e-10


def test_the_weights_are_not_copied_and_nothing_is_tracked():
    own = model(torch.float32)
    fast = fast_decode.FastGPT2(own)
    assert fast.tokens.data_ptr() == own.token_embedding.weight.data_ptr()
    assert not fast(torch.zeros(1, 1, dtype=torch.int64)).requires_grad
    before = torch.get_rng_state()
    fast(torch.zeros(1, 3, dtype=torch.int64))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("batch", [1, 3])
def test_sixteen_bits_come_near(batch):
    own = model(torch.float32)
    tokens = torch.randint(17, (batch, 14), generator=torch.Generator().manual_seed(3))
    half = fast_decode.FastGPT2(own, dtype=torch.bfloat16)
    found = torch.cat([half(part) for part in tokens.split([9, 1, 1, 1, 1, 1], 1)], 1)
    assert found.dtype == half.tokens.dtype == torch.bfloat16
    with torch.no_grad():
        expected = own(tokens)
    assert (found.float() - expected).abs().max() < 0.05 * expected.std() * 3


def test_it_remembers_behind_cached():
    own = model()
    tokens = torch.randint(17, (2, 10), generator=torch.Generator().manual_seed(4))
    fast, plain = kv_cache.cached(fast_decode.FastGPT2(own)), kv_cache.cached(own)
    for text in (tokens[:, :4], tokens[:, :5], tokens[:, :9], tokens[:, :3], tokens[:1]):
        assert torch.allclose(fast(text), plain(text), atol=1e-10)


def test_limits():
    fast = fast_decode.FastGPT2(model(), size=5)
    tokens = torch.zeros(1, 4, dtype=torch.int64)
    fast(tokens)
    with pytest.raises(ValueError, match="cache of 5 slots, got 6"):
        fast(tokens[:, :2])
    with pytest.raises(ValueError, match="1 rows until reset, got 2"):
        fast(tokens[:, :1].repeat(2, 1))
    with pytest.raises(ValueError, match="at least one"):
        fast(tokens[:, :0])
    with pytest.raises(ValueError, match="padding"):
        fast.reset(torch.tensor([1]))
    with pytest.raises(ValueError, match="size"):
        fast_decode.FastGPT2(model(), size=0)
    fast.reset(torch.tensor([0]))
    assert fast(tokens).shape == (1, 4, 17)
