"""What grading checks of GPT-2: PyTorch's own encoder layer, norm first, as oracle; sums over real shapes."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.calls import loaded, named_as_now, own_names, state_of, weights_of
from autograder.checks import checks, raises, same
from autograder.inputs import F64, normal

Shape = tuple[int, int, int, int, int, int]  # layers, width, heads, vocabulary, context, inner width


def block_state(generator: torch.Generator, width: int, inner: int, prefix: str = "") -> dict[str, Tensor]:
    """Drawn parameters of a block; no norm is at its start."""
    shapes = {"attention.qkv": (3 * width, width), "attention.output": (width, width),
              "up": (inner, width), "down": (width, inner)}  # fmt: skip
    state = {}
    for name, (rows, columns) in shapes.items():
        state[f"{prefix}{name}.weight"] = normal(generator, rows, columns, std=columns**-0.5)
        state[f"{prefix}{name}.bias"] = normal(generator, rows, std=0.5)
    for name in ("attention_norm", "feed_forward_norm"):
        state[f"{prefix}{name}.weight"] = 1 + normal(generator, width, std=0.3)
        state[f"{prefix}{name}.bias"] = normal(generator, width, std=0.3)
    return state


NAMES = {"self_attn.in_proj_": "attention.qkv.", "self_attn.out_proj.": "attention.output.", "linear1.": "up.",
         "linear2.": "down.", "norm1.": "attention_norm.", "norm2.": "feed_forward_norm."}  # fmt: skip


def tanh_gelu(u: Tensor) -> Tensor:
    """GELU as OpenAI's code has it."""
    return 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))


def torchs(state: dict[str, Tensor], heads: int, prefix: str = "") -> nn.TransformerEncoderLayer:
    """PyTorch's layer with these weights, norm first."""
    inner, width = state[f"{prefix}up.weight"].shape
    layer = nn.TransformerEncoderLayer(
        width, heads, inner, 0.0, tanh_gelu, batch_first=True, norm_first=True, dtype=F64
    )
    layer.load_state_dict({
        theirs + kind: state[prefix + ours + kind] for theirs, ours in NAMES.items() for kind in ("weight", "bias")
    })  # fmt: skip
    return layer


def causal(layer: nn.TransformerEncoderLayer, x: Tensor) -> Tensor:
    """One pass in which no position sees a later one."""
    return layer(x, src_mask=torch.ones(x.size(1), x.size(1)).triu(1).bool())


