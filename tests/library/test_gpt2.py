"""GPT-2 against transformers' own, its files, and the tool that finds where two models part."""

import json
import re

import pytest
import torch
import torch.nn.functional as F

from gptlib import attention, gpt2
from gptlib.weights import gpt2 as gpt2_weights

transformers = pytest.importorskip("transformers")
TINY = dict(n_layers=3, d_model=12, n_heads=3, vocab_size=17, context_length=9)


def theirs(seed=0, spread=None, **shape):
    """A transformers.GPT2LMHeadModel in float64 with random weights; norms and biases are moved from their start."""
    names = {"n_layers": "n_layer", "d_model": "n_embd", "n_heads": "n_head", "vocab_size": "vocab_size",
             "context_length": "n_positions", "d_ff": "n_inner"}  # fmt: skip
    torch.manual_seed(seed)
    config = transformers.GPT2Config(**{names[k]: v for k, v in shape.items()}, attn_implementation="eager",
                                     bos_token_id=None, eos_token_id=None)  # fmt: skip
    model = transformers.GPT2LMHeadModel(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (spread or 0.1))
    return model


def ours(other, **shape):
    model = gpt2.GPT2(shape).double().eval()
    model.load_state_dict(gpt2.from_hugging_face(other.state_dict(), shape["n_layers"]))
    return model


def gradients_by_our_names(other, layers):
    names = {theirs: ours for ours, theirs in gpt2.parameter_names(layers).items()}
    raw = {name.removeprefix("transformer."): p.grad for name, p in other.named_parameters()}
    return {names[n]: g.t() if n.startswith("h.") and g.dim() == 2 else g for n, g in raw.items() if n in names}


@pytest.mark.parametrize("shape", [TINY, TINY | {"d_ff": 7, "n_heads": 12}, TINY | {"n_layers": 1, "n_heads": 1}])
def test_logits_and_gradients_are_those_of_transformers(shape):
    other = theirs(**shape)
    model = ours(other, **shape)
    for length in (1, 5, 9):
        tokens = torch.randint(17, (3, length))
        out, expected = model(tokens), other(tokens).logits
        assert (out - expected).abs().max() < 1e-9
        cotangent = torch.randn_like(out)
        model.zero_grad(), other.zero_grad()
        out.backward(cotangent), expected.backward(cotangent)
        for name, true in gradients_by_our_names(other, shape["n_layers"]).items():
            assert (model.get_parameter(name).grad - true).abs().max() < 1e-9, name


def test_the_real_shape_agrees_too():
    """124,439,808 random numbers, the shape of the published model, in float64."""
    shape = dict(n_layers=12, d_model=768, n_heads=12, vocab_size=50257, context_length=1024)
    with torch.device("meta"):
        model = gpt2.GPT2(gpt2.GPT2_SMALL)
        other = transformers.GPT2LMHeadModel(transformers.GPT2Config(attn_implementation="eager"))
    assert sum(p.numel() for p in model.parameters()) == gpt2.parameter_count(gpt2.GPT2_SMALL) == 124_439_808
    generator = torch.Generator().manual_seed(0)
    state = {name: 0.05 * torch.randn(t.shape, generator=generator, dtype=torch.float64) + ("norm" in name)
             for name, t in model.state_dict().items()}  # fmt: skip
    model.load_state_dict(state, assign=True)
    published = gpt2_weights.to_hugging_face(state, shape["n_layers"])
    other.load_state_dict(published | {"lm_head.weight": published["transformer.wte.weight"]}, assign=True)
    other.tie_weights()
    tokens = torch.randint(50257, (1, 7), generator=generator)
    out, expected = model.eval()(tokens), other.double().eval()(tokens).logits
    assert (out - expected).abs().max() < 1e-9
    for loss in (out, expected):
        loss.square().mean().backward()
    true = gradients_by_our_names(other, 12)
    assert len(true) == 148
    for name, gradient in true.items():
        assert (model.get_parameter(name).grad - gradient).abs().max() < 1e-9, name


def test_presets_have_the_published_sizes():
    millions = {name: round(gpt2.parameter_count(config) / 1e6) for name, config in gpt2.PRESETS.items()}
    assert [millions[f"gpt2{size}"] for size in ("", "-medium", "-large", "-xl")] == [124, 355, 774, 1558]
    printed = {
        "small": 125,
        "medium": 350,
        "large": 760,
        "xl": 1300,
        "2.7b": 2700,
        "6.7b": 6700,
        "13b": 13000,
        "175b": 175000,
    }
    for size, stated in printed.items():
        assert millions[f"gpt3-{size}"] == pytest.approx(stated, rel=0.025), size
    for config in gpt2.PRESETS.values():
        assert config.d_ff == 4 * config.d_model and config.d_model % config.n_heads == 0


