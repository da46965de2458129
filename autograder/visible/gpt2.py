"""What learners see checked of GPT-2: models so small that their numbers can be worked out on paper."""

import math

import torch
from torch import Tensor

from autograder.calls import named_as_now, own_names, state_of, zeroed
from autograder.checks import checks, raises, same
from autograder.inputs import real

LN3 = math.log(3)


@checks("gpt2.count_parameters")
def a_tiny_model_counted_by_hand(count_parameters):
    """One block of width 2, three tokens and two positions hold 88 numbers."""
    hint = (
        "Embeddings (3 + 2)·2 = 10. Attention: four 2 × 2 matrices with biases of 2, 24. Feed-forward: 8 × 2 with 8 "
        "biases and 2 × 8 with 2, 42. Three layer norms (two in the block, one at the end) of 2 + 2 each, 12."
    )
    same(count_parameters(1, 2, 3, 2, 8), 88, hint)


@checks("gpt2.count_parameters")
def blocks_are_counted_once_each(count_parameters):
    """A second block adds what the first has (74), and nothing else."""
    same(count_parameters(2, 2, 3, 2, 8), 162, "Embeddings and the final norm are there once, whatever the depth.")


@checks("gpt2.count_parameters")
def the_published_model(count_parameters):
    """The smallest GPT-2 has 124,439,808 parameters."""
    hint = (
        "Which of these is left out or counted twice: a bias for each output of each of the four linear layers "
        "(2,304 of the joined query, key and value), the norm at the end, the output layer (it is the embedding)?"
    )
    same(count_parameters(12, 768, 50257, 1024, 3072), 124_439_808, hint)


@checks("gpt2.count_parameters")
def the_inner_width_is_free(count_parameters):
    """The width of the feed-forward layer is an argument; it need not be four times the width."""
    same(count_parameters(1, 2, 3, 2, 3), 63, "With d_ff = 3: 3 × 2 with 3 biases and 2 × 3 with 2 make 17.")


def block_of(Block, width: int, n_heads: int = 1, **given: Tensor):
    """A float64 block, all numbers 0 but the scales of its norms and what is given."""
    return zeroed(Block, given, width, n_heads)


@checks("gpt2.Block")
def what_does_nothing_changes_nothing(Block):
    """When both sublayers give zeros, x leaves the block as it came."""
    x = real([[[3, -7], [40, 2]]])
    hint = "Nothing stands on the main road but two additions: norms are applied to what a sublayer READS (pre-LN)."
    same(block_of(Block, 2)(x), x, hint)


@checks("gpt2.Block")
def both_sublayers_add(Block):
    """What attention gives and what the feed-forward layer gives is added to x."""
    x = real([[[3, -7], [40, 2]]])
    layer = block_of(Block, 2, attention__output__bias=real([10, 20]), down__bias=real([100, 200]))
    same(
        layer(x), x + real([110, 220]), "Here attention gives (10, 20) everywhere, the feed-forward layer (100, 200)."
    )


@checks("gpt2.Block")
def attention_reads_the_first_norm(Block):
    """Attention reads attention_norm(x), and looks at no later position."""
    zero, bias = torch.zeros(2).double(), real([1, 2])
    layer = block_of(
        Block, 2, attention_norm__weight=zero, attention_norm__bias=bias,
        attention__output__weight=torch.eye(2).double(),
        attention__qkv__weight=torch.cat([torch.zeros(4, 2), torch.eye(2)]).double(),
    )  # fmt: skip
    x = real([[[3, -7], [40, 2]]])
    hint = "attention_norm gives (1, 2) everywhere here, and attention hands on the mean of what it reads."
    same(layer(x), x + bias, hint)


