"""The n-gram module beyond its exercises: errors, given helpers, and the chapter's bug hunt."""
import math
import re

import pytest
import torch

from gptlib import ngram
from tests.conftest import ROOT

WORD = ["abracadabra"]
TABLES = [ngram.count(WORD, n) for n in (1, 2, 3)]
LETTERS = ngram.vocabulary(WORD)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ngram.count(WORD, 0), "n must be at least 1, got 0"),
        (lambda: ngram.count("abracadabra", 2), "documents must be a list of strings"),
        (lambda: ngram.probability([], "a", LETTERS), "tables must hold at least one"),
        (lambda: ngram.probability(TABLES, "a", ""), "vocabulary must hold at least one token"),
        (lambda: ngram.probability(TABLES, "a", "aba"), "none twice, got 'aba'"),
        (lambda: ngram.probability(TABLES, "a", LETTERS, k=-1), "k must be a number not less than 0, got -1"),
        (lambda: ngram.probability(TABLES, "a", LETTERS, k=math.nan), "k must be"),
        (lambda: ngram.probability(TABLES, "a", LETTERS, weights=[0.5, 0.5]), "weights must be 3 numbers"),
        (lambda: ngram.probability(TABLES, "a", LETTERS, weights=[0.5, 0.5, 0.5]), "sum to 1"),
        (lambda: ngram.probability(TABLES, "a", LETTERS, weights=[1.5, -0.5, 0.0]), "none negative"),
        (lambda: ngram.perplexity(ngram.model(TABLES, LETTERS), "", LETTERS), "text must hold at least one token"),
        (lambda: ngram.perplexity(ngram.model(TABLES, LETTERS), "axe", LETTERS), "got 'ex', which it lacks"),
        (lambda: ngram.sample(ngram.model(TABLES, LETTERS), LETTERS, -1), "length must not be negative, got -1"),
    ],
)
def test_errors_name_argument_rule_and_value(call, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        call()


def test_vocabulary_is_sorted_and_distinct():
    assert ngram.vocabulary(["banana", "", "cab\n"]) == "\nabcn"
    assert ngram.vocabulary([]) == ""


@pytest.mark.parametrize("weights", [None, [0.2, 0.3, 0.5]])
def test_a_model_answers_as_probability_does_whatever_was_asked_before(weights):
    predict = ngram.model(TABLES, LETTERS, 0.1, weights)
    for context in ("", "a", "ra", "cabra", "zzz", "ra", "a"):
        assert torch.equal(predict(context), ngram.probability(TABLES, context, LETTERS, 0.1, weights))


def test_by_order_gives_the_probabilities_that_single_orders_give():
    estimates = ngram.by_order(TABLES, "cabra", LETTERS, 0.5)
    for m in (1, 2, 3):
        perplexity = ngram.perplexity(ngram.model(TABLES[:m], LETTERS, 0.5), "cabra", LETTERS)
        assert math.isclose(2 ** -estimates[:, m - 1].log2().mean().item(), perplexity)


def test_fitted_weights_are_better_than_any_others_on_a_grid():
    text = "cabarabadabraca"
    estimates = ngram.by_order(TABLES, text, LETTERS, 0.2)
    fitted = ngram.fit_weights(estimates, steps=500)
    assert math.isclose(sum(fitted), 1) and min(fitted) >= 0

    def bits(weights):
        return -(estimates @ torch.tensor(weights, dtype=torch.float64)).log2().mean().item()

    grid = [(i / 20, j / 20, 1 - (i + j) / 20) for i in range(21) for j in range(21 - i)]
    assert bits(fitted) <= min(bits(weights) for weights in grid) + 1e-6


def test_the_bug_hunt_can_be_won():
    """The chapter's own answer tells the broken function from the right one; the test it starts with does not."""
    text = (ROOT / "chapters/01_ngram.md").read_text(encoding="utf-8")
    start = text.index("def broken_count")
    names: dict = {}
    exec(text[start : text.index("```", start)], names)
    broken, first = names["broken_count"], names["my_test"]
    first(ngram.count)
    first(broken)
    answer = text.index("```python\ndef my_test")
    exec(text[answer + len("```python\n") : text.index("```", answer + 3)], names)
    names["my_test"](ngram.count)
    with pytest.raises(AssertionError):
        names["my_test"](broken)
