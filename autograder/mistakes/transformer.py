"""What learners get wrong in the Transformer: each a complete wrong implementation, often in several code forms."""
import math

import torch
import torch.nn.functional as F

from autograder.mistakes import mistake
from gptlib import transformer as reference

# transformer.sinusoidal_positions ----------------------------------------------------------------------------------

POSITIONS = "transformer.sinusoidal_positions"


def table(angles):
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2).float()


def speeds(d_model, base=10000.0):
    return base ** (-torch.arange(0, d_model, 2).double() / d_model)


def steps(length, first=0):
    return torch.arange(first, first + length).double()[:, None]


CONCATENATED = "all sines stand before all cosines instead of side by side"


@mistake(POSITIONS, CONCATENATED)
def sines_then_cosines(length, d_model):
    angles = steps(length) * speeds(d_model)
    return torch.cat([angles.sin(), angles.cos()], -1).float()


@mistake(POSITIONS, CONCATENATED)
def two_halves(length, d_model):
    out, half = torch.zeros(length, d_model), d_model // 2
    out[:, :half], out[:, half:] = (steps(length) * speeds(d_model)).sin(), (steps(length) * speeds(d_model)).cos()
    return out


@mistake(POSITIONS, "positions are counted from 1")
def from_one(length, d_model):
    return table(steps(length, 1) * speeds(d_model))


SLOW = "the exponent is i / D instead of 2i / D, so the clocks slow down too little"


