"""What learners see checked of the Transformer: numbers that can be worked out on paper."""
import math

import torch

from autograder.calls import loaded, zeroed
from autograder.checks import checks, same
from autograder.inputs import real


@checks("transformer.sinusoidal_positions")
def position_zero_is_all_clocks_at_noon(sinusoidal_positions):
    """Position 0 is 0, 1, 0, 1, …: every sine is 0 and every cosine 1."""
    hint = "Positions count from 0; sine and cosine of one clock stand side by side, in features 2i and 2i + 1."
    same(sinusoidal_positions(1, 6), real([[0, 1, 0, 1, 0, 1]]).float(), hint)


@checks("transformer.sinusoidal_positions")
def the_second_clock_is_a_hundred_times_slower(sinusoidal_positions):
    """In width 4 the clocks run at speeds 1 and 1/100."""
    angles = [(t, t / 100) for t in range(3)]
    expected = [[math.sin(a), math.cos(a), math.sin(b), math.cos(b)] for a, b in angles]
    hint = "The angle of clock i is t / 10000^(2i/D): for D = 4 that is t, then t / 10000^(2/4) = t / 100."
    same(sinusoidal_positions(3, 4), real(expected).float(), hint)


@checks("transformer.sinusoidal_positions")
def any_even_width(sinusoidal_positions):
    """A width of 2 has a single clock; the table has one row a position."""
    expected = [[math.sin(t), math.cos(t)] for t in range(5)]
    same(sinusoidal_positions(5, 2), real(expected).float(), "One clock with speed 1, read at t = 0 … 4 (radians).")


def norm_of(LayerNorm, weight: list, bias: list, epsilon: float = 0.0):
    """A LayerNorm in float64 with these parameters."""
    return loaded(LayerNorm, {"weight": real(weight), "bias": real(bias)}, len(weight), epsilon)


@checks("transformer.LayerNorm")
def features_get_mean_zero_and_variance_one(LayerNorm):
    """Each position's own features get mean 0 and variance 1 (the variance divides by D)."""
    hint = "Row (1, 3): mean 2, variance ((−1)² + 1²)/2 = 1, so −1 and 1. Mean and variance run over the LAST axis."
    layer = norm_of(LayerNorm, [1, 1], [0, 0])
    same(layer(real([[1, 3], [10, 30]])), real([[-1, 1], [-1, 1]]), hint)
    layer = norm_of(LayerNorm, [1, 1, 1, 1], [0, 0, 0, 0])
    hint = "Deviations −3, −1, 1, 3 have variance (9 + 1 + 1 + 9)/4 = 5. Do you divide by D − 1?"
    same(layer(real([[[2, 4, 6, 8]]])), real([[[-3, -1, 1, 3]]]) / math.sqrt(5), hint)


@checks("transformer.LayerNorm")
def gain_and_shift_come_last(LayerNorm):
    """The gain multiplies what has been normalised; the shift is added after it."""
    layer = norm_of(LayerNorm, [2, 5], [10, 20])
    same(layer(real([[1, 3]])), real([[8, 25]]), "−1 and 1, times the gain (2, 5), plus the shift (10, 20).")


@checks("transformer.LayerNorm")
def epsilon_is_under_the_root(LayerNorm):
    """ε is added to the variance, before the root; equal features give 0."""
    layer = norm_of(LayerNorm, [1, 1], [0, 0], epsilon=3.0)
    hint = "(1, 3) has variance 1, with ε = 3 under the root √4 = 2: −1/2 and 1/2. Equal features give 0, not NaN."
    same(layer(real([[1, 3], [7, 7]])), real([[-0.5, 0.5], [0, 0]]), hint)


@checks("transformer.add_and_norm")
def post_norm_normalises_the_sum(add_and_norm):
    """Post-norm: norm(x + sublayer(x))."""
    x = real([[[1, 2]]])
    hint = "x is 1, 2; the sublayer (plus 10) gives 11, 12; their sum is 12, 14; the norm (times 3) is last."
    same(add_and_norm(x, lambda y: y + 10, lambda y: 3 * y, False), real([[[36, 42]]]), hint)


