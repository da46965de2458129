"""Other right answers to the exercises of the Transformer: the checks must accept every one."""
import math

import torch
import torch.nn.functional as F

from autograder.alternatives import alternative
from gptlib import transformer as reference

POSITIONS, NORM, RESIDUAL = "transformer.sinusoidal_positions", "transformer.LayerNorm", "transformer.add_and_norm"
DECODER, LOSS, RATE = "transformer.DecoderLayer", "transformer.smoothed_loss", "transformer.noam_rate"


@alternative(POSITIONS, "even and odd columns are filled one after the other")
def two_slices(length, d_model):
    angles = torch.arange(length).double()[:, None] / 10000 ** (torch.arange(0, d_model, 2).double() / d_model)
    table = torch.zeros(length, d_model)
    table[:, 0::2], table[:, 1::2] = angles.sin(), angles.cos()
    return table


@alternative(POSITIONS, "exponentials of logarithms")
def by_logarithms(length, d_model):
    speeds = torch.exp(torch.arange(0, d_model, 2).double() * (-math.log(10000) / d_model))
    angles = torch.outer(torch.arange(length).double(), speeds)
    return torch.stack([angles.sin(), angles.cos()], -1).reshape(length, d_model).float()


@alternative(POSITIONS, "explicit loops; the cosine is a sine a quarter turn ahead")
def loops(length, d_model):
    def entry(t, f):
        return math.sin(t / 10000 ** (f // 2 * 2 / d_model) + (math.pi / 2 if f % 2 else 0))

    return torch.tensor([[entry(t, f) for f in range(d_model)] for t in range(length)])


@alternative(NORM, "torch's own function")
class TorchsNorm(reference.LayerNorm):
    def forward(self, x):
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.epsilon)


@alternative(NORM, "var with unbiased=False and rsqrt")
class BiasedVariance(reference.LayerNorm):
    def forward(self, x):
        scale = torch.rsqrt(x.var(-1, keepdim=True, unbiased=False) + self.epsilon)
        return (x - x.mean(-1, keepdim=True)) * scale * self.weight + self.bias


@alternative(NORM, "var_mean with correction 0, gain and shift by addcmul")
class VarMean(reference.LayerNorm):
    def forward(self, x):
        variance, mean = torch.var_mean(x, dim=-1, keepdim=True, correction=0)
        return torch.addcmul(self.bias, self.weight, (x - mean) / torch.sqrt(variance + self.epsilon))


@alternative(RESIDUAL, "one expression")
def conditional(x, sublayer, norm, norm_first):
    return x + sublayer(norm(x)) if norm_first else norm(x + sublayer(x))


@alternative(RESIDUAL, "the input is kept under a name of its own")
def kept(x, sublayer, norm, norm_first):
    residual = x
    if norm_first:
        x = norm(x)
    x = sublayer(x) + residual
    return x if norm_first else norm(x)


@alternative(RESIDUAL, "two functions, chosen between")
def chosen(x, sublayer, norm, norm_first):
    def before():
        return torch.add(sublayer(norm(x)), x)

    def after():
        return norm(torch.add(sublayer(x), x))

    return (before if norm_first else after)()


@alternative(DECODER, "without add_and_norm")
class Spelt(reference.DecoderLayer):
    def forward(self, x, memory, mask=None, memory_mask=None):
        if self.norm_first:
            x = x + self.attention(self.attention_norm(x), mask=mask)
            x = x + self.cross_attention(self.cross_attention_norm(x), memory, memory_mask)
            return x + self.feed_forward(self.feed_forward_norm(x))
        x = self.attention_norm(x + self.attention(x, mask=mask))
        x = self.cross_attention_norm(x + self.cross_attention(x, memory, memory_mask))
        return self.feed_forward_norm(x + self.feed_forward(x))


@alternative(DECODER, "a loop over three sublayers")
class Loop(reference.DecoderLayer):
    def forward(self, x, memory, mask=None, memory_mask=None):
        for part, arguments in (
            ("attention", (None, mask)), ("cross_attention", (memory, memory_mask)), ("feed_forward", ())
        ):
            norm, layer = getattr(self, f"{part}_norm"), getattr(self, part)
            y = layer(norm(x) if self.norm_first else x, *arguments)
            x = x + y if self.norm_first else norm(x + y)
        return x


@alternative(DECODER, "the target attends to itself as a context")
class OwnContext(reference.DecoderLayer):
    def forward(self, x, memory, mask=None, memory_mask=None):
        def look(layer, context, allowed):
            return lambda y: layer(y, context=y if context is None else context, mask=allowed)

        steps = ((look(self.attention, None, mask), self.attention_norm),
                 (look(self.cross_attention, memory, memory_mask), self.cross_attention_norm),
                 (self.feed_forward, self.feed_forward_norm))  # fmt: skip
        for sublayer, norm in steps:
            x = reference.add_and_norm(x, sublayer, norm, self.norm_first)
        return x


@alternative(LOSS, "torch's own cross-entropy")
def torchs_loss(logits, targets, smoothing=0.1, ignore=0):
    counted = int((targets != ignore).sum())
    total = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=ignore, label_smoothing=smoothing,
                            reduction="sum")  # fmt: skip
    return total / max(counted, 1)


@alternative(LOSS, "the wanted distribution, written out")
def written_out(logits, targets, smoothing=0.1, ignore=0):
    size = logits.size(-1)
    wanted = F.one_hot(targets, size).to(logits.dtype) * (1 - smoothing) + smoothing / size
    losses = -(wanted * logits.log_softmax(-1)).sum(-1)
    counted = (targets != ignore).to(logits.dtype)
    return (losses * counted).sum() / counted.sum().clamp(min=1)


@alternative(LOSS, "only the positions that count")
def selected(logits, targets, smoothing=0.1, ignore=0):
    logits, targets = logits[targets != ignore], targets[targets != ignore]
    log_probs = logits - logits.logsumexp(-1, keepdim=True)
    right = log_probs[torch.arange(len(targets)), targets]
    return -((1 - smoothing) * right + smoothing * log_probs.mean(-1)).sum() / max(len(targets), 1)


@alternative(RATE, "two branches")
def branches(step, d_model, warm_up):
    if step <= warm_up:
        return step / (math.sqrt(d_model) * warm_up * math.sqrt(warm_up))
    return 1 / math.sqrt(d_model * step)


@alternative(RATE, "the peak, times a share of it")
def from_the_peak(step, d_model, warm_up):
    return (d_model * warm_up) ** -0.5 * min(step / warm_up, (warm_up / step) ** 0.5)


@alternative(RATE, "a sorted pair")
def sorted_pair(step, d_model, warm_up):
    return sorted([1 / math.sqrt(step), step / warm_up**1.5])[0] / math.sqrt(d_model)


