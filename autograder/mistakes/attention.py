"""What learners get wrong in attention: each a complete wrong implementation, often in several code forms."""
import math

import torch
import torch.nn.functional as F
from torch import nn

from autograder.mistakes import mistake
from gptlib import attention as reference

INF = float("inf")

# attention.causal_mask -------------------------------------------------------------------------------------------

FORWARD = "the triangle is the wrong way round, so every position sees the future"


@mistake("attention.causal_mask", FORWARD)
def triu_instead_of_tril(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.bool).triu(offset)


@mistake("attention.causal_mask", FORWARD)
def keys_at_or_after_the_query(length, offset=0):
    queries = torch.arange(offset, offset + length)[:, None]
    return torch.arange(offset + length) >= queries


SELF_HIDDEN = "a position may not look at itself, so the first one sees nothing"


@mistake("attention.causal_mask", SELF_HIDDEN)
def diagonal_below(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.bool).tril(offset - 1)


@mistake("attention.causal_mask", SELF_HIDDEN)
def strictly_before(length, offset=0):
    return torch.arange(offset + length) < torch.arange(offset, offset + length)[:, None]


@mistake("attention.causal_mask", SELF_HIDDEN)
def not_triu_zero(length, offset=0):
    return ~torch.ones(length, offset + length, dtype=torch.bool).triu(offset)


PEEK = "every position also sees the next one: the answer it is to predict"


@mistake("attention.causal_mask", PEEK)
def diagonal_above(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.bool).tril(offset + 1)


@mistake("attention.causal_mask", PEEK)
def up_to_and_including_the_next(length, offset=0):
    return torch.arange(offset + length) <= torch.arange(1 + offset, 1 + offset + length)[:, None]


NOT_BOOLEAN = "the mask holds numbers instead of booleans"


@mistake("attention.causal_mask", NOT_BOOLEAN)
def ones_and_zeros(length, offset=0):
    return torch.ones(length, offset + length).tril(offset)


@mistake("attention.causal_mask", NOT_BOOLEAN)
def additive(length, offset=0):
    return torch.full((length, offset + length), -INF).triu(offset + 1)


@mistake("attention.causal_mask", NOT_BOOLEAN)
def integers(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.int64).tril(offset)


INVERTED = "the mask says True for what is hidden"


@mistake("attention.causal_mask", INVERTED)
def true_means_hidden(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.bool).triu(offset + 1)


@mistake("attention.causal_mask", INVERTED)
def keys_after_the_query(length, offset=0):
    return torch.arange(offset + length) > torch.arange(offset, offset + length)[:, None]


@mistake("attention.causal_mask", "the offset is ignored, so cached keys have no column")
def ignores_the_offset(length, offset=0):
    return torch.ones(length, length, dtype=torch.bool).tril()


NO_SHIFT = "the offset makes the mask wider but does not move the diagonal"


@mistake("attention.causal_mask", NO_SHIFT)
def wider_but_not_shifted(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.bool).tril()


@mistake("attention.causal_mask", NO_SHIFT)
def queries_numbered_from_zero(length, offset=0):
    return torch.arange(offset + length) <= torch.arange(length)[:, None]


@mistake("attention.causal_mask", "the offset is counted one too far")
def offset_off_by_one(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.bool).tril(offset + (offset > 0))


@mistake("attention.causal_mask", "the cached keys stand to the right of the new ones")
def cache_on_the_right(length, offset=0):
    past = torch.ones(length, offset, dtype=torch.bool)
    return torch.cat([torch.ones(length, length, dtype=torch.bool).tril(), past], dim=1)


@mistake("attention.causal_mask", "the cached keys are hidden")
def cache_hidden(length, offset=0):
    past = torch.zeros(length, offset, dtype=torch.bool)
    return torch.cat([past, torch.ones(length, length, dtype=torch.bool).tril()], dim=1)


@mistake("attention.causal_mask", "the offset shifts the diagonal the other way")
def offset_subtracted(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.bool).tril(-offset)


@mistake("attention.causal_mask", "rows stand for keys and columns for queries")
def transposed(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.bool).tril(offset).t()


@mistake("attention.causal_mask", "queries for the cached positions are in the mask too")
def square_of_everything(length, offset=0):
    return torch.ones(offset + length, offset + length, dtype=torch.bool).tril()


@mistake("attention.causal_mask", "the mask is built for one largest length and never cut")
def fixed_size(length, offset=0):
    return torch.ones(16, 16, dtype=torch.bool).tril()


@mistake("attention.causal_mask", "the mask is cut from one built for a largest length", visible=False)
def works_up_to_a_context_of_64(length, offset=0):
    return torch.ones(64, 64, dtype=torch.bool).tril()[offset : offset + length, : offset + length]


@mistake("attention.causal_mask", "the mask has extra axes in front")
def extra_axes(length, offset=0):
    return torch.ones(1, 1, length, offset + length, dtype=torch.bool).tril(offset)


@mistake("attention.causal_mask", "each position sees only itself")
def identity(length, offset=0):
    return torch.eye(offset + length, dtype=torch.bool)[offset:]


@mistake("attention.causal_mask", "nothing is hidden")
def all_true(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.bool)


@mistake("attention.causal_mask", "one axis per position is lost when there is only one query")
def squeezed(length, offset=0):
    return torch.ones(length, offset + length, dtype=torch.bool).tril(offset).squeeze()


