"""What the exercises' checks leave out of the Transformer: errors, the stack, the given parts, the chapter's claims."""
import math
import random
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from gptlib import attention, transformer
from gptlib.data import translation

Config = transformer.TransformerConfig


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: transformer.sinusoidal_positions(0, 4), "length must be at least 1, got 0"),
        (lambda: transformer.sinusoidal_positions(3, 5), "d_model must be even and at least 2, got 5"),
        (lambda: transformer.sinusoidal_positions(3, 0), "d_model must be even and at least 2, got 0"),
        (lambda: transformer.smoothed_loss(torch.zeros(1, 3), torch.zeros(1).long(), 1.0), "smoothing .* got 1.0"),
        (lambda: transformer.smoothed_loss(torch.zeros(1, 3), torch.zeros(1).long(), -0.1), "smoothing .* got -0.1"),
        (lambda: transformer.noam_rate(0, 4, 4), "at least 1, got 0 and 4"),
        (lambda: transformer.noam_rate(1, 4, 0), "at least 1, got 1 and 0"),
        (lambda: Config(9, n_layers=0), "n_layers must be at least 1, got 0"),
        (lambda: Config(9, d_model=6, n_heads=4), "multiple of n_heads = 4, got 6"),
        (lambda: Config(9, d_model=5, n_heads=5), "d_model must be even .* got 5"),
        (lambda: transformer.Transformer(Config(9, 4, 2, 1, 4, context_length=3)).embed(torch.zeros(1, 4).long()),
         "at most 3 long, got 4"),
        (lambda: translation.english(10_000), "between 0 and 9999, got 10000"),
        (lambda: translation.german(-1), "between 0 and 9999, got -1"),
        (lambda: translation.corpus_bleu(["a"], []), "equally many, got 1, 0"),
    ],
)  # fmt: skip
def test_errors_name_argument_rule_and_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def pairs_of(ours, theirs):
    """Our parameters beside PyTorch's, as (ours, theirs, which third of theirs or None)."""
    names = [("attention", "self_attn", "norm1")]
    if hasattr(ours, "cross_attention"):
        names.append(("cross_attention", "multihead_attn", "norm2"))
    for kind in ("weight", "bias"):
        for name, other, norm in names:
            part, peer = getattr(ours, name), getattr(theirs, other)
            for third, piece in enumerate((part.query, part.key, part.value)):
                yield getattr(piece, kind), getattr(peer, f"in_proj_{kind}"), third
            yield getattr(part.output, kind), getattr(peer.out_proj, kind), None
            yield getattr(getattr(ours, f"{name}_norm"), kind), getattr(getattr(theirs, norm), kind), None
        yield getattr(ours.feed_forward.up, kind), getattr(theirs.linear1, kind), None
        yield getattr(ours.feed_forward.down, kind), getattr(theirs.linear2, kind), None
        last = getattr(theirs, f"norm{len(names) + 1}")
        yield getattr(ours.feed_forward_norm, kind), getattr(last, kind), None


def third_of(tensor, third):
    return tensor if third is None else tensor.chunk(3)[third]


def whole_pairs(model, peer):
    """All parameters of the stacks."""
    stacks = (model.encoder, peer.encoder), (model.decoder, peer.decoder)
    for ours, theirs in stacks:
        for one, other in zip(ours, theirs.layers, strict=True):
            yield from pairs_of(one, other)
    if model.config.norm_first:
        for ours, theirs in ((model.encoder_norm, peer.encoder.norm), (model.decoder_norm, peer.decoder.norm)):
            yield from ((ours.weight, theirs.weight, None), (ours.bias, theirs.bias, None))


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_whole_model_equals_torchs_in_outputs_and_gradients(norm_first):
    torch.manual_seed(1)
    model = transformer.Transformer(Config(11, 12, 3, 2, 20, norm_first, 9)).double()
    settings = {"dropout": 0.0, "batch_first": True, "norm_first": norm_first}
    peer = nn.Transformer(12, 3, 2, 2, 20, **settings).double()
    if not norm_first:  # ours has a last norm only where nothing else would normalise
        peer.encoder.norm = peer.decoder.norm = None
    with torch.no_grad():
        for weight in peer.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        for ours, theirs, third in whole_pairs(model, peer):
            ours.copy_(third_of(theirs, third))
    table = model.token_embedding.weight.detach().clone().requires_grad_()
    source = torch.tensor([[3, 4, 5, 6, 2], [7, 8, 2, 0, 0]])
    target = torch.tensor([[1, 9, 10, 3], [1, 4, 0, 0]])
    logits = model(source, target)

    def embed(tokens):
        return table[tokens] * math.sqrt(12) + model.position_embedding[: tokens.size(1)]

    out = peer(embed(source), embed(target), tgt_mask=~attention.causal_mask(4), src_key_padding_mask=source == 0,
               memory_key_padding_mask=source == 0)  # fmt: skip
    expected = out @ table.T
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)
    wanted = torch.tensor([[9, 10, 3, 2], [4, 2, 0, 0]])
    transformer.smoothed_loss(logits, wanted).backward()
    functional.cross_entropy(expected.flatten(0, 1), wanted.flatten(), ignore_index=0, label_smoothing=0.1).backward()
    found = list(whole_pairs(model, peer))
    for ours, theirs, third in found:
        torch.testing.assert_close(ours.grad, third_of(theirs.grad, third), rtol=0, atol=1e-10)
    torch.testing.assert_close(model.token_embedding.weight.grad, table.grad, rtol=0, atol=1e-10)
    assert len(found) + 1 == len(list(model.parameters()))


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_encoder_layer_equals_torchs(norm_first):
    torch.manual_seed(0)
    ours = transformer.EncoderLayer(10, 5, 7, norm_first).double()
    theirs = nn.TransformerEncoderLayer(10, 5, 7, 0.0, batch_first=True, norm_first=norm_first).double()
    with torch.no_grad():
        for one, other, third in pairs_of(ours, theirs):
            one.copy_(third_of(other, third))
    x, cotangent = torch.randn(2, 2, 6, 10, dtype=torch.float64)
    real = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    leaves = [x.clone().requires_grad_() for _ in range(2)]
    out, expected = ours(leaves[0], real[:, None, None]), theirs(leaves[1], src_key_padding_mask=~real)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    (out * cotangent).sum().backward()
    (expected * cotangent).sum().backward()
    torch.testing.assert_close(leaves[0].grad, leaves[1].grad, rtol=0, atol=1e-10)
    for one, other, third in pairs_of(ours, theirs):
        torch.testing.assert_close(one.grad, third_of(other.grad, third), rtol=0, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 100))
