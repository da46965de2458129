"""What crosses between judge and child: values, errors, gradients, modules, generators, callables, side effects."""
import itertools
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.testing import assert_close

from autograder.calls import in_turn, loaded, weights_of, zeroed
from autograder.engine import remote
from autograder.engine.judge import Session
from autograder.engine.sandbox import TIERS
from autograder.engine.wire import WireError
from tests.grading import engine_learner
from tests.grading.engine_kit import SMALL, zygote

SOURCE = {"gptlib/__init__.py": "", "gptlib/m.py": Path(__file__).with_name("engine_learner.py").read_text("utf-8")}


@pytest.fixture(params=TIERS)
def session(request):
    made = Session(zygote(request.param), SMALL)
    yield made
    made.close()


@pytest.fixture
def child(session):
    def exercise(name):
        session.load(SOURCE, f"m.{name}")
        return session.exercise

    return exercise


def normal(*shape, grad=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_(grad)


def test_forward_and_gradient(child):
    attend = child("attend")
    query, key, value = (normal(2, 3, n, 4, seed=n) for n in (5, 7, 7))
    mask = torch.arange(35).reshape(5, 7) % 3 > 0
    out, expected = attend(query, key, value, mask=mask), scaled_dot_product_attention(query, key, value, mask)
    assert_close(out, expected, rtol=1e-9, atol=1e-10)
    weight, inputs = normal(*out.shape, grad=False, seed=9), [query, key, value]
    ours, theirs = (torch.autograd.grad((o * weight).sum(), inputs) for o in (out, expected))
    assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
    assert torch.autograd.gradcheck(attend, [normal(2, 3), normal(2, 3), normal(2, 3)])


def test_gradients_of_complex_numbers(child):
    x, angle = torch.randn(3, 2, dtype=torch.complex128, requires_grad=True), normal(2)
    assert torch.autograd.gradcheck(child("rotate"), [x, angle])


def test_a_gradient_of_another_shape_is_refused(session):
    x = normal(2)
    session.graphs[1] = [x * 2], [x]
    assert_close(session.serve_vjp([torch.ones(2)], 1, [0], [0])[1], [torch.full((2,), 2.0).double()])
    with pytest.raises(WireError, match="shape"):
        session.serve_vjp([torch.ones(1000, 2)], 1, [0], [0])


def test_the_same_tensor_thrice_composed_and_without_gradients(child):
    attend, x, oracle = child("attend"), normal(2, 5, 4), scaled_dot_product_attention
    ours, theirs = (torch.autograd.grad(f(x, f(x, x, x), x).sum(), x) for f in (attend, oracle))
    assert_close(ours, theirs)
    with torch.no_grad():
        assert not attend(x, x, x).requires_grad


def test_values_and_errors(child):
    x = normal(2)
    result = child("many_kinds")(x, "héllo")
    assert_close(result["a"][0], x + 1)
    assert repr(result["a"][1]) == "[None, True, 2, -0.0, inf]"
    assert (result[3], result["set"], result["z"], result["b"]) == ("olléh", {1, 2}, 1 + 2j, b"\xff")
    with pytest.raises(ValueError, match="at least 1") as caught:
        child("causal_mask")(0)
    assert caught.value.learners_type == "MyError" and "raise MyError" in caught.value.blame
    with pytest.raises(KeyError, match="^'a key'$"):
        child("causal_mask")(100)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64, torch.bool, torch.int64])
def test_dtypes_shapes_and_layout(child, dtype):
    view_it, grid = child("view_it"), torch.arange(12).reshape(3, 4).to(dtype)
    for tensor in (grid, torch.ones((), dtype=dtype), torch.ones(0, 3, dtype=dtype)):
        assert_close(view_it(tensor), tensor.view(-1), rtol=0, atol=0)
    for turned in (grid.T, grid[:, :1].expand(3, 4)):
        with pytest.raises(RuntimeError, match="view"):
            view_it(turned)
    with pytest.raises(RuntimeError, match="view"):
        child("transposed")(grid).view(-1)


def test_a_module(child):
    torch.manual_seed(1)
    layer, oracle = child("Layer")(12, 3).double(), nn.MultiheadAttention(12, 3, batch_first=True).double()
    names = {"qkv.weight": "in_proj_weight", "qkv.bias": "in_proj_bias",
             "out.weight": "out_proj.weight", "out.bias": "out_proj.bias"}  # fmt: skip
    layer.load_state_dict({mine: oracle.state_dict()[theirs] for mine, theirs in names.items()})
    x, hidden = normal(2, 6, 12), torch.ones(6, 6, dtype=torch.bool).triu(1)
    for _ in range(2):
        out, expected = layer(x), oracle(x, x, x, attn_mask=hidden, need_weights=False)[0]
        assert_close(out, expected)
        mine = torch.autograd.grad(out.square().sum(), [x, *(dict(layer.named_parameters())[n] for n in names)])
        theirs = dict(oracle.named_parameters())
        assert_close(mine, torch.autograd.grad(expected.square().sum(), [x, *(theirs[n] for n in names.values())]))
        with torch.no_grad():  # the judge changes a mirror: the child must follow
            layer.qkv.weight.mul_(1.5)
            oracle.in_proj_weight.mul_(1.5)
    layer(x).sum().backward()
    assert layer.out.bias.grad.shape == (12,) and layer.training and not layer.eval().training
    assert set(layer.state_dict()) == set(names) and isinstance(layer, nn.Module) and layer.n_heads == 3
    assert_close(layer.qkv(x), oracle.in_proj_bias + x @ oracle.in_proj_weight.T)
    with pytest.raises(ValueError, match="multiple"):
        child("Layer")(12, 5)


