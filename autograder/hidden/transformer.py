"""What grading checks of the Transformer: PyTorch's layers and plain formulas as oracles, in float64."""
import math

import torch
from torch import Tensor
from torch.nn import functional

from autograder.calls import loaded, weights_of
from autograder.checks import checks, same
from autograder.inputs import F64, normal

PARTS = ("query", "key", "value")
State = dict[str, Tensor]


@checks("transformer.sinusoidal_positions")
def entry_by_entry(sinusoidal_positions, generator):
    """Tables of many sizes equal a loop over their entries."""
    drawn = torch.randint(1, 40, (6, 2), generator=generator).tolist()
    for length, half in ((1, 1), (7, 1), (2, 5), (513, 8), *drawn):
        width = 2 * half
        expected = torch.empty(length, width, dtype=F64)
        for t in range(length):
            for i in range(half):
                angle = t / 10000 ** (2 * i / width)
                expected[t, 2 * i], expected[t, 2 * i + 1] = math.sin(angle), math.cos(angle)
        same(sinusoidal_positions(length, width), expected.float(), f"length {length}, width {width}")


@checks("transformer.sinusoidal_positions")
def a_shift_is_a_rotation(sinusoidal_positions):
    """Going k positions on turns every pair of features by an angle that does not depend on where one is."""
    table = sinusoidal_positions(40, 12)
    same(tuple(table.shape), (40, 12), "One row a position.")
    pairs = torch.view_as_complex(table.double().unflatten(-1, (-1, 2)).contiguous())  # sine + i cosine
    for k in (1, 7):
        turn = pairs[k:] / pairs[:-k]
        same(turn.real.float(), turn.real[:1].expand(40 - k, 6).float(), f"A shift by {k}.", rtol=1e-4, atol=1e-4)


@checks("transformer.LayerNorm")
def layer_norm_agrees_with_torch(LayerNorm, generator):
    """Output and all gradients equal those of torch.nn.functional.layer_norm."""
    cases = []
    for shape, scale, epsilon in (
        ((4,), 1.0, 1e-5), ((3, 7), 1e-3, 1e-5), ((2, 5, 8), 1e3, 1e-5), ((1, 1, 1), 1.0, 1e-5),
        ((2, 3, 5, 6), 1.0, 0.5),
    ):  # fmt: skip
        x = scale * normal(generator, *shape) + 3
        weight, bias, cotangent = (normal(generator, *size) for size in (shape[-1:], shape[-1:], shape))
        cases.append((x, weight, bias, cotangent, epsilon))
    for x, weight, bias, cotangent, epsilon in cases:
        leaves = [one.clone().requires_grad_() for one in (x, weight, bias)]
        expected = functional.layer_norm(leaves[0], weight.shape, leaves[1], leaves[2], epsilon)
        true = torch.autograd.grad(expected, leaves, cotangent)
        layer = loaded(LayerNorm, {"weight": weight, "bias": bias}, weight.numel(), epsilon)
        leaf = x.clone().requires_grad_()
        out = layer(leaf)
        hint = f"shape {tuple(x.shape)}, ε = {epsilon}"
        same(out, expected, hint, atol=1e-8)
        by_name = weights_of(layer)
        found = torch.autograd.grad(out, [leaf, by_name["weight"], by_name["bias"]], cotangent)
        same(list(found), list(true), f"{hint} (gradients of x, weight, bias)", rtol=1e-7, atol=1e-7)


@checks("transformer.LayerNorm")
def layer_norm_in_single_precision(LayerNorm, generator):
    """Float32 and another memory order work; positions do not touch each other."""
    x = torch.randn(3, 6, 5, generator=generator).transpose(0, 2)
    same(LayerNorm(3)(x), functional.layer_norm(x, (3,)), "float32, transposed", rtol=1e-4, atol=1e-4)


@checks("transformer.add_and_norm")
def both_orders_with_drawn_sublayers(add_and_norm, generator):
    """Both orders equal their formulas, gradients included."""
    x, inner, cotangent = normal(generator, 2, 5, 4), normal(generator, 4, 4), normal(generator, 2, 5, 4)

    def sublayer(y):
        return torch.tanh(y @ inner)

    def norm(y):
        return functional.layer_norm(y, (4,))

    for norm_first in (True, False):
        peer = x.clone().requires_grad_()
        expected = peer + sublayer(norm(peer)) if norm_first else norm(peer + sublayer(peer))
        leaf = x.clone().requires_grad_()
        out = add_and_norm(leaf, sublayer, norm, norm_first)
        same(out, expected, f"norm_first = {norm_first}")
        found, true = torch.autograd.grad(out, leaf, cotangent), torch.autograd.grad(expected, peer, cotangent)
        same(found[0], true[0], f"norm_first = {norm_first} (gradient)")