@checks("gpt2.Block")
def the_feed_forward_layer_reads_the_second_norm(Block):
    """The feed-forward layer reads feed_forward_norm of x plus what attention found."""
    layer = block_of(
        Block, 1, feed_forward_norm__weight=real([0]), feed_forward_norm__bias=real([2]),
        up__weight=torch.full((4, 1), 50.0).double(), down__weight=torch.ones(1, 4).double(),
        attention__output__bias=real([1]),
    )  # fmt: skip
    same(
        layer(real([[[5]]])),
        real([[[406]]]),
        "feed_forward_norm gives 2, four inner numbers are GELU(100) = 100 each; 5 + 1 + 400.",
    )
    left = block_of(
        Block, 2, attention__output__bias=real([0, 10]), up__weight=real([[1, 0]] + [[0, 0]] * 7),
        down__weight=torch.tensor([[1.0] + [0] * 7, [0] * 8]).double(), feed_forward_norm__weight=real([100, 0]),
    )  # fmt: skip
    hint = (
        "x is (4, 0). After attention it is (4, 10), of which the norm makes about (−1, 1), and GELU(−100) is 0. Read "
        "before attention, (4, 0), it would be GELU(+100): does the second norm see what attention added?"
    )
    same(left(real([[[4, 0]]])), real([[[4, 10]]]), hint)


@checks("gpt2.Block")
def the_activation_is_gelu_by_tanh(Block):
    """Between up and down stands GELU in the form with tanh."""
    inner = [-2.0, -0.5, 1.0, 2.0]
    layer = block_of(
        Block, 1, up__bias=real(inner), down__weight=real([[1000, 100, 10, 1]]),
    )  # fmt: skip
    gelu = [0.5 * u * (1 + math.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3))) for u in inner]
    expected = sum(g * w for g, w in zip(gelu, (1000, 100, 10, 1), strict=True))
    same(
        layer(real([[[0]]])),
        real([[[expected]]]),
        "GPT-2 uses ½u(1 + tanh(√(2/π)(u + 0.044715u³))): approximate='tanh'.",
    )


@checks("gpt2.Block")
def mix_reaches_attention(Block):
    """`mix` decides how positions look at one another."""
    weight = torch.cat([torch.zeros(4, 2), torch.eye(2)]).double()
    layer = block_of(
        Block, 2, attention_norm__weight=real([0, 0]), attention_norm__bias=real([1, 2]), attention__qkv__weight=weight,
        attention__output__weight=torch.eye(2).double(),
    )  # fmt: skip
    x = real([[[3, -7], [40, 2]]])
    out = layer(x, lambda query, key, value: 7 * value)
    same(out, x + real([7, 14]), "Here `mix` gives seven times the value. Pass it on: self.attention(…, mix).")


@checks("gpt2.initial_std")
def matrices_start_at_two_hundredths(initial_std):
    """Matrices and embeddings start with a spread of 0.02."""
    own = own_names(initial_std)
    for name in ("token_embedding.weight", "position_embedding.weight", "blocks.7.attention.qkv.weight",
                 "blocks.0.up.weight"):  # fmt: skip
        same(initial_std(own(name), 8), 0.02, f"{name} writes nothing into the residual stream: 0.02.")


@checks("gpt2.initial_std")
def what_writes_into_the_stream_starts_smaller(initial_std):
    """The two matrices of a block that write into the residual stream start smaller."""
    own = own_names(initial_std)
    for name in ("blocks.0.attention.output.weight", "blocks.7.down.weight"):
        same(initial_std(own(name), 8), 0.005, f"{name}: 8 blocks add 16 times, so 0.02 / √16.")
        same(initial_std(own(name), 2), 0.01, f"{name}: 2 blocks add 4 times, so 0.02 / √4.")


@checks("gpt2.initial_std")
def biases_start_at_zero(initial_std):
    """Biases start at exactly 0."""
    own = own_names(initial_std)
    for name in ("blocks.1.attention.output.bias", "blocks.0.up.bias", "blocks.11.down.bias"):
        same(initial_std(own(name), 8), 0.0, f"{name} is a bias.")


TINY = {"n_layers": 1, "d_model": 2, "n_heads": 1, "vocab_size": 3, "context_length": 4}


def model_of(GPT2, config: dict, **given: Tensor):
    """A float64 model, all numbers 0 but the scales of its norms and what is given."""
    return zeroed(GPT2, given, config)