@checks("transformer.add_and_norm")
def pre_norm_leaves_the_road_free(add_and_norm):
    """Pre-norm: x + sublayer(norm(x)); the input itself is never normalised."""
    x = real([[[1, 2]]])
    hint = "The norm (times 3) gives 3, 6; the sublayer (plus 10) 13, 16; then the untouched x is added: 14, 18."
    same(add_and_norm(x, lambda y: y + 10, lambda y: 3 * y, True), real([[[14, 18]]]), hint)


@checks("transformer.add_and_norm")
def a_sublayer_that_says_nothing(add_and_norm):
    """If the sublayer gives zeros, pre-norm gives x back and post-norm the norm of x."""
    x = real([[[1, 5]]])
    hint = "With a sublayer of zeros, nothing but the residual connection is left."
    same(add_and_norm(x, lambda y: 0 * y, lambda y: y - 3, True), x, hint)
    same(add_and_norm(x, lambda y: 0 * y, lambda y: y - 3, False), real([[[-2, 2]]]), hint)


def decoder_with(DecoderLayer, norm_first: bool, **settings: list):
    """A DecoderLayer of width 2 whose parameters are 0, gains 1, except for those given."""
    return zeroed(DecoderLayer, {name: real(value) for name, value in settings.items()}, 2, 1, 2, norm_first)


EYE = [[1, 0], [0, 1]]


@checks("transformer.DecoderLayer")
def with_all_weights_zero_only_the_residuals_are_left(DecoderLayer):
    """With weights of zero, pre-norm hands the input on untouched."""
    x = real([[[3, 1], [0, 8]]])
    layer = decoder_with(DecoderLayer, True)
    same(layer(x, real([[[5, 5]]])), x, "All three sublayers give 0 here, so x + 0 + 0 + 0 must come out.")


@checks("transformer.DecoderLayer")
def cross_attention_reads_the_memory_as_it_is(DecoderLayer):
    """Keys and values of the cross-attention come from the memory; masked positions of the memory have no say."""
    settings = {"cross_attention__value__weight": EYE, "cross_attention__output__weight": EYE}
    layer = decoder_with(DecoderLayer, True, **settings)
    x, memory = real([[[3, 1]]]), real([[[10, 0], [30, 4], [100, 100]]])
    hint = "All scores are 0, so the mean of the memory that may be seen, (20, 2), is added to (3, 1)."
    same(layer(x, memory, None, torch.tensor([[True, True, False]])), real([[[23, 3]]]), hint)


@checks("transformer.DecoderLayer")
def self_attention_obeys_its_mask_and_comes_first(DecoderLayer):
    """The target reads itself under its own mask, through the norm in pre-norm."""
    settings = {"attention__value__weight": EYE, "attention__output__weight": EYE}
    layer = decoder_with(DecoderLayer, True, **settings)
    normed = real([[[1, -1], [-1, 1]]]) / math.sqrt(1 + 1e-5)  # of (3, 1) and (6, 8)
    x, mask = real([[[3, 1], [6, 8]]]), torch.tensor([[True, False], [True, True]])
    expected = x + torch.stack([normed[:, 0], normed.mean(1)], dim=1)
    hint = "Position 0 may see only itself; position 1 sees both, whose normed features (1, −1), (−1, 1) cancel out."
    same(layer(x, real([[[7, 9]]]), mask), expected, hint)


@checks("transformer.DecoderLayer")
def three_norms_each_in_its_place(DecoderLayer):
    """Post-norm: each of the three norms closes its own sublayer, in the order of the figure."""
    shifts = {"attention_norm__bias": [1, 0], "cross_attention_norm__bias": [0, 10], "feed_forward_norm__bias": [7, 7]}
    gains = {"attention_norm__weight": [0, 0], "cross_attention_norm__weight": [2, 2]}
    layer = decoder_with(DecoderLayer, False, **shifts, **gains)
    same(
        layer(real([[[3, 1]]]), real([[[5, 5]]])),
        real([[[7 - 1 / math.sqrt(1 + 1e-5 / final_variance()), 7 + 1 / math.sqrt(1 + 1e-5 / final_variance())]]]),
        "Self-attention ends in (1, 0), cross-attention in about (2, 8), feed-forward in about (−1, 1) + (7, 7).",
    )


def final_variance() -> float:
    """Of what goes into the last norm above: about (2, 8)."""
    step = 2 * 0.5 / math.sqrt(0.25 + 1e-5)
    return ((10 - step) - step) ** 2 / 4