@checks("transformer.add_and_norm")
def each_part_runs_once(add_and_norm):
    """The sublayer and the norm are called once each, on the right thing."""
    x = torch.tensor([[[2.0, 3.0]]], dtype=F64)
    for norm_first, seen in ((True, ["norm", "sublayer"]), (False, ["sublayer", "norm"])):
        calls: list[str] = []

        def sublayer(y, calls=calls):
            calls.append("sublayer")
            return 2 * y

        def norm(y, calls=calls):
            calls.append("norm")
            return y + 1

        same(add_and_norm(x, sublayer, norm, norm_first), x + 2 * (x + 1) if norm_first else 3 * x + 1, "x, then order")
        same(calls, seen, f"The order of calls with norm_first = {norm_first}.")


def attention_state(state: State, ours: str, theirs: str) -> State:
    """One attention's parameters under PyTorch's names."""
    found = {}
    for kind in ("weight", "bias"):
        found[f"{theirs}.in_proj_{kind}"] = torch.cat([state[f"{ours}.{part}.{kind}"] for part in PARTS])
        found[f"{theirs}.out_proj.{kind}"] = state[f"{ours}.output.{kind}"]
    return found


def decoder_state(state: State) -> State:
    """A decoder layer's parameters under PyTorch's names."""
    found = attention_state(state, "attention", "self_attn")
    found |= attention_state(state, "cross_attention", "multihead_attn")
    names = {"feed_forward.up": "linear1", "feed_forward.down": "linear2", "attention_norm": "norm1",
             "cross_attention_norm": "norm2", "feed_forward_norm": "norm3"}  # fmt: skip
    found |= {f"{new}.{kind}": state[f"{old}.{kind}"] for old, new in names.items() for kind in ("weight", "bias")}
    return found


def drawn_decoder(generator: torch.Generator, width: int, inner: int) -> State:
    """Random parameters of a decoder layer."""
    state: State = {}

    def linear(name: str, rows: int, columns: int) -> None:
        state[f"{name}.weight"] = normal(generator, rows, columns) / math.sqrt(columns)
        state[f"{name}.bias"] = normal(generator, rows)

    for name in ("attention", "cross_attention"):
        for part in (*PARTS, "output"):
            linear(f"{name}.{part}", width, width)
    linear("feed_forward.up", inner, width)
    linear("feed_forward.down", width, inner)
    for name in ("attention_norm", "cross_attention_norm", "feed_forward_norm"):
        state[f"{name}.weight"], state[f"{name}.bias"] = normal(generator, width), normal(generator, width)
    return state


def triangle(rows: int) -> Tensor:
    """A causal mask."""
    return torch.ones(rows, rows).tril().bool()


def compare_decoders(DecoderLayer, state: State, heads: int, inner: int, norm_first: bool, drawn, masked: bool) -> None:
    """Claim that outputs and all gradients equal those of torch.nn.TransformerDecoderLayer."""
    x, memory, cotangent, real = drawn
    width, length = x.size(-1), x.size(1)
    peer = torch.nn.TransformerDecoderLayer(width, heads, inner, 0.0, batch_first=True, norm_first=norm_first).double()
    peer.load_state_dict(decoder_state(state))
    layer = loaded(DecoderLayer, state, width, heads, inner, norm_first)
    leaves, peers = ([one.clone().requires_grad_() for one in (x, memory)] for _ in range(2))
    hint = f"batch {x.size(0)}, T {length}, S {memory.size(1)}, {heads} heads, norm_first {norm_first}, masks {masked}"
    if masked:
        expected = peer(*peers, tgt_mask=~triangle(length), memory_key_padding_mask=~real)
        out = layer(*leaves, triangle(length), real[:, None, None, :])
    else:
        expected, out = peer(*peers), layer(*leaves)
    same(out, expected, hint, atol=1e-9)
    found = torch.autograd.grad(out, leaves, cotangent, retain_graph=True)
    true = torch.autograd.grad(expected, peers, cotangent, retain_graph=True)
    same(list(found), list(true), f"{hint} (gradients of x and memory)", rtol=1e-7, atol=1e-8)
    names, parameters = zip(*weights_of(layer).items(), strict=True)
    found = torch.autograd.grad(out, parameters, cotangent, allow_unused=True, materialize_grads=True)
    renamed = decoder_state(dict(zip(names, found, strict=True)))
    names, parameters = zip(*peer.named_parameters(), strict=True)
    true = torch.autograd.grad(expected, parameters, cotangent)
    expected_gradients = dict(zip(names, true, strict=True))
    same(renamed, expected_gradients, f"{hint} (gradients of the parameters)", rtol=1e-7, atol=1e-8)


