"""Other right answers to the exercises of attention: the checks must accept every one."""
import math

import torch
import torch.nn.functional as F
from torch import nn

from autograder.alternatives import alternative
from gptlib import attention as reference

MASK, ATTEND = "attention.causal_mask", "attention.attend"
SPLIT, MERGE, LAYER = "attention.split_heads", "attention.merge_heads", "attention.MultiHeadAttention"


@alternative(MASK, "the lower triangle, with the diagonal moved by the offset")
def moved_diagonal(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.bool).tril(offset)


@alternative(MASK, "the last rows of the mask of everything")
def last_rows(length, offset=0):
    return torch.ones(offset + length, offset + length).tril().bool()[offset:]


@alternative(MASK, "what is not above the diagonal")
def not_above(length, offset=0):
    return ~torch.triu(torch.ones(length, offset + length, dtype=torch.bool), diagonal=offset + 1)


@alternative(MASK, "the past is all visible, then a square triangle")
def past_and_square(length, offset=0):
    past = torch.ones(length, offset, dtype=torch.bool)
    return torch.cat([past, torch.ones(length, length, dtype=torch.bool).tril()], dim=1)


@alternative(MASK, "explicit loops")
def entry_by_entry(length, offset=0):
    return torch.tensor([[s <= t + offset for s in range(offset + length)] for t in range(length)])


@alternative(ATTEND, "einsum")
def einsum(query, key, value, mask=None):
    scores = torch.einsum("...tk,...sk->...ts", query, key) / query.size(-1) ** 0.5
    if mask is not None:
        scores = torch.where(mask, scores, -torch.inf)
    weights = scores.softmax(-1)
    if mask is not None:
        weights = torch.where(mask, weights, torch.zeros((), dtype=weights.dtype))
    return torch.einsum("...ts,...sv->...tv", weights, value)


@alternative(ATTEND, "a large negative fill, with empty rows set to zero")
def large_negative_fill(query, key, value, mask=None):
    scores = query @ key.mT * query.size(-1) ** -0.5
    if mask is None:
        return torch.softmax(scores, dim=-1) @ value
    out = torch.softmax(scores.masked_fill(~mask, -1e9), dim=-1) @ value
    return out * mask.any(dim=-1, keepdim=True)


@alternative(ATTEND, "PyTorch's own function, with empty rows handled")
def library_call(query, key, value, mask=None):
    if mask is None:
        return F.scaled_dot_product_attention(query, key, value)
    some = mask.any(-1, keepdim=True)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask | ~some)
    return out.masked_fill(~some, 0.0)


@alternative(ATTEND, "a softmax of one's own: the maximum subtracted, exponentials divided by their sum")
def own_softmax(query, key, value, mask=None):
    scores = (query / math.sqrt(query.size(-1))) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = (scores - scores.amax(-1, keepdim=True).detach()).exp()
    if mask is not None:
        weights = weights * mask
    total = weights.sum(-1, keepdim=True)
    return (weights / total.masked_fill(total == 0, 1.0)) @ value


@alternative(ATTEND, "the exponential of log-weights")
def log_softmax(query, key, value, mask=None):
    scores = torch.matmul(query, key.swapaxes(-1, -2)).div(math.sqrt(key.size(-1)))
    if mask is not None:
        scores = scores.masked_fill(mask.logical_not(), -1e30)
    weights = F.log_softmax(scores, dim=-1).exp()
    if mask is not None:
        weights = weights.masked_fill(mask.logical_not(), 0)
    return weights @ value


@alternative(ATTEND, "explicit loops over queries and keys")
def loops(query, key, value, mask=None):
    lead = query.shape[:-2]
    full = torch.ones(query.size(-2), key.size(-2), dtype=torch.bool) if mask is None else mask
    full = full.expand(*lead, query.size(-2), key.size(-2)).reshape(-1, query.size(-2), key.size(-2))
    flat = [x.reshape(-1, *x.shape[-2:]) for x in (query, key, value)]
    rows = []
    for q, k, v, m in zip(*flat, full, strict=True):
        for t in range(q.size(0)):
            seen = m[t].nonzero().flatten().tolist()
            if not seen:
                rows.append(torch.zeros(v.size(-1), dtype=v.dtype))
                continue
            scores = torch.stack([(q[t] * k[s]).sum() for s in seen]) / math.sqrt(q.size(-1))
            rows.append(sum(w * v[s] for w, s in zip(scores.softmax(0), seen, strict=True)))
    return torch.stack(rows).reshape(*lead, query.size(-2), value.size(-1))


@alternative(ATTEND, "the width's root shared between query and key")
def scale_shared(query, key, value, mask=None):
    fourth = query.size(-1) ** 0.25
    scores = (query / fourth) @ (key / fourth).transpose(-2, -1)
    if mask is None:
        return scores.softmax(-1) @ value
    empty = ~mask.any(-1, keepdim=True)
    return (scores.masked_fill(~(mask | empty), -torch.inf).softmax(-1) @ value).masked_fill(empty, 0.0)


@alternative(SPLIT, "slices stacked")
def stacked_slices(x, n_heads):
    return torch.stack(x.chunk(n_heads, dim=-1), dim=-3)