def test_a_shift_is_one_linear_map_and_products_depend_on_distance_alone(half, k, start):
    table = transformer.sinusoidal_positions(160, 2 * half).double()
    angles = k * 10000.0 ** (-torch.arange(0, 2 * half, 2).double() / (2 * half))
    turns = [torch.tensor([[a.cos(), a.sin()], [-a.sin(), a.cos()]]).double() for a in angles]
    torch.testing.assert_close(table[:-k] @ torch.block_diag(*turns).T, table[k:], rtol=0, atol=2e-5)
    assert table[start] @ table[start + k] == pytest.approx(angles.cos().sum().item(), abs=1e-4 * half)


def test_smoothing_is_a_mixture_of_cross_entropies():
    """1 − ε of the plain loss, ε of the mean loss over all tokens; the least value is the entropy of what is wanted."""
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(5, 7, generator=generator).double(), torch.tensor([1, 6, 2, 3, 5])
    plain = functional.cross_entropy(logits, targets)
    even = -logits.log_softmax(-1).mean()
    assert transformer.smoothed_loss(logits, targets, 0.3).item() == pytest.approx((0.7 * plain + 0.3 * even).item())
    wanted = functional.one_hot(targets, 7).double() * 0.7 + 0.3 / 7
    least = -(wanted * wanted.log()).sum(-1).mean().item()
    assert transformer.smoothed_loss(wanted.log(), targets, 0.3).item() == pytest.approx(least)
    worse = transformer.smoothed_loss(wanted.log() + 0.1 * torch.randn(5, 7, generator=generator), targets, 0.3)
    assert worse.item() > least


def test_the_papers_learning_rate():
    rates = [transformer.noam_rate(step, 512, 4000) for step in (1, 4000, 100_000)]
    assert rates == pytest.approx([512**-0.5 * 4000**-1.5, 512**-0.5 * 4000**-0.5, 512**-0.5 * 100_000**-0.5])


def test_translate_writes_what_forward_says_and_pads_after_the_end():
    torch.manual_seed(5)
    model = transformer.Transformer(Config(7, 8, 2, 1, 8, context_length=12))
    source = torch.randint(3, 7, (40, 5), generator=torch.Generator().manual_seed(0))
    written = model.translate(source, 10)
    shifted = torch.cat([torch.full((40, 1), transformer.BEGIN), written[:, :-1]], dim=1)
    best = model(source, shifted).argmax(-1)
    lengths = []
    for row, said in zip(written.tolist(), best.tolist(), strict=True):
        length = row.index(transformer.END) + 1 if transformer.END in row else len(row)
        assert row[:length] == said[:length] and not any(row[length:])
        lengths.append(length)
    assert written.size(1) == max(lengths) <= 10


def test_the_base_model_has_the_papers_sizes():
    base = transformer.BASE
    assert (base.n_layers, base.d_model, base.d_ff, base.n_heads, base.vocab_size) == (6, 512, 2048, 8, 37000)


def test_numbers_in_words_equal_num2words():
    num2words = pytest.importorskip("num2words").num2words
    for number in range(translation.LIMIT):
        words = re.sub("[,-]", " ", num2words(number)).split()
        assert [w for w in translation.english(number) if w != "and"] == [w for w in words if w != "and"]
        assert "".join(translation.german(number)) == num2words(number, lang="de"), number


def test_bleu_equals_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    draw = random.Random(0)
    for size in (1, 3, 40):
        hypotheses, references = ([" ".join(draw.choices("abc", k=draw.randint(4, 12))) for _ in range(size)]
                                  for _ in range(2))  # fmt: skip
        for ours in (hypotheses, references, [text[:7] for text in references]):
            how = {"tokenize": "none", "smooth_method": "none", "force": True}
            expected = sacrebleu.corpus_bleu(ours, [references], **how).score
            assert translation.corpus_bleu(ours, references) == pytest.approx(expected, abs=1e-9)


def test_pairs_of_the_folio():
    pairs = translation.folio_pairs()
    assert {split: len(rows) for split, rows in pairs.items()} == {"train": 22_292, "held-out": 3_864}
    modern = "philip of france in right and true behalf"
    assert (modern + "e", modern) in pairs["held-out"]
    for old, new in pairs["held-out"][:500]:
        assert list(map(translation.skeleton, old.split())) == list(map(translation.skeleton, new.split()))