@checks("gpt2.GPT2")
def every_parameter_has_its_start(GPT2):
    """Norms start at scale 1 and shift 0, biases at 0, matrices with the spread of `initial_std`."""
    state = state_of(GPT2(TINY | {"d_model": 32}, torch.Generator().manual_seed(0)))
    hint = 'Go through self.named_parameters(); those with "norm" in their name are filled with 1 or 0, not drawn.'
    same(state["blocks.0.attention_norm.weight"], torch.ones(32), f"blocks.0.attention_norm.weight. {hint}")
    same(state["final_norm.bias"], torch.zeros(32), f"final_norm.bias. {hint}")
    same(state["blocks.0.up.bias"], torch.zeros(128), "Biases have the spread 0.")
    same(state["blocks.0.up.weight"].std(), torch.tensor(0.02), "up starts with the spread 0.02.", rtol=0.1)
    found = state["blocks.0.down.weight"].std()
    same(found, torch.tensor(0.02 / 2**0.5), "down starts with 0.02 / √2 when there is one block.", rtol=0.1)


@checks("gpt2.GPT2")
def embeddings_are_added(GPT2):
    """`embed` adds the embedding of each token and that of its place."""
    tokens, places = real([[1, 2], [3, 4], [5, 6]]), real([[10, 0], [20, 0], [30, 0], [40, 0]])
    model = model_of(GPT2, TINY, token_embedding__weight=tokens, position_embedding__weight=places)
    out = model.embed(torch.tensor([[2, 0]]))
    same(
        out, real([[[15, 6], [21, 2]]]), "Token 2 at place 0: (5, 6) + (10, 0). Token 0 at place 1: (1, 2) + (20, 0)."
    )
    out = model.embed(torch.tensor([[2, 0]]), torch.tensor([2, 3]))
    same(out, real([[[35, 6], [41, 2]]]), "With `positions` the places are those, here 2 and 3.")


@checks("gpt2.GPT2")
def logits_are_products_with_the_token_embedding(GPT2):
    """`unembed` norms, then multiplies with the embedding of each token; there is no other matrix."""
    tokens = real([[1, 0], [0, 1], [2, 3]])
    model = model_of(
        GPT2, TINY, token_embedding__weight=tokens, final_norm__weight=real([0, 0]), final_norm__bias=real([5, 7])
    )
    hint = "The final norm gives (5, 7) here: its products with (1, 0), (0, 1), (2, 3) are the logits 5, 7 and 31."
    same(model.unembed(real([[[1, 9], [8, 3]]])), real([[[5, 7, 31], [5, 7, 31]]]), hint)


