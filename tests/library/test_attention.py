"""What the exercises' checks leave out of attention: errors, the given mask, and the chapter's own claims."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlib import attention


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: attention.causal_mask(0), "length must be at least 1, got 0"),
        (lambda: attention.causal_mask(2, -1), "offset must not be negative, got -1"),
        (lambda: attention.padding_mask(torch.tensor([3, 5]), 4), r"size = 4, got \[3, 5\]"),
        (lambda: attention.padding_mask(torch.tensor([-1]), 4), r"between 0 and size = 4, got \[-1\]"),
        (lambda: attention.attend(*(torch.zeros(2, w) for w in (3, 4, 4))), "same width, got 3 and 4"),
        (lambda: attention.attend(*[torch.zeros(2, 3)] * 3, torch.zeros(2, 2)), "mask must be boolean"),
        (lambda: attention.split_heads(torch.zeros(2, 6), 4), "divide the width 6, got 4"),
        (lambda: attention.split_heads(torch.zeros(2, 6), 0), "at least 1"),
        (lambda: attention.MultiHeadAttention(6, 4), "divide d_model = 6, got 4"),
        (lambda: attention.MultiHeadAttention(6, -1), "at least 1"),
    ],
)
def test_errors_name_argument_rule_and_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_padding_mask():
    mask = attention.padding_mask(torch.tensor([2, 0, 3]), 3)
    assert mask.shape == (3, 1, 1, 3)
    assert mask[:, 0, 0].tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert (attention.causal_mask(3) & mask).shape == (3, 1, 3, 3)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**31))
def test_padding_changes_nothing_for_what_is_real(n_heads, length, extra, seed):
    """A sequence gives the same alone as padded with noise under a mask: keys of the padding have no say."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    layer = attention.MultiHeadAttention(n_heads * 3, n_heads).double()
    x = torch.randn(1, length, n_heads * 3, generator=generator, dtype=torch.float64)
    padding = torch.randn(1, extra, n_heads * 3, generator=generator, dtype=torch.float64)
    mask = attention.causal_mask(length + extra) & attention.padding_mask(torch.tensor([length]), length + extra)
    padded = layer(torch.cat([x, padding], dim=1), mask=mask)[:, :length]
    torch.testing.assert_close(padded, layer(x, mask=attention.causal_mask(length)))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 2**31))
def test_token_by_token_equals_all_at_once(length, width, seed):
    """The offset of the causal mask is what a cache of keys and values needs."""
    x = torch.randn(length, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    whole = attention.attend(x, x, x, attention.causal_mask(length))
    steps = [attention.attend(x[t : t + 1], x[: t + 1], x[: t + 1], attention.causal_mask(1, t)) for t in range(length)]
    torch.testing.assert_close(torch.cat(steps), whole)


def test_widths_that_fit_the_robot():
    """Independent of the chapter's code: every width from 14 to 20 and no other rounds to the printed weights."""
    rows = [([0.11], [100]), ([0.19, 0.50], [48, 52]), ([0.53, 0.98, 0.95], [31, 35, 34])]
    rows.append(([0.81, 0.86, 0.38, 0.90], [25, 26, 23, 26]))

    def percent(row, width):
        powers = [math.exp(x / math.sqrt(width)) for x in row]
        return [round(100 * p / sum(powers)) for p in powers]

    fitting = [width for width in range(1, 2000) if all(percent(row, width) == printed for row, printed in rows)]
    assert fitting == list(range(14, 21))
