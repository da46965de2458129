"""What learners see checked of attention: numbers that can be worked out on paper."""
import math

import torch
from torch import Tensor

from autograder.calls import in_turn, loaded
from autograder.checks import checks, same
from autograder.inputs import boolean, real

LN3 = math.log(3)


@checks("attention.causal_mask")
def every_position_sees_itself_and_the_past(causal_mask):
    """Position t may look at positions 0 … t and at no later one."""
    expected = boolean([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    same(causal_mask(3), expected, "Row t (a query) must be True up to and including column t, then False.")


@checks("attention.causal_mask")
def earlier_keys_are_all_visible(causal_mask):
    """With an offset, the keys of earlier positions come first and every query sees them."""
    expected = boolean([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    hint = "With offset 3 there are 3 + 2 keys, and the two queries are positions 3 and 4."
    same(causal_mask(2, offset=3), expected, hint)
    same(causal_mask(1, 2), boolean([[1, 1, 1]]), "One new query after two cached keys sees all three keys.")


@checks("attention.causal_mask")
def any_length_works(causal_mask):
    """A mask is as large as asked for, down to one position."""
    one, four = in_turn(causal_mask, (1,), (4, 0))
    same(one, boolean([[1]]), "A single position sees itself.")
    expected = boolean([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    same(four, expected, "Build the mask for the length that was asked for.")


@checks("attention.attend")
def equal_scores_give_the_mean(attend):
    """A query that matches all keys alike gets the plain mean of the values."""
    key = real([[1, 2], [3, 4], [5, 6]])
    value = real([[0, 1], [3, 1], [9, 1]])
    hint = "A zero query must weigh all three keys alike: is the softmax over the keys (the last axis)?"
    same(attend(torch.zeros(2, 2).double(), key, value), real([[4, 1], [4, 1]]), hint)


@checks("attention.attend")
def scores_are_divided_by_the_root_of_the_width(attend):
    """Scores are query · key, divided by the square root of the width of a key."""
    query = real([[2 * LN3, 0, 0, 0], [4 * LN3, 0, 0, 0], [0, 5, 0, 0]])
    key = real([[1, 0, 0, 0], [0, 0, 1, 0]])
    value = real([[4, 0, 0, 0, 1], [0, 4, 0, 0, 1]])
    hint = (
        "Width 4, so the raw scores 2·ln 3 and 0 become ln 3 and 0, and the weights 3/4 and 1/4. "
        "What do you divide by, and do you divide?"
    )
    expected = real([[3, 1, 0, 0, 1], [3.6, 0.4, 0, 0, 1], [2, 2, 0, 0, 1]])
    same(attend(query, key, value), expected, hint)


@checks("attention.attend")
def the_query_asks_and_the_key_answers(attend):
    """Row t of the output belongs to query t; weights run over the keys."""
    query = real([[LN3], [0]])
    key = real([[1], [0]])
    value = real([[4, 0], [0, 8]])
    hint = "Query 0 scores ln 3 and 0 (weights 3/4, 1/4); query 1 scores 0 and 0 (weights 1/2, 1/2)."
    same(attend(query, key, value), real([[3, 2], [2, 4]]), hint)


@checks("attention.attend")
def a_hidden_key_has_no_weight(attend):
    """A key behind the mask gets weight 0, and the weights of the others still sum to 1."""
    query = real([[-LN3], [-LN3]])
    key = real([[1], [0], [2]])
    value = real([[1, 4], [1, 8], [1, 100]])
    mask = boolean([[1, 1, 0], [0, 1, 0]])
    hint = (
        "Hidden keys get the score −∞ BEFORE the softmax. Query 0 is left with the scores −ln 3 and 0: weights 1/4 "
        "and 3/4. The mask is True where a query MAY look."
    )
    same(attend(query, key, value, mask), real([[1, 7], [1, 8]]), hint)


@checks("attention.attend")
def heads_and_batch_share_a_mask(attend):
    """One mask of shape (T, S) serves every batch entry and every head, each with its own numbers."""
    query = real([[[1, 0, 0, 0], [2, 0, 0, 0]], [[0, 0, 0, 0], [2, 0, 0, 0]], [[4, 0, 0, 0], [0, 0, 0, 0]]])[None] * LN3
    key = real([[1, 0, 0, 0], [0, 1, 0, 0]]).expand(1, 3, 2, 4)
    value = real([[[4], [0]], [[8], [0]], [[0], [4]]])[None]
    hint = "With 3 heads of width 4 the scores are still divided by √4: the width of ONE head."
    expected = real([[[4], [3]], [[8], [6]], [[0], [2]]])[None]
    same(attend(query, key, value, boolean([[1, 0], [1, 1]])), expected, hint)


@checks("attention.attend")
def a_query_that_may_look_nowhere_gets_zeros(attend):
    """A row of the mask without any True gives zeros and gradients of zero, never NaN."""
    query = real([[1], [1]]).requires_grad_()
    key = real([[0], [0]]).requires_grad_()
    value = real([[2], [6]]).requires_grad_()
    out = attend(query, key, value, boolean([[1, 1], [0, 0]]))
    same(out, real([[4], [0]]), "The softmax of nothing but −∞ is 0/0: give that row zeros afterwards.")
    gradients = list(torch.autograd.grad(out.sum(), [query, key, value]))
    hint = "The output is right, but its gradient is not: the empty row must not send NaN (or anything) back."
    same(gradients, [real([[0], [0]]), real([[-1], [1]]), real([[0.5], [0.5]])], hint)


@checks("attention.attend")
def large_scores_do_not_overflow(attend):
    """Scores of ten thousand work: the largest wins."""
    query, key, value = real([[100], [-100]]), real([[100], [99], [0]]), real([[1], [2], [3]])
    hint = (
        "Scores 10000, 9900, 0 and −10000, −9900, 0. exp(10000) is infinite: use torch's softmax, or subtract the "
        "largest score of each row first."
    )
    same(attend(query, key, value), real([[1], [3]]), hint)


@checks("attention.split_heads")
def a_head_is_a_slice_of_the_features(split_heads):
    """Head h holds the features h·K … (h + 1)·K − 1 of every position."""
    x = torch.arange(12).double().reshape(1, 2, 6)  # position 0 is 0 … 5, position 1 is 6 … 11
    three_heads, two_heads = in_turn(split_heads, (x, 3), (x, 2))
    expected = real([[[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]]])
    hint = "Cut the LAST axis into heads first, (T, H, K), and only then exchange the axes T and H."
    same(three_heads, expected, hint)
    expected = real([[[[0, 1, 2], [6, 7, 8]], [[3, 4, 5], [9, 10, 11]]]])
    same(two_heads, expected, "Two heads of width 3: n_heads is the number of heads, not their width.")


@checks("attention.split_heads")
def any_number_of_batch_axes(split_heads):
    """Whatever axes come before (T, D) stay in front; memory order does not matter."""
    x = real([[1, 2, 3, 4], [5, 6, 7, 8]])
    deep = torch.stack([x, x + 10])[:, None]
    turned = deep.transpose(0, 3).contiguous().transpose(0, 3)
    from_x, from_deep, from_turned = in_turn(split_heads, (x, 2), (deep, 2), (turned, 2))
    expected = real([[[1, 2], [5, 6]], [[3, 4], [7, 8]]])
    same(from_x, expected, "Without a batch axis (T, D) becomes (H, T, K).")
    expected = torch.stack([expected, expected + 10])[:, None]
    same(from_deep, expected, "Two batch axes, (2, 1, T, D), become (2, 1, H, T, K).")
    same(from_turned, expected, "The same numbers in another memory order (a transposed tensor).")


@checks("attention.merge_heads")
def heads_lie_side_by_side_again(merge_heads):
    """Every position gets the slices of its heads side by side, in order."""
    x = real([[[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]]])
    expected = torch.arange(12).double().reshape(1, 2, 6)
    hint = "Bring each position's heads together first, (T, H, K), and only then join the last two axes."
    same(merge_heads(x), expected, hint)


@checks("attention.merge_heads")
def any_number_of_batch_axes_merged(merge_heads):
    """Whatever axes come before (H, T, K) stay in front; memory order does not matter."""
    x = real([[[1, 2], [5, 6]], [[3, 4], [7, 8]]])
    turned = x.transpose(0, 2).contiguous().transpose(0, 2)
    deep = torch.stack([x, x + 10])[:, None]
    from_x, from_turned, from_deep = in_turn(merge_heads, (x,), (turned,), (deep,))
    expected = real([[1, 2, 3, 4], [5, 6, 7, 8]])
    same(from_x, expected, "Without a batch axis (H, T, K) becomes (T, D).")
    same(from_turned, expected, "Another memory order.")
    expected = torch.stack([expected, expected + 10])[:, None]
    same(from_deep, expected, "Two batch axes, (2, 1, H, T, K), become (2, 1, T, D).")


def layer_of(MultiHeadAttention, n_heads: int, **weights: Tensor):
    """A float64 layer with these weights; what is not given is the identity, and biases are 0."""
    width, state = next(iter(weights.values())).size(-1), {}
    for name in ("query", "key", "value", "output"):
        state[f"{name}.weight"] = weights.get(name, torch.eye(width).double())
        state[f"{name}.bias"] = weights.get(f"{name}_bias", torch.zeros(width).double())
    return loaded(MultiHeadAttention, state, width, n_heads)


@checks("attention.MultiHeadAttention")
def all_four_layers_are_used(MultiHeadAttention):
    """Values pass through `value`, the result through `output`, weights and biases alike."""
    layer = layer_of(
        MultiHeadAttention, 1,
        query=real([[0, 0], [0, 0]]), key=real([[3, 0], [0, 5]]),
        value=real([[2, 0], [1, 1]]), value_bias=real([1, 0]),
        output=real([[0, 1], [2, 0]]), output_bias=real([0, 10]),
    )
    x = real([[[1, 2], [3, 6]]])
    hint = (
        "All queries are 0 here, so every position gets the mean of the values. The mean of x is (2, 4), which "
        "`value` turns into (2·2 + 1, 2 + 4) = (5, 6), and `output` turns that into (6, 2·5 + 10)."
    )
    same(layer(x), real([[[6, 20], [6, 20]]]), hint)


@checks("attention.MultiHeadAttention")
def heads_look_at_different_places(MultiHeadAttention):
    """Each head compares its own slice of the features and fetches its own slice of the values."""
    layer = layer_of(MultiHeadAttention, 2, query=1000 * torch.eye(4).double())
    x = real([[[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1]]])
    context = real([[[3, 0, 0, 5], [0, 4, 6, 0]]])
    hint = (
        "Head 0 works with features 0 and 1, head 1 with features 2 and 3. Query 0 asks (1, 0) in both: head 0 finds "
        "position 0 and brings (3, 0), head 1 finds position 1 and brings (6, 0)."
    )
    expected = real([[[3, 0, 6, 0], [0, 4, 0, 5], [3, 0, 0, 5]]])
    same(layer(x, context=context), expected, hint)


@checks("attention.MultiHeadAttention")
def queries_come_from_x_and_the_rest_from_the_context(MultiHeadAttention):
    """Cross-attention: T positions of `x` ask, S positions of `context` answer, each batch entry for itself."""
    layer = layer_of(MultiHeadAttention, 1, query=LN3 * torch.eye(1).double(), output_bias=real([1]))
    x = real([[[1], [0]], [[0], [1]]])
    context = real([[[0], [1], [1]], [[4], [2], [0]]])
    hint = "Batch 0, query 0: scores 0, ln 3, ln 3, weights 1/7, 3/7, 3/7, mean 6/7; then the output bias 1."
    weights = [81 / 91, 9 / 91, 1 / 91]
    expected = real([[[1 + 6 / 7], [1 + 2 / 3]], [[1 + 2], [1 + 4 * weights[0] + 2 * weights[1]]]])
    across, own = in_turn(layer, (x, context), (x,))
    same(across, expected, hint)
    expected = real([[[1 + 3 / 4], [1 + 1 / 2]], [[1 + 1 / 2], [1 + 3 / 4]]])
    same(own, expected, "Without a context the keys and values come from x itself; nothing is hidden.")


@checks("attention.MultiHeadAttention")
def scores_are_scaled_by_one_heads_width(MultiHeadAttention):
    """Scores are divided by the square root of one head's width, not of the whole model's."""
    eye = torch.eye(8).double()
    layer = layer_of(MultiHeadAttention, 2, query=2 * eye, key=LN3 * eye)
    x = real([[[1, 0, 0, 0, 0, 1, 0, 0]]])
    context = real([[[1, 0, 0, 0, 0, 0, 0, 0], [0, 4, 0, 0, 0, 1, 0, 4]]])
    hint = "Two heads of width 4: raw scores 2·ln 3 and 0 become ln 3 and 0, weights 3/4 and 1/4."
    same(layer(x, context=context), real([[[0.75, 1, 0, 0, 0, 0.75, 0, 3]]]), hint)


@checks("attention.MultiHeadAttention")
def the_mask_reaches_every_head(MultiHeadAttention):
    """A mask hides the same keys in every head; masks with a batch or a head axis work too."""
    layer = layer_of(MultiHeadAttention, 2, query=torch.zeros(2, 2).double())
    x = real([[[2, 20], [4, 40], [9, 90]], [[0, 10], [8, 30], [1, 80]]])
    causal = boolean([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    padding = boolean([[1, 1, 0], [1, 0, 0]])[:, None, None, :]
    by_head = torch.stack([causal, ~causal])
    masks = [causal, causal & padding, by_head, None]
    past, real_past, heads, everything = in_turn(layer, *[(x, None, mask) for mask in masks])
    hint = "Equal scores and a causal mask: position t gets the mean of positions 0 … t."
    means = real([[[2, 20], [3, 30], [5, 50]], [[0, 10], [4, 20], [3, 40]]])
    same(past, means, hint)
    expected = real([[[2, 20], [3, 30], [3, 30]], [[0, 10], [0, 10], [0, 10]]])
    same(real_past, expected, "Causal and padding together: batch 1 has one real position.")
    expected = real([[[2, 65], [3, 90], [5, 0]], [[0, 55], [4, 80], [3, 0]]])
    same(heads, expected, "A mask of shape (H, T, S) hides different keys in different heads.")
    means = real([[[5, 50]] * 3, [[3, 40]] * 3])
    same(everything, means, "Without a mask nothing is hidden, not even the future.")