@mistake(POSITIONS, SLOW)
def half_the_exponent(length, d_model):
    return table(steps(length) * 10000.0 ** (-torch.arange(d_model // 2).double() / d_model))


@mistake(POSITIONS, SLOW)
def smaller_base(length, d_model):
    return table(steps(length) * speeds(d_model, 100.0))


FAST = "the clocks run faster and faster instead of slower: the exponent lacks its minus"


@mistake(POSITIONS, FAST)
def no_minus(length, d_model):
    return table(steps(length) / speeds(d_model))


@mistake(POSITIONS, FAST)
def multiplied(length, d_model):
    return table(steps(length) * 10000.0 ** (torch.arange(0, d_model, 2).double() / d_model))


EXCHANGED = "sine and cosine are exchanged"


@mistake(POSITIONS, EXCHANGED)
def cosine_first(length, d_model):
    angles = steps(length) * speeds(d_model)
    return torch.stack([angles.cos(), angles.sin()], -1).flatten(-2).float()


@mistake(POSITIONS, EXCHANGED)
def odd_columns_sine(length, d_model):
    out = torch.zeros(length, d_model)
    angles = steps(length) * speeds(d_model)
    out[:, 1::2], out[:, 0::2] = angles.sin(), angles.cos()
    return out


EVERY_FEATURE = "every feature has a speed of its own, so sine and cosine of one clock do not belong together"


@mistake(POSITIONS, EVERY_FEATURE)
def own_speeds(length, d_model):
    angles = steps(length) * 10000.0 ** (-torch.arange(d_model).double() / d_model)
    out = torch.zeros(length, d_model)
    out[:, 0::2], out[:, 1::2] = angles[:, 0::2].sin(), angles[:, 1::2].cos()
    return out


@mistake(POSITIONS, "there is one row too many")
def one_more(length, d_model):
    return table(steps(length + 1) * speeds(d_model))


# transformer.LayerNorm ---------------------------------------------------------------------------------------------

NORM = "transformer.LayerNorm"
UNBIASED = "the variance divides by D − 1 instead of D"


@mistake(NORM, UNBIASED)
class TorchsDefaultVariance(reference.LayerNorm):
    def forward(self, x):
        deviation = (x.var(-1, keepdim=True) + self.epsilon).sqrt()
        return (x - x.mean(-1, keepdim=True)) / deviation * self.weight + self.bias


@mistake(NORM, UNBIASED)
class TorchsDefaultDeviation(reference.LayerNorm):
    def forward(self, x):
        deviation = (x.std(-1, keepdim=True) ** 2 + self.epsilon).sqrt()
        return (x - x.mean(-1, keepdim=True)) / deviation * self.weight + self.bias


@mistake(NORM, "ε is added outside the root")
class EpsilonOutside(reference.LayerNorm):
    def forward(self, x):
        deviation = x.var(-1, keepdim=True, unbiased=False).sqrt() + self.epsilon
        return (x - x.mean(-1, keepdim=True)) / deviation * self.weight + self.bias


@mistake(NORM, "ε is left out, so equal features divide by 0")
class NoEpsilon(reference.LayerNorm):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / centred.square().mean(-1, keepdim=True).sqrt() * self.weight + self.bias


NO_MEAN = "the mean is not taken away"


@mistake(NORM, NO_MEAN)
class MeanStays(reference.LayerNorm):
    def forward(self, x):
        return x / (x.var(-1, keepdim=True, unbiased=False) + self.epsilon).sqrt() * self.weight + self.bias


@mistake(NORM, NO_MEAN)
class RootMeanSquare(reference.LayerNorm):
    def forward(self, x):
        return x / (x.square().mean(-1, keepdim=True) + self.epsilon).sqrt() * self.weight + self.bias


WRONG_AXIS = "mean and variance run over the positions instead of the features"


@mistake(NORM, WRONG_AXIS)
class OverPositions(reference.LayerNorm):
    def forward(self, x):
        axis = -2 if x.dim() > 1 else -1
        centred = x - x.mean(axis, keepdim=True)
        return centred / (centred.square().mean(axis, keepdim=True) + self.epsilon).sqrt() * self.weight + self.bias


@mistake(NORM, WRONG_AXIS)
class OverEverything(reference.LayerNorm):
    def forward(self, x):
        centred = x - x.mean()
        return centred / (centred.square().mean() + self.epsilon).sqrt() * self.weight + self.bias


@mistake(NORM, "the variance is not put under a root")
class NoRoot(reference.LayerNorm):
    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + self.epsilon) * self.weight + self.bias


@mistake(NORM, "gain and shift are left out")
class NoGain(reference.LayerNorm):
    def forward(self, x):
        return F.layer_norm(x, x.shape[-1:], None, None, self.epsilon)


@mistake(NORM, "the shift is added before the gain is multiplied")
class ShiftFirst(reference.LayerNorm):
    def forward(self, x):
        return (F.layer_norm(x, x.shape[-1:], None, None, self.epsilon) + self.bias) * self.weight


# transformer.add_and_norm ------------------------------------------------------------------------------------------

RESIDUAL = "transformer.add_and_norm"
EXCHANGED_ORDERS = "pre-norm and post-norm are exchanged"


@mistake(RESIDUAL, EXCHANGED_ORDERS)
def wrong_way_round(x, sublayer, norm, norm_first):
    return norm(x + sublayer(x)) if norm_first else x + sublayer(norm(x))


@mistake(RESIDUAL, EXCHANGED_ORDERS)
def inverted_switch(x, sublayer, norm, norm_first):
    return reference.add_and_norm(x, sublayer, norm, not norm_first)


@mistake(RESIDUAL, "the flag is ignored, and the norm always comes last")
def always_post(x, sublayer, norm, norm_first):
    return norm(x + sublayer(x))


@mistake(RESIDUAL, "the flag is ignored, and the norm always comes first")
def always_pre(x, sublayer, norm, norm_first):
    return x + sublayer(norm(x))


NORMED_RESIDUAL = "pre-norm adds the normalised input instead of the input itself"


@mistake(RESIDUAL, NORMED_RESIDUAL)
def overwritten(x, sublayer, norm, norm_first):
    if norm_first:
        x = norm(x)
        return x + sublayer(x)
    return norm(x + sublayer(x))


@mistake(RESIDUAL, NORMED_RESIDUAL)
def normed_once(x, sublayer, norm, norm_first):
    start = norm(x) if norm_first else x
    out = start + sublayer(start)
    return out if norm_first else norm(out)


NO_RESIDUAL = "the residual connection is missing"


@mistake(RESIDUAL, NO_RESIDUAL)
def no_road(x, sublayer, norm, norm_first):
    return sublayer(norm(x)) if norm_first else norm(sublayer(x))


@mistake(RESIDUAL, "post-norm normalises only what the sublayer gives, before it is added")
def normed_sublayer(x, sublayer, norm, norm_first):
    return x + sublayer(norm(x)) if norm_first else x + norm(sublayer(x))


@mistake(RESIDUAL, "pre-norm normalises once more at the end")
def twice(x, sublayer, norm, norm_first):
    return norm(x + sublayer(norm(x))) if norm_first else norm(x + sublayer(x))


# transformer.DecoderLayer ------------------------------------------------------------------------------------------

DECODER = "transformer.DecoderLayer"


class Steps(reference.DecoderLayer):
    """A decoder layer cut into its steps, so that a mistake can change one."""

    def look(self, x, mask):
        return reference.add_and_norm(x, lambda y: self.attention(y, mask=mask), self.attention_norm, self.norm_first)

    def cross(self, x, memory, mask):
        return reference.add_and_norm(
            x, lambda y: self.cross_attention(y, memory, mask), self.cross_attention_norm, self.norm_first)

    def think(self, x):
        return reference.add_and_norm(x, self.feed_forward, self.feed_forward_norm, self.norm_first)

    def forward(self, x, memory, mask=None, memory_mask=None):
        return self.think(self.cross(self.look(x, mask), memory, memory_mask))


NO_MEMORY = "the cross-attention looks at the target itself instead of the memory"


@mistake(DECODER, NO_MEMORY)
class CrossWithItself(Steps):
    def cross(self, x, memory, mask):
        return reference.add_and_norm(x, self.cross_attention, self.cross_attention_norm, self.norm_first)


@mistake(DECODER, NO_MEMORY)
class TargetAsContext(Steps):
    def cross(self, x, memory, mask):
        return reference.add_and_norm(
            x, lambda y: self.cross_attention(y, y), self.cross_attention_norm, self.norm_first)


@mistake(DECODER, "the mask of the target is forgotten, so it reads its own future")
class NoCausalMask(Steps):
    def look(self, x, mask):
        return super().look(x, None)


@mistake(DECODER, "the mask of the memory is forgotten, so padding is read")
class NoMemoryMask(Steps):
    def cross(self, x, memory, mask):
        return super().cross(x, memory, None)


ORDER = "the cross-attention comes before the self-attention"


@mistake(DECODER, ORDER)
class CrossFirst(Steps):
    def forward(self, x, memory, mask=None, memory_mask=None):
        return self.think(self.look(self.cross(x, memory, memory_mask), mask))


FORWARD_EARLY = "the feed-forward part comes before the cross-attention"


@mistake(DECODER, FORWARD_EARLY)
class ThinkBeforeCross(Steps):
    def forward(self, x, memory, mask=None, memory_mask=None):
        return self.cross(self.think(self.look(x, mask)), memory, memory_mask)


@mistake(DECODER, "one norm serves all three sublayers")
class SharedNorm(Steps):
    def cross(self, x, memory, mask):
        return reference.add_and_norm(
            x, lambda y: self.cross_attention(y, memory, mask), self.attention_norm, self.norm_first)

    def think(self, x):
        return reference.add_and_norm(x, self.feed_forward, self.attention_norm, self.norm_first)


@mistake(DECODER, "the norms of cross-attention and feed-forward are exchanged")
class ExchangedNorms(Steps):
    def cross(self, x, memory, mask):
        return reference.add_and_norm(
            x, lambda y: self.cross_attention(y, memory, mask), self.feed_forward_norm, self.norm_first)

    def think(self, x):
        return reference.add_and_norm(x, self.feed_forward, self.cross_attention_norm, self.norm_first)


@mistake(DECODER, "the memory is normalised together with the target")
class NormedMemory(Steps):
    def cross(self, x, memory, mask):
        return super().cross(x, self.cross_attention_norm(memory), mask)


@mistake(DECODER, "the memory asks and the target answers")
class SidesExchanged(Steps):
    def cross(self, x, memory, mask):
        def ask(y):
            answer = self.cross_attention(memory, y).mean(1, keepdim=True)
            return answer.expand_as(y)

        return reference.add_and_norm(x, ask, self.cross_attention_norm, self.norm_first)


@mistake(DECODER, "one attention serves as self-attention and as cross-attention")
class OneAttention(Steps):
    def cross(self, x, memory, mask):
        return reference.add_and_norm(
            x, lambda y: self.attention(y, memory, mask), self.cross_attention_norm, self.norm_first)


@mistake(DECODER, "the residual connection around the cross-attention is missing")
class NoResidualAtCross(Steps):
    def cross(self, x, memory, mask):
        if self.norm_first:
            return self.cross_attention(self.cross_attention_norm(x), memory, mask)
        return self.cross_attention_norm(self.cross_attention(x, memory, mask))


@mistake(DECODER, "the feed-forward part is missing")
class NoFeedForward(Steps):
    def think(self, x):
        return x if self.norm_first else self.feed_forward_norm(x)


@mistake(DECODER, "the order of norms is always post-norm")
class AlwaysPost(Steps):
    def forward(self, x, memory, mask=None, memory_mask=None):
        x = self.attention_norm(x + self.attention(x, mask=mask))
        x = self.cross_attention_norm(x + self.cross_attention(x, memory, memory_mask))
        return self.feed_forward_norm(x + self.feed_forward(x))


# transformer.smoothed_loss -----------------------------------------------------------------------------------------

LOSS = "transformer.smoothed_loss"


def mean_of(losses, targets, ignore):
    counted = targets != ignore
    return losses.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)


def right_one(log_probs, targets):
    return log_probs.gather(-1, targets[..., None])[..., 0]


@mistake(LOSS, "the smoothing is left out")
def unsmoothed(logits, targets, smoothing=0.1, ignore=0):
    return mean_of(-right_one(logits.log_softmax(-1), targets), targets, ignore)


OTHERS_ONLY = "α is spread over the other V − 1 tokens only"


@mistake(LOSS, OTHERS_ONLY)
def over_the_others(logits, targets, smoothing=0.1, ignore=0):
    log_probs = logits.log_softmax(-1)
    right = right_one(log_probs, targets)
    others = (log_probs.sum(-1) - right) / max(logits.size(-1) - 1, 1)
    return mean_of(-(1 - smoothing) * right - smoothing * others, targets, ignore)


@mistake(LOSS, OTHERS_ONLY)
def table_of_others(logits, targets, smoothing=0.1, ignore=0):
    wanted = torch.full_like(logits, smoothing / max(logits.size(-1) - 1, 1))
    wanted = wanted.scatter(-1, targets[..., None], 1 - smoothing)
    return mean_of(-(wanted * logits.log_softmax(-1)).sum(-1), targets, ignore)


@mistake(LOSS, "the whole α goes to every token: the sum over the vocabulary is not divided by V")
def sum_instead_of_mean(logits, targets, smoothing=0.1, ignore=0):
    log_probs = logits.log_softmax(-1)
    return mean_of(-(1 - smoothing) * right_one(log_probs, targets) - smoothing * log_probs.sum(-1), targets, ignore)


EVERYTHING_COUNTS = "padding counts like every other target"


@mistake(LOSS, EVERYTHING_COUNTS)
def no_ignore(logits, targets, smoothing=0.1, ignore=0):
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), label_smoothing=smoothing)


