"""Other right ways to write the n-gram exercises."""
import math
import re
from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import torch

from autograder.alternatives import alternative
from gptlib import ngram as reference


@alternative("ngram.count", "zip of shifted documents into Counters")
def count_zip(documents, n):
    table = defaultdict(Counter)
    for document in documents:
        for *context, token in zip(*(document[i:] for i in range(n)), strict=False):
            table["".join(context)][token] += 1
    return table


@alternative("ngram.count", "count whole n-grams first, split them afterwards")
def count_grams(documents, n):
    grams = Counter(d[i : i + n] for d in documents for i in range(len(d) - n + 1))
    table = {}
    for gram, times in grams.items():
        table.setdefault(gram[:-1], {})[gram[-1]] = times
    return table


@alternative("ngram.count", "slide a context along the text")
def count_slide(documents, n):
    table = {}
    for document in documents:
        context = ""
        for token in document:
            if len(context) == n - 1:
                table.setdefault(context, Counter()).update([token])
            context = (context + token)[-(n - 1) :] if n > 1 else ""
    return table


@alternative("ngram.count", "regular expression with look-ahead")
def count_regex(documents, n):
    table = {}
    for document in documents:
        for match in re.finditer(rf"(?s)(?=(.{{{n - 1}}})(.))", document):
            row = table.setdefault(match[1], {})
            row[match[2]] = row.get(match[2], 0) + 1
    return table


@alternative("ngram.probability", "recursion from the longest order down")
def probability_recursive(tables, context, vocabulary, k=0.0, weights=None):
    weights = reference.check_estimate(tables, vocabulary, k, weights)

    def order(m):
        if m == 0:
            return torch.ones(len(vocabulary), dtype=torch.float64) / len(vocabulary)
        followers = tables[m - 1].get(context[-(m - 1) :] if m > 1 else "")
        if not followers:
            return order(m - 1)
        raw = torch.tensor([followers.get(c, 0) + k for c in vocabulary], dtype=torch.float64)
        return raw / raw.sum()

    return sum(w * order(m) for m, w in enumerate(weights, 1))


@alternative("ngram.probability", "numpy")
def probability_numpy(tables, context, vocabulary, k=0.0, weights=None):
    weights = reference.check_estimate(tables, vocabulary, k, weights)
    size = len(vocabulary)
    rows = np.empty((len(tables), size))
    for m, table in enumerate(tables):
        before = rows[m - 1] if m else np.full(size, 1 / size)
        seen = table.get(context[len(context) - m :]) if m <= len(context) else None
        if seen is None:
            rows[m] = before
        else:
            counts = np.array([seen.get(c, 0) for c in vocabulary], dtype=float)
            rows[m] = (counts + k) / (counts.sum() + k * size)
    return torch.from_numpy(np.asarray(weights) @ rows)


@alternative("ngram.probability", "exact fractions, one token at a time")
def probability_fractions(tables, context, vocabulary, k=0.0, weights=None):
    weights = reference.check_estimate(tables, vocabulary, k, weights)
    k, size, out = Fraction(k), len(vocabulary), []
    for token in vocabulary:
        estimate, total = Fraction(1, size), Fraction(0)
        for m, (table, weight) in enumerate(zip(tables, weights, strict=True)):
            tail = context[max(len(context) - m, 0) :]
            if tail in table:
                estimate = (table[tail].get(token, 0) + k) / (sum(table[tail].values()) + k * size)
            total += Fraction(weight) * estimate
        out.append(float(total))
    return torch.tensor(out, dtype=torch.float64)


@alternative("ngram.perplexity", "natural logarithms and exp")
def perplexity_nats(predict, text, vocabulary, context=""):
    reference.check_text(text, vocabulary)
    total = 0.0
    for token in text:
        p = float(predict(context)[vocabulary.index(token)])
        total -= math.log(p) if p else -math.inf
        context += token
    return math.exp(total / len(text))


@alternative("ngram.perplexity", "geometric mean: a product of T-th roots")
def perplexity_roots(predict, text, vocabulary, context=""):
    reference.check_text(text, vocabulary)
    roots = [
        predict(context + text[:t])[vocabulary.index(c)].double() ** (1 / len(text)) for t, c in enumerate(text)
    ]
    return 1 / torch.stack(roots).prod()


@alternative("ngram.perplexity", "torch's negative log-likelihood loss")
def perplexity_nll(predict, text, vocabulary, context=""):
    reference.check_text(text, vocabulary)
    whole, start = context + text, len(context)
    rows = torch.stack([predict(whole[:t]) for t in range(start, len(whole))]).double()
    targets = torch.tensor([vocabulary.index(c) for c in text])
    return torch.nn.functional.nll_loss(rows.log(), targets).exp().item()


@alternative("ngram.sample", "one uniform number against the cumulative sum")
def sample_cumulative(predict, vocabulary, length, prompt="", generator=None):
    text = prompt
    for _ in range(length):
        steps = predict(text).cumsum(0)
        point = torch.rand((), generator=generator, dtype=steps.dtype) * steps[-1]
        text += vocabulary[min(int(torch.searchsorted(steps, point, right=True)), len(vocabulary) - 1)]
    return text[len(prompt) :]


@alternative("ngram.sample", "Gumbel-max: argmax of log-probabilities plus noise")
def sample_gumbel(predict, vocabulary, length, prompt="", generator=None):
    out = []
    for _ in range(length):
        p = predict(prompt + "".join(out))
        noise = -torch.log(-torch.log(torch.rand(p.shape, generator=generator, dtype=torch.float64)))
        out.append(vocabulary[int((p.log() + noise).argmax())])
    return "".join(out)


@alternative("ngram.sample", "exponential race: the earliest arrival wins")
def sample_race(predict, vocabulary, length, prompt="", generator=None):
    drawn = ""
    while len(drawn) < length:
        p = predict(prompt + drawn)
        arrival = torch.empty_like(p).exponential_(generator=generator) / p
        drawn += vocabulary[arrival.argmin()]
    return drawn


@alternative("ngram.sample", "the tensor method, growing one string")
def sample_method(predict, vocabulary, length, prompt="", generator=None):
    text, pending = prompt, length
    while pending:
        token = vocabulary[predict(text).multinomial(1, generator=generator).item()]
        text, pending = f"{text}{token}", pending - 1
    return text.removeprefix(prompt)
