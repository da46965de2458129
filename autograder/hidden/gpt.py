"""What grading checks of GPT-1: PyTorch's own layers, and loops over positions, as oracles; outputs and gradients."""
import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.calls import loaded, part_of, weights_of
from autograder.checks import checks, same
from autograder.inputs import F64, normal

HALVES = ("query", "key", "value")
PAIRS = (
    ("linear1.weight", "up.weight"), ("linear2.bias", "down.bias"), ("norm1.bias", "attention_norm.bias"),
    ("norm2.weight", "feed_forward_norm.weight"), ("self_attn.out_proj.weight", "attention.output.weight"),
)  # fmt: skip


def below(generator: torch.Generator, high: int, *shape: int) -> Tensor:
    """Whole numbers from 0 to high − 1."""
    return torch.randint(high, shape, generator=generator)


def drawn_block(generator: torch.Generator, width: int, d_ff: int, dtype: torch.dtype = F64) -> dict[str, Tensor]:
    """Weights for a block, under its names."""
    state = {}
    for name in (*HALVES, "output"):
        state[f"attention.{name}.weight"] = normal(generator, width, width, dtype=dtype) / math.sqrt(width)
        state[f"attention.{name}.bias"] = normal(generator, width, dtype=dtype)
    for name in ("attention_norm", "feed_forward_norm"):
        state[f"{name}.weight"] = normal(generator, width, dtype=dtype)
        state[f"{name}.bias"] = normal(generator, width, dtype=dtype)
    for name, rows, columns in (("up", d_ff, width), ("down", width, d_ff)):
        state[f"{name}.weight"] = normal(generator, rows, columns, dtype=dtype) / math.sqrt(columns)
        state[f"{name}.bias"] = normal(generator, rows, dtype=dtype)
    return state


def torchs(state: dict[str, Tensor], heads: int, dtype: torch.dtype = F64) -> nn.Module:
    """PyTorch's encoder layer, post-norm as it is by default, with the same weights and the tanh form of GELU."""
    d_ff, width = state["up.weight"].shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = nn.TransformerEncoderLayer(
            width, heads, d_ff, dropout=0.0, activation=lambda x: F.gelu(x, approximate="tanh"), batch_first=True
        ).to(dtype)
    names = {"self_attn.out_proj": "attention.output", "linear1": "up", "linear2": "down", "norm1": "attention_norm",
             "norm2": "feed_forward_norm"}  # fmt: skip
    theirs = {f"{a}.{kind}": state[f"{b}.{kind}"] for a, b in names.items() for kind in ("weight", "bias")}
    for kind in ("weight", "bias"):
        theirs[f"self_attn.in_proj_{kind}"] = torch.cat([state[f"attention.{name}.{kind}"] for name in HALVES])
    layer.load_state_dict(theirs)
    return layer


def ours(Block, state: dict[str, Tensor], heads: int):
    """A block of the learner's with these weights."""
    d_ff, width = state["up.weight"].shape
    return loaded(Block, state, width, heads, d_ff)


def future(length: int) -> Tensor:
    """PyTorch's mask, True where a position may NOT look."""
    return torch.ones(length, length, dtype=torch.bool).triu(1)


@checks("gpt.Block")
def the_block_agrees_with_torch(Block, generator):
    """The block equals PyTorch's post-norm layer with the same weights, gradients of inputs and weights included."""
    for batch, length, width, heads, d_ff in ((2, 5, 6, 3, 7), (1, 1, 4, 1, 16), (3, 7, 10, 5, 3), (5, 2, 2, 2, 1)):
        state = drawn_block(generator, width, d_ff)
        x, cotangent = normal(generator, batch, length, width), normal(generator, batch, length, width)
        peer, block = torchs(state, heads), ours(Block, state, heads)
        left, right = x.clone().requires_grad_(), x.clone().requires_grad_()
        expected, out = peer(right, src_mask=future(length)), block(left)
        hint = f"batch {batch}, T {length}, width {width}, {heads} heads, d_ff {d_ff}"
        same(out, expected, hint)
        names, weights = zip(*weights_of(block).items(), strict=True)
        found = torch.autograd.grad(out, [left, *weights], cotangent, allow_unused=True, materialize_grads=True)
        (true,) = torch.autograd.grad(expected, right, cotangent, retain_graph=True)
        same(found[0], true, f"{hint} (gradient of x)")
        peers = dict(peer.named_parameters())
        by_name = dict(zip(names, found[1:], strict=True))
        for a, b in PAIRS:
            (true,) = torch.autograd.grad(expected, peers[a], cotangent, retain_graph=True)
            same(by_name[b], true, f"{hint} (gradient of {b})")