@mistake(LOSS, EVERYTHING_COUNTS)
def mean_of_all(logits, targets, smoothing=0.1, ignore=0):
    log_probs = logits.log_softmax(-1)
    return (-(1 - smoothing) * right_one(log_probs, targets) - smoothing * log_probs.mean(-1)).mean()


@mistake(LOSS, "padding is left out of the sum but counted in the number that it is divided by")
def divided_by_all(logits, targets, smoothing=0.1, ignore=0):
    log_probs = logits.log_softmax(-1)
    losses = -(1 - smoothing) * right_one(log_probs, targets) - smoothing * log_probs.mean(-1)
    return losses.masked_fill(targets == ignore, 0.0).mean()


@mistake(LOSS, "the number of the padding token is built in, and `ignore` has no say")
def always_zero(logits, targets, smoothing=0.1, ignore=0):
    return reference.smoothed_loss(logits, targets, smoothing, 0)


@mistake(LOSS, "the softmax is taken first and its logarithm afterwards, which gives log 0")
def log_of_softmax(logits, targets, smoothing=0.1, ignore=0):
    log_probs = logits.softmax(-1).log()
    return mean_of(-(1 - smoothing) * right_one(log_probs, targets) - smoothing * log_probs.mean(-1), targets, ignore)


@mistake(LOSS, "α and 1 − α are exchanged")
def exchanged(logits, targets, smoothing=0.1, ignore=0):
    log_probs = logits.log_softmax(-1)
    return mean_of(-smoothing * right_one(log_probs, targets) - (1 - smoothing) * log_probs.mean(-1), targets, ignore)


