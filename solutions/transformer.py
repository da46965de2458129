"""The Transformer: a translator made of attention, with nothing in it that must wait for its turn.

An encoder reads the whole source at once; a decoder writes the target and looks back at what the encoder found. Masks
say True for "may look", as in `attention`. There is no dropout here: the course's data are small and free of noise.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    S: key positions
    D: d_model, the width of the model
    V: vocabulary
"""
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .attention import MultiHeadAttention, causal_mask

PAD, BEGIN, END = 0, 1, 2  # token numbers that every vocabulary of this module keeps free


def sinusoidal_positions(length: int, d_model: int) -> Tensor:
    """Return a fixed vector for every position: the hands of D / 2 clocks, from fast to slow.

    Features 2i and 2i + 1 of position t are the sine and the cosine of t / 10000^(2i / D).

    Args:
        length: number of positions T, at least 1.
        d_model: width D, even.

    Returns:
        (T, D) numbers between −1 and 1, in torch's default dtype; position 0 comes first.

    Raises:
        ValueError: `length` is less than 1, or `d_model` is odd or less than 2.

    Source:
        Vaswani et al. 2017, section 3.5.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    if d_model < 2 or d_model % 2:
        raise ValueError(f"d_model must be even and at least 2, got {d_model}")
    # BEGIN SOLUTION
    speeds = 10000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * speeds
    table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)  # sine and cosine side by side
    return table.to(torch.get_default_dtype())
    # END SOLUTION


class LayerNorm(nn.Module):
    """Give every position features of mean 0 and variance 1, then a gain and a shift that are learned.

    Its parameters are `weight`, the gain (D,), ones at first, and `bias`, the shift (D,), zeros at first.

    Args:
        d_model: width D.
        epsilon: added to the variance, so that equal features do not divide by 0.

    Source:
        Ba et al. 2016, equations 3 and 4; the variance divides by D, not D − 1.
    """

    def __init__(self, d_model: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each position by itself.

        Args:
            x: (..., D).

        Returns:
            (..., D).
        """
        # BEGIN SOLUTION
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = centred.square().mean(dim=-1, keepdim=True)
        return self.weight * centred / (variance + self.epsilon).sqrt() + self.bias
        # END SOLUTION