@checks("gpt.Block")
def nothing_of_the_future_leaks(Block, generator):
    """No output depends on a later position, in training or evaluation, call after call."""
    state = drawn_block(generator, 6, 5)
    x = normal(generator, 2, 7, 6)
    expected = torchs(state, 2)(x, src_mask=future(7))
    block = ours(Block, state, 2)
    for mode in (True, False):
        block.train(mode)
        for length in (7, 1, 4, 7):
            same(block(x[:, :length]), expected[:, :length], f"The first {length} of 7 positions.")
    same(block(x[1:]), expected[1:], "Entry 1 of the batch alone.")


@checks("gpt.Block")
def large_inputs_and_single_precision(Block, generator):
    """Inputs of a thousand work, and so does float32."""
    state = drawn_block(generator, 8, 16)
    x = 1000 * normal(generator, 2, 5, 8)
    expected = torchs(state, 4)(x, src_mask=future(5))
    same(ours(Block, state, 4)(x), expected, "Inputs of size 1000.", rtol=1e-7, atol=1e-7)
    state = drawn_block(generator, 8, 16, torch.float32)
    x = normal(generator, 2, 5, 8, dtype=torch.float32)
    expected = torchs(state, 4, torch.float32)(x, src_mask=future(5))
    same(ours(Block, state, 4)(x), expected, "float32", rtol=1e-4, atol=1e-4)


@checks("gpt.Block")
def what_is_dropped_is_the_sublayers_output(Block, generator):
    """With everything dropped in training, what is left is the two norms of x; in evaluation nothing is dropped."""
    state = drawn_block(generator, 6, 5)
    x = normal(generator, 2, 4, 6)
    block = ours(Block, state, 3)
    part_of(block, "dropout").p = 1.0
    norms = ("attention_norm", "feed_forward_norm")
    layers = [(state[f"{name}.weight"], state[f"{name}.bias"]) for name in norms]
    expected = x
    for weight, bias in layers:
        expected = F.layer_norm(expected, (6,), weight, bias)
    same(block.train()(x), expected, "p = 1 in training: x goes around both sublayers.")
    same(block.eval()(x), torchs(state, 3)(x, src_mask=future(4)), "p = 1, but evaluating: dropout does nothing.")


