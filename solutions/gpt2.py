"""GPT-2: a decoder whose layer norms stand before what they feed, so that one can stack forty-eight blocks.

The names of the parts: a `GPT2` has `token_embedding`, `position_embedding`, `blocks` and `final_norm`; a `Block` has
`attention_norm`, `attention` (with `qkv` and `output`), `feed_forward_norm`, `up` and `down`. There is no output
matrix: the token embedding serves twice. How positions look at one another is a parameter, `mix`: without one, each
position looks at itself and at all before it; a cache of keys and values, or a figure that wants the weights, brings
its own.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    H: heads
    D: d_model, the width of the model
    K: d_head, the width of a query and a key in one head
    V: vocabulary
"""
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import merge_heads, split_heads
from .weights.gpt2 import parameter_names, read_checkpoint

# Takes query, key and value, each (B, H, T, K), and gives what the heads found, (B, H, T, K).
Mix = Callable[[Tensor, Tensor, Tensor], Tensor]

STD = 0.02  # of the normal law from which matrices start


@dataclass(frozen=True)
class GPT2Config:
    """The shape of a GPT-2 or GPT-3.

    Attributes:
        n_layers: number of blocks.
        d_model: width of the model; a multiple of `n_heads`.
        n_heads: heads in each block.
        vocab_size: number of different tokens.
        context_length: most positions of a text.
        d_ff: width inside the feed-forward layer; None means 4 · d_model.
        dropout: probability with which a number is dropped in training.

    Raises:
        ValueError: a number is out of range, or `n_heads` does not divide `d_model`.
    """

    n_layers: int = 12
    d_model: int = 768
    n_heads: int = 12
    vocab_size: int = 50257
    context_length: int = 1024
    d_ff: int | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.d_ff is None:
            object.__setattr__(self, "d_ff", 4 * self.d_model)
        for name in ("n_layers", "d_model", "n_heads", "vocab_size", "context_length", "d_ff"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        if self.d_model % self.n_heads:
            raise ValueError(f"n_heads must divide d_model = {self.d_model}, got {self.n_heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and less than 1, got {self.dropout!r}")


# Radford et al. 2019, Table 2. The paper's own parameter counts (117M, 345M, 762M, 1542M) are wrong, as OpenAI says.
GPT2_SMALL = GPT2Config(12, 768, 12)
GPT2_MEDIUM = GPT2Config(24, 1024, 16)
GPT2_LARGE = GPT2Config(36, 1280, 20)
GPT2_XL = GPT2Config(48, 1600, 25)

# Brown et al. 2020, Table 2.1. Two of its rows do not multiply out (heads · d_head is not d_model): GPT-3 XL has
# 24 heads of 128 there, and GPT-3 13B a width of 5140. Here they are 16 heads and 5120.
GPT3_SMALL = GPT2Config(12, 768, 12, context_length=2048)
GPT3_MEDIUM = GPT2Config(24, 1024, 16, context_length=2048)
GPT3_LARGE = GPT2Config(24, 1536, 16, context_length=2048)
GPT3_XL = GPT2Config(24, 2048, 16, context_length=2048)
GPT3_2_7B = GPT2Config(32, 2560, 32, context_length=2048)
GPT3_6_7B = GPT2Config(32, 4096, 32, context_length=2048)
GPT3_13B = GPT2Config(40, 5120, 40, context_length=2048)
GPT3_175B = GPT2Config(96, 12288, 96, context_length=2048)

PRESETS: Mapping[str, GPT2Config] = {
    "gpt2": GPT2_SMALL, "gpt2-medium": GPT2_MEDIUM, "gpt2-large": GPT2_LARGE, "gpt2-xl": GPT2_XL,
    "gpt3-small": GPT3_SMALL, "gpt3-medium": GPT3_MEDIUM, "gpt3-large": GPT3_LARGE, "gpt3-xl": GPT3_XL,
    "gpt3-2.7b": GPT3_2_7B, "gpt3-6.7b": GPT3_6_7B, "gpt3-13b": GPT3_13B, "gpt3-175b": GPT3_175B,
}  # fmt: skip


def count_parameters(n_layers: int, d_model: int, vocab_size: int, context_length: int, d_ff: int) -> int:
    """Count the learned numbers of a GPT-2 from its shape alone, without building it.

    Args:
        n_layers: number of blocks.
        d_model: width D of the model.
        vocab_size: number of tokens V; the embedding of a token is also its row of the output layer.
        context_length: number of learned positions.
        d_ff: width inside the feed-forward layers.

    Returns:
        The number of parameters: weights, biases, and scales and shifts of the layer norms.

    Source:
        Radford et al. 2019, section 2.3; openai/gpt-2, src/model.py.
    """
    # BEGIN SOLUTION
    norm = 2 * d_model
    attention = 3 * d_model * (d_model + 1) + d_model * (d_model + 1)
    feed_forward = d_ff * (d_model + 1) + d_model * (d_ff + 1)
    embeddings = (vocab_size + context_length) * d_model
    return embeddings + n_layers * (2 * norm + attention + feed_forward) + norm
    # END SOLUTION


def parameter_count(config: GPT2Config) -> int:
    """Count the parameters of `GPT2(config)` by formula (given; see `count_parameters`)."""
    assert config.d_ff is not None  # filled in by __post_init__
    return count_parameters(
        config.n_layers, config.d_model, config.vocab_size, config.context_length, config.d_ff
    )


def initial_std(name: str, n_layers: int) -> float:
    """Give the standard deviation of the normal law (of mean 0) from which a parameter starts.

    Matrices start at 0.02. Those whose output is added to the residual stream, the last of each attention and of each
    feed-forward layer, start smaller by 1/√N, where N counts all such additions: two a block. Biases start at 0.

    Args:
        name: of a parameter, as `GPT2.named_parameters()` has it, e.g. "blocks.3.attention.output.weight".
        n_layers: number of blocks, at least 1.

    Returns:
        The standard deviation; 0.0 for a bias.

    Raises:
        ValueError: `n_layers` is less than 1.

    Source:
        Radford et al. 2019, section 2.3, "a factor of 1/√N where N is the number of residual layers".
    """
    if n_layers < 1:
        raise ValueError(f"n_layers must be at least 1, got {n_layers}")
    # BEGIN SOLUTION
    if name.endswith("bias"):
        return 0.0
    if name.endswith(("attention.output.weight", "down.weight")):
        return STD / math.sqrt(2 * n_layers)
    return STD
    # END SOLUTION


def fused_attention(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    """Attend causally in one kernel; on a CPU in fp32 even where the rest is in bf16 (given; no exercise).

    On a CPU, the kernel's backward pass is several times slower in bf16 than in fp32, whatever the CPU can do.

    Args:
        query: (B, H, T, K).
        key: (B, H, T, K).
        value: (B, H, T, K).
        dropout: probability with which a weight is dropped.

    Returns:
        (B, H, T, K).
    """
    if query.dtype != torch.bfloat16 or query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=dropout)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(
            query.float(), key.float(), value.float(), is_causal=True, dropout_p=dropout
        )


class SelfAttention(nn.Module):
    """Multi-head attention of a text with itself, its three input layers joined into one (given; no exercise).

    `qkv` is (3D, D): the rows of `query`, then of `key`, then of `value` of `attention.MultiHeadAttention`. One large
    matrix product is faster than three; the numbers are the same.

    Args:
        d_model: width D of what comes in and goes out.
        n_heads: number of heads H; it divides D.
        dropout: probability with which a weight, or a number of the result, is dropped in training.
    """

    def __init__(self, d_model: int, n_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if n_heads < 1 or d_model % n_heads:
            raise ValueError(f"n_heads must be at least 1 and divide d_model = {d_model}, got {n_heads}")
        self.n_heads, self.dropout = n_heads, dropout
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, mix: Mix | None = None) -> Tensor:
        """Let every position gather from itself and from those before it, or as `mix` says.

        Args:
            x: (B, T, D).
            mix: takes query, key and value by head and returns what each head found; see `Mix`.

        Returns:
            (B, T, D).
        """
        query, key, value = (split_heads(part, self.n_heads) for part in self.qkv(x).chunk(3, dim=-1))
        if mix is None:
            found = fused_attention(query, key, value, self.dropout if self.training else 0.0)
        else:
            found = mix(query, key, value)
        return F.dropout(self.output(merge_heads(found)), self.dropout, self.training)


class Block(nn.Module):
    """One block of GPT-2: attention, then a feed-forward layer, each on a normed copy of the residual stream.

    Args:
        d_model: width D.
        n_heads: number of heads H; it divides D.
        d_ff: width inside the feed-forward layer; None means 4 · d_model.
        dropout: probability with which a number is dropped in training.

    Raises:
        ValueError: `n_heads` is less than 1 or does not divide `d_model`.

    Source:
        Radford et al. 2019, section 2.3: "Layer normalization was moved to the input of each sub-block".
    """

    def __init__(self, d_model: int, n_heads: int, d_ff: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        d_ff = 4 * d_model if d_ff is None else d_ff
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = SelfAttention(d_model, n_heads, dropout)
        self.feed_forward_norm = nn.LayerNorm(d_model)
        self.up = nn.Linear(d_model, d_ff)
        self.down = nn.Linear(d_ff, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mix: Mix | None = None) -> Tensor:
        """Add to each position what attention finds, then what the feed-forward layer makes of it.

        The feed-forward layer is `up`, the tanh form of GELU, `down`, `dropout`. `attention(…, mix)` takes care of the
        causal mask and of its own dropout.

        Args:
            x: (B, T, D).
            mix: passed on to `attention`.

        Returns:
            (B, T, D).
        """
        # BEGIN SOLUTION
        x = x + self.attention(self.attention_norm(x), mix)
        hidden = F.gelu(self.up(self.feed_forward_norm(x)), approximate="tanh")
        return x + self.dropout(self.down(hidden))
        # END SOLUTION


class GPT2(nn.Module):
    """GPT-2: token and position embeddings, a stack of blocks, a final norm, and the token embedding once more.

    Args:
        config: its shape; a dict of the fields of `GPT2Config` will do.
        generator: draws the parameters; None uses PyTorch's global one.

    Raises:
        ValueError: a number of the config is out of range.

    Source:
        Radford et al. 2019, section 2.3; openai/gpt-2, src/model.py.
    """

    def __init__(self, config: GPT2Config | Mapping[str, Any], generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config if isinstance(config, GPT2Config) else GPT2Config(**config)
        config = self.config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.position_embedding = nn.Embedding(config.context_length, config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(config.d_model, config.n_heads, config.d_ff, config.dropout) for _ in range(config.n_layers)
        )
        self.final_norm = nn.LayerNorm(config.d_model)
        self.initialise(generator)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw all parameters anew, in place, with the spread of `initial_std`; norms start at scale 1 and shift 0.

        Args:
            generator: draws the numbers, in the order of `named_parameters()`.
        """
        # BEGIN SOLUTION
        for name, parameter in self.named_parameters():
            if "norm" in name:
                parameter.fill_(float(name.endswith("weight")))
            else:
                parameter.normal_(0.0, initial_std(name, self.config.n_layers), generator=generator)
        # END SOLUTION

    def embed(self, tokens: Tensor, positions: Tensor | None = None) -> Tensor:
        """Turn tokens into the start of the residual stream: embedding plus position embedding, then `dropout`.

        Args:
            tokens: (B, T) token numbers, int64.
            positions: (..., T). places in the text, the same for all or one row for each; None means 0 … T − 1.

        Returns:
            (B, T, D).

        Raises:
            ValueError: `tokens` is not of shape (B, T), or longer than the context.
        """
        if tokens.dim() != 2:
            raise ValueError(f"tokens must have the axes (B, T), got shape {tuple(tokens.shape)}")
        if positions is None and tokens.size(1) > self.config.context_length:
            raise ValueError(f"tokens must fit into the context of {self.config.context_length}, got {tokens.size(1)}")
        # BEGIN SOLUTION
        if positions is None:
            positions = torch.arange(tokens.size(1), device=tokens.device)
        return self.dropout(self.token_embedding(tokens) + self.position_embedding(positions))
        # END SOLUTION

    def unembed(self, x: Tensor) -> Tensor:
        """Turn the residual stream behind the last block into logits: final norm, then the token embedding.

        Args:
            x: (B, T, D).

        Returns:
            (B, T, V) logits of the next token.
        """
        # BEGIN SOLUTION
        return F.linear(self.final_norm(x), self.token_embedding.weight)
        # END SOLUTION

    def forward(
        self, tokens: Tensor, positions: Tensor | None = None, mixes: Sequence[Mix] | None = None
    ) -> Tensor:
        """Give the logits of the next token at every position.

        Args:
            tokens: (B, T) token numbers, int64.
            positions: (..., T). places in the text, as in `embed`; None means 0 … T − 1.
            mixes: for every block what its attention does with query, key and value; None is causal attention.

        Returns:
            (B, T, V).

        Raises:
            ValueError: `tokens` is not of shape (B, T) or too long, or there is not one mix for each block.
        """
        if mixes is not None and len(mixes) != len(self.blocks):
            raise ValueError(f"mixes must hold one for each of {len(self.blocks)} blocks, got {len(mixes)}")
        # BEGIN SOLUTION
        x = self.embed(tokens, positions)
        for block, mix in zip(self.blocks, mixes or len(self.blocks) * (None,), strict=True):
            x = block(x, mix)
        return self.unembed(x)
        # END SOLUTION


def from_hugging_face(tensors: Mapping[str, Tensor], n_layers: int) -> dict[str, Tensor]:
    """Rename and turn the tensors of a published GPT-2, so that `GPT2.load_state_dict` takes them.

    OpenAI's code multiplies x @ W with W of shape (in, out); `nn.Linear` keeps (out, in). So the four matrices of each
    block are to be transposed, and nothing else is. `c_attn` holds query, key and value side by side.

    | theirs | ours |
    |---|---|
    | wte, wpe, ln_f | token_embedding, position_embedding, final_norm |
    | h.3.ln_1, h.3.ln_2 | blocks.3.attention_norm, blocks.3.feed_forward_norm |
    | h.3.attn.c_attn, h.3.attn.c_proj | blocks.3.attention.qkv, blocks.3.attention.output |
    | h.3.mlp.c_fc, h.3.mlp.c_proj | blocks.3.up, blocks.3.down |

    Args:
        tensors: by their published names; each may begin with "transformer.". What is no parameter (`h.3.attn.bias`,
            the causal mask; `lm_head.weight`, which is wte again) may be there and is left out.
        n_layers: number of blocks.

    Returns:
        The tensors by our names, each contiguous.

    Raises:
        ValueError: a tensor is missing (it is named), or there is one more block than `n_layers`.

    Source:
        huggingface.co/openai-community/gpt2; openai/gpt-2, src/model.py.
    """
    theirs = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    if f"h.{n_layers}.ln_1.weight" in theirs:
        raise ValueError(f"n_layers must be the number of blocks in the file, got {n_layers} and there are more")
    names = parameter_names(n_layers)
    missing = sorted(set(names.values()) - set(theirs))
    if missing:
        raise ValueError(f"tensors must hold {missing[0]!r} ({len(missing)} of {len(names)} are missing)")
    # BEGIN SOLUTION
    ours = {}
    for name, their_name in names.items():
        tensor = theirs[their_name]
        if their_name.startswith("h.") and tensor.dim() == 2:
            tensor = tensor.t()
        ours[name] = tensor.contiguous()
    return ours
    # END SOLUTION


def load_pretrained(path: str | Path) -> GPT2:
    """Build the GPT-2 of a folder with config.json and model.safetensors, in evaluation mode (given; no exercise).

    Raises:
        ValueError: a file is missing, cut short or foreign, or a tensor is missing or has the wrong shape.
    """
    fields, tensors = read_checkpoint(path)
    with torch.device("meta"):  # no time is spent on drawing parameters that are replaced at once
        model = GPT2(fields)
    state = from_hugging_face(tensors, model.config.n_layers)
    for name, parameter in model.state_dict().items():
        if state[name].shape != parameter.shape:
            raise ValueError(f"{name} must have shape {tuple(parameter.shape)}, got {tuple(state[name].shape)}")
    model.load_state_dict(state, assign=True)
    return model.eval()