class FeedForward(nn.Module):
    """Two linear layers, `up` and `down`, with a ReLU between: what each position thinks by itself (given).

    Source:
        Vaswani et al. 2017, equation 2.
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        return self.down(self.up(x).relu())


def add_and_norm(
    x: Tensor, sublayer: Callable[[Tensor], Tensor], norm: Callable[[Tensor], Tensor], norm_first: bool
) -> Tensor:
    """Run a sublayer beside a residual connection, and normalise after it (2017) or before it (since about 2019).

    Post-norm normalises the sum of input and sublayer. Pre-norm normalises only what the sublayer reads: the input
    itself goes on untouched.

    Args:
        x: (B, T, D).
        sublayer: maps (B, T, D) to (B, T, D); called once.
        norm: maps (B, T, D) to (B, T, D); called once.
        norm_first: True for pre-norm, False for post-norm.

    Returns:
        (B, T, D).

    Source:
        Vaswani et al. 2017, section 3.1 (post-norm); Xiong et al. 2020, Table 1 (both).
    """
    # BEGIN SOLUTION
    if norm_first:
        return x + sublayer(norm(x))
    return norm(x + sublayer(x))
    # END SOLUTION


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each beside a residual connection (given; the model for your decoder).

    Source:
        Vaswani et al. 2017, section 3.1.
    """

    def __init__(self, d_model: int, n_heads: int, d_ff: int, norm_first: bool = False) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention, self.feed_forward = MultiHeadAttention(d_model, n_heads), FeedForward(d_model, d_ff)
        self.attention_norm, self.feed_forward_norm = LayerNorm(d_model), LayerNorm(d_model)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D); `mask` broadcasts to (B, H, T, T)."""
        x = add_and_norm(x, lambda y: self.attention(y, mask=mask), self.attention_norm, self.norm_first)
        return add_and_norm(x, self.feed_forward, self.feed_forward_norm, self.norm_first)


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention to what the encoder found, feed-forward, each beside a residual connection.

    Its parts are `attention`, `cross_attention` and `feed_forward`; each has a norm of its own: `attention_norm`,
    `cross_attention_norm` and `feed_forward_norm`.

    Args:
        d_model: width D.
        n_heads: number of heads of both attentions; it divides D.
        d_ff: inner width of the feed-forward part.
        norm_first: True for pre-norm, False for post-norm.

    Source:
        Vaswani et al. 2017, section 3.1 and figure 1.
    """

    def __init__(self, d_model: int, n_heads: int, d_ff: int, norm_first: bool = False) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention, self.cross_attention = (MultiHeadAttention(d_model, n_heads) for _ in range(2))
        self.feed_forward = FeedForward(d_model, d_ff)
        self.attention_norm, self.cross_attention_norm = LayerNorm(d_model), LayerNorm(d_model)
        self.feed_forward_norm = LayerNorm(d_model)

    def forward(
        self, x: Tensor, memory: Tensor, mask: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        """Let every target position read the target so far, then the source, then think.

        Args:
            x: (B, T, D) the target.
            memory: (B, S, D) what the encoder found; it goes in as it is, also in pre-norm.
            mask: booleans that broadcast to (B, H, T, T): which target position may look at which.
            memory_mask: booleans that broadcast to (B, H, T, S): which source positions may be looked at.

        Returns:
            (B, T, D).
        """
        # BEGIN SOLUTION
        first = self.norm_first
        x = add_and_norm(x, lambda y: self.attention(y, mask=mask), self.attention_norm, first)
        x = add_and_norm(x, lambda y: self.cross_attention(y, memory, memory_mask), self.cross_attention_norm, first)
        return add_and_norm(x, self.feed_forward, self.feed_forward_norm, first)
        # END SOLUTION


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of a Transformer; `BASE` holds those of the paper's base model (Table 3)."""

    vocab_size: int
    d_model: int = 64
    n_heads: int = 4
    n_layers: int = 2
    d_ff: int = 256
    norm_first: bool = False
    context_length: int = 64

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be."""
        for name in ("vocab_size", "d_model", "n_heads", "n_layers", "d_ff", "context_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.d_model % self.n_heads or self.d_model % 2:
            raise ValueError(f"d_model must be even and a multiple of n_heads = {self.n_heads}, got {self.d_model}")


BASE = TransformerConfig(vocab_size=37000, d_model=512, n_heads=8, n_layers=6, d_ff=2048, context_length=512)


class Transformer(nn.Module):
    """Encoder and decoder; one table of embeddings serves source, target and read-out (given).

    Source:
        Vaswani et al. 2017, sections 3.1 and 3.4. A pre-norm model has one more norm at the end of each stack.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (config.d_model, config.n_heads, config.d_ff, config.norm_first)
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        nn.init.normal_(self.token_embedding.weight, std=config.d_model**-0.5)
        self.encoder = nn.ModuleList(EncoderLayer(*sizes) for _ in range(config.n_layers))
        self.decoder = nn.ModuleList(DecoderLayer(*sizes) for _ in range(config.n_layers))
        ends = [LayerNorm(config.d_model) if config.norm_first else nn.Identity() for _ in range(2)]
        self.encoder_norm, self.decoder_norm = ends
        self.position_embedding: Tensor
        fixed = sinusoidal_positions(config.context_length, config.d_model)
        self.register_buffer("position_embedding", fixed, persistent=False)

    def embed(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, T) to (B, T, D): embedding times √D, plus the positions."""
        if tokens.size(1) > self.config.context_length:
            raise ValueError(f"tokens must be at most {self.config.context_length} long, got {tokens.size(1)}")
        return self.token_embedding(tokens) * math.sqrt(self.config.d_model) + self.position_embedding[: tokens.size(1)]

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Read tokens (B, S); return the memory (B, S, D) and who is real in it, (B, 1, 1, S)."""
        real = (source != PAD)[:, None, None, :]
        x = self.embed(source)
        for layer in self.encoder:
            x = layer(x, real)
        return self.encoder_norm(x), real

    def decode(self, target: Tensor, memory: Tensor, memory_mask: Tensor) -> Tensor:
        """Map target tokens so far (B, T) to logits (B, T, V) of each one's successor."""
        x, mask = self.embed(target), causal_mask(target.size(1)).to(target.device)
        for layer in self.decoder:
            x = layer(x, memory, mask, memory_mask)
        return self.decoder_norm(x) @ self.token_embedding.weight.T

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Map source (B, S) and target (B, T) to logits (B, T, V)."""
        return self.decode(target, *self.encode(source))

    @torch.no_grad()
    def translate(self, source: Tensor, limit: int) -> Tensor:
        """Write the likeliest token, `limit` times at most, until every text has ended; (B, S) to (B, T)."""
        memory, real = self.encode(source)
        written = torch.full_like(source[:, :1], BEGIN)
        ended = torch.zeros_like(written, dtype=torch.bool)
        while written.size(1) <= limit and not ended.all():
            best = self.decode(written, memory, real)[:, -1:].argmax(-1)
            written = torch.cat([written, best.masked_fill(ended, PAD)], dim=1)
            ended |= best == END
        return written[:, 1:]


def smoothed_loss(logits: Tensor, targets: Tensor, smoothing: float = 0.1, ignore: int = PAD) -> Tensor:
    """Return the cross-entropy against targets of which a little is spread over the whole vocabulary.

    The wanted distribution has 1 − ε + ε/V at the right token and ε/V at every other one. Positions whose target is
    `ignore` do not count; the mean is over the others. If there are none, the loss is 0.

    Args:
        logits: (..., V).
        targets: (...) token numbers.
        smoothing: ε, in [0, 1).
        ignore: the target that does not count.

    Returns:
        () nats a counted position.

    Raises:
        ValueError: `smoothing` is not in [0, 1).

    Source:
        Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must be at least 0 and less than 1, got {smoothing}")
    # BEGIN SOLUTION
    log_probs = logits.log_softmax(dim=-1)
    right = log_probs.gather(-1, targets[..., None]).squeeze(-1)
    losses = -(1 - smoothing) * right - smoothing * log_probs.mean(dim=-1)
    counted = targets != ignore
    return losses.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)
    # END SOLUTION


def noam_rate(step: int, d_model: int, warm_up: int) -> float:
    """Return the learning rate of a step: up in a straight line, then down with the root of the step.

    Args:
        step: number of the step, counted from 1.
        d_model: width D of the model.
        warm_up: the step at which the rate is highest, at least 1.

    Returns:
        min(step^−½, step · warm_up^−1½) / √D.

    Raises:
        ValueError: `step` or `warm_up` is less than 1.

    Source:
        Vaswani et al. 2017, equation 3.
    """
    if step < 1 or warm_up < 1:
        raise ValueError(f"step and warm_up must be at least 1, got {step} and {warm_up}")
    # BEGIN SOLUTION
    return d_model**-0.5 * min(step**-0.5, step * warm_up**-1.5)
    # END SOLUTION