@mistake(LOSS, "the losses are added up and not averaged")
def summed(logits, targets, smoothing=0.1, ignore=0):
    return reference.smoothed_loss(logits, targets, smoothing, ignore) * (targets != ignore).sum()


@mistake(LOSS, "nothing but padding gives 0/0")
def nan_of_nothing(logits, targets, smoothing=0.1, ignore=0):
    log_probs = logits.log_softmax(-1)
    losses = -(1 - smoothing) * right_one(log_probs, targets) - smoothing * log_probs.mean(-1)
    return losses[targets != ignore].mean()


# transformer.noam_rate ---------------------------------------------------------------------------------------------

RATE = "transformer.noam_rate"


@mistake(RATE, "the larger of the two branches is taken instead of the smaller")
def larger(step, d_model, warm_up):
    return d_model**-0.5 * max(step**-0.5, step * warm_up**-1.5)


@mistake(RATE, "the warm-up has the exponent −½ instead of −1½")
def wrong_exponent(step, d_model, warm_up):
    return d_model**-0.5 * min(step**-0.5, step * warm_up**-0.5)


@mistake(RATE, "the width is left out")
def no_width(step, d_model, warm_up):
    return min(step**-0.5, step * warm_up**-1.5)


@mistake(RATE, "the rate grows with the width: the exponent of D lacks its minus")
def grows_with_width(step, d_model, warm_up):
    return d_model**0.5 * min(step**-0.5, step * warm_up**-1.5)


@mistake(RATE, "steps are counted from 0")
def from_zero(step, d_model, warm_up):
    return d_model**-0.5 * min(max(step - 1, 1e-9) ** -0.5, (step - 1) * warm_up**-1.5)


@mistake(RATE, "there is no warm-up: the rate falls from the first step")
def only_down(step, d_model, warm_up):
    return d_model**-0.5 * step**-0.5


@mistake(RATE, "the rate stays at its peak after the warm-up")
def never_down(step, d_model, warm_up):
    return 1 / math.sqrt(d_model) * min(warm_up**-0.5, step * warm_up**-1.5)
