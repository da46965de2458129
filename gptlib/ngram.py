"""N-gram language models: count what followed each context, and predict the next token from the counts.

A language model, here and in every later chapter, is a function `predict(context)` that gives the probability
of each token of the vocabulary. `perplexity` and `sample` ask for nothing else, so they serve any model. Tokens
are characters: a context and a document are strings, and so is the vocabulary, whose order is that of the
probabilities.

Axes:
    V: vocabulary
    T: positions of a text; in attention, of the queries
    N: orders, from 1 to the longest
"""
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Counts = dict[str, dict[str, int]]
LanguageModel = Callable[[str], Tensor]  # takes a context, gives the (V,) probabilities of the next token


def vocabulary(documents: Sequence[str]) -> str:
    """Collect the distinct characters of some documents, sorted (given; no exercise)."""
    return "".join(sorted(set().union(*documents)))


def count(documents: Sequence[str], n: int) -> Counts:
    """Count the n-grams of some documents: which token followed each context of n − 1 tokens, how often.

    An n-gram lies inside one document: the last tokens of a document are no context for the first of the next.

    Args:
        documents: strings; those shorter than n tokens hold no n-gram.
        n: number of tokens in an n-gram, the predicted one included; at least 1.

    Returns:
        A dict from context (n − 1 characters, so `""` alone for n = 1) to a dict from next token to its count.
        What was never seen has no entry: no count is 0.

    Raises:
        ValueError: `n` is less than 1, or `documents` is one string.

    Source:
        Shannon 1948, "A Mathematical Theory of Communication", section 3; Jurafsky and Martin, "Speech and
        Language Processing", chapter "N-gram Language Models".
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if isinstance(documents, str):
        raise ValueError(f"documents must be a list of strings, got one string of {len(documents)} characters")
    # YOUR CODE HERE
    raise NotImplementedError("ngram.count")


def probability(
    tables: Sequence[Counts],
    context: str,
    vocabulary: str,
    k: float = 0.0,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """Estimate the probability of every token of the vocabulary after a context.

    Order m looks at the last m − 1 tokens c of the context. If `tables[m - 1]` has seen c, its estimate is add-k,
    (C(cw) + k) / (C(c) + kV), where C(c) is the sum of the counts after c. If not, order m has nothing of its
    own to say and repeats the estimate of order m − 1; below order 1 stands the uniform 1/V. The result is
    the mean of the estimates of orders 1 … n, weighted by `weights`.

    Args:
        tables: `count(documents, m)` for m = 1 … n, in this order; at least one.
        context: the tokens before, any number of them; order m ignores all but the last m − 1.
        vocabulary: the V distinct tokens; holds every token of the tables.
        k: what is added to each count, at least 0; 0 gives maximum likelihood.
        weights: n numbers, at least 0, that sum to 1: the weight of order m is `weights[m - 1]`. None gives
            all weight to order n.

    Returns:
        (V,) probabilities in the order of `vocabulary`, float64; they sum to 1.

    Raises:
        ValueError: no table, a vocabulary that is empty or repeats a token, a negative `k`, or `weights` that
            break their rule.

    Source:
        Jelinek and Mercer 1980, "Interpolated estimation of Markov source parameters from sparse data"; Chen
        and Goodman 1999, "An empirical study of smoothing techniques for language modeling", section 2.
    """
    weights = check_estimate(tables, vocabulary, k, weights)
    # YOUR CODE HERE
    raise NotImplementedError("ngram.probability")


def check_estimate(
    tables: Sequence[Counts], vocabulary: str, k: float, weights: Sequence[float] | None
) -> list[float]:
    """Check the arguments of `probability` and return its weights as a list (given; no exercise).

    Raises:
        ValueError: see `probability`.
    """
    if not tables:
        raise ValueError(f"tables must hold at least one table of counts, got {tables!r}")
    if not vocabulary or len(set(vocabulary)) < len(vocabulary):
        raise ValueError(f"vocabulary must hold at least one token and none twice, got {vocabulary!r}")
    if not (k >= 0 and math.isfinite(k)):
        raise ValueError(f"k must be a number not less than 0, got {k}")
    if weights is None:
        return [0.0] * (len(tables) - 1) + [1.0]
    if len(weights) != len(tables) or min(weights) < 0 or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise ValueError(
            f"weights must be {len(tables)} numbers (one a table), none negative, that sum to 1; got {list(weights)}"
        )
    return list(weights)


def perplexity(predict: LanguageModel, text: str, vocabulary: str, context: str = "") -> float:
    """Measure how surprised a model is by a text: 2 to the power of its cross-entropy in bits per token.

    Each token of the text is predicted from all that stands before it: `context`, then the earlier tokens of the
    text. The tokens of `context` are not scored.

    Args:
        predict: the model; gives the (V,) probabilities of the token after a context.
        text: the tokens to score, at least one, all in the vocabulary.
        vocabulary: the V tokens, in the order of the probabilities.
        context: tokens that stand before the text.

    Returns:
        The perplexity, a float from 1 (every token foretold with certainty) to infinity (some token had
        probability 0). Its base-2 logarithm is the cross-entropy: with characters as tokens, bits per character.

    Raises:
        ValueError: `text` is empty or holds a token that is not in the vocabulary.

    Source:
        Shannon 1951, "Prediction and Entropy of Printed English"; Jelinek, Mercer, Bahl and Baker 1977,
        "Perplexity: a measure of the difficulty of speech recognition tasks".
    """
    check_text(text, vocabulary)
    # YOUR CODE HERE
    raise NotImplementedError("ngram.perplexity")


def check_text(text: str, vocabulary: str) -> None:
    """Check that a text can be scored (given; no exercise).

    Raises:
        ValueError: see `perplexity`.
    """
    if not text:
        raise ValueError("text must hold at least one token, got ''")
    unknown = sorted(set(text) - set(vocabulary))
    if unknown:
        raise ValueError(f"text must be written in the vocabulary, got {''.join(unknown)!r}, which it lacks")


def sample(
    predict: LanguageModel,
    vocabulary: str,
    length: int,
    prompt: str = "",
    generator: torch.Generator | None = None,
) -> str:
    """Draw a continuation of a prompt, one token at a time.

    Each token is drawn with the probabilities that the model gives it after the prompt and all tokens drawn so far.

    Args:
        predict: the model; gives the (V,) probabilities of the token after a context.
        vocabulary: the V tokens, in the order of the probabilities.
        length: number of tokens to draw, at least 0.
        prompt: the text to continue.
        generator: source of randomness; None takes PyTorch's global one.

    Returns:
        The `length` drawn tokens, without the prompt.

    Raises:
        ValueError: `length` is negative.

    Source:
        Shannon 1948, "A Mathematical Theory of Communication", section 3.
    """
    if length < 0:
        raise ValueError(f"length must not be negative, got {length}")
    # YOUR CODE HERE
    raise NotImplementedError("ngram.sample")


def model(
    tables: Sequence[Counts], vocabulary: str, k: float = 0.0, weights: Sequence[float] | None = None
) -> LanguageModel:
    """Make a language model of count tables (given; no exercise): `predict(context)` calls `probability`.

    Answers are remembered by the last n − 1 tokens, all that order n can see.
    """
    known: dict[str, Tensor] = {}

    def predict(context: str) -> Tensor:
        seen = context[max(0, len(context) - len(tables) + 1) :]
        if seen not in known:
            known[seen] = probability(tables, seen, vocabulary, k, weights)
        return known[seen]

    return predict


def by_order(tables: Sequence[Counts], text: str, vocabulary: str, k: float = 0.0) -> Tensor:
    """Ask each order alone for the probability of each token of a text, given those before it (given; no exercise).

    Returns:
        (T, N) probabilities; column m − 1 is order m's.
    """
    check_text(text, vocabulary)
    orders = [model(tables[:m], vocabulary, k) for m in range(1, len(tables) + 1)]
    rows = [
        torch.stack([predict(text[max(0, t - len(tables)) : t])[vocabulary.index(token)] for predict in orders])
        for t, token in enumerate(text)
    ]
    return torch.stack(rows)


def fit_weights(estimates: Tensor, steps: int = 30) -> list[float]:
    """Find the weights under which a text is likeliest, by expectation-maximisation (given; no exercise).

    The text must not be the one that was counted: there the longest context always wins.

    Args:
        estimates: (T, N) probabilities of the text's tokens from `by_order`.
        steps: rounds of expectation and maximisation.

    Returns:
        One weight for each order; they sum to 1.

    Source:
        Jelinek and Mercer 1980.
    """
    weights = torch.full((estimates.shape[1],), 1 / estimates.shape[1], dtype=torch.float64)
    for _ in range(steps):
        # Tokens that every order calls impossible tell nothing about the weights.
        shares = weights * estimates[estimates.sum(1) > 0]
        weights = (shares / shares.sum(1, keepdim=True)).mean(0)
    return weights.tolist()