# attention.attend ------------------------------------------------------------------------------------------------


def scored(query, key):
    return query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))


def finish(scores, value, mask):
    """The right way from scores on."""
    if mask is None:
        return scores.softmax(-1) @ value
    return scores.masked_fill(~mask, -INF).softmax(-1).masked_fill(~mask, 0.0) @ value


UNSCALED = "the scores are not divided by √K"


@mistake("attention.attend", UNSCALED)
def no_scale(query, key, value, mask=None):
    return finish(query @ key.transpose(-2, -1), value, mask)


@mistake("attention.attend", UNSCALED)
def no_scale_einsum(query, key, value, mask=None):
    return finish(torch.einsum("...tk,...sk->...ts", query, key), value, mask)


@mistake("attention.attend", "the scores are divided by K instead of √K")
def divided_by_width(query, key, value, mask=None):
    return finish(query @ key.transpose(-2, -1) / query.size(-1), value, mask)


@mistake("attention.attend", "the scores are divided by K instead of √K")
def both_divided_by_the_root(query, key, value, mask=None):
    root = math.sqrt(query.size(-1))
    return finish((query / root) @ (key / root).transpose(-2, -1), value, mask)


@mistake("attention.attend", "the scores are divided by the square root of all heads' widths together")
def scaled_by_the_model_width(query, key, value, mask=None):
    width = query.size(-1) * (query.size(-3) if query.dim() > 2 else 1)
    return finish(query @ key.transpose(-2, -1) / math.sqrt(width), value, mask)


@mistake("attention.attend", "the scores are divided by the square root of the number of queries")
def scaled_by_queries(query, key, value, mask=None):
    return finish(query @ key.transpose(-2, -1) / math.sqrt(query.size(-2)), value, mask)


@mistake("attention.attend", "the scores are divided by the square root of the number of keys")
def scaled_by_keys(query, key, value, mask=None):
    return finish(query @ key.transpose(-2, -1) / math.sqrt(key.size(-2)), value, mask)


@mistake("attention.attend", "the scores are divided by the square root of the values' width")
def scaled_by_values(query, key, value, mask=None):
    return finish(query @ key.transpose(-2, -1) / math.sqrt(value.size(-1)), value, mask)


@mistake("attention.attend", "the scores are multiplied by √K")
def multiplied(query, key, value, mask=None):
    return finish(query @ key.transpose(-2, -1) * math.sqrt(query.size(-1)), value, mask)


@mistake("attention.attend", "the scale is applied after the softmax, so the weights sum to 1/√K")
def scale_after_softmax(query, key, value, mask=None):
    return finish(query @ key.transpose(-2, -1), value, mask) / math.sqrt(query.size(-1))


OVER_QUERIES = "the softmax runs over the queries instead of the keys"