def test_formula_and_count_agree():
    for shape in (TINY, TINY | {"d_ff": 5}, TINY | {"n_layers": 1}):
        model = gpt2.GPT2(shape)
        assert sum(p.numel() for p in model.parameters()) == gpt2.parameter_count(model.config)
    slide = gpt2.parameter_count(gpt2.GPT2_SMALL) - 12 * 2304 - 2 * 768
    assert slide == 124_410_624


@pytest.mark.parametrize("wrong, words", [
    ({"n_heads": 5}, "n_heads must divide d_model = 12, got 5"), ({"n_layers": 0}, "n_layers must be a whole number"),
    ({"d_model": 12.0}, "d_model must be a whole number"), ({"dropout": 1.0}, "dropout must be at least 0"),
    ({"vocab_size": True}, "vocab_size must be"), ({"d_ff": -1}, "d_ff must be"),
])  # fmt: skip
def test_wrong_configs_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        gpt2.GPT2(TINY | wrong)


def test_wrong_tokens_are_refused():
    model = gpt2.GPT2(TINY)
    for tokens, words in (
        (torch.zeros(3, dtype=int), "axes"),
        (torch.zeros(1, 10, dtype=int), "context of 9, got 10"),
    ):
        with pytest.raises(ValueError, match=words):
            model(tokens)
    with pytest.raises(ValueError, match="mixes must hold one for each of 3 blocks, got 1"):
        model(torch.zeros(1, 2, dtype=int), None, [None])
    with pytest.raises(ValueError, match="n_heads"):
        gpt2.Block(12, 5)


def test_joined_attention_is_multi_head_attention():
    """SelfAttention gives what the attention chapter's layer gives with its three matrices."""
    torch.manual_seed(0)
    layer, joined = attention.MultiHeadAttention(12, 3).double(), gpt2.SelfAttention(12, 3).double()
    state = layer.state_dict()
    joined.load_state_dict({
        f"{name}.{kind}": torch.cat([state[f"{part}.{kind}"] for part in parts])
        for name, parts in (("qkv", ("query", "key", "value")), ("output", ("output",))) for kind in ("weight", "bias")
    })  # fmt: skip
    x = torch.randn(2, 5, 12).double()
    expected = layer(x, mask=attention.causal_mask(5))
    assert torch.allclose(joined(x), expected, atol=1e-12)
    mixed = joined(x, lambda q, k, v: attention.attend(q, k, v, attention.causal_mask(5)))
    assert torch.allclose(mixed, expected, atol=1e-12)


def test_dropout_acts_in_training_only():
    model = gpt2.GPT2(TINY | {"dropout": 0.5}, torch.Generator().manual_seed(0))
    tokens = torch.arange(5)[None]
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


def test_a_checkpoint_comes_back_and_transformers_reads_it(tmp_path):
    model = gpt2.GPT2(TINY | {"d_ff": 20}, torch.Generator().manual_seed(0)).eval()
    gpt2_weights.write_checkpoint(tmp_path, model.state_dict(), model.config)
    tokens = torch.arange(8)[None]
    again, other = gpt2.load_pretrained(tmp_path), transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    assert again.config == model.config and not again.training
    with torch.no_grad():
        assert torch.equal(again(tokens), model(tokens))
        assert (other(tokens).logits - model(tokens)).abs().max() < 1e-5
    other.save_pretrained(tmp_path / "theirs", safe_serialization=True)
    assert torch.equal(gpt2.load_pretrained(tmp_path / "theirs")(tokens), again(tokens))


def spoil(folder, what):
    weights, config = folder / "model.safetensors", folder / "config.json"
    settings = json.loads(config.read_text())
    if what == "cut short":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif what == "header cut":
        weights.write_bytes(weights.read_bytes()[:20])
    elif what == "foreign":
        weights.write_bytes(b"<html>Not found</html>" * 9)
    elif what == "pickle":
        torch.save({"wte.weight": torch.zeros(2)}, weights)
    elif what == "gone":
        weights.unlink()
    elif what == "no config":
        config.unlink()
    elif what == "config no JSON":
        config.write_text("{")
    elif what == "another model":
        config.write_text(json.dumps(settings | {"model_type": "llama"}))
    elif what == "another activation":
        config.write_text(json.dumps(settings | {"activation_function": "relu"}))
    elif what == "another width":
        config.write_text(json.dumps(settings | {"n_embd": 24}))
    elif what == "fewer blocks":
        config.write_text(json.dumps(settings | {"n_layer": 2}))
    elif what == "more blocks":
        config.write_text(json.dumps(settings | {"n_layer": 4}))
    elif what == "setting gone":
        config.write_text(json.dumps({k: v for k, v in settings.items() if k != "n_head"}))