@checks("transformer.DecoderLayer")
def the_feed_forward_part_comes_last(DecoderLayer):
    """Cross-attention comes before the feed-forward part, which reads its result."""
    settings: dict[str, list] = {
        "cross_attention__output__bias": [4, 0], "feed_forward__up__weight": EYE, "feed_forward__down__weight": EYE
    }
    layer = decoder_with(DecoderLayer, True, **settings)
    one = 1 / math.sqrt(1 + 1e-5)
    hint = "(0, 2) + (4, 0) = (4, 2); its norm is (1, −1), the ReLU keeps (1, 0), and (4, 2) + (1, 0) comes out."
    same(layer(real([[[0, 2]]]), real([[[5, 5]]])), real([[[4 + one, 2]]]), hint)


@checks("transformer.smoothed_loss")
def without_smoothing_it_is_the_cross_entropy(smoothed_loss):
    """With ε = 0 it is −log of the probability of the right token, averaged."""
    logits = real([[math.log(2), 0, 0], [0, math.log(6), 0]])  # probabilities 1/2, 1/4, 1/4 and 1/8, 6/8, 1/8
    expected = real([math.log(4), math.log(8)]).mean()
    hint = "Targets 1 and 2 have the probabilities 1/4 and 1/8."
    same(smoothed_loss(logits, torch.tensor([1, 2]), 0.0, ignore=-1), expected, hint)


@checks("transformer.smoothed_loss")
def a_little_is_spread_over_all_tokens(smoothed_loss):
    """The right token is wanted with 1 − ε + ε/V, every other one with ε/V, over ALL V tokens."""
    logits = real([[math.log(2), 0, 0]])
    expected = -(0.8 * math.log(1 / 2) + 0.1 * math.log(1 / 4) + 0.1 * math.log(1 / 4))
    hint = "V = 3, ε = 0.3: wanted are 0.8, 0.1, 0.1, because the right token gets its share of ε, too."
    same(smoothed_loss(logits, torch.tensor([0]), 0.3, ignore=-1), real(expected), hint)


@checks("transformer.smoothed_loss")
def padding_does_not_count(smoothed_loss):
    """Positions whose target is `ignore` are neither in the sum nor in the number it is divided by."""
    logits = real([[[0, 0, 0, 0], [9, 0, 0, 0]], [[0, 0, 0, 0], [0, 9, 0, 0]]])
    targets = torch.tensor([[3, 0], [1, 0]])
    hint = "Two of four positions count; each is uniform over 4 tokens, so the loss is ln 4, smoothed or not."
    same(smoothed_loss(logits, targets, 0.1), real(math.log(4)), hint)
    same(smoothed_loss(logits, torch.zeros(2, 2).long(), 0.1), real(0.0), "Nothing counts: 0, not 0/0.")


@checks("transformer.smoothed_loss")
def large_logits_do_not_overflow(smoothed_loss):
    """Logits of ten thousand work, and a probability of 0 is not log 0."""
    found = smoothed_loss(real([[1e4, 0]]), torch.tensor([1]), 0.5, ignore=-1)
    hint = "The log-probabilities are 0 and −10000; wanted are 0.25 and 0.75. Use log_softmax."
    same(found, real(7500.0), hint)


@checks("transformer.noam_rate")
def up_to_the_warm_up_in_a_straight_line(noam_rate):
    """With d_model = 16 and warm_up = 4, the rate climbs by 1/32 a step to 1/8 at step 4."""
    found = [noam_rate(step, 16, 4) for step in (1, 2, 3, 4)]
    hint = "1/√16 is 1/4. Step 4 gives 1/4 · min(1/2, 4/8) = 1/8; before it, step · warm_up^−1.5 is the smaller one."
    same(found, [1 / 32, 2 / 32, 3 / 32, 1 / 8], hint)


@checks("transformer.noam_rate")
def then_down_with_the_root(noam_rate):
    """After the warm-up the rate falls with the root of the step."""
    hint = "1/4 · 1/√16 = 1/16, and 1/4 · 1/√64 = 1/32."
    same([noam_rate(16, 16, 4), noam_rate(64, 16, 4)], [1 / 16, 1 / 32], hint)


@checks("transformer.noam_rate")
def a_warm_up_of_one_step(noam_rate):
    """The first step may be the peak."""
    same(noam_rate(1, 4, 1), 0.5, "1/√4 · min(1, 1) = 1/2.")
