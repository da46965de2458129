"""The same GPT and the same step, first as the formulas say it, then with one trick of speed after another."""
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Tricks:
    """Which tricks are on; the order is that of the waterfall."""

    one_product: bool = False  # of all heads' queries, keys and values
    fused_attention: bool = False
    fused_gelu: bool = False
    fused_adamw: bool = False


WATERFALL = {
    "as the formulas say": {},
    "all heads in one product": {"one_product": True},
    "fused attention": {"fused_attention": True},
    "fused GELU": {"fused_gelu": True},
    "fused AdamW": {"fused_adamw": True},
}


class Head(nn.Module):
    """One head with its own three projections."""

    def __init__(self, d_model: int, d_head: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(d_model, d_head) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project to query, key and value, each (B, T, K)."""
        return self.query(x), self.key(x), self.value(x)


class Block(nn.Module):
    """A pre-norm block whose parts are written out or fused."""

    def __init__(self, d_model: int, n_heads: int, tricks: Tricks) -> None:
        super().__init__()
        self.tricks, self.n_heads = tricks, n_heads
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        if tricks.one_product:
            self.qkv = nn.Linear(d_model, 3 * d_model)
        else:
            self.heads = nn.ModuleList(Head(d_model, d_model // n_heads) for _ in range(n_heads))
        self.output = nn.Linear(d_model, d_model)
        self.up, self.down = nn.Linear(d_model, 4 * d_model), nn.Linear(4 * d_model, d_model)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend causally; (..., T, K) each."""
        if self.tricks.fused_attention:
            return F.scaled_dot_product_attention(query, key, value, is_causal=True)
        length = query.size(-2)
        seen = torch.ones(length, length, dtype=torch.bool).tril()
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
        return scores.masked_fill(~seen, float("-inf")).softmax(dim=-1) @ value

    def gelu(self, x: Tensor) -> Tensor:
        """GELU in its tanh form."""
        if self.tricks.fused_gelu:
            return F.gelu(x, approximate="tanh")
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    def forward(self, x: Tensor) -> Tensor:
        """Attention and the feed-forward layer, each added to what comes in; (B, T, D)."""
        normed = self.attention_norm(x)
        if self.tricks.one_product:
            parts = self.qkv(normed).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
            found = self.attend(*parts).transpose(1, 2).flatten(-2)
        else:
            found = torch.cat([self.attend(*head(normed)) for head in self.heads], dim=-1)
        x = x + self.output(found)
        return x + self.down(self.gelu(self.up(self.feed_forward_norm(x))))


class SlowGPT(nn.Module):
    """GPT-2's shape, with the tricks that are on."""

    def __init__(self, shape: dict[str, int], vocab: int, tricks: Tricks) -> None:
        super().__init__()
        d_model = shape["d_model"]
        self.token_embedding = nn.Embedding(vocab, d_model)
        self.position_embedding = nn.Embedding(shape["context_length"], d_model)
        self.blocks = nn.Sequential(*(Block(d_model, shape["n_heads"], tricks) for _ in range(shape["n_layers"])))
        self.final_norm = nn.LayerNorm(d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, T, V) of tokens (B, T)."""
        x = self.token_embedding(tokens) + self.position_embedding.weight[: tokens.size(1)]
        return F.linear(self.final_norm(self.blocks(x)), self.token_embedding.weight)


def ways(shape: dict[str, int], vocab: int, batch: Any) -> dict[str, Callable[[], None]]:
    """Build a step for each rung: it has the tricks of its name and of all before it."""
    from bench.training import BETAS, DECAY, LR, plain_loop

    tricks, found = Tricks(), {}
    for name, more in WATERFALL.items():
        tricks = replace(tricks, **more)
        torch.manual_seed(0)
        model = SlowGPT(shape, vocab, tricks)

        def loss(x: Tensor, y: Tensor, model: nn.Module = model) -> Tensor:
            return F.cross_entropy(model(x).flatten(0, 1), y.flatten())

        fused = tricks.fused_adamw
        optimizer = torch.optim.AdamW(model.parameters(), LR, BETAS, weight_decay=DECAY, fused=fused, foreach=False)
        found[name] = plain_loop(model, loss, optimizer, batch)
    return found
