"""What grading checks of attention: PyTorch's own attention as oracle, outputs and gradients, many regimes."""
import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from autograder.calls import in_turn, loaded, weights_of
from autograder.checks import checks, same
from autograder.inputs import F64, normal


def some(generator: torch.Generator, *shape: int, share: float = 0.6) -> Tensor:
    """Booleans, True with probability `share`."""
    return torch.rand(*shape, generator=generator) < share


def triangle(rows: int, offset: int) -> Tensor:
    """A causal mask by NumPy."""
    return torch.from_numpy(np.tri(rows, offset + rows, offset, dtype=bool))


def oracle(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """PyTorch's attention; a row that may look nowhere is kept from it and gives zeros."""
    if mask is None:
        return scaled_dot_product_attention(query, key, value)
    some_key = mask.any(dim=-1, keepdim=True)
    out = scaled_dot_product_attention(query, key, value, mask | ~some_key)
    return torch.where(some_key, out, torch.zeros((), dtype=out.dtype))


def gradients(weighed: Sequence[tuple], leaves: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of the leaves, given outputs with their cotangents; zeros where no output depends on them."""
    ends = [(out, cotangent) for out, cotangent in weighed if out.requires_grad]
    if not ends:
        return [torch.zeros_like(leaf) for leaf in leaves]
    outs, cotangents = zip(*ends, strict=True)
    return list(torch.autograd.grad(outs, leaves, cotangents, allow_unused=True, materialize_grads=True))


class Asked:
    """One call of `attend`; given a cotangent, its gradients are compared too."""

    def __init__(
        self, hint: str, inputs: Sequence[Tensor], mask: Tensor | None = None, cotangent: Tensor | None = None
    ) -> None:
        self.hint, self.inputs, self.mask, self.cotangent = hint, inputs, mask, cotangent

    def leaves(self, fresh: bool) -> list[Tensor]:
        """Leaves of query, key and value; the learner's have the memory order of the inputs, the oracle's are fresh."""
        if self.cotangent is None:
            return list(self.inputs)
        return [(x.clone() if fresh else x.detach()).requires_grad_() for x in self.inputs]


def compare(attend, asked: list[Asked], atol: float = 1e-10) -> None:
    """Claim that outputs and gradients of some calls equal the oracle's."""
    mine, theirs = ([one.leaves(fresh) for one in asked] for fresh in (False, True))
    masks = [[] if one.mask is None else [one.mask] for one in asked]
    outs = in_turn(attend, *((*leaves, *mask) for leaves, mask in zip(mine, masks, strict=True)))
    expected = [oracle(x[0], x[1], x[2], one.mask) for one, x in zip(asked, theirs, strict=True)]
    for one, out, true in zip(asked, outs, expected, strict=True):
        same(out, true, one.hint, atol=atol)
    weighed = [i for i, one in enumerate(asked) if one.cotangent is not None]
    found, right = (
        gradients([(ends[i], asked[i].cotangent) for i in weighed], [leaf for i in weighed for leaf in leaves[i]])
        for ends, leaves in ((outs, mine), (expected, theirs))
    )
    hints = [f"{asked[i].hint} (the gradient of {name})" for i in weighed for name in ("query", "key", "value")]
    for hint, actual, true in zip(hints, found, right, strict=True):
        same(actual, true, hint, atol=atol)


@checks("attention.causal_mask")
def masks_of_many_sizes(causal_mask):
    """Masks of many lengths and offsets have ones up to their diagonal and zeros after it."""
    more = zip((1, 2, 3, 5, 8, 37), (7, 40, 2, 1, 40, 7), strict=True)
    sizes = [*itertools.product((1, 2, 3, 5, 8, 37), (0, 1)), *more]
    for (length, offset), mask in zip(sizes, in_turn(causal_mask, *sizes), strict=True):
        same(mask, triangle(length, offset), f"length {length}, offset {offset}")


@checks("attention.causal_mask")
def drawn_sizes(causal_mask, generator):
    """So do masks of sizes that change with the course."""
    sizes = torch.randint(1, 90, (6, 2), generator=generator).tolist()
    masks, wholes = in_turn(causal_mask, *sizes), in_turn(causal_mask, *((sum(both),) for both in sizes))
    for (length, offset), mask, whole in zip(sizes, masks, wholes, strict=True):
        same(mask, triangle(length, offset), f"length {length}, offset {offset}")
        same(mask, whole[offset:], "An offset gives the last rows of the whole mask.")
    same(causal_mask(length, offset=offset), triangle(length, offset), f"length {length}, offset {offset} by its name")


@checks("attention.attend")
def it_agrees_with_torch(attend, generator):
    """Without a mask, outputs and gradients are those of PyTorch, from tiny to prime sizes."""
    shapes = [
        ((), 1, 1, 1, 1), ((), 2, 3, 1, 2), ((1,), 1, 5, 3, 2), ((2, 3), 5, 7, 11, 13), ((3, 2), 7, 5, 13, 11),
        ((2, 1, 3), 3, 2, 5, 7), ((1, 1), 4, 1, 2, 3), ((2, 2), 6, 6, 6, 6), ((4,), 2, 3, 4, 5),
    ]
    drawn = [
        (normal(generator, *b, t, k), normal(generator, *b, s, k), normal(generator, *b, s, v))
        for b, t, s, k, v in shapes
    ]
    cotangents = [normal(generator, *b, t, v) for b, t, _, _, v in shapes]
    compare(attend, [
        Asked(f"(batch axes, T, S, K, U) = {shape}", one, None, None if i % 2 else cotangent)
        for i, (one, cotangent, shape) in enumerate(zip(drawn, cotangents, shapes, strict=True))
    ])  # fmt: skip


@checks("attention.attend")
def masks_of_every_shape(attend, generator):
    """With masks of any shape that broadcasts, outputs and gradients are those of PyTorch."""
    q, k, v = (normal(generator, 2, 3, n, w) for n, w in ((5, 7), (11, 7), (11, 3)))
    masks = {
        "one for all": some(generator, 5, 11), "per batch entry": some(generator, 2, 1, 5, 11),
        "per head": some(generator, 3, 5, 11), "padding": some(generator, 2, 1, 1, 11),
        "per key": some(generator, 1, 11), "everything": some(generator, 2, 3, 5, 11),
        "nothing hidden": torch.ones(5, 11, dtype=torch.bool), "one key left": torch.eye(5, 11, dtype=torch.bool),
    }
    cotangent = normal(generator, 2, 3, 5, 3)
    asked = []
    for name, mask in masks.items():
        wanted = cotangent if name in ("one for all", "padding", "everything") else None
        asked.append(Asked(f"mask: {name}, shape {tuple(mask.shape)}", (q, k, v), mask, wanted))
    squares = [normal(generator, 3, 6, 4) for _ in range(4)]
    asked.append(Asked("causal mask", squares[:3], triangle(6, 0), squares[3]))
    cached = (normal(generator, 3, 2, 4), *squares[1:3])
    asked.append(Asked("causal mask with offset", cached, triangle(2, 4), squares[3][:, :2]))
    compare(attend, asked)


@checks("attention.attend")
def rows_that_may_look_nowhere(attend, generator):
    """Rows without any key give zeros and send nothing back, whatever the numbers are."""
    asked = []
    for scale in (1.0, 100.0):
        q, k, v = (normal(generator, 2, n, 5) for n in (4, 6, 6))
        mask = some(generator, 2, 4, 6)
        mask[0, 1] = mask[1, 3] = mask[1, 0] = False
        mask[0, 0] = True
        cotangent = normal(generator, 2, 4, 5)
        asked.append(Asked("Some rows see no key at all.", (q * scale, k * scale, v), mask, cotangent))
        asked.append(Asked("No query sees any key.", (q, k, v), torch.zeros(1, 6, dtype=torch.bool), cotangent))
    asked.append(Asked("No query sees any key.", (q, k, v), torch.zeros(4, 6, dtype=torch.bool)))
    compare(attend, asked)


@checks("attention.attend")
def scores_of_ten_thousand(attend, generator):
    """Scores of ten thousand, both signs, overflow nowhere."""
    q, k, v, cotangent = (100 * normal(generator, 2, n, 4) for n in (5, 7, 7, 5))
    mask = some(generator, 5, 7)
    cases = ((q, k, None), (-q, k, mask), (q, k.abs(), mask), (-q.abs(), k.abs(), mask))
    hint = "Scores of the order of 10,000."
    compare(attend, [Asked(hint, (query, key, v), hidden, cotangent) for query, key, hidden in cases], atol=1e-8)


@checks("attention.attend")
def memory_order_does_not_matter(attend, generator):
    """Transposed and strided inputs are as good as contiguous ones."""
    q, k, v = (normal(generator, 2, n, 3, w).transpose(1, 2) for n, w in ((5, 7), (11, 7), (11, 3)))
    cotangent, mask = normal(generator, 2, 5, 3, 3).transpose(1, 2), some(generator, 11, 5).t()
    strided = (q[..., ::2, :], k, v[..., ::3])
    compare(attend, [
        Asked("Non-contiguous inputs.", (q, k, v)),
        Asked("Non-contiguous inputs and mask.", (q, k, v), mask, cotangent),
        Asked("Strided inputs.", strided, mask[::2], cotangent[..., ::2, ::3]),
    ])  # fmt: skip


@checks("attention.attend")
def no_gradient_from_the_future(attend, generator):
    """Under a causal mask no output depends on a later position: gradients there are exactly zero."""
    q, k, v, pick = (normal(generator, 6, 3) for _ in range(4))
    mask = triangle(6, 0)
    leaves = [[x.clone().requires_grad_() for x in (q, k, v)] for _ in range(6)]
    outs = in_turn(attend, *((*x, mask) for x in leaves))
    all_found = gradients([(out[t], pick[t]) for t, out in enumerate(outs)], [x for three in leaves for x in three])
    for t in range(6):
        found = all_found[3 * t : 3 * t + 3]
        future = [g[t + 1 :] for g in found]
        hint = f"Output {t} depends on positions after {t}."
        same(future, [torch.zeros(5 - t, 3, dtype=F64)] * 3, hint, rtol=0, atol=0)
        past = found[2][: t + 1].abs().sum(-1) > 0
        same(past, torch.ones(t + 1, dtype=torch.bool), f"Output {t} ignores a value it may look at.")


@checks("attention.attend")
def what_attention_does_not_notice(attend, generator):
    """The order of the keys, a shift of all keys, and a factor moved from query to key change nothing."""
    q, k, v = normal(generator, 2, 5, 3), normal(generator, 2, 7, 3), normal(generator, 2, 7, 4)
    order, shift, mask = torch.randperm(7, generator=generator), normal(generator, 3), some(generator, 2, 5, 7)
    cases = {
        "random numbers with a mask": (q, k, v, mask),
        "Keys and values in another order.": (q, k[:, order], v[:, order], mask[..., order]),
        "The same vector added to every key.": (q, k + shift, v, mask),
        "Query times 8, key divided by 8.": (q * 8, k / 8, v, mask),
    }
    expected = oracle(q, k, v, mask)
    *outs, sums = in_turn(attend, *cases.values(), (q, k, torch.ones_like(v), mask))
    for hint, out in zip(cases, outs, strict=True):
        same(out, expected, hint)
    seen = mask.any(-1, keepdim=True).to(F64).expand(2, 5, 4)
    same(sums, seen, "The weights of a row do not sum to 1.")


@checks("attention.attend")
def single_precision(attend, generator):
    """Float32 works too, also with large scores and empty rows."""
    q, k, v = (normal(generator, 2, 3, n, 8, dtype=torch.float32) for n in (5, 7, 7))
    mask = some(generator, 5, 7)
    mask[2] = False
    out, large = in_turn(attend, (q, k, v, mask), (40 * q, 40 * k, v, mask))
    same(out, oracle(q, k, v, mask), "float32", rtol=1e-5, atol=1e-5)
    same(large.isfinite().all().item(), True, "float32 with large scores: infinite or NaN.")


@checks("attention.split_heads")
def every_head_is_its_slice(split_heads, generator):
    """Head h equals the slice h·K … (h + 1)·K of the features, for any sizes and memory order."""
    sizes = (((), 1, 1, 1), ((2,), 5, 3, 7), ((1,), 1, 2, 3), ((3, 2), 7, 5, 2), ((2, 1, 3), 4, 1, 6))
    drawn = [(normal(generator, *lead, length, heads * width), heads) for lead, length, heads, width in sizes]
    turned = [(x.transpose(-1, -2).contiguous().transpose(-1, -2), heads) for x, heads in drawn]
    outs = in_turn(split_heads, *drawn, *turned)
    for i, ((x, heads), out, out_turned) in enumerate(zip(drawn, outs, outs[len(drawn) :], strict=False)):
        width = sizes[i][-1]
        expected = torch.stack([x[..., h * width : (h + 1) * width] for h in range(heads)], dim=-3)
        hint = f"shape {tuple(x.shape)}, {heads} heads"
        same(out, expected, hint)
        same(out_turned, expected, hint + ", not contiguous")


@checks("attention.split_heads")
def splitting_has_the_right_gradient(split_heads, generator):
    """Gradients go back to the features they came from."""
    x, weight = normal(generator, 2, 5, 6), normal(generator, 2, 3, 5, 2)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((split_heads(leaf, 3) * weight).sum(), leaf)
    expected = torch.cat([weight[:, h] for h in range(3)], dim=-1)
    same(gradient, expected, "The gradient of the sum of products.")


@checks("attention.merge_heads")
def heads_are_concatenated(merge_heads, generator):
    """The result is the concatenation of the heads, for any sizes and memory order."""
    sizes = (((), 1, 1, 1), ((2,), 3, 5, 7), ((1,), 2, 1, 3), ((3, 2), 5, 7, 2), ((2, 1, 3), 1, 4, 6))
    drawn = [normal(generator, *lead, heads, length, width) for lead, heads, length, width in sizes]
    turned = [x.transpose(-1, -3).contiguous().transpose(-1, -3) for x in drawn]
    outs = in_turn(merge_heads, *((x,) for x in (*drawn, *turned)))
    for x, out, out_turned in zip(drawn, outs, outs[len(drawn) :], strict=False):
        expected = torch.cat(x.unbind(-3), dim=-1)
        same(out, expected, f"shape {tuple(x.shape)}")
        same(out_turned, expected, f"shape {tuple(x.shape)}, not contiguous")


@checks("attention.merge_heads")
def merging_has_the_right_gradient(merge_heads, generator):
    """Gradients go back to the heads they came from."""
    x, weight = normal(generator, 2, 3, 5, 2), normal(generator, 2, 5, 6)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((merge_heads(leaf) * weight).sum(), leaf)
    expected = torch.stack([weight[..., 2 * h : 2 * h + 2] for h in range(3)], dim=1)
    same(gradient, expected, "The gradient of the sum of products.")


PARTS = ("query", "key", "value", "output")
State = dict[str, Tensor]


def drawn_state(generator: torch.Generator, width: int, bias: bool = True, dtype: torch.dtype = F64) -> State:
    """Weights for a layer of ours; drawn by the check, never taken from the learner's layer."""
    state = {f"{part}.weight": normal(generator, width, width, dtype=dtype) / width**0.5 for part in PARTS}
    if bias:
        state |= {f"{part}.bias": normal(generator, width, dtype=dtype) for part in PARTS}
    return state


def ours(MultiHeadAttention, state: State, n_heads: int):
    """The learner's layer with these weights."""
    weight, bias = state["query.weight"], "query.bias" in state
    return loaded(MultiHeadAttention, state, weight.size(0), n_heads, bias=bias)


def torchs(state: State, n_heads: int) -> torch.nn.MultiheadAttention:
    """PyTorch's layer with these weights."""
    weight, bias = state["query.weight"], "query.bias" in state
    layer = torch.nn.MultiheadAttention(weight.size(0), n_heads, bias=bias, batch_first=True, dtype=weight.dtype)
    joined = {"out_proj.weight": state["output.weight"]}
    joined["in_proj_weight"] = torch.cat([state[f"{part}.weight"] for part in PARTS[:3]])
    if bias:
        joined["out_proj.bias"] = state["output.bias"]
        joined["in_proj_bias"] = torch.cat([state[f"{part}.bias"] for part in PARTS[:3]])
    layer.load_state_dict(joined)
    return layer


def as_ours(theirs: State) -> State:
    """PyTorch's parameter gradients under our names."""
    found = {"output" + name.removeprefix("out_proj"): g for name, g in theirs.items() if "out_proj" in name}
    for kind in ("weight", "bias"):
        if f"in_proj_{kind}" in theirs:
            thirds = theirs[f"in_proj_{kind}"].chunk(3)
            found |= {f"{part}.{kind}": third for part, third in zip(PARTS, thirds, strict=False)}
    return found


class Case:
    """One call of a layer."""

    def __init__(
        self, hint: str, x: Tensor, cotangent: Tensor, mask: Tensor | None = None, context: Tensor | None = None
    ) -> None:
        self.hint, self.x, self.cotangent, self.mask, self.context = hint, x, cotangent, mask, context

    def leaves(self) -> list[Tensor]:
        """Fresh leaves of x and, if there is one, the context."""
        return [one.clone().requires_grad_() for one in (self.x, self.context) if one is not None]


def compare_layers(MultiHeadAttention, state: State, n_heads: int, cases: list[Case]) -> None:
    """Claim that outputs and all gradients equal those of torch.nn.MultiheadAttention, with one layer for all cases."""
    layer, peer = ours(MultiHeadAttention, state, n_heads), torchs(state, n_heads)
    inputs, peers = ([case.leaves() for case in cases] for _ in range(2))
    expected = []
    for case, theirs in zip(cases, peers, strict=True):
        hidden = None
        if case.mask is not None:
            full = case.mask.expand(case.x.size(0), n_heads, case.x.size(1), theirs[-1].size(1))
            hidden = ~full.reshape(-1, *full.shape[2:])  # PyTorch marks what may NOT be seen, one row a head
        expected.append(peer(theirs[0], theirs[-1], theirs[-1], attn_mask=hidden, need_weights=False)[0])
    outs = in_turn(layer, *(
        (mine[0], None if case.context is None else mine[1], case.mask)
        for case, mine in zip(cases, inputs, strict=True)
    ))  # fmt: skip
    for case, out, true in zip(cases, outs, expected, strict=True):
        same(out, true, case.hint)
    names, parameters = zip(*weights_of(layer).items(), strict=True)
    true_names, true_parameters = zip(*peer.named_parameters(), strict=True)
    cotangents = [case.cotangent for case in cases]
    found = gradients([*zip(outs, cotangents, strict=True)], [*itertools.chain(*inputs), *parameters])
    true = gradients([*zip(expected, cotangents, strict=True)], [*itertools.chain(*peers), *true_parameters])
    for case in cases:
        for _ in case.leaves():
            same(found.pop(0), true.pop(0), f"{case.hint} (gradients of the inputs)")
    by_name, true_by_name = (dict(zip(n, g, strict=True)) for n, g in ((names, found), (true_names, true)))
    same(by_name, as_ours(true_by_name), f"{cases[-1].hint} (gradients of the parameters)")


@checks("attention.MultiHeadAttention")
def self_attention_agrees_with_torch(MultiHeadAttention, generator):
    """Self-attention equals torch.nn.MultiheadAttention with the same weights, gradients included."""
    sizes = ((2, 5, 6, 3), (1, 1, 1, 1), (3, 7, 15, 5), (2, 4, 4, 1), (1, 6, 8, 4), (5, 5, 5, 5))
    for i, (batch, length, width, heads) in enumerate(sizes):
        bias = i % 2 == 0
        state = drawn_state(generator, width, bias)
        drawn = some(generator, length, length) | torch.eye(length).bool()
        hint = f"batch {batch}, T {length}, width {width}, {heads} heads, bias {bias}"
        masks = [("", None), (", masked", drawn), (", causal", triangle(length, 0))]
        masks.pop(i // 2)
        drawn_pairs = [[normal(generator, batch, length, width) for _ in range(2)] for _ in masks]
        cases = [Case(hint + name, x, g, mask) for (name, mask), (x, g) in zip(masks, drawn_pairs, strict=True)]
        compare_layers(MultiHeadAttention, state, heads, cases)


@checks("attention.MultiHeadAttention")
def cross_attention_agrees_with_torch(MultiHeadAttention, generator):
    """Cross-attention equals torch.nn.MultiheadAttention, with padding and masks of every shape."""
    sizes = ((2, 5, 7, 6, 3), (3, 7, 2, 15, 5), (1, 1, 5, 4, 2), (2, 3, 1, 4, 4))
    for i, (batch, length, keys, width, heads) in enumerate(sizes):
        state, first = drawn_state(generator, width), torch.arange(keys) == 0
        x, context = normal(generator, batch, length, width), normal(generator, batch, keys, width)
        shapes = ((length, keys), (batch, 1, 1, keys), (heads, length, keys), (batch, heads, length, keys))
        hint = f"batch {batch}, T {length}, S {keys}, {heads} heads"
        cases = [Case(hint, x, normal(generator, batch, length, width), None, context)]
        for shape in (shapes[i], shapes[(i + 1) % 4]):
            mask, cotangent = some(generator, *shape) | first, normal(generator, batch, length, width)
            cases.append(Case(f"{hint}, mask {shape}", x, cotangent, mask, context))
        compare_layers(MultiHeadAttention, state, heads, cases)


@checks("attention.MultiHeadAttention")
def positions_that_see_nothing_get_the_output_bias(MultiHeadAttention, generator):
    """A position that may look nowhere gets the bias of `output` alone; others are not touched by it."""
    state, width, heads = drawn_state(generator, 6), 6, 2
    x, mask = normal(generator, 3, 5, width), some(generator, 3, 1, 5, 5) | torch.eye(5).bool()
    mask[0, :, 1] = mask[2] = False
    projected = [linear(x, state[f"{part}.weight"], state[f"{part}.bias"]) for part in PARTS[:3]]
    query, key, value = (one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in projected)
    mixed = oracle(query, key, value, mask).transpose(1, 2).flatten(-2)
    expected = linear(mixed, state["output.weight"], state["output.bias"])
    leaf = x.clone().requires_grad_()
    out = ours(MultiHeadAttention, state, heads)(leaf, mask=mask)
    same(out, expected, "Batch entry 2 is all padding, and position 1 of entry 0 sees nothing.")
    (gradient,) = torch.autograd.grad(out[2].sum(), leaf)
    same(gradient, torch.zeros_like(x), "What sees nothing must send no gradient back.")


@checks("attention.MultiHeadAttention")
def batches_and_calls_are_independent(MultiHeadAttention, generator):
    """A batch gives what its entries give alone, call after call, in training and in evaluation."""
    state = drawn_state(generator, 6)
    x, context = normal(generator, 3, 4, 6), normal(generator, 3, 5, 6)
    layer, peer = ours(MultiHeadAttention, state, 3), torchs(state, 3)
    expected = peer(x, context, context, need_weights=False)[0]
    alone = peer(x, x, x, need_weights=False)[0]
    causal = peer(x, x, x, attn_mask=~triangle(4, 0), need_weights=False)[0]
    turned = x.transpose(0, 2).contiguous().transpose(0, 2)
    cases = [
        ((x, context), expected, "The whole batch."),
        ((x[2:], context[2:]), expected[2:], "Entry 2 of the batch alone."),
        ((x[:1], context[:1]), expected[:1], "Entry 0 of the batch alone."),
        ((x, None, triangle(4, 0)), causal, "Self-attention after cross-attention: is a context remembered?"),
        ((x,), alone, "A call without a mask after one with it: is a mask remembered?"),
        ((turned,), alone, "The same numbers in another memory order."),
    ]
    for mode in (True, False):
        layer.train(mode)
        for out, (_, true, hint) in zip(in_turn(layer, *(given for given, _, _ in cases)), cases, strict=True):
            same(out, true, hint)
    same(layer(x, mask=triangle(4, 0)), causal, "A mask given by its name.")


@checks("attention.MultiHeadAttention")
def single_precision_layer(MultiHeadAttention, generator):
    """Float32 works too."""
    state = drawn_state(generator, 8, dtype=torch.float32)
    x = normal(generator, 2, 5, 8, dtype=torch.float32)
    expected = torchs(state, 2)(x, x, x, need_weights=False)[0]
    same(ours(MultiHeadAttention, state, 2)(x), expected, "float32", rtol=1e-4, atol=1e-4)