@mistake("attention.attend", OVER_QUERIES)
def softmax_over_queries(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is None:
        return scores.softmax(-2) @ value
    return scores.masked_fill(~mask, -INF).softmax(-2).masked_fill(~mask, 0.0) @ value


@mistake("attention.attend", OVER_QUERIES)
def softmax_over_queries_by_hand(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is not None:
        scores = scores.masked_fill(~mask, -INF)
    weights = (scores - scores.amax(-2, keepdim=True)).exp().nan_to_num(0.0)
    return weights / weights.sum(-2, keepdim=True).clamp(min=1e-300) @ value


@mistake("attention.attend", "the softmax runs over keys and queries together")
def softmax_over_everything(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is not None:
        scores = scores.masked_fill(~mask, -INF)
    return scores.flatten(-2).softmax(-1).view(scores.shape) @ value


@mistake("attention.attend", "the softmax runs over the first axis")
def softmax_over_the_first_axis(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is not None:
        scores = scores.masked_fill(~mask, -INF)
    return scores.softmax(0).nan_to_num(0.0) @ value


@mistake("attention.attend", "there is no softmax: the scores themselves are the weights")
def no_softmax(query, key, value, mask=None):
    scores = scored(query, key)
    return (scores if mask is None else scores.masked_fill(~mask, 0.0)) @ value


@mistake("attention.attend", "scores are divided by their sum instead of going through a softmax")
def divided_by_the_sum(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is not None:
        scores = scores.masked_fill(~mask, 0.0)
    return (scores / scores.sum(-1, keepdim=True)).nan_to_num(0.0) @ value


AFTER = "the mask is applied after the softmax, so the weights no longer sum to 1"


@mistake("attention.attend", AFTER, see="masks")
def mask_after_softmax(query, key, value, mask=None):
    weights = scored(query, key).softmax(-1)
    return (weights if mask is None else weights * mask) @ value


@mistake("attention.attend", AFTER, see="masks")
def fill_after_softmax(query, key, value, mask=None):
    weights = scored(query, key).softmax(-1)
    return (weights if mask is None else weights.masked_fill(~mask, 0.0)) @ value


@mistake("attention.attend", AFTER, see="masks")
def values_masked(query, key, value, mask=None):
    weights = scored(query, key).softmax(-1)
    if mask is None:
        return weights @ value
    weights = torch.where(mask, weights, torch.zeros_like(weights))
    return torch.einsum("...ts,...sv->...tv", weights, value)


UPSIDE_DOWN = "the mask is upside down: what may be seen is hidden"


@mistake("attention.attend", UPSIDE_DOWN, see="masks")
def inverted_mask(query, key, value, mask=None):
    return finish(scored(query, key), value, None if mask is None else ~mask)


@mistake("attention.attend", UPSIDE_DOWN, see="masks")
def fills_where_true(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is not None:
        scores = torch.where(mask, -INF, scores)
        return scores.softmax(-1).nan_to_num(0.0) @ value
    return scores.softmax(-1) @ value


ZERO = "hidden scores are set to 0 instead of −∞, and exp(0) = 1 is weight"


@mistake("attention.attend", ZERO, see="masks")
def fill_with_zero(query, key, value, mask=None):
    scores = scored(query, key)
    return (scores if mask is None else scores.masked_fill(~mask, 0.0)).softmax(-1) @ value


@mistake("attention.attend", ZERO, see="masks")
def fill_with_a_tiny_number(query, key, value, mask=None):
    scores = scored(query, key)
    return (scores if mask is None else scores.masked_fill(~mask, 1e-9)).softmax(-1) @ value


@mistake("attention.attend", ZERO, see="masks")
def fill_with_a_tiny_negative_number(query, key, value, mask=None):
    scores = scored(query, key)
    return (scores if mask is None else scores.masked_fill(~mask, float("-1e-9"))).softmax(-1) @ value


@mistake("attention.attend", ZERO, see="masks")
def scores_times_mask(query, key, value, mask=None):
    scores = scored(query, key)
    return (scores if mask is None else scores * mask).softmax(-1) @ value


@mistake("attention.attend", "the boolean mask is added to the scores, so True counts as 1", see="masks")
def adds_the_mask(query, key, value, mask=None):
    scores = scored(query, key)
    return (scores if mask is None else scores + mask).softmax(-1) @ value


@mistake("attention.attend", "hidden scores are only lowered a little", see="masks")
def fill_with_minus_ten(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is None:
        return scores.softmax(-1) @ value
    return scores.masked_fill(~mask, -10.0).softmax(-1).masked_fill(~mask.any(-1, keepdim=True), 0.0) @ value


@mistake("attention.attend", "hidden scores are only lowered a little", see="masks", visible=False)
def fill_with_minus_a_thousand(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is None:
        return scores.softmax(-1) @ value
    return scores.masked_fill(~mask, -1e3).softmax(-1).masked_fill(~mask.any(-1, keepdim=True), 0.0) @ value


IGNORED = "the mask is ignored"


@mistake("attention.attend", IGNORED, see="masks")
def ignores_the_mask(query, key, value, mask=None):
    return scored(query, key).softmax(-1) @ value


@mistake("attention.attend", IGNORED, see="masks")
def mask_result_thrown_away(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is not None:
        scores.masked_fill(~mask, -INF)
    return scores.softmax(-1) @ value


@mistake("attention.attend", "a causal mask is always used, asked for or not", see="masks")
def always_causal(query, key, value, mask=None):
    causal = torch.ones(query.size(-2), key.size(-2), dtype=torch.bool).tril()
    return finish(scored(query, key), value, causal if mask is None else mask & causal)


@mistake("attention.attend", "a causal mask is used instead of the one that was given", see="masks")
def own_causal_mask(query, key, value, mask=None):
    causal = torch.ones(query.size(-2), key.size(-2), dtype=torch.bool).tril()
    return finish(scored(query, key), value, None if mask is None else causal)


EMPTY = "a row without any visible key is 0/0, not a number"


@mistake("attention.attend", EMPTY, see="masks")
def nan_on_empty_rows(query, key, value, mask=None):
    scores = scored(query, key)
    return (scores if mask is None else scores.masked_fill(~mask, -INF)).softmax(-1) @ value


@mistake("attention.attend", EMPTY, see="masks")
def nan_times_zero(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is None:
        return scores.softmax(-1) @ value
    return scores.masked_fill(~mask, -INF).softmax(-1) * mask @ value


@mistake("attention.attend", EMPTY, see="masks")
def nan_from_bias(query, key, value, mask=None):
    bias = 0.0 if mask is None else torch.zeros(mask.shape, dtype=query.dtype).masked_fill(~mask, -INF)
    return (scored(query, key) + bias).softmax(-1) @ value


MEAN = "a row without any visible key gets the mean of all values instead of zeros"


@mistake("attention.attend", MEAN, see="masks")
def large_negative_fill(query, key, value, mask=None):
    scores = scored(query, key)
    return (scores if mask is None else scores.masked_fill(~mask, -1e9)).softmax(-1) @ value


@mistake("attention.attend", MEAN, see="masks")
def least_float_fill(query, key, value, mask=None):
    scores = scored(query, key)
    least = torch.finfo(scores.dtype).min
    return (scores if mask is None else torch.where(mask, scores, least)).softmax(-1) @ value


NAN_BACK = "a row without any visible key gives zeros but sends NaN back as its gradient"


@mistake("attention.attend", NAN_BACK, see="masks")
def nan_gradient_through_bias(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is None:
        return scores.softmax(-1) @ value
    bias = torch.zeros_like(scores).masked_fill(~mask, -INF)
    return (scores + bias).softmax(-1).nan_to_num(0.0) @ value


@mistake("attention.attend", NAN_BACK, see="masks")
def nan_gradient_through_log_mask(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is not None:
        scores = scores + mask.to(scores.dtype).log()
    weights = scores.softmax(-1)
    return torch.where(weights.isnan(), 0.0, weights) @ value


@mistake("attention.attend", "rows with a hidden key are emptied altogether", see="masks")
def empties_rows_with_any_hidden(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is None:
        return scores.softmax(-1) @ value
    return scores.softmax(-1).masked_fill(~mask.all(-1, keepdim=True), 0.0) @ value


@mistake("attention.attend", "the mask hides queries instead of keys", see="masks")
def hides_queries(query, key, value, mask=None):
    out = scored(query, key).softmax(-1) @ value
    return out if mask is None else out * mask.any(-2).unsqueeze(-1)[..., : query.size(-2), :].to(out.dtype)


OVERFLOW = "exp of a large score overflows: the row's maximum is not subtracted first"


@mistake("attention.attend", OVERFLOW, see="softmax-saturation")
def bare_exponentials(query, key, value, mask=None):
    weights = scored(query, key).exp()
    if mask is not None:
        weights = weights * mask
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / total.clamp(min=1e-300), 0.0) @ value


@mistake("attention.attend", OVERFLOW, see="softmax-saturation")
def smallest_subtracted(query, key, value, mask=None):
    scores = scored(query, key)
    weights = (scores - scores.amin(-1, keepdim=True)).exp()
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-300) @ value


@mistake("attention.attend", "the maximum of the whole tensor is subtracted, so rows far below it vanish")
def global_maximum(query, key, value, mask=None):
    scores = scored(query, key)
    weights = (scores - scores.max()).exp()
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-300) @ value


@mistake("attention.attend", "scores are clipped against overflow", see="softmax-saturation")
def clipped_scores(query, key, value, mask=None):
    return finish(scored(query, key).clamp(-50, 50), value, mask)


@mistake("attention.attend", "the weights are transposed before they meet the values")
def weights_transposed(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is not None:
        scores = scores.masked_fill(~mask, -INF)
    return scores.softmax(-1).nan_to_num(0.0).transpose(-2, -1) @ value


@mistake("attention.attend", "query and key are exchanged: the keys ask the queries")
def query_and_key_exchanged(query, key, value, mask=None):
    return finish(scored(key, query), value, mask)


@mistake("attention.attend", "query and key are exchanged: the keys ask the queries")
def scores_transposed(query, key, value, mask=None):
    return finish(torch.einsum("...tk,...sk->...st", query, key) / math.sqrt(key.size(-1)), value, mask)


@mistake("attention.attend", "keys are returned instead of values")
def mixes_keys(query, key, value, mask=None):
    return finish(scored(query, key), key, mask)


@mistake("attention.attend", "the best key takes all: the look-up is hard, not soft")
def argmax_lookup(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is not None:
        scores = scores.masked_fill(~mask, -INF)
    best = F.one_hot(scores.argmax(-1), key.size(-2)).to(value.dtype)
    return (best if mask is None else best * mask) @ value


@mistake("attention.attend", "vectors are normalised first, so scores are cosines")
def cosine_scores(query, key, value, mask=None):
    scores = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(-2, -1)
    return finish(scores / math.sqrt(query.size(-1)), value, mask)


@mistake("attention.attend", "scores are negative distances between query and key")
def distances(query, key, value, mask=None):
    gap = (query.unsqueeze(-2) - key.unsqueeze(-3)).pow(2).sum(-1)
    return finish(-gap / math.sqrt(query.size(-1)), value, mask)


@mistake("attention.attend", "dropout is applied to the scores, in evaluation too")
def dropout_on_scores(query, key, value, mask=None):
    return finish(F.dropout(scored(query, key), 0.5), value, mask)


@mistake("attention.attend", "dropout is applied to the weights, in evaluation too")
def dropout_on_weights(query, key, value, mask=None):
    weights = scored(query, key)
    if mask is not None:
        weights = weights.masked_fill(~mask, -INF)
    weights = F.dropout(weights.softmax(-1), 0.2)
    return (weights if mask is None else weights.masked_fill(~mask, 0.0)) @ value


@mistake("attention.attend", "the caller's query is divided in place")
def changes_its_query(query, key, value, mask=None):
    with torch.no_grad():
        query /= math.sqrt(query.size(-1))
    return finish(query @ key.transpose(-2, -1), value, mask)


@mistake("attention.attend", "the caller's query is divided in place")
def changes_its_query_behind_autograd(query, key, value, mask=None):
    query.data.div_(math.sqrt(query.size(-1)))
    return finish(query @ key.transpose(-2, -1), value, mask)


@mistake("attention.attend", "the caller's mask is inverted in place", see="masks")
def changes_its_mask(query, key, value, mask=None):
    if mask is None:
        return finish(scored(query, key), value, None)
    out = finish(scored(query, key), value, mask.clone())
    mask.logical_not_()
    return out


@mistake("attention.attend", "the weights are detached, so no gradient reaches query and key")
def detached_weights(query, key, value, mask=None):
    return finish(scored(query, key).detach(), value, mask)


@mistake("attention.attend", "gradients are switched off")
def under_no_grad(query, key, value, mask=None):
    with torch.no_grad():
        return finish(scored(query, key), value, mask)


@mistake("attention.attend", "everything is computed in float32")
def single_precision(query, key, value, mask=None):
    return finish(scored(query.float(), key.float()), value.float(), mask)


@mistake("attention.attend", "everything is computed in float32 and converted back")
def single_precision_inside(query, key, value, mask=None):
    return finish(scored(query.float(), key.float()), value.float(), mask).to(query.dtype)


@mistake("attention.attend", "a small number in the denominator keeps the weights from summing to 1")
def epsilon_in_the_denominator(query, key, value, mask=None):
    scores = scored(query, key)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e30)
    weights = (scores - scores.amax(-1, keepdim=True)).exp()
    if mask is not None:
        weights = weights * mask
    return weights / (weights.sum(-1, keepdim=True) + 1e-6) @ value


@mistake("attention.attend", "heads are not expected: the inputs must have exactly three axes")
def three_axes_only(query, key, value, mask=None):
    scores = torch.bmm(query, key.transpose(1, 2)) / math.sqrt(query.size(-1))
    return finish(scores, value, mask)


@mistake("attention.attend", "the transpose exchanges fixed axes 1 and 2 instead of the last two")
def fixed_axes(query, key, value, mask=None):
    scores = query @ (key.transpose(1, 2) if key.dim() > 2 else key.t()) / math.sqrt(query.size(-1))
    return finish(scores, value, mask)


@mistake("attention.attend", "the result is all zeros")
def zeros(query, key, value, mask=None):
    return torch.zeros(*query.shape[:-1], value.size(-1), dtype=query.dtype, requires_grad=True) + 0 * (
        query.sum() + key.sum() + value.sum()
    )


@mistake("attention.attend", "the query is added to the result: the residual belongs to the block, not here")
def adds_the_query(query, key, value, mask=None):
    out = finish(scored(query, key), value, mask)
    return out + query if query.shape == out.shape else out + query.sum(-1, keepdim=True)


# attention.split_heads -------------------------------------------------------------------------------------------

SCRAMBLED = "the numbers are only regrouped by `view`, so a head mixes features of several positions"


@mistake("attention.split_heads", SCRAMBLED)
def view_only(x, n_heads):
    return x.reshape(*x.shape[:-2], n_heads, x.size(-2), x.size(-1) // n_heads)


@mistake("attention.split_heads", SCRAMBLED)
def regrouped_by_unflatten(x, n_heads):
    length, width = x.shape[-2:]
    return x.flatten(-2).unflatten(-1, (n_heads, length, width // n_heads))


INTERLEAVED = "features are dealt to the heads in turn (0, H, 2H, … to head 0) instead of in slices"


@mistake("attention.split_heads", INTERLEAVED)
def dealt_in_turn(x, n_heads):
    return x.unflatten(-1, (-1, n_heads)).movedim(-1, -3)


@mistake("attention.split_heads", INTERLEAVED)
def strided_slices(x, n_heads):
    return torch.stack([x[..., h::n_heads] for h in range(n_heads)], dim=-3)


@mistake("attention.split_heads", "the axes T and H are not exchanged")
def heads_after_positions(x, n_heads):
    return x.unflatten(-1, (n_heads, -1))


@mistake("attention.split_heads", "the head axis comes first, before the batch")
def heads_before_the_batch(x, n_heads):
    return torch.stack(x.chunk(n_heads, dim=-1))


@mistake("attention.split_heads", "n_heads is taken for the width of a head")
def heads_taken_for_width(x, n_heads):
    return x.unflatten(-1, (-1, n_heads)).transpose(-3, -2)


@mistake("attention.split_heads", "exactly one batch axis is expected")
def one_batch_axis(x, n_heads):
    batch, length, width = x.shape
    return x.reshape(batch, length, n_heads, width // n_heads).transpose(1, 2)


@mistake("attention.split_heads", "axes 1 and 2 are exchanged, counted from the front")
def counted_from_the_front(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)


@mistake("attention.split_heads", "`view` needs contiguous memory and fails on a transposed tensor")
def view_on_any_memory(x, n_heads):
    rows = x.view(-1, n_heads, x.size(-1) // n_heads)
    return rows.view(*x.shape[:-1], *rows.shape[1:]).transpose(-3, -2)


@mistake("attention.split_heads", "the numbers are read in memory order, whatever their strides")
def memory_order(x, n_heads):
    flat = torch.as_strided(x, (x.numel(),), (1,), x.storage_offset())
    return flat.reshape(*x.shape[:-1], n_heads, x.size(-1) // n_heads).transpose(-3, -2)


@mistake("attention.split_heads", "every head gets the first slice")
def first_slice_for_all(x, n_heads):
    return torch.stack([x[..., : x.size(-1) // n_heads]] * n_heads, dim=-3)


@mistake("attention.split_heads", "the heads are in reverse order")
def reversed_heads(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2).flip(-3)


@mistake("attention.split_heads", "the positions are split instead of the features")
def splits_positions(x, n_heads):
    return x.unflatten(-2, (n_heads, -1))


@mistake("attention.split_heads", "heads are laid along the batch axis")
def folded_into_the_batch(x, n_heads):
    return torch.cat(x.chunk(n_heads, dim=-1), dim=0)


@mistake("attention.split_heads", "the last two axes of a head are exchanged")
def width_before_length(x, n_heads):
    return x.unflatten(-1, (n_heads, -1)).movedim(-3, -1)


@mistake("attention.split_heads", "a list of heads is returned instead of one tensor")
def list_of_heads(x, n_heads):
    return list(x.chunk(n_heads, dim=-1))


@mistake("attention.split_heads", "the result is cut off from the graph, so no gradient goes back", visible=False)
def detached_heads(x, n_heads):
    return x.detach().unflatten(-1, (n_heads, -1)).transpose(-3, -2)


# attention.merge_heads -------------------------------------------------------------------------------------------


@mistake("attention.merge_heads", "the heads are joined without exchanging the axes H and T first")
def reshape_only(x):
    return x.reshape(*x.shape[:-3], x.size(-2), x.size(-3) * x.size(-1))


@mistake("attention.merge_heads", "the heads are joined without exchanging the axes H and T first")
def flattened_and_cut(x):
    return x.flatten(-3).unflatten(-1, (x.size(-2), -1))


@mistake("attention.merge_heads", "the features of the heads are interleaved instead of side by side")
def interleaved(x):
    return x.movedim(-3, -1).flatten(-2)


@mistake("attention.merge_heads", "`view` is called on memory that a transpose has left out of order")
def view_after_transpose(x):
    return x.transpose(-3, -2).view(*x.shape[:-3], x.size(-2), -1)


@mistake("attention.merge_heads", "the heads are averaged instead of joined")
def averaged(x):
    return x.mean(-3)


@mistake("attention.merge_heads", "the heads are added instead of joined")
def added(x):
    return x.sum(-3)


@mistake("attention.merge_heads", "only the first head is kept")
def first_head(x):
    return x[..., 0, :, :]


@mistake("attention.merge_heads", "the heads are laid behind one another along the positions")
def along_positions(x):
    return x.flatten(-3, -2)


@mistake("attention.merge_heads", "exactly one batch axis is expected")
def one_batch_axis_to_merge(x):
    batch, heads, length, width = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * width)


@mistake("attention.merge_heads", "axes 1 and 2 are exchanged, counted from the front")
def merged_from_the_front(x):
    return x.transpose(1, 2).flatten(-2)


@mistake("attention.merge_heads", "the heads are in reverse order")
def merged_in_reverse(x):
    return x.flip(-3).transpose(-3, -2).flatten(-2)


@mistake("attention.merge_heads", "the axes are exchanged but not joined")
def not_joined(x):
    return x.transpose(-3, -2)


@mistake("attention.merge_heads", "the numbers are read in memory order, whatever their strides")
def merged_in_memory_order(x):
    flat = torch.as_strided(x, (x.numel(),), (1,), x.storage_offset()).reshape(x.shape)
    return flat.transpose(-3, -2).flatten(-2)


@mistake("attention.merge_heads", "the result is cut off from the graph, so no gradient goes back", visible=False)
def detached_merge(x):
    return x.detach().transpose(-3, -2).flatten(-2)


# attention.MultiHeadAttention ------------------------------------------------------------------------------------

attend, split, merge = reference.attend, reference.split_heads, reference.merge_heads
LAYER = "attention.MultiHeadAttention"


class Wrong(reference.MultiHeadAttention):
    """The right layer in small steps, for mistakes to replace one of them."""

    def project(self, x, source):
        return self.query(x), self.key(source), self.value(source)

    def split(self, x):
        return split(x, self.n_heads)

    def attend(self, query, key, value, mask):
        return attend(query, key, value, mask)

    def merge(self, x):
        return merge(x)

    def finish(self, mixed, x):
        return self.output(mixed)

    def forward(self, x, context=None, mask=None):
        parts = self.project(x, x if context is None else context)
        return self.finish(self.merge(self.attend(*(self.split(part) for part in parts), mask)), x)


NO_OUTPUT = "the output layer is forgotten"


@mistake(LAYER, NO_OUTPUT)
class WithoutOutput(Wrong):
    def finish(self, mixed, x):
        return mixed


@mistake(LAYER, NO_OUTPUT)
class OutputBiasOnly(Wrong):
    def finish(self, mixed, x):
        return mixed if self.output.bias is None else mixed + self.output.bias


@mistake(LAYER, "keys and values share one layer")
class SharedKeyAndValue(Wrong):
    def project(self, x, source):
        return self.query(x), self.key(source), self.key(source)


@mistake(LAYER, "keys and values share one layer")
class SharedValue(Wrong):
    def project(self, x, source):
        return self.query(x), self.value(source), self.value(source)


@mistake(LAYER, "queries and keys share one layer")
class SharedQueryAndKey(Wrong):
    def project(self, x, source):
        return self.query(x), self.query(source), self.value(source)


@mistake(LAYER, "the layers of query and key are exchanged", visible=False)
class ExchangedQueryAndKey(Wrong):
    def project(self, x, source):
        return self.key(x), self.query(source), self.value(source)


@mistake(LAYER, "the values do not pass through their layer")
class RawValues(Wrong):
    def project(self, x, source):
        return self.query(x), self.key(source), source


@mistake(LAYER, "queries and keys do not pass through their layers")
class RawQueriesAndKeys(Wrong):
    def project(self, x, source):
        return x, source, self.value(source)


@mistake(LAYER, "the biases are lost")
class BiasesLost(Wrong):
    def project(self, x, source):
        return x @ self.query.weight.t(), source @ self.key.weight.t(), source @ self.value.weight.t()


@mistake(LAYER, "the biases are lost")
class OutputBiasLost(Wrong):
    def finish(self, mixed, x):
        return F.linear(mixed, self.output.weight)


@mistake(LAYER, "the biases are lost", visible=False)
class QueryBiasLost(Wrong):
    def project(self, x, source):
        return F.linear(x, self.query.weight), self.key(source), self.value(source)


@mistake(LAYER, "a weight is used transposed, as x @ W instead of x @ Wᵀ")
class TransposedWeights(Wrong):
    def project(self, x, source):
        weights = (self.query, self.key, self.value)
        return tuple(
            one @ layer.weight + (0 if layer.bias is None else layer.bias)
            for one, layer in zip((x, source, source), weights, strict=True)
        )


@mistake(LAYER, "a weight is used transposed, as x @ W instead of x @ Wᵀ")
class TransposedOutput(Wrong):
    def finish(self, mixed, x):
        out = mixed @ self.output.weight
        return out if self.output.bias is None else out + self.output.bias


HEADS_SCRAMBLED = "the heads are cut with `view` alone, so a head mixes features of several positions"


@mistake(LAYER, HEADS_SCRAMBLED, see="heads")
class HeadsByView(Wrong):
    def split(self, x):
        return view_only(x, self.n_heads)

    def merge(self, x):
        return reshape_only(x)


@mistake(LAYER, HEADS_SCRAMBLED, see="heads")
class SplitByView(Wrong):
    def split(self, x):
        return view_only(x, self.n_heads)


@mistake(LAYER, "the heads are merged without exchanging the axes H and T first", see="heads")
class MergedByReshape(Wrong):
    def merge(self, x):
        return reshape_only(x)


@mistake(LAYER, "features are dealt to the heads in turn instead of in slices", see="heads")
class InterleavedHeads(Wrong):
    def split(self, x):
        return dealt_in_turn(x, self.n_heads)

    def merge(self, x):
        return interleaved(x)


@mistake(LAYER, "there is only one head, as wide as the model", see="heads")
class OneHead(Wrong):
    def split(self, x):
        return split(x, 1)


@mistake(LAYER, "there is only one head, as wide as the model", see="heads")
class NoHeadsAtAll(nn.Module):
    def __init__(self, d_model, n_heads, bias=True):
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(d_model, d_model, bias=bias) for _ in range(4))

    def forward(self, x, context=None, mask=None):
        source = x if context is None else context
        if mask is not None and mask.dim() == 4:
            mask = mask[:, 0]
        return self.output(attend(self.query(x), self.key(source), self.value(source), mask))


@mistake(LAYER, "the heads attend to one another at each position instead of the positions to one another")
class AttendsOverHeads(Wrong):
    def split(self, x):
        return x.unflatten(-1, (self.n_heads, -1))

    def attend(self, query, key, value, mask):
        return attend(query, key, value)

    def merge(self, x):
        return x.flatten(-2)


@mistake(LAYER, "the batch axis is taken for the positions")
class BatchForPositions(Wrong):
    def split(self, x):
        return split(x.transpose(0, 1), self.n_heads)

    def merge(self, x):
        return merge(x).transpose(0, 1)


@mistake(LAYER, "every head works with the first slice", see="heads")
class FirstSliceForAll(Wrong):
    def split(self, x):
        return first_slice_for_all(x, self.n_heads)


@mistake(LAYER, "the heads' results are averaged, not joined", see="heads")
class AveragedHeads(Wrong):
    def merge(self, x):
        return x.mean(1).repeat(1, 1, self.n_heads)


SCALED_WRONG = "the scores are divided by √D, the model's width, instead of √K, a head's"


@mistake(LAYER, SCALED_WRONG, see="heads")
class ScaledByModelWidth(Wrong):
    def attend(self, query, key, value, mask):
        return attend(query / math.sqrt(self.n_heads), key, value, mask)


@mistake(LAYER, SCALED_WRONG, see="heads")
class ScaledByModelWidthInFull(Wrong):
    def attend(self, query, key, value, mask):
        scores = query @ key.transpose(-2, -1) * (self.n_heads * query.size(-1)) ** -0.5
        return finish(scores, value, mask)


@mistake(LAYER, "the scores are not divided by √K")
class Unscaled(Wrong):
    def attend(self, query, key, value, mask):
        return attend(query * math.sqrt(query.size(-1)), key, value, mask)


@mistake(LAYER, "the scores are divided twice, here and in `attend`")
class ScaledTwice(Wrong):
    def attend(self, query, key, value, mask):
        return attend(query / math.sqrt(query.size(-1)), key, value, mask)


@mistake(LAYER, "the mask is ignored", see="masks")
class MaskIgnored(Wrong):
    def attend(self, query, key, value, mask):
        return attend(query, key, value)


@mistake(LAYER, "the mask is always causal, asked for or not", see="masks")
class AlwaysCausal(Wrong):
    def attend(self, query, key, value, mask):
        causal = torch.ones(query.size(-2), key.size(-2), dtype=torch.bool).tril()
        return attend(query, key, value, causal if mask is None else mask & causal)


@mistake(LAYER, "the mask is upside down", see="masks")
class MaskUpsideDown(Wrong):
    def attend(self, query, key, value, mask):
        return attend(query, key, value, None if mask is None else ~mask)


@mistake(LAYER, "the mask is applied to the first head only", see="masks")
class MaskForFirstHeadOnly(Wrong):
    def attend(self, query, key, value, mask):
        if mask is None:
            return attend(query, key, value)
        full = mask.expand(*query.shape[:-1], key.size(-2)).clone()
        full[:, 1:] = True
        return attend(query, key, value, full)


@mistake(LAYER, "every batch entry gets the mask of the first", see="masks")
class MaskOfFirstEntry(Wrong):
    def attend(self, query, key, value, mask):
        return attend(query, key, value, mask[:1] if mask is not None and mask.dim() == 4 else mask)


@mistake(LAYER, "the mask is kept from the first call", see="masks")
class MaskRemembered(Wrong):
    def attend(self, query, key, value, mask):
        if mask is not None:
            self.kept = getattr(self, "kept", mask)
        return attend(query, key, value, getattr(self, "kept", None))


CONTEXT_IGNORED = "the context is ignored: keys and values come from x"


@mistake(LAYER, CONTEXT_IGNORED)
class ContextIgnored(Wrong):
    def forward(self, x, context=None, mask=None):
        return super().forward(x, None, mask)


@mistake(LAYER, "queries come from the context, and x answers")
class QueriesFromContext(Wrong):
    def project(self, x, source):
        return self.query(source), self.key(x), self.value(x)


@mistake(LAYER, "the values come from x instead of the context")
class ValuesFromX(Wrong):
    def project(self, x, source):
        return self.query(x), self.key(source), self.value(x)


@mistake(LAYER, "the keys come from x instead of the context")
class KeysFromX(Wrong):
    def project(self, x, source):
        return self.query(x), self.key(x), self.value(source)


@mistake(LAYER, "queries come from the context too")
class AllFromContext(Wrong):
    def project(self, x, source):
        return self.query(source), self.key(source), self.value(source)


@mistake(LAYER, "the context of the first call is kept")
class ContextRemembered(Wrong):
    def forward(self, x, context=None, mask=None):
        if context is not None:
            self.kept = context
        return super().forward(x, getattr(self, "kept", None), mask)


@mistake(LAYER, "x is attached to the context as further keys")
class XJoinsTheContext(Wrong):
    def forward(self, x, context=None, mask=None):
        joined = None if context is None else torch.cat([context, x], dim=1)
        if mask is not None and joined is not None:
            mask = F.pad(mask, (0, x.size(1)), value=True)
        return super().forward(x, joined, mask)


@mistake(LAYER, "x is added to the result: the residual belongs to the block, not here")
class AddsResidual(Wrong):
    def finish(self, mixed, x):
        return x + self.output(mixed)


@mistake(LAYER, "the weights are set to zero and zeros come back")
class ZeroesItsWeights(Wrong):
    def forward(self, x, context=None, mask=None):
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
        return super().forward(x, context, mask)


@mistake(LAYER, "the weights are set to zero and zeros come back")
class RefusesWeights(Wrong):
    def load_state_dict(self, state_dict, *args, **kwargs):
        return super().load_state_dict({k: torch.zeros_like(v) for k, v in state_dict.items()}, *args, **kwargs)


@mistake(LAYER, "the weights are set to zero and zeros come back")
class ReturnsZeros(Wrong):
    def forward(self, x, context=None, mask=None):
        return 0 * super().forward(x, context, mask)


@mistake(LAYER, "new weights are drawn at every call")
class DrawsAnew(Wrong):
    def project(self, x, source):
        for layer in (self.query, self.key, self.value):
            layer.reset_parameters()
        return super().project(x, source)


@mistake(LAYER, "the values are detached, so the layer cannot learn", visible=False)
class DetachedValues(Wrong):
    def attend(self, query, key, value, mask):
        return attend(query, key, value.detach(), mask)


@mistake(LAYER, "the inputs are detached, so layers below cannot learn", visible=False)
class DetachedInputs(Wrong):
    def forward(self, x, context=None, mask=None):
        return super().forward(x.detach(), None if context is None else context.detach(), mask)


@mistake(LAYER, "dropout is active in evaluation too")
class DropoutAlways(Wrong):
    def finish(self, mixed, x):
        return self.output(F.dropout(mixed, 0.1))


@mistake(LAYER, "x is changed in place")
class ChangesX(Wrong):
    def forward(self, x, context=None, mask=None):
        out = super().forward(x, context, mask)
        x.data.add_(1)
        return out


@mistake(LAYER, "the batch size of the first call is expected for ever", visible=False)
class FixedBatch(Wrong):
    def forward(self, x, context=None, mask=None):
        self.batch = getattr(self, "batch", x.size(0))
        out = super().forward(x, context, mask)
        return out.reshape(self.batch, -1, x.size(-1))


@mistake(LAYER, "the result loses its batch axis when the batch has one entry")
class Squeezed(Wrong):
    def finish(self, mixed, x):
        return self.output(mixed).squeeze(0)


@mistake(LAYER, "a position that may look nowhere gives NaN", see="masks")
class NanOnEmptyRows(Wrong):
    def attend(self, query, key, value, mask):
        return nan_on_empty_rows(query, key, value, mask)


@mistake(LAYER, "a position that may look nowhere gets the mean of all values", see="masks")
class MeanOnEmptyRows(Wrong):
    def attend(self, query, key, value, mask):
        return large_negative_fill(query, key, value, mask)