def test_parts_of_a_module_share_its_parameters(child):
    model = child("Stack")(3)
    named = dict(model.named_parameters())
    assert len(named) == 5 and model.blocks[1].weight is named["blocks.1.weight"]
    model.load_state_dict({k: torch.ones_like(v) for k, v in model.state_dict().items()})
    assert torch.equal(model.blocks[0].weight, torch.ones(3, 3))
    (ours,) = torch.autograd.grad(model.blocks[0](torch.ones(1, 3)).sum(), [named["blocks.0.weight"]])
    assert_close(ours, torch.ones(3, 3))


def test_parameters_have_values_when_somebody_looks_and_follow_from_then_on(session, child):
    model = child("Restless")()
    assert not model._shown and not any(p.stride()[0] for p in model._mirrors.values())
    model(torch.ones(1, 2))
    part = model.layer
    assert not part._shown
    weight = part.weight
    assert torch.equal(weight, torch.ones(2, 2)) and part._shown
    model(torch.ones(1, 2))
    assert torch.equal(weight, torch.full((2, 2), 2.0)), "the part was looked at, the whole was called"
    assert dict(model.named_parameters())["layer.weight"] is weight
    model(torch.ones(1, 2))
    assert torch.equal(model.layer.weight, torch.full((2, 2), 30.0)), "another parameter in its place"
    (gradient,) = torch.autograd.grad(model.layer(torch.ones(1, 2)).sum(), [model.layer.weight])
    assert torch.equal(gradient, torch.ones(2, 2))


@pytest.mark.parametrize("row", [(torch.float64, [1 << 20, 1 << 20]), (torch.float64, [-1]), (torch.float64, 3), 7, []])
def test_a_parameter_without_values_is_of_bounded_size(row):
    with pytest.raises((WireError, TypeError, ValueError)):
        remote.show(row)


def test_several_calls_cross_at_once(session, child):
    """They are what single calls give, gradients included, for half the messages and less."""
    state = {k: v.clone() for k, v in engine_learner.Layer(6, 2).double().state_dict().items()}
    xs = [normal(2, n, 6) for n in (3, 4, 5)]
    results, asked, messages, ask = [], [], [], session.ask
    session.ask = lambda *message: messages.append(1) or ask(*message)
    for at_once in (True, False):
        make, before = child("Layer"), len(messages)
        if at_once:
            layer = loaded(make, state, 6, 2)
            outs = in_turn(layer, *((x,) for x in xs))
        else:
            layer = make(6, 2).double()
            layer.load_state_dict(state)
            outs = [layer(x) for x in xs]
        wanted = [*xs, *layer.parameters()]
        results.append([*outs, *torch.autograd.grad([out.square().sum() for out in outs], wanted)])
        asked.append(len(messages) - before)
    assert_close(results[0], results[1])
    local = engine_learner.Layer(6, 2).double()
    local.load_state_dict(state)
    assert_close([local(x) for x in xs], results[0][:3])
    assert asked[0] == 4 and asked[1] == 10, asked  # made, called, looked at, its gradient
    assert in_turn(child("causal_mask"), (2,), (3,))[1].shape == (3, 3)
    with pytest.raises(ValueError, match="at least 1"):
        in_turn(child("causal_mask"), (2,), (0,))
    with pytest.raises(RuntimeError, match="Missing key"):
        loaded(child("Layer"), {"qkv.weight": state["qkv.weight"]}, 6, 2)


@pytest.mark.parametrize("where", ["far", "here"])
def test_gradients_of_weights_need_not_their_values(session, child, where, monkeypatch):
    messages, ask = [], session.ask
    monkeypatch.setattr(session, "ask", lambda tree, tensors: messages.append(tree[0]) or ask(tree, tensors))
    torch.manual_seed(3)
    local = engine_learner.Layer(6, 2).double()
    x, state = normal(2, 3, 6, grad=False), local.state_dict()
    layer = loaded(child("Layer") if where == "far" else engine_learner.Layer, state, 6, 2)
    found = weights_of(layer)
    gradients = torch.autograd.grad(layer(x).sum(), list(found.values()))
    expected = torch.autograd.grad(local(x).sum(), list(local.parameters()))
    assert list(found) == list(state)
    assert_close(gradients, expected)
    assert messages == (["call", "call", "call", "vjp"] if where == "far" else [])  # the file, the layer, its call
    assert_close(dict(layer.named_parameters())["out.bias"].detach(), state["out.bias"])
    with pytest.raises(TypeError, match="no module"):
        weights_of(child("Tokenizer")(["a"]))


