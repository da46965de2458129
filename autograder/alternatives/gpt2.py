"""Other right answers to the exercises of GPT-2: the checks must accept every one."""

import math

import torch
import torch.nn.functional as F

from autograder.alternatives import alternative
from gptlib import gpt2 as reference

COUNT, BLOCK, STD = "gpt2.count_parameters", "gpt2.Block", "gpt2.initial_std"
WHOLE, LOAD = "gpt2.GPT2", "gpt2.from_hugging_face"


@alternative(COUNT, "a real model without memory, counted")
def by_building(n_layers, d_model, vocab_size, context_length, d_ff):
    with torch.device("meta"):
        block = reference.Block(d_model, 1, d_ff)
        ends = [torch.nn.Embedding(vocab_size, d_model), torch.nn.Embedding(context_length, d_model)]
        norm = torch.nn.LayerNorm(d_model)
    count = [sum(p.numel() for p in part.parameters()) for part in (block, *ends, norm)]
    return n_layers * count[0] + sum(count[1:])


@alternative(COUNT, "one polynomial")
def polynomial(n_layers, d_model, vocab_size, context_length, d_ff):
    block = 4 * d_model**2 + 9 * d_model + d_ff * (2 * d_model + 1)
    return n_layers * block + d_model * (vocab_size + context_length + 2)


@alternative(COUNT, "a sum over the shapes of all layers")
def by_shapes(n_layers, d_model, vocab_size, context_length, d_ff):
    layers = [(3 * d_model, d_model), (d_model, d_model), (d_ff, d_model), (d_model, d_ff)]
    block = sum(out * inputs + out for out, inputs in layers) + 2 * (d_model + d_model)
    return vocab_size * d_model + context_length * d_model + sum(block for _ in range(n_layers)) + d_model + d_model


@alternative(BLOCK, "GELU written out")
class WrittenOut(reference.Block):
    def forward(self, x, mix=None):
        x = x + self.attention(self.attention_norm(x), mix=mix)
        u = self.up(self.feed_forward_norm(x))
        u = 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))
        return x + self.dropout(self.down(u))


@alternative(BLOCK, "one sum at the end")
class OneSum(reference.Block):
    def forward(self, x, mix=None):
        found = self.attention(self.attention_norm(x), mix)
        inner = F.gelu(self.up(self.feed_forward_norm(found + x)), approximate="tanh")
        return torch.stack([x, found, self.dropout(self.down(inner))]).sum(0)


@alternative(BLOCK, "functions instead of the layers")
class Functional(reference.Block):
    def forward(self, x, mix=None):
        n = self.attention_norm
        x = self.attention(F.layer_norm(x, x.shape[-1:], n.weight, n.bias, n.eps), mix) + x
        inner = F.linear(self.feed_forward_norm(x), self.up.weight, self.up.bias)
        return self.down(torch.nn.GELU(approximate="tanh")(inner)) + x


@alternative(STD, "a table of endings")
def table(name, n_layers):
    if n_layers < 1:
        raise ValueError(f"n_layers must be at least 1, got {n_layers}")
    ends = {
        "output.weight": 0.02 * (2 * n_layers) ** -0.5,
        "down.weight": 0.02 * (2 * n_layers) ** -0.5,
        "bias": 0.0,
    }
    return next((std for end, std in ends.items() if name.endswith(end)), 0.02)


@alternative(STD, "by the parts of the name")
def by_parts(name, n_layers):
    if n_layers < 1:
        raise ValueError(f"n_layers must be at least 1, got {n_layers}")
    *_, layer, kind = name.split(".")
    if kind == "bias":
        return 0.0
    return 0.02 / (n_layers + n_layers) ** 0.5 if layer in {"output", "down"} else 0.02


@alternative(STD, "a variance first")
def variance(name, n_layers):
    if n_layers < 1:
        raise ValueError(f"n_layers must be at least 1, got {n_layers}")
    additions = 2 * n_layers if "output" in name or "down" in name else 1
    return 0.0 if "bias" in name else math.sqrt(4e-4 / additions)


@alternative(WHOLE, "a look-up by indexing and a product with the transpose")
class ByIndex(reference.GPT2):
    def embed(self, tokens, positions=None):
        if positions is None and tokens.size(1) > self.config.context_length:
            raise ValueError(f"tokens must fit into the context, got {tokens.size(1)}")
        places = self.position_embedding.weight
        places = places[: tokens.size(1)] if positions is None else places[positions]
        return self.dropout(self.token_embedding.weight[tokens] + places)

    def unembed(self, x):
        return self.final_norm(x) @ self.token_embedding.weight.T


@alternative(WHOLE, "mixes by number")
class ByNumber(reference.GPT2):
    def forward(self, tokens, positions=None, mixes=None):
        x = self.embed(tokens, positions)
        for number in range(len(self.blocks)):
            x = self.blocks[number](x, mixes[number] if mixes is not None else None)
        return self.unembed(x)


@alternative(WHOLE, "einsum in place of the output layer")
class Einsum(reference.GPT2):
    def unembed(self, x):
        return torch.einsum("btd,vd->btv", self.final_norm(x), self.token_embedding.weight)


@alternative(LOAD, "a list of what is turned")
def listed(tensors, n_layers):
    right = reference.from_hugging_face(tensors, n_layers)  # for its errors
    theirs = {name.removeprefix("transformer."): t for name, t in tensors.items()}
    turned = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    names = reference.parameter_names(n_layers)
    return {ours: theirs[n].permute(1, 0).contiguous() if n.endswith(turned) else theirs[n]
            for ours, n in names.items() if ours in right}  # fmt: skip


@alternative(LOAD, "einsum and copies")
def copies(tensors, n_layers):
    reference.from_hugging_face(tensors, n_layers)
    theirs = {name.removeprefix("transformer."): t for name, t in tensors.items()}
    made = {}
    for ours, name in reference.parameter_names(n_layers).items():
        matrix = theirs[name].dim() == 2 and "embedding" not in ours
        made[ours] = torch.einsum("ij->ji", theirs[name]).clone().contiguous() if matrix else theirs[name].clone()
    return made


@alternative(LOAD, "stacked columns")
def stacked(tensors, n_layers):
    reference.from_hugging_face(tensors, n_layers)
    theirs = {name.removeprefix("transformer."): t for name, t in tensors.items()}
    made = {}
    for ours, name in reference.parameter_names(n_layers).items():
        tensor = theirs[name]
        if ours.startswith("blocks.") and tensor.ndim == 2:
            tensor = torch.stack(tensor.unbind(1))
        made[ours] = tensor.contiguous()
    return made
