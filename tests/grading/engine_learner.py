"""Functions that a learner might hand in, to try what crosses between judge and child."""
import math
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Config:
    width: int = 4
    bias: bool = True


def attend(query, key, value, mask=None):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1) @ value


def rotate(x, angle):
    return x * torch.exp(1j * angle)


class Layer(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        if d_model % n_heads:
            raise ValueError(f"d_model {d_model} is not a multiple of n_heads {n_heads}")
        self.n_heads, self.qkv, self.out = n_heads, nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)

    def forward(self, x):
        B, T, D = x.shape
        query, key, value = self.qkv(x).view(B, T, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        mask = torch.ones(T, T, dtype=torch.bool).tril()
        return self.out(attend(query, key, value, mask).transpose(1, 2).reshape(B, T, D))


class LoRA(nn.Module):
    def __init__(self):
        super().__init__()
        self.base, self.a = nn.Linear(3, 3).requires_grad_(False), nn.Parameter(torch.ones(3, 1))

    def forward(self, x):
        return self.base(x) + x @ self.a


class Stack(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])
        self.head = nn.Linear(width, 7)
        self.head.bias = None
        self.tied = self.head

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Restless(nn.Module):
    """Changes its weight, and later puts another parameter in its place."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(2, 2, bias=False), 0

    def forward(self, x):
        self.calls += 1
        with torch.no_grad():
            self.layer.weight.data.fill_(self.calls)
        if self.calls == 3:
            self.layer.weight = nn.Parameter(torch.full((2, 2), 30.0))
        return self.layer(x)


class FromConfig(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, self.layer = config, nn.Linear(config.width, 2, bias=config.bias)

    def forward(self, x):
        return self.layer(x)


class Tokenizer:
    def __init__(self, words):
        self.words = list(words)

    def __len__(self):
        return len(self.words)

    def encode(self, text):
        return [self.words.index(word) for word in text.split()]


class MyError(ValueError):
    pass


def many_kinds(x, text):
    return {"a": (x + 1, [None, True, 2, -0.0, float("inf")]), 3: text[::-1], "set": {1, 2}, "z": 1 + 2j, "b": b"\xff"}


def causal_mask(length):
    if length < 1:
        raise MyError(f"length must be at least 1, got {length}")
    if length > 99:
        return {}["a key"]
    return torch.ones(length, length, dtype=torch.bool).tril()


def double_in_place(x):
    return x.mul_(2)


def sample(logits, generator):
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)


def greedy_decode(model, tokens, n):
    for _ in range(n):
        tokens = torch.cat([tokens, model(tokens)[:, -1:].argmax(-1)], dim=1)
    return tokens


def loss_of(model, x):
    return model(x * 3).square().mean() + x.sum()


def view_it(x):
    return x.view(-1)


def transposed(x):
    return x.transpose(0, 1)


def count_up(n):
    for i in range(n):
        yield torch.tensor(i)


def steal(model):
    return model.__globals__


class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return super().__torch_function__(func, types, args, kwargs or {}) if func is not torch.Tensor.sum else True

    def __eq__(self, other):
        return True


def yes(x):
    return torch.zeros(3).as_subclass(Yes)