@alternative(SPLIT, "reshape, then movedim")
def reshape_and_move(x, n_heads):
    return x.reshape(*x.shape[:-1], n_heads, x.size(-1) // n_heads).movedim(-2, -3)


@alternative(SPLIT, "copy slice by slice")
def copied_slices(x, n_heads):
    width = x.size(-1) // n_heads
    out = x.new_empty(*x.shape[:-2], n_heads, x.size(-2), width)
    for h in range(n_heads):
        out[..., h, :, :] = x[..., h * width : (h + 1) * width]
    return out


@alternative(SPLIT, "view, which may cut one axis in any memory order")
def viewed(x, n_heads):
    return x.view(*x.shape[:-1], n_heads, x.size(-1) // n_heads).transpose(-3, -2)


@alternative(SPLIT, "contiguous memory, then view")
def contiguous_view(x, n_heads):
    split = x.contiguous().view(*x.shape[:-1], n_heads, x.size(-1) // n_heads)
    return split.transpose(-2, -3).contiguous()


@alternative(MERGE, "concatenate the heads")
def concatenated(x):
    return torch.cat(x.unbind(-3), dim=-1)


@alternative(MERGE, "contiguous memory, then view")
def transposed_view(x):
    exchanged = x.transpose(-2, -3).contiguous()
    return exchanged.view(*exchanged.shape[:-2], exchanged.size(-1) * exchanged.size(-2))


@alternative(MERGE, "movedim, then reshape")
def move_and_reshape(x):
    return x.movedim(-3, -2).reshape(*x.shape[:-3], x.size(-2), x.size(-3) * x.size(-1))


class Layer(reference.MultiHeadAttention):
    """The given constructor."""


@alternative(LAYER, "one head after the other, in a loop over slices")
class HeadByHead(Layer):
    def forward(self, x, context=None, mask=None):
        source = x if context is None else context
        parts = [self.query(x), self.key(source), self.value(source)]
        slices = zip(*(part.chunk(self.n_heads, dim=-1) for part in parts), strict=True)
        heads = []
        for h, (query, key, value) in enumerate(slices):
            of_head = mask
            if mask is not None and mask.dim() > 2:
                of_head = mask[..., h if mask.size(-3) > 1 else 0, :, :]
            heads.append(reference.attend(query, key, value, of_head))
        return self.output(torch.cat(heads, dim=-1))


@alternative(LAYER, "PyTorch's functional form with the same weights")
class Functional(Layer):
    def forward(self, x, context=None, mask=None):
        source = x if context is None else context
        query, key, value = (
            layer(one).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for layer, one in ((self.query, x), (self.key, source), (self.value, source))
        )
        if mask is None:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            some = mask.any(-1, keepdim=True)
            mixed = F.scaled_dot_product_attention(query, key, value, mask | ~some).masked_fill(~some, 0.0)
        return self.output(mixed.transpose(1, 2).reshape(x.shape))


@alternative(LAYER, "one joined projection where queries, keys and values come from the same sequence")
class JoinedProjection(Layer):
    def forward(self, x, context=None, mask=None):
        layers = (self.query, self.key, self.value)
        weight = torch.cat([layer.weight for layer in layers])
        bias = None if self.query.bias is None else torch.cat([layer.bias for layer in layers])
        if context is None:
            parts = F.linear(x, weight, bias).chunk(3, dim=-1)
        else:
            size = x.size(1)
            both = F.linear(torch.cat([x, context], dim=1), weight, bias).chunk(3, dim=-1)
            parts = both[0][:, :size], both[1][:, size:], both[2][:, size:]
        query, key, value = (reference.split_heads(part, self.n_heads) for part in parts)
        return self.output(reference.merge_heads(reference.attend(query, key, value, mask)))


@alternative(LAYER, "the output layer cut into one slice a head, the heads' shares added")
class SharesAdded(Layer):
    def forward(self, x, context=None, mask=None):
        source = x if context is None else context
        query, key, value = (
            reference.split_heads(layer(one), self.n_heads)
            for layer, one in ((self.query, x), (self.key, source), (self.value, source))
        )
        mixed = reference.attend(query, key, value, mask)  # (B, H, T, K)
        by_head = self.output.weight.unflatten(1, (self.n_heads, -1))  # (D, H, K)
        out = torch.einsum("bhtk,dhk->btd", mixed, by_head)
        return out if self.output.bias is None else out + self.output.bias


@alternative(LAYER, "einsum throughout, without the other exercises")
class Einsum(Layer):
    def forward(self, x, context=None, mask=None):
        source = x if context is None else context

        def heads(layer: nn.Linear, one):
            return layer(one).reshape(*one.shape[:-1], self.n_heads, -1)  # (B, T, H, K)

        query, key, value = heads(self.query, x), heads(self.key, source), heads(self.value, source)
        scores = torch.einsum("bthk,bshk->bhts", query, key) / math.sqrt(query.size(-1))
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = scores.softmax(-1)
        if mask is not None:
            weights = weights.masked_fill(~mask, 0.0)
        return self.output(torch.einsum("bhts,bshk->bthk", weights, value).flatten(-2))