@pytest.mark.parametrize("what, words", [
    ("cut short", "cut short or foreign"), ("header cut", "cut short or foreign"), ("foreign", "cut short or foreign"),
    ("pickle", "is a pickle"), ("gone", "there is none at"), ("no config", "must hold a config.json"),
    ("config no JSON", "must hold a config.json"), ("another model", "must be of a gpt2"),
    ("another activation", "activation_function = 'gelu_new'"), ("another width", "must have shape"),
    ("fewer blocks", "there are more"), ("more blocks", "are missing"), ("setting gone", "must have n_head"),
])  # fmt: skip
def test_spoiled_files_are_named(tmp_path, what, words):
    model = gpt2.GPT2(TINY)
    gpt2_weights.write_checkpoint(tmp_path, model.state_dict(), model.config)
    spoil(tmp_path, what)
    with pytest.raises(ValueError, match=words):
        gpt2.load_pretrained(tmp_path)


def test_without_a_network_fetching_says_so(tmp_path, monkeypatch):
    from gptlib.data.download import DataError

    monkeypatch.setenv("GPTLIB_DATA", str(tmp_path))
    monkeypatch.setattr(gpt2_weights, "SMALL", "file:///nowhere/")
    with pytest.raises(DataError, match="could not be fetched"):
        gpt2_weights.fetch()
    assert not list(tmp_path.rglob("model.safetensors"))
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(gpt2_weights, "SMALL", tmp_path.as_uri() + "/")
    with pytest.raises(DataError, match="is not the published GPT-2"):
        gpt2_weights.fetch()
    assert not (tmp_path / "gpt2-small/model.safetensors").exists()


class WrongGelu(gpt2.Block):
    def forward(self, x, mix=None):
        x = x + self.attention(self.attention_norm(x), mix)
        return x + self.down(F.gelu(self.up(self.feed_forward_norm(x))))


class Future(gpt2.Block):
    def forward(self, x, mix=None):
        return super().forward(x, F.scaled_dot_product_attention)


@pytest.mark.parametrize("kind, at, place", [
    (WrongGelu, 1, "block 1: feed-forward"), (Future, 2, "block 2: attention"), (Future, 0, "block 0: attention"),
])  # fmt: skip
def test_the_comparison_finds_the_place(kind, at, place):
    other = theirs(spread=0.5, **TINY)
    model, tokens = ours(other, **TINY), torch.randint(17, (2, 6))
    found = gpt2_weights.compare(model, other, tokens, 1e-9)
    assert all(d.agree for d in found) and len(found) == 1 + 5 * 3 + 2
    assert gpt2_weights.first_difference(found).startswith("equal everywhere")
    broken = kind(12, 3).double()
    broken.load_state_dict(model.blocks[at].state_dict())
    model.blocks[at] = broken
    found = gpt2_weights.compare(model, other, tokens, 1e-9)
    assert next(d.place for d in found if not d.agree) == place
    assert re.search(f"equal up to .*; {place} differs by", gpt2_weights.first_difference(found))


def test_the_comparison_sees_a_wrong_start_and_a_missing_norm():
    other = theirs(**TINY)
    model, tokens = ours(other, **TINY), torch.randint(17, (2, 6))
    model.unembed = lambda x: x @ model.token_embedding.weight.T
    found = gpt2_weights.compare(model, other, tokens, 1e-9)
    assert [d.place for d in found if not d.agree] == ["final norm", "logits"] and found[-2].largest == float("inf")
    model = ours(other, **TINY)
    with torch.no_grad():
        model.position_embedding.weight.roll(1)
        model.position_embedding.weight.copy_(model.position_embedding.weight.roll(1, 0))
    assert gpt2_weights.first_difference(gpt2_weights.compare(model, other, tokens)).startswith(
        "different from the start"
    )
    with pytest.raises(ValueError, match="as many blocks"):
        gpt2_weights.compare(gpt2.GPT2(TINY | {"n_layers": 2}).double(), other, tokens)


def test_squeezing_loses_little():
    model = gpt2.GPT2(TINY, torch.Generator().manual_seed(0))
    state = model.state_dict()
    back = gpt2_weights.unsqueeze(gpt2_weights.squeeze(state))
    assert back.keys() == state.keys()
    for name, tensor in state.items():
        step = tensor.abs().amax(-1, keepdim=True) / 127 if tensor.dim() == 2 else 0
        assert ((back[name] - tensor).abs() <= step / 2 + 1e-9).all(), name
    assert torch.equal(gpt2_weights.quantise(torch.zeros(2, 3))[0], torch.zeros(2, 3, dtype=torch.int8))