def test_in_one_process_steps_are_just_done():
    assert in_turn(divmod, (7, 2), (9, 4)) == [(3, 1), (2, 1)]
    state = {"weight": torch.ones(2, 3, dtype=torch.float64)}
    made = loaded(nn.Linear, state, 3, 2, bias=False)
    assert made.weight.dtype == torch.float64 and torch.equal(made.weight, state["weight"])
    made.weight.data.zero_()
    assert state["weight"].all()


@pytest.mark.parametrize("where", ["far", "here"])
def test_a_module_whose_numbers_are_zero(session, child, where, monkeypatch):
    make = child("Layer") if where == "far" else engine_learner.Layer
    messages, ask = [], session.ask
    monkeypatch.setattr(session, "ask", lambda tree, tensors: messages.append(tree) or ask(tree, tensors))
    layer = zeroed(make, {"out__bias": torch.arange(6.0).double()}, 6, n_heads=2)
    assert_close(layer(normal(1, 3, 6)), torch.arange(6.0).double().expand(1, 3, 6))
    assert len(messages) == (2 if where == "far" else 0) and not layer.training
    assert zeroed(nn.LayerNorm, {}, 2).weight.sum() == 0, "a norm is known by the name it has in a module"
    assert zeroed(lambda: nn.ModuleDict({"norm": nn.LayerNorm(2)}), {}).norm.weight.sum() == 2
    with pytest.raises(RuntimeError, match="size mismatch"):
        zeroed(make, {"out.bias": torch.zeros(5)}, 6, 2)


def test_frozen_parameters(child):
    layer = child("LoRA")()
    assert [k for k, p in layer.named_parameters() if p.requires_grad] == ["a"]
    torch.autograd.grad(layer(torch.ones(2, 3)).sum(), layer.a)
    layer.a.data.fill_(2.0)
    assert_close(layer(torch.ones(1, 3)) - layer.base(torch.ones(1, 3)), torch.full((1, 1), 6.0).expand(1, 3))


def test_configurations_are_values(child):
    """The class is known on both sides by its name in gptlib."""
    import sys
    import types

    module = types.ModuleType("gptlib.m")
    module.Config = engine_learner.Config
    before, engine_learner.Config.__module__ = sys.modules.get("gptlib.m"), "gptlib.m"
    sys.modules["gptlib.m"] = module
    try:
        layer = child("FromConfig")(engine_learner.Config(width=3, bias=False))
        assert layer.config == engine_learner.Config(width=3, bias=False)
        assert [p.shape for p in layer.parameters()] == [(2, 3)]
    finally:
        engine_learner.Config.__module__ = "tests.grading.engine_learner"
        del sys.modules["gptlib.m"]
        if before:
            sys.modules["gptlib.m"] = before


def test_objects_and_iterators(child):
    tokenizer = child("Tokenizer")(["a", "b"])
    assert tokenizer.encode("b a b") == [1, 0, 1] and tokenizer.words == ["a", "b"] and len(tokenizer) == 2
    assert [int(x) for x in child("count_up")(3)] == [0, 1, 2]
    assert [int(x) for x in itertools.islice(child("count_up")(10**9), 2)] == [0, 1]


def test_changed_arguments_are_reported_and_stay_as_they_were(session, child):
    x = normal(3, grad=False)
    before = x.clone()
    child("double_in_place")(x)
    assert torch.equal(x, before)
    (fact,) = session.facts
    assert "changed its argument `x` in place" in fact


def test_a_generator_goes_out_and_comes_back(child):
    sample = child("sample")
    logits, ours, theirs = normal(5, 9), torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    for _ in range(3):
        expected = torch.multinomial(logits.softmax(-1), 1, generator=ours)
        assert torch.equal(sample(logits, theirs), expected)


def test_callables_are_called_back(child):
    table, seen = normal(7, 7, grad=False), []

    def model(tokens):
        seen.append(tokens.shape[1])
        return table[tokens]

    decode = child("greedy_decode")
    tokens = decode(model, torch.tensor([[2]]), 4)
    assert tokens.shape == (1, 5) and seen == [1, 2, 3, 4] and tokens[0, 1] == table[2].argmax()
    with pytest.raises(ZeroDivisionError):
        decode(lambda tokens: 1 / 0, torch.tensor([[2]]), 1)


def test_gradients_go_through_the_child_into_the_judges_module(child):
    layer, x = nn.Linear(3, 2).double(), normal(4, 3)
    wanted = [x, *layer.parameters()]
    ours = torch.autograd.grad(child("loss_of")(layer, x), wanted)
    assert_close(ours, torch.autograd.grad(layer(x * 3).square().mean() + x.sum(), wanted))


def test_a_lent_callable_can_only_be_called(child):
    with pytest.raises(AttributeError):
        child("steal")(lambda: 1)


def test_subclasses_of_tensor_become_plain(child):
    plain = child("yes")(1)
    assert type(plain) is torch.Tensor and not torch.equal(plain, torch.ones(3))