def renamed(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """PyTorch's parameter gradients under our names."""
    found = {}
    for name, gradient in gradients.items():
        theirs = next(key for key in NAMES if name.startswith(key))
        found[NAMES[theirs] + name.removeprefix(theirs)] = gradient
    return found


@checks("gpt2.count_parameters")
def drawn_shapes(count_parameters, generator):
    """The count equals a sum over the shapes of all tensors, for drawn shapes."""
    cases = torch.randint(1, 40, (12, 5), generator=generator).tolist()
    for layers, width, vocabulary, context, inner in cases:
        block = [(3 * width, width), (3 * width,), (width, width), (width,), (inner, width), (inner,), (width, inner),
                 (width,), *[(width,)] * 4]  # fmt: skip
        shapes = [(vocabulary, width), (context, width), (width,), (width,), *(block * layers)]
        expected = sum(math.prod(shape) for shape in shapes)
        same(
            count_parameters(layers, width, vocabulary, context, inner),
            expected,
            f"shape {(layers, width, vocabulary)}",
        )


@checks("gpt2.count_parameters")
def published_sizes(count_parameters):
    """All four GPT-2s and the largest GPT-3 have the right number of parameters."""
    for layers, width, context, expected in (
        (12, 768, 1024, 124_439_808), (24, 1024, 1024, 354_823_168), (36, 1280, 1024, 774_030_080),
        (48, 1600, 1024, 1_557_611_200), (96, 12288, 2048, 174_604_259_328),
    ):  # fmt: skip
        same(
            count_parameters(layers, width, 50257, context, 4 * width), expected, f"{layers} layers of width {width}"
        )


@checks("gpt2.Block")
def it_agrees_with_torch(Block, generator):
    """Outputs and all gradients equal PyTorch's encoder layer with its norm first."""
    for batch, length, width, heads, inner in ((2, 5, 6, 3, 7), (1, 1, 2, 1, 8), (3, 7, 10, 5, 3), (2, 4, 4, 4, 16)):
        state = block_state(generator, width, inner)
        x, cotangent = normal(generator, batch, length, width, std=3), normal(generator, batch, length, width)
        layer, peer = loaded(Block, state, width, heads, inner), torchs(state, heads)
        leaf, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        hint = f"batch {batch}, T {length}, width {width}, {heads} heads, inner width {inner}"
        out, expected = layer(leaf), causal(peer, theirs)
        same(out, expected, hint)
        names, parameters = zip(*weights_of(layer).items(), strict=True)
        found = torch.autograd.grad(out, [leaf, *parameters], cotangent)
        expected.backward(cotangent)
        same(found[0], theirs.grad, f"{hint} (gradient of x)")
        true = renamed({name: p.grad for name, p in peer.named_parameters() if p.grad is not None})
        same(dict(zip(names, found[1:], strict=True)), true, f"{hint} (gradients of the parameters)")


@checks("gpt2.Block")
def mixes_are_used(Block, generator):
    """With a `mix` that looks everywhere, outputs equal PyTorch's layer without a mask."""
    state, x = block_state(generator, 6, 9), normal(generator, 2, 5, 6)
    layer = loaded(Block, state, 6, 2, 9)
    same(
        layer(x, F.scaled_dot_product_attention), torchs(state, 2)(x), "A mix without a mask sees the future as well."
    )


@checks("gpt2.initial_std")
def every_parameter_of_many_depths(initial_std):
    """Every name at every depth has the right spread."""
    own = own_names(initial_std)
    for layers, block in itertools.product((1, 2, 3, 11, 48), (0, 10, 47)):
        for part, wanted in (("attention.output", 0.02 / (2 * layers) ** 0.5), ("down", 0.02 / (2 * layers) ** 0.5),
                             ("attention.qkv", 0.02), ("up", 0.02)):  # fmt: skip
            same(initial_std(own(f"blocks.{block}.{part}.weight"), layers), wanted, f"{part} of {layers} blocks")
            same(initial_std(own(f"blocks.{block}.{part}.bias"), layers), 0.0, "a bias")
        for name in ("token_embedding.weight", "position_embedding.weight"):
            same(initial_std(name, layers), 0.02, name)
    with raises(ValueError, "n_layers"):
        initial_std("token_embedding.weight", 0)


def whole_state(generator: torch.Generator, shape: Shape) -> dict[str, Tensor]:
    """Drawn parameters of a model."""
    layers, width, _, vocabulary, context, inner = shape
    state = {"token_embedding.weight": normal(generator, vocabulary, width),
             "position_embedding.weight": normal(generator, context, width)}  # fmt: skip
    for number in range(layers):
        state |= block_state(generator, width, inner, f"blocks.{number}.")
    return state | {"final_norm.weight": 1 + normal(generator, width, std=0.3),
                    "final_norm.bias": normal(generator, width, std=0.3)}  # fmt: skip


def oracle(
    state: dict[str, Tensor], shape: Shape, tokens: Tensor, positions: Tensor | None = None, masked: bool = True
) -> Tensor:
    """The logits, from PyTorch's layers."""
    positions = torch.arange(tokens.size(1)) if positions is None else positions
    x = state["token_embedding.weight"][tokens] + state["position_embedding.weight"][positions]
    for number in range(shape[0]):
        layer = torchs(state, shape[2], f"blocks.{number}.")
        x = causal(layer, x) if masked else layer(x)
    x = F.layer_norm(x, (shape[1],), state["final_norm.weight"], state["final_norm.bias"])
    return x @ state["token_embedding.weight"].T


def model_of(GPT2, shape: Shape, state: dict[str, Tensor]):
    """The learner's model with these weights."""
    names = ("n_layers", "d_model", "n_heads", "vocab_size", "context_length", "d_ff")
    return loaded(GPT2, state, dict(zip(names, shape, strict=True))).eval()


SHAPES: list[Shape] = [(2, 6, 3, 11, 7, 24), (1, 2, 1, 1, 1, 8), (3, 10, 5, 5, 13, 7), (1, 4, 2, 29, 5, 16)]


@checks("gpt2.GPT2")
def logits_agree_with_torch(GPT2, generator):
    """Logits equal those of a stack of PyTorch's layers, for full and for shorter texts."""
    for shape in SHAPES:
        state = whole_state(generator, shape)
        model = model_of(GPT2, shape, state)
        for length in {1, shape[4] // 2 + 1, shape[4]}:
            tokens = torch.randint(shape[3], (2, length), generator=generator)
            same(model(tokens), oracle(state, shape, tokens), f"shape {shape}, T {length}")


@checks("gpt2.GPT2")
def gradients_reach_the_shared_embedding_twice(GPT2, generator):
    """The embedding gets its gradient from both ends of the model."""
    shape = SHAPES[0]
    state = whole_state(generator, shape)
    model = model_of(GPT2, shape, state)
    tokens, cotangent = torch.randint(shape[3], (3, 5), generator=generator), normal(generator, 3, 5, shape[3])
    leaves = {name: t.clone().requires_grad_() for name, t in state.items() if not name.startswith("blocks")}
    true = torch.autograd.grad(oracle(state | leaves, shape, tokens), list(leaves.values()), cotangent)
    named = weights_of(model)
    found = torch.autograd.grad(model(tokens), [named[name] for name in leaves], cotangent)
    for name, actual, expected in zip(leaves, found, true, strict=True):
        same(actual, expected, f"the gradient of {name}: the token embedding serves twice, and both uses count")


@checks("gpt2.GPT2")
def places_and_mixes(GPT2, generator):
    """Given places and mixes arrive, and what is asked too much is refused."""
    shape = SHAPES[2]
    state = whole_state(generator, shape)
    model = model_of(GPT2, shape, state)
    tokens = torch.randint(shape[3], (2, 4), generator=generator)
    for positions in (torch.tensor([3, 4, 5, 6]), torch.tensor([[0, 0, 1, 2], [5, 6, 7, 8]])):
        same(model(tokens, positions), oracle(state, shape, tokens, positions), f"places {positions.tolist()}")
        same(model.embed(tokens, positions), state["token_embedding.weight"][tokens]
             + state["position_embedding.weight"][positions], f"places {positions.tolist()}")  # fmt: skip
    x = normal(generator, 2, 3, shape[1])
    normed = F.layer_norm(x, (shape[1],), state["final_norm.weight"], state["final_norm.bias"])
    same(model.unembed(x), normed @ state["token_embedding.weight"].T, "`unembed` alone, as a cache needs it")
    everywhere = model(tokens, None, [F.scaled_dot_product_attention] * 3)
    same(
        everywhere, oracle(state, shape, tokens, masked=False), "With mixes that look everywhere the future is seen."
    )
    zero = model(tokens, None, [lambda q, k, v: torch.zeros_like(v)] * 3)
    hint = "With mixes that find nothing, no position knows of the others."
    same(model(tokens[:, :1], None, [lambda q, k, v: torch.zeros_like(v)] * 3), zero[:, :1], hint)
    deaf = torch.cat([tokens[:, :3], (tokens[:, 3:] + 1) % shape[3]], dim=1)
    same(model(deaf, None, [lambda q, k, v: torch.zeros_like(v)] * 3)[:, :3], zero[:, :3], hint)
    with raises(ValueError, "context"):
        model(torch.zeros(1, shape[4] + 1, dtype=torch.int64))


@checks("gpt2.GPT2")
def it_starts_as_it_should(GPT2):
    """A new model starts with the spreads of `initial_std`, drawn from the generator that is given."""
    config = {"n_layers": 3, "d_model": 40, "n_heads": 2, "vocab_size": 300, "context_length": 150}
    state = state_of(GPT2(config, torch.Generator().manual_seed(5)))
    again = state_of(GPT2(config, torch.Generator().manual_seed(5)))
    other = state_of(GPT2(config, torch.Generator().manual_seed(6)))
    for name, tensor in state.items():
        same(tensor, again[name], f"{name} must depend on the generator alone")
        if "norm" in name or name.endswith("bias"):
            start = torch.full_like(tensor, float("norm" in name and name.endswith("weight")))
            same(tensor, start, f"{name} starts at {start[0].item():.0f}")
            continue
        small = name.endswith(("attention.output.weight", "down.weight"))
        wanted = torch.tensor(0.02 / 6**0.5 if small else 0.02)
        same(tensor.std(), wanted, f"the spread of {name}", rtol=0.12)
        same(tensor.mean(), torch.tensor(0.0), f"the mean of {name}", atol=0.004)
        if torch.equal(tensor, other[name]):
            same(True, False, f"{name} is the same for two generators: draw it from `generator`")


@checks("gpt2.from_hugging_face")
def drawn_checkpoints(from_hugging_face, generator):
    """Every tensor of drawn checkpoints lands where it belongs, with ten blocks and more."""
    for layers, width, inner in ((1, 3, 5), (12, 2, 2), (2, 4, 16)):
        linear = {"attn.c_attn": (width, 3 * width), "attn.c_proj": (width, width), "mlp.c_fc": (width, inner),
                  "mlp.c_proj": (inner, width)}  # fmt: skip
        ours = {"attn.c_attn": "attention.qkv", "attn.c_proj": "attention.output", "mlp.c_fc": "up",
                "mlp.c_proj": "down", "ln_1": "attention_norm", "ln_2": "feed_forward_norm"}  # fmt: skip
        given = {"wte.weight": normal(generator, 7, width), "wpe.weight": normal(generator, width, width),
                 "ln_f.weight": normal(generator, width), "ln_f.bias": normal(generator, width)}  # fmt: skip
        expected = {"token_embedding.weight": given["wte.weight"], "position_embedding.weight": given["wpe.weight"],
                    "final_norm.weight": given["ln_f.weight"], "final_norm.bias": given["ln_f.bias"]}  # fmt: skip
        for number in range(layers):
            for theirs, name in ours.items():
                rows, columns = linear.get(theirs, (0, width))
                bias = normal(generator, columns)
                weight = normal(generator, rows, columns) if rows else normal(generator, width)
                given |= {f"h.{number}.{theirs}.weight": weight, f"h.{number}.{theirs}.bias": bias}
                turned = torch.einsum("ij->ji", weight).contiguous() if rows else weight
                expected |= {f"blocks.{number}.{name}.weight": turned, f"blocks.{number}.{name}.bias": bias}
            given[f"h.{number}.attn.bias"] = torch.ones(1, 1, 4, 4)
        hint = f"{layers} blocks of width {width}, inner width {inner}"
        same(named_as_now(from_hugging_face, from_hugging_face(given, layers)), expected, hint)
        prefixed = {f"transformer.{name}": t for name, t in given.items()} | {"lm_head.weight": given["wte.weight"]}
        found = named_as_now(from_hugging_face, from_hugging_face(prefixed, layers))
        same(found, expected, hint + ", names with a prefix")


@checks("gpt2.from_hugging_face")
def what_does_not_fit_is_named(from_hugging_face, generator):
    """A missing tensor or a wrong depth is an error."""
    given = {f"ln_f.{kind}": normal(generator, 2) for kind in ("weight", "bias")}
    whole = given | {"wte.weight": normal(generator, 3, 2), "wpe.weight": normal(generator, 3, 2)}
    for name in ("ln_1", "ln_2", "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"):
        shape = (2,) if "ln" in name else (2, 2)
        whole |= {f"h.0.{name}.weight": normal(generator, *shape), f"h.0.{name}.bias": normal(generator, 2)}
    same(from_hugging_face(whole, 1)["final_norm.bias"], given["ln_f.bias"], "nothing is missing here")
    with raises(ValueError, "missing"):
        from_hugging_face(given, 1)
    with raises(ValueError, "n_layers"):
        from_hugging_face({"h.2.ln_1.weight": normal(generator, 2)}, 2)