@checks("gpt2.GPT2")
def every_block_takes_its_turn(GPT2):
    """The blocks follow one another, each once, and logits come back for every position."""
    bias = [real([0, 1]), real([0, 10]), real([0, 100])]
    given = {f"blocks__{i}__down__bias": b for i, b in enumerate(bias)}
    seen: list = []

    def watch(number: int):
        def mix(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            seen.append((number, round(float(value.detach()[0, 0, 0, 0]), 6)))
            return value

        return mix

    for i in range(3):
        given[f"blocks__{i}__attention_norm__weight"] = real([0, 0])
        given[f"blocks__{i}__attention__qkv__bias"] = real([0, 0, 0, 0, i + 1, 0])
    model = model_of(
        GPT2, TINY | {"n_layers": 3}, token_embedding__weight=real([[1, 0], [0, 1], [1, 1]]),
        final_norm__weight=real([0, 0]), final_norm__bias=real([1, 2]), **given,
    )  # fmt: skip
    tokens = torch.tensor([[0, 1, 2, 2], [1, 1, 0, 0]])
    expected = real([1, 2, 3]).expand(2, 4, 3)
    same(model(tokens), expected.clone(), "The logits have the shape (B, T, V): one row for every position.")
    same(model(tokens, None, [watch(0), watch(1), watch(2)]), expected.clone(), "`mixes` changes nothing here.")
    same(seen, [(0, 1.0), (1, 2.0), (2, 3.0)], "Block 0 works with mixes[0], then block 1 with mixes[1], and so on.")


@checks("gpt2.GPT2")
def what_the_blocks_add_arrives(GPT2):
    """What the blocks add to the stream is normed once at the end."""
    model = model_of(
        GPT2, TINY, token_embedding__weight=real([[2, 0], [0, 2], [1, 1]]), blocks__0__down__bias=real([0, 1e9])
    )
    hint = (
        "The stream is about (0, 10⁹); its norm is (−1, 1), and the products with (2, 0), (0, 2), (1, 1) are −2, 2 "
        "and 0. Are the logits those of the FINAL norm, behind the last block?"
    )
    same(model(torch.tensor([[0]])), real([[[-2, 2, 0]]]), hint, rtol=1e-6, atol=1e-6)


@checks("gpt2.GPT2")
def positions_reach_the_embedding(GPT2):
    """`positions` given to the model arrive at the position embedding."""
    places = real([[0, 0], [1, -1], [-1, 1], [0, 0]]) * 1e6
    model = model_of(
        GPT2, TINY, token_embedding__weight=real([[1, 0], [0, 1], [1, 1]]), position_embedding__weight=places
    )
    hint = "At place 1 the stream is about (1, −1)·10⁶, at place 2 about (−1, 1)·10⁶; norms make 1 and −1 of them."
    expected = real([[[-1, 1, 0], [1, -1, 0]]])
    same(model(torch.tensor([[0, 0]]), torch.tensor([2, 1])), expected, hint, rtol=1e-5, atol=1e-5)


def published(n_layers: int = 1) -> dict[str, Tensor]:
    """Tensors of width 2 under their published names; the numbers tell where each came from."""
    shapes = {"wte.weight": (3, 2), "wpe.weight": (2, 2), "ln_f.weight": (2,), "ln_f.bias": (2,)}
    for i in range(n_layers):
        shapes |= {f"h.{i}.{name}.{kind}": (2,) for name in ("ln_1", "ln_2") for kind in ("weight", "bias")}
        for name, rows, columns in (
            ("attn.c_attn", 2, 6),
            ("attn.c_proj", 2, 2),
            ("mlp.c_fc", 2, 8),
            ("mlp.c_proj", 8, 2),
        ):
            shapes |= {f"h.{i}.{name}.weight": (rows, columns), f"h.{i}.{name}.bias": (columns,)}
    made, begin = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        made[name] = torch.arange(begin, begin + size).double().reshape(shape)
        begin += size
    return made


@checks("gpt2.from_hugging_face")
def matrices_are_turned(from_hugging_face):
    """Matrices of the blocks come with their inputs in the rows and must be turned round, square ones too."""
    given = published()
    out = named_as_now(from_hugging_face, from_hugging_face(given, 1))
    for ours, theirs in (("attention.qkv", "attn.c_attn"), ("attention.output", "attn.c_proj"),
                         ("up", "mlp.c_fc"), ("down", "mlp.c_proj")):  # fmt: skip
        columns = given[f"h.0.{theirs}.weight"].tolist()
        expected = real([list(column) for column in zip(*columns, strict=True)])
        same(
            out[f"blocks.0.{ours}.weight"],
            expected,
            f"{theirs} is (in, out), nn.Linear keeps (out, in): exchange axes.",
        )


@checks("gpt2.from_hugging_face")
def everything_else_stays(from_hugging_face):
    """Embeddings, norms and biases keep their numbers under their new names."""
    given = published(2)
    out = named_as_now(from_hugging_face, from_hugging_face(given, 2))
    names = {"token_embedding.weight": "wte.weight", "position_embedding.weight": "wpe.weight",
             "final_norm.weight": "ln_f.weight", "final_norm.bias": "ln_f.bias",
             "blocks.1.attention_norm.weight": "h.1.ln_1.weight", "blocks.1.feed_forward_norm.bias": "h.1.ln_2.bias",
             "blocks.0.attention.qkv.bias": "h.0.attn.c_attn.bias",
             "blocks.1.down.bias": "h.1.mlp.c_proj.bias"}  # fmt: skip
    for ours, theirs in names.items():
        same(out.get(ours), given[theirs], f"{theirs} becomes {ours}, as it is.")
    same(len(out), 28, "Two blocks of 12 tensors and four others make 28, and nothing more.")


@checks("gpt2.from_hugging_face")
def prefixes_and_other_tensors(from_hugging_face):
    """Names may begin with "transformer."; masks and the repeated head are left out; what is missing is named."""
    given = {f"transformer.{name}": t for name, t in published().items()}
    given |= {"lm_head.weight": given["transformer.wte.weight"], "transformer.h.0.attn.bias": torch.ones(1, 1, 2, 2)}
    out = from_hugging_face(given, 1)
    same(sorted(out), sorted(from_hugging_face(published(), 1)), "Only parameters, under our names.")
    del given["transformer.h.0.mlp.c_fc.bias"]
    with raises(ValueError, "c_fc"):
        from_hugging_face(given, 1)