@checks("transformer.DecoderLayer")
def decoder_agrees_with_torch(DecoderLayer, generator):
    """Output and all gradients equal those of torch.nn.TransformerDecoderLayer, pre-norm and post-norm."""
    for batch, length, keys, width, heads in ((2, 5, 7, 6, 3), (3, 7, 2, 10, 5), (1, 1, 3, 4, 2), (4, 3, 1, 4, 1)):
        state = drawn_decoder(generator, width, 11)
        real = torch.rand(batch, keys, generator=generator) < 0.6
        real[:, 0] = True
        x, memory = normal(generator, batch, length, width), normal(generator, batch, keys, width)
        drawn = x, memory, normal(generator, batch, length, width), real
        for norm_first in (True, False):
            compare_decoders(DecoderLayer, state, heads, 11, norm_first, drawn, masked=False)
            compare_decoders(DecoderLayer, state, heads, 11, norm_first, drawn, masked=True)


@checks("transformer.DecoderLayer")
def the_future_does_not_leak(DecoderLayer, generator):
    """Under a causal mask, a change of later positions changes nothing before them."""
    state = drawn_decoder(generator, 6, 8)
    x, memory = normal(generator, 2, 6, 6), normal(generator, 2, 4, 6)
    other = torch.cat([x[:, :3], normal(generator, 2, 3, 6)], dim=1)
    for norm_first in (True, False):
        layer = loaded(DecoderLayer, state, 6, 2, 8, norm_first)
        first, second = (layer(one, memory, triangle(6))[:, :3] for one in (x, other))
        same(second, first, "Positions 0 to 2 must not notice that 3 to 5 were exchanged.")


@checks("transformer.smoothed_loss")
def loss_agrees_with_torch(smoothed_loss, generator):
    """Value and gradient equal torch.nn.functional.cross_entropy with label smoothing and an ignored index."""
    cases = []
    sizes = ((5,), 7, 1.0), ((2, 3), 2, 1.0), ((3, 4), 11, 3000.0), ((2, 3, 2), 5, 1.0), ((1,), 1, 1.0)
    for shape, vocabulary, scale in sizes:
        targets = torch.randint(vocabulary, shape, generator=generator)
        targets.flatten()[0] = vocabulary - 1
        cases.append((scale * normal(generator, *shape, vocabulary), targets))
    for logits, targets in cases:
        for smoothing in (0.0, 0.1, 0.73):
            for ignore in (0, -100, 1):
                leaf, peer = (logits.clone().requires_grad_() for _ in range(2))
                found = smoothed_loss(leaf, targets, smoothing, ignore)
                rows = peer.flatten(0, -2)
                expected = functional.cross_entropy(
                    rows, targets.flatten(), ignore_index=ignore, label_smoothing=smoothing, reduction="sum"
                ) / max(int((targets != ignore).sum()), 1)
                hint = f"shape {tuple(logits.shape)}, ε = {smoothing}, ignore = {ignore}"
                same(found, expected, hint)
                gradients = [torch.autograd.grad(loss, one)[0] for loss, one in ((found, leaf), (expected, peer))]
                same(gradients[0], gradients[1], f"{hint} (gradient)")


@checks("transformer.smoothed_loss")
def loss_in_single_precision(smoothed_loss, generator):
    """Float32 works, with the defaults."""
    logits, targets = torch.randn(4, 9, generator=generator), torch.tensor([3, 0, 8, 1])
    expected = functional.cross_entropy(logits, targets, ignore_index=0, label_smoothing=0.1)
    same(smoothed_loss(logits, targets), expected, "float32", rtol=1e-4, atol=1e-4)


@checks("transformer.noam_rate")
def the_two_branches(noam_rate, generator):
    """The rate equals its formula, branch by branch, for drawn widths and warm-ups."""
    drawn = torch.randint(1, 5000, (20, 3), generator=generator).tolist()
    for step, width, warm_up in ((1, 512, 4000), (4000, 512, 4000), (100000, 512, 4000), (3, 7, 2), (2, 7, 2), *drawn):
        peak = 1 / math.sqrt(width * warm_up)
        expected = peak * (step / warm_up if step < warm_up else math.sqrt(warm_up / step))
        same(float(noam_rate(step, width, warm_up)), expected, f"step {step}, width {width}, warm-up {warm_up}")


@checks("transformer.noam_rate")
def the_peak_is_at_the_warm_up(noam_rate):
    """No step has a higher rate than the step of the warm-up."""
    rates = [float(noam_rate(step, 64, 30)) for step in range(1, 200)]
    same(rates.index(max(rates)) + 1, 30, "The highest rate must be at the step warm_up, counted from 1.")