def loss_by_hand(logits: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
    """Equation 1 position by position."""
    terms = [
        torch.logsumexp(logits[b, t - 1], -1) - logits[b, t - 1, tokens[b, t]]
        for b in range(len(tokens))
        for t in range(1, int(lengths[b]))
    ]
    return torch.stack(terms).mean()


@checks("gpt.next_token_loss")
def the_loss_agrees_with_a_loop(next_token_loss, generator):
    """The loss and its gradient equal a sum over positions, for texts of all lengths."""
    for batch, length, vocabulary, scale in ((1, 2, 2, 1.0), (3, 5, 7, 1.0), (4, 3, 11, 30.0), (2, 8, 3, 1e-3)):
        logits = scale * normal(generator, batch, length, vocabulary)
        tokens = below(generator, vocabulary, batch, length)
        drawn = below(generator, length + 1, batch)
        for lengths in (torch.full((batch,), length), torch.cat([torch.tensor([length]), drawn[1:]])):
            left, right = logits.clone().requires_grad_(), logits.clone().requires_grad_()
            loss, expected = next_token_loss(left, tokens, lengths), loss_by_hand(right, tokens, lengths)
            hint = f"B {batch}, T {length}, V {vocabulary}, lengths {lengths.tolist()}"
            same(loss, expected, hint)
            true = torch.autograd.grad(expected, right)[0]
            found = torch.autograd.grad(loss, left, allow_unused=True, materialize_grads=True)[0]
            same(found, true, f"{hint} (gradient)")


@checks("gpt.next_token_loss")
def only_real_predictions_matter(next_token_loss, generator):
    """Neither the filling's tokens nor the logits that predict them change the loss; empty texts do no harm."""
    logits, tokens = normal(generator, 4, 6, 5), below(generator, 5, 4, 6)
    other, filling = normal(generator, 4, 6, 5), below(generator, 5, 4, 6)
    lengths = torch.tensor([6, 3, 1, 0])
    places = torch.arange(6)
    changed = torch.where((places < lengths[:, None] - 1)[..., None], logits, 100 * other)
    refilled = torch.where(places < lengths[:, None], tokens, filling)
    expected = loss_by_hand(logits, tokens, lengths)
    same(next_token_loss(logits, tokens, lengths), expected, "Lengths 6, 3, 1 and 0.")
    same(next_token_loss(changed, refilled, lengths), expected, "Other filling, other logits at the last token.")
    same(next_token_loss(logits + 2e3 * other[..., :1].sign(), tokens, lengths), expected,
         "A constant added to all logits of a position changes nothing.", rtol=1e-8, atol=1e-8)  # fmt: skip
    single = next_token_loss(logits.float(), tokens, lengths)
    same(single, expected.float(), "float32", rtol=1e-4, atol=1e-4)


def some_text(generator: torch.Generator, length: int) -> list[int]:
    """A text of token numbers."""
    return below(generator, 50, length).tolist()


def framed(first: list[int], second: list[int] | None, special: tuple[int, int, int], limit: int) -> list[int]:
    """One sequence, shortened token by token until it fits."""
    start, delimiter, extract = special
    first = list(first)
    while True:
        middle = first if second is None else [*first, delimiter, *second]
        if len(middle) + 2 <= limit:
            return [start, *middle, extract]
        first.pop()


@checks("gpt.format_task")
def every_kind_is_framed_as_told(format_task, generator):
    """Random texts of every kind, at limits from just enough to far too much."""
    special = (70, 71, 72)
    for sizes in ((1, 1, 1), (3, 2, 4), (5, 1, 2), (2, 5, 3), (0, 2, 1), (4, 0, 6)):
        texts = [some_text(generator, size) for size in sizes]
        one, two = texts[:1], texts[:2]
        for extra in (0, 1, 2, 5, 50):
            limit = 2 + extra
            expected = [framed(texts[0], None, special, limit)]
            same(format_task("classification", one, special, limit), expected, f"limit {limit}, text {texts[0]}")
            limit = 3 + sizes[1] + extra
            expected = [framed(texts[0], texts[1], special, limit)]
            same(format_task("entailment", two, special, limit), expected, f"limit {limit}, {two}")
            limit = 3 + max(sizes[:2]) + extra
            expected = [framed(texts[0], texts[1], special, limit), framed(texts[1], texts[0], special, limit)]
            same(format_task("similarity", two, special, limit), expected, f"limit {limit}, {two}")
            limit = 3 + max(sizes[1:]) + extra
            expected = [framed(texts[0], answer, special, limit) for answer in texts[1:]]
            same(format_task("multiple choice", texts, special, limit), expected, f"limit {limit}, {texts}")


@checks("gpt.format_task")
def special_tokens_are_the_ones_given(format_task, generator):
    """The three special tokens may have any numbers, also such as occur in texts; tuples are texts too."""
    text, other = some_text(generator, 3), some_text(generator, 2)
    same(format_task("classification", [text], (70, 71, 72), 2), [[70, 72]], "Room for start and extract alone.")
    for special in ((0, 1, 2), (9, 3, 7), (5, 5, 5)):
        start, delimiter, extract = special
        expected = [[start, *text, delimiter, *other, extract]]
        same(format_task("entailment", (tuple(text), tuple(other)), special, 20), expected, f"special {special}")
        same(format_task("classification", [text], special, 20), [[start, *text, extract]], f"special {special}")


@checks("gpt.TaskHead")
def the_head_agrees_with_a_loop(TaskHead, generator):
    """All kinds equal a loop over examples, gradients included."""
    for kind, group in (("classification", 1), ("entailment", 1), ("similarity", 2), ("multiple choice", 3),
                        ("multiple choice", 1)):  # fmt: skip
        for batch, length, width, classes in ((1, 1, 1, 1), (2, 5, 3, 4), (3, 2, 7, 2), (5, 3, 2, 3)):
            classes = group if kind == "multiple choice" else classes
            outputs = 1 if kind == "multiple choice" else classes
            weight, bias = normal(generator, outputs, width), normal(generator, outputs)
            states = normal(generator, batch * group, length, width)
            lengths = 1 + below(generator, length, batch * group)
            cotangent = normal(generator, batch, classes)
            head = loaded(TaskHead, {"output.weight": weight, "output.bias": bias}, kind, width, classes)
            left, right = states.clone().requires_grad_(), states.clone().requires_grad_()
            rows = []
            for b in range(batch):
                own = [right[b * group + g, int(lengths[b * group + g]) - 1] for g in range(group)]
                if kind == "multiple choice":
                    rows.append(torch.stack([(weight[0] * state).sum() + bias[0] for state in own]))
                else:
                    rows.append(weight @ (sum(own) / len(own)) + bias)
            expected, out = torch.stack(rows), head(left, lengths)
            hint = f"{kind}: {batch} examples of {group} sequences, T {length}, width {width}, {classes} classes"
            same(out, expected, hint)
            true = torch.autograd.grad(expected, right, cotangent)[0]
            found = torch.autograd.grad(out, left, cotangent, allow_unused=True, materialize_grads=True)[0]
            same(found, true, f"{hint} (gradient of the states)")


@checks("gpt.TaskHead")
def the_filling_has_no_say(TaskHead, generator):
    """States after the extract token change nothing; the two orders of a similarity may change places."""
    states, noise = normal(generator, 4, 6, 3), normal(generator, 4, 6, 3)
    lengths = torch.tensor([2, 6, 1, 4])
    filled = torch.where((torch.arange(6) < lengths[:, None])[..., None], states, noise)
    state = {"output.weight": normal(generator, 2, 3), "output.bias": normal(generator, 2)}
    for kind in ("classification", "similarity"):
        head = loaded(TaskHead, state, kind, 3, 2)
        own = torch.stack([states[i, n - 1] for i, n in enumerate(lengths.tolist())])
        own = own if kind == "classification" else torch.stack([own[:2].mean(0), own[2:].mean(0)])
        expected = own @ state["output.weight"].T + state["output.bias"]
        same(head(states, lengths), expected, kind)
        same(head(filled, lengths), expected, f"{kind}: noise after the extract tokens")
        single = loaded(TaskHead, {name: value.float() for name, value in state.items()}, kind, 3, 2)
        same(single(states.float(), lengths), expected.float(), f"{kind}: float32", rtol=1e-4, atol=1e-4)
    swapped = torch.tensor([1, 0, 3, 2])
    same(head(states[swapped], lengths[swapped]), expected, "similarity: both orders exchanged")


@checks("gpt.finetune_loss")
def both_losses_and_their_gradients(finetune_loss, generator):
    """L3 and its gradients equal L2 + λ·L1 from loops; the language model gets none exactly when λ = 0."""
    sizes = (1, 1, 2, 3, 2), (3, 1, 5, 7, 4), (2, 3, 4, 5, 3), (4, 2, 3, 2, 1)
    for batch, group, length, vocabulary, classes in sizes:
        class_logits, labels = 3 * normal(generator, batch, classes), below(generator, classes, batch)
        logits = normal(generator, batch * group, length, vocabulary)
        tokens = below(generator, vocabulary, batch * group, length)
        lengths = torch.cat([torch.tensor([length]), 1 + below(generator, length, batch * group - 1)])
        for weight in (0.0, 0.5, 1.0, 7.0):
            left = [class_logits.clone().requires_grad_(), logits.clone().requires_grad_()]
            right = [class_logits.clone().requires_grad_(), logits.clone().requires_grad_()]
            terms = [torch.logsumexp(right[0][b], -1) - right[0][b, labels[b]] for b in range(batch)]
            expected = torch.stack(terms).mean() + weight * loss_by_hand(right[1], tokens, lengths)
            loss = finetune_loss(left[0], labels, left[1], tokens, lengths, weight)
            hint = f"λ {weight}, {batch} examples of {group} sequences, {classes} classes"
            same(loss, expected, hint)
            true = list(torch.autograd.grad(expected, right))
            found = list(torch.autograd.grad(loss, left, allow_unused=True, materialize_grads=True))
            same(found, true, f"{hint} (gradients of class logits and of logits)")


@checks("gpt.finetune_loss")
def the_papers_weight_is_the_default(finetune_loss, generator):
    """λ is 0.5 by default and may be given by name."""
    class_logits, labels = normal(generator, 3, 2), below(generator, 2, 3)
    logits, tokens, lengths = normal(generator, 3, 4, 5), below(generator, 5, 3, 4), torch.tensor([4, 2, 3])
    label_loss = F.cross_entropy(class_logits, labels)
    expected = label_loss + 0.5 * loss_by_hand(logits, tokens, lengths)
    same(finetune_loss(class_logits, labels, logits, tokens, lengths), expected, "The default weight.")
    expected = label_loss + 0.25 * loss_by_hand(logits, tokens, lengths)
    same(finetune_loss(class_logits, labels, logits, tokens, lengths, weight=0.25), expected, "weight=0.25")
