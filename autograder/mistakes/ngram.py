"""Mistakes that learners make in the n-gram exercises."""
import functools
import math
import random
import re
from collections import Counter

import torch

from autograder.mistakes import mistake
from gptlib import ngram as reference


def wrong(exercise, when, *, see="", visible=True):
    """Register a mistake that stands where learners make it: behind the checks of arguments that the stub gives."""
    def register(function):
        @functools.wraps(function)
        def behind(*args, **kwargs):
            if exercise == "ngram.probability":
                given = {**dict(zip(("tables", "context", "vocabulary", "k", "weights"), args, strict=False)), **kwargs}
                weights = reference.check_estimate(
                    given["tables"], given["vocabulary"], given.get("k", 0.0), given.get("weights")
                )
                plain = [given["tables"], given["context"], given["vocabulary"], given.get("k", 0.0), weights]
                return function(*plain)
            return function(*args, **kwargs)

        behind.__name__ = function.__name__
        return mistake(exercise, when, see=see, visible=visible)(behind)

    return register


def tally(pairs):
    table = {}
    for context, token in pairs:
        row = table.setdefault(context, {})
        row[token] = row.get(token, 0) + 1
    return table


def windows(documents, n):
    return [d[i : i + n] for d in documents for i in range(len(d) - n + 1)]


# count

SHORT = "the last window of each document is left out: there are T − n + 1 of them"


@wrong("ngram.count", SHORT)
def last_window_missing(documents, n):
    return tally((d[i : i + n - 1], d[i + n - 1]) for d in documents for i in range(len(d) - n))


@wrong("ngram.count", SHORT)
def last_character_missing(documents, n):
    return tally((g[:-1], g[-1]) for g in windows([d[:-1] for d in documents], n))


@wrong("ngram.count", "the first window of each document is left out")
def first_window_missing(documents, n):
    return tally((d[t - n + 1 : t], d[t]) for d in documents for t in range(n, len(d)))


LONG = "the context holds n tokens: an n-gram is n − 1 tokens of context and the one after them"


@wrong("ngram.count", LONG)
def context_too_long(documents, n):
    return tally((d[i : i + n], d[i + n]) for d in documents for i in range(len(d) - n))


@wrong("ngram.count", LONG)
def context_too_long_from_windows(documents, n):
    return reference.count(documents, n + 1)


@wrong("ngram.count", "the context is written backwards")
def context_reversed(documents, n):
    return tally((g[:-1][::-1], g[-1]) for g in windows(documents, n))


JOINED = "the documents are joined, so that n-grams reach across their borders"


@wrong("ngram.count", JOINED)
def documents_joined(documents, n):
    return tally((g[:-1], g[-1]) for g in windows(["".join(documents)], n))


@wrong("ngram.count", JOINED)
def context_kept_between_documents(documents, n):
    pairs, context = [], ""
    for document in documents:
        for token in document:
            if len(context) == n - 1:
                pairs.append((context, token))
            context = (context + token)[len(context) + 2 - n :] if len(context) == n - 1 else context + token
    return tally(pairs)


@wrong("ngram.count", "a separator is put between the documents and counted as if it were text")
def documents_joined_with_newline(documents, n):
    return tally((g[:-1], g[-1]) for g in windows(["\n".join(documents)], n))


APART = "the windows do not overlap"


@wrong("ngram.count", APART)
def windows_step_by_n(documents, n):
    return tally((d[i : i + n - 1], d[i + n - 1]) for d in documents for i in range(0, len(d) - n + 1, n))


@wrong("ngram.count", APART)
def regex_without_look_ahead(documents, n):
    return tally((g[:-1], g[-1]) for d in documents for g in re.findall(f".{{{n}}}", d, re.DOTALL))


@wrong("ngram.count", APART)
def overlaps_missed_by_str_count(documents, n):
    table = {}
    for gram in set(windows(documents, n)):
        table.setdefault(gram[:-1], {})[gram[-1]] = sum(d.count(gram) for d in documents)
    return table


ONCE = "each n-gram is noted once, however often it occurs"


@wrong("ngram.count", ONCE)
def distinct_windows(documents, n):
    return tally((g[:-1], g[-1]) for g in dict.fromkeys(windows(documents, n)))


@wrong("ngram.count", ONCE)
def counts_overwritten(documents, n):
    table = {}
    for gram in windows(documents, n):
        table.setdefault(gram[:-1], {})[gram[-1]] = 1
    return table


@wrong("ngram.count", ONCE)
def row_overwritten(documents, n):
    table = {}
    for gram in windows(documents, n):
        table[gram[:-1]] = {gram[-1]: table.get(gram[:-1], {}).get(gram[-1], 0) + 1}
    return table


@wrong("ngram.count", "only the single token before is the context, whatever n is")
def always_bigrams(documents, n):
    return tally((g[-2] if n > 1 else "", g[-1]) for g in windows(documents, n))


@wrong("ngram.count", "the text is counted as a ring, its end leading to its beginning")
def wraps_around(documents, n):
    return tally((g[:-1], g[-1]) for d in documents for g in windows([d + d[: n - 1]], n))


NEGATIVE = "the first tokens of a document are counted under contexts shorter than n − 1"


@wrong("ngram.count", NEGATIVE)
def short_contexts_at_the_start(documents, n):
    return tally((d[max(0, t - n + 1) : t], d[t]) for d in documents for t in range(len(d)))


@wrong("ngram.count", NEGATIVE)
def negative_slice_at_the_start(documents, n):
    return tally((d[t - n + 1 : t], d[t]) for d in documents for t in range(len(d)))


@wrong("ngram.count", "spaces and line breaks are dropped before counting", visible=False)
def white_space_dropped(documents, n):
    return reference.count(["".join(d.split()) for d in documents], n)


@wrong("ngram.count", "capitals and other characters are normalised before counting", visible=False)
def only_ascii(documents, n):
    return reference.count([d.encode("ascii", "ignore").decode() for d in documents], n)


@wrong("ngram.count", "only the first document is counted: the return stands inside the loop")
def returns_after_the_first(documents, n):
    for document in documents:
        return reference.count([document], n)
    return {}


@wrong("ngram.count", "the table goes from n-grams to counts instead of from contexts to next tokens")
def flat_table(documents, n):
    return dict(Counter(windows(documents, n)))


@wrong("ngram.count", "the table goes from a token to what stood before it")
def token_and_context_swapped(documents, n):
    return tally((g[-1], g[:-1]) for g in windows(documents, n))


@wrong("ngram.count", "the first token of the window is predicted from those after it")
def predicts_backwards(documents, n):
    return tally((g[1:], g[0]) for g in windows(documents, n))


@wrong("ngram.count", "never-seen tokens get an entry of 0 after each context")
def zeros_for_all(documents, n):
    letters = sorted(set("".join(documents)))
    return {c: {t: row.get(t, 0) for t in letters} for c, row in reference.count(documents, n).items()}


@wrong("ngram.count", "counts are divided by their sum already")
def shares_instead_of_counts(documents, n):
    table = reference.count(documents, n)
    return {c: {t: x / sum(row.values()) for t, x in row.items()} for c, row in table.items()}


@wrong("ngram.count", "the table of an earlier call is still there: a default argument is made only once")
def table_kept_between_calls(documents, n, table={}):  # noqa: B006
    for gram in windows(documents, n):
        row = table.setdefault(gram[:-1], {})
        row[gram[-1]] = row.get(gram[-1], 0) + 1
    return table


# probability


def estimates(tables, context, vocabulary, k, followers_to_row, unseen=None):
    """The orders' estimates with a learner's own formula for seen and for unseen contexts."""
    rows = [torch.full((len(vocabulary),), 1 / len(vocabulary), dtype=torch.float64)]
    for m, table in enumerate(tables):
        followers = table.get(context[max(0, len(context) - m) :])
        if followers:
            counts = torch.tensor([followers.get(c, 0) for c in vocabulary], dtype=torch.float64)
            rows.append(followers_to_row(counts, followers))
        else:
            rows.append(rows[-1] if unseen is None else unseen(rows))
    return rows[1:]


def mixed(weights, rows):
    return sum(w * row for w, row in zip(weights, rows, strict=True))


def add_k(k):
    return lambda counts, followers: (counts + k) / (counts.sum() + k * len(counts))


DENOMINATOR = "k is added to the counts but k·V is missing below the line, so the sum is not 1"


@wrong("ngram.probability", DENOMINATOR)
def denominator_without_kv(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, vocabulary, k, lambda c, f: (c + k) / c.sum()))


@wrong("ngram.probability", DENOMINATOR)
def denominator_with_k_once(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, vocabulary, k, lambda c, f: (c + k) / (c.sum() + k)))


@wrong("ngram.probability", "V alone is added below the line instead of k·V")
def denominator_with_v(tables, context, vocabulary, k, weights):
    extra = len(vocabulary) if k else 0
    return mixed(weights, estimates(tables, context, vocabulary, k, lambda c, f: (c + k) / (c.sum() + extra)))


SEEN_V = "V is the number of tokens seen after this context instead of the size of the vocabulary"


@wrong("ngram.probability", SEEN_V)
def v_of_the_context(tables, context, vocabulary, k, weights):
    return mixed(
        weights, estimates(tables, context, vocabulary, k, lambda c, f: (c + k) / (c.sum() + k * len(f)))
    )


@wrong("ngram.probability", SEEN_V)
def v_counted_where_positive(tables, context, vocabulary, k, weights):
    def formula(counts, followers):
        return (counts + k) / (counts.sum() + k * (counts > 0).sum())

    return mixed(weights, estimates(tables, context, vocabulary, k, formula))


@wrong("ngram.probability", "V is the number of tokens in the tables, which may lack some of the vocabulary")
def v_of_the_tables(tables, context, vocabulary, k, weights):
    size = len({token for row in tables[0].values() for token in row})
    return mixed(weights, estimates(tables, context, vocabulary, k, lambda c, f: (c + k) / (c.sum() + k * size)))


@wrong("ngram.probability", "V is the number of contexts in the table")
def v_of_contexts(tables, context, vocabulary, k, weights):
    rows = []
    for m in range(len(tables)):
        one = estimates(
            tables[: m + 1], context, vocabulary, k,
            lambda c, f, m=m: (c + k) / (c.sum() + k * len(tables[m])),
        )
        rows.append(one[m])
    return mixed(weights, rows)


SEEN_ONLY = "k goes only to tokens that were seen, so the others stay impossible"


@wrong("ngram.probability", SEEN_ONLY)
def k_for_seen_tokens_only(tables, context, vocabulary, k, weights):
    def formula(counts, followers):
        raw = counts + k * (counts > 0)
        return raw / raw.sum()

    return mixed(weights, estimates(tables, context, vocabulary, k, formula))


@wrong("ngram.probability", SEEN_ONLY)
def k_inside_get_of_seen(tables, context, vocabulary, k, weights):
    def formula(counts, followers):
        raw = [followers[c] + k if c in followers else 0.0 for c in vocabulary]
        return torch.tensor(raw, dtype=torch.float64) / (sum(followers.values()) + k * len(vocabulary))

    return mixed(weights, estimates(tables, context, vocabulary, k, formula))


@wrong("ngram.probability", "k is ignored")
def k_ignored(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, vocabulary, 0, add_k(0)))


@wrong("ngram.probability", "1 is added to every count, whatever k is")
def always_adds_one(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, vocabulary, 1, add_k(1)))


@wrong("ngram.probability", "1 is added wherever k is given, whatever its value")
def k_taken_as_one(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, vocabulary, k, add_k(1 if k else 0)))


@wrong("ngram.probability", "only tokens with a count of 0 get k, and the row is normalised again")
def k_for_unseen_tokens_only(tables, context, vocabulary, k, weights):
    def formula(counts, followers):
        raw = torch.where(counts > 0, counts, torch.full_like(counts, k))
        return raw / raw.sum()

    return mixed(weights, estimates(tables, context, vocabulary, k, formula))


@wrong("ngram.probability", "k is added to the mixture's probabilities instead of to the counts")
def k_after_division(tables, context, vocabulary, k, weights):
    raw = mixed(weights, estimates(tables, context, vocabulary, 0, add_k(0))) + k
    return raw / raw.sum()


ZEROS = "a context never seen gives all zeros, so the sum is not 1"


@wrong("ngram.probability", ZEROS)
def unseen_gives_zeros(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, vocabulary, k, add_k(k), lambda rows: rows[0] * 0))


@wrong("ngram.probability", ZEROS)
def unseen_nan_to_zero(tables, context, vocabulary, k, weights):
    rows = []
    for m, table in enumerate(tables):
        followers = table.get(context[max(0, len(context) - m) :], {})
        counts = torch.tensor([followers.get(c, 0) for c in vocabulary], dtype=torch.float64)
        rows.append(((counts + k) / (counts.sum() + k * len(vocabulary))).nan_to_num(0.0))
    return mixed(weights, rows)


@wrong("ngram.probability", "0/0 after a context never seen makes everything NaN")
def unseen_gives_nan(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, vocabulary, k, add_k(k), lambda rows: rows[0] * math.nan))


UNIFORM = "a context never seen gives the uniform 1/V, though a shorter context knows better"


@wrong("ngram.probability", UNIFORM)
def unseen_gives_uniform(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, vocabulary, k, add_k(k), lambda rows: rows[0]))


@wrong("ngram.probability", "a context never seen falls back to order 1 at once, past the orders between")
def unseen_falls_to_order_one(tables, context, vocabulary, k, weights):
    back = lambda rows: rows[1] if len(rows) > 1 else rows[0]  # noqa: E731
    return mixed(weights, estimates(tables, context, vocabulary, k, add_k(k), back))


@wrong("ngram.probability", "orders that have not seen their context are left out and the other weights scaled up")
def unseen_orders_renormalised(tables, context, vocabulary, k, weights):
    rows = estimates(tables, context, vocabulary, k, add_k(k), lambda rows: rows[0] * 0)
    out = mixed(weights, rows)
    if out.sum() == 0:
        return mixed(weights, estimates(tables, context, vocabulary, k, add_k(k)))
    return out / out.sum()


@wrong("ngram.probability", "the weights are read backwards, the first for the longest context")
def weights_reversed(tables, context, vocabulary, k, weights):
    return mixed(weights[::-1], estimates(tables, context, vocabulary, k, add_k(k)))


EQUAL = "the weights are ignored and all orders count alike"


@wrong("ngram.probability", EQUAL)
def all_orders_alike(tables, context, vocabulary, k, weights):
    return torch.stack(estimates(tables, context, vocabulary, k, add_k(k))).mean(0)


@wrong("ngram.probability", "the weights are ignored and only the longest context counts")
def longest_only(tables, context, vocabulary, k, weights):
    return estimates(tables, context, vocabulary, k, add_k(k))[-1]


@wrong("ngram.probability", "the mixture starts with the uniform distribution at full weight, so the sum is 2")
def mixture_starts_at_uniform(tables, context, vocabulary, k, weights):
    uniform = torch.full((len(vocabulary),), 1 / len(vocabulary), dtype=torch.float64)
    return uniform + mixed(weights, estimates(tables, context, vocabulary, k, add_k(k)))


@wrong("ngram.probability", "the orders are multiplied with their weights as powers instead of added")
def geometric_mixture(tables, context, vocabulary, k, weights):
    rows = estimates(tables, context, vocabulary, k, add_k(k))
    out = torch.ones_like(rows[0])
    for weight, row in zip(weights, rows, strict=True):
        out = out * row**weight
    return out / out.sum()


@wrong("ngram.probability", "the counts of all orders are added up before dividing")
def counts_pooled(tables, context, vocabulary, k, weights):
    raw = torch.zeros(len(vocabulary), dtype=torch.float64)
    for m, table in enumerate(tables):
        followers = table.get(context[max(0, len(context) - m) :], {})
        raw = raw + weights[m] * torch.tensor([followers.get(c, 0) + k for c in vocabulary], dtype=torch.float64)
    return raw / raw.sum()


def with_contexts(tables, context_of, vocabulary, k, weights):
    rows, estimate = [], torch.full((len(vocabulary),), 1 / len(vocabulary), dtype=torch.float64)
    for m, table in enumerate(tables):
        followers = table.get(context_of(m))
        if followers:
            counts = torch.tensor([followers.get(c, 0) for c in vocabulary], dtype=torch.float64)
            estimate = (counts + k) / (counts.sum() + k * len(vocabulary))
        rows.append(estimate)
    return mixed(weights, rows)


@wrong("ngram.probability", 'order 1 looks up the whole context: context[-0:] is all of it, not ""')
def minus_zero_slice(tables, context, vocabulary, k, weights):
    return with_contexts(tables, lambda m: context[-m:], vocabulary, k, weights)


@wrong("ngram.probability", "the first tokens of the context are looked up instead of the last ones")
def first_tokens_of_the_context(tables, context, vocabulary, k, weights):
    return with_contexts(tables, lambda m: context[:m], vocabulary, k, weights)


@wrong("ngram.probability", "the whole context is looked up instead of its last m − 1 tokens")
def whole_context_looked_up(tables, context, vocabulary, k, weights):
    return with_contexts(tables, lambda m: context if m else "", vocabulary, k, weights)


@wrong("ngram.probability", "the context is read backwards")
def context_read_backwards(tables, context, vocabulary, k, weights):
    return with_contexts(tables, lambda m: context[::-1][:m], vocabulary, k, weights)


@wrong("ngram.probability", "the probabilities stand in sorted order instead of the vocabulary's")
def sorted_order(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, "".join(sorted(vocabulary)), k, add_k(k)))


@wrong("ngram.probability", "only tokens that were seen get an entry")
def seen_tokens_only(tables, context, vocabulary, k, weights):
    seen = "".join(c for c in vocabulary if any(c in row for row in tables[0].values())) or vocabulary
    return mixed(weights, estimates(tables, context, seen, k, add_k(k)))


@wrong("ngram.probability", "a softmax is taken of the counts")
def softmax_of_counts(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, vocabulary, k, lambda c, f: (c + k).softmax(0)))


@wrong("ngram.probability", "logarithms of the probabilities are given back")
def log_probabilities(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, vocabulary, k, add_k(k))).log()


@wrong("ngram.probability", "counts are divided by the number of all n-grams, which gives P(context and token)")
def joint_instead_of_conditional(tables, context, vocabulary, k, weights):
    rows, estimate = [], torch.full((len(vocabulary),), 1 / len(vocabulary), dtype=torch.float64)
    for m, table in enumerate(tables):
        followers = table.get(context[max(0, len(context) - m) :])
        if followers:
            total = sum(sum(row.values()) for row in table.values())
            counts = torch.tensor([followers.get(c, 0) for c in vocabulary], dtype=torch.float64)
            estimate = (counts + k) / (total + k * len(vocabulary))
        rows.append(estimate)
    return mixed(weights, rows)


@wrong("ngram.probability", "the result is in single precision: the tensor was made without dtype=torch.float64")
def single_precision(tables, context, vocabulary, k, weights):
    return mixed(weights, estimates(tables, context, vocabulary, k, add_k(k))).float()


@wrong("ngram.probability", "each token never seen after the context takes its probability from a shorter one, "
       "and nothing is taken from the others in return")
def backs_off_token_by_token(tables, context, vocabulary, k, weights):
    rows = []
    for row in estimates(tables, context, vocabulary, k, add_k(k)):
        rows.append(torch.where(row > 0, row, rows[-1]) if rows else row)
    return mixed(weights, rows)


@wrong("ngram.probability", "the counts in the table are changed while smoothing")
def table_changed(tables, context, vocabulary, k, weights):
    for m, table in enumerate(tables):
        followers = table.get(context[max(0, len(context) - m) :])
        for token in vocabulary if followers else ():
            followers[token] = followers.get(token, 0) + k
    return mixed(weights, estimates(tables, context, vocabulary, 0, add_k(0)))


# perplexity


def chosen(predict, text, vocabulary, context=""):
    return torch.stack(
        [predict(context + text[:t])[vocabulary.index(c)].double() for t, c in enumerate(text)]
    )


BASES = "logarithms and powers have different bases: bits go with 2, nats with e"


@wrong("ngram.perplexity", BASES)
def two_to_the_nats(predict, text, vocabulary, context=""):
    return float(2 ** -chosen(predict, text, vocabulary, context).log().mean())


@wrong("ngram.perplexity", BASES)
def e_to_the_bits(predict, text, vocabulary, context=""):
    return float((-chosen(predict, text, vocabulary, context).log2().mean()).exp())


@wrong("ngram.perplexity", BASES)
def two_to_the_decimal_digits(predict, text, vocabulary, context=""):
    return float(2 ** -chosen(predict, text, vocabulary, context).log10().mean())


SUM = "the sum of the logarithms is taken instead of their mean"


@wrong("ngram.perplexity", SUM)
def sum_instead_of_mean(predict, text, vocabulary, context=""):
    return float(2 ** -chosen(predict, text, vocabulary, context).log2().sum())


@wrong("ngram.perplexity", SUM)
def inverse_of_the_product(predict, text, vocabulary, context=""):
    return float(1 / chosen(predict, text, vocabulary, context).prod())


COUNT = "the sum is divided by a wrong number of tokens"


@wrong("ngram.perplexity", COUNT)
def divided_by_one_less(predict, text, vocabulary, context=""):
    bits = -chosen(predict, text, vocabulary, context).log2().sum()
    return float(2 ** (bits / max(1, len(text) - 1)))


@wrong("ngram.perplexity", COUNT)
def divided_by_one_more(predict, text, vocabulary, context=""):
    return float(2 ** (-chosen(predict, text, vocabulary, context).log2().sum() / (len(text) + 1)))


@wrong("ngram.perplexity", COUNT)
def divided_by_distinct_tokens(predict, text, vocabulary, context=""):
    return float(2 ** (-chosen(predict, text, vocabulary, context).log2().sum() / len(set(text))))


@wrong("ngram.perplexity", COUNT)
def divided_by_context_too(predict, text, vocabulary, context=""):
    return float(2 ** (-chosen(predict, text, vocabulary, context).log2().sum() / len(context + text)))


ZERO = "tokens of probability 0 are left out or lifted a little"


@wrong("ngram.perplexity", ZERO)
def impossible_tokens_skipped(predict, text, vocabulary, context=""):
    p = chosen(predict, text, vocabulary, context)
    return float(2 ** -p[p > 0].log2().mean())


@wrong("ngram.perplexity", ZERO)
def probabilities_clamped(predict, text, vocabulary, context=""):
    return float(2 ** -chosen(predict, text, vocabulary, context).clamp(min=1e-10).log2().mean())


@wrong("ngram.perplexity", ZERO)
def small_number_added(predict, text, vocabulary, context=""):
    return float(2 ** -(chosen(predict, text, vocabulary, context) + 1e-8).log2().mean())


@wrong("ngram.perplexity", "the tokens of the context are scored too")
def context_scored(predict, text, vocabulary, context=""):
    return float(2 ** -chosen(predict, context + text, vocabulary).log2().mean())


IGNORED = "the context is not given to the model"


@wrong("ngram.perplexity", IGNORED)
def context_ignored(predict, text, vocabulary, context=""):
    return float(2 ** -chosen(predict, text, vocabulary).log2().mean())


@wrong("ngram.perplexity", IGNORED)
def context_for_the_first_only(predict, text, vocabulary, context=""):
    p = [predict(text[:t] if t else context)[vocabulary.index(c)].double() for t, c in enumerate(text)]
    return float(2 ** -torch.stack(p).log2().mean())


PEEKS = "the model is shown the very token that it has to predict"


@wrong("ngram.perplexity", PEEKS)
def shown_the_token_itself(predict, text, vocabulary, context=""):
    p = [predict(context + text[: t + 1])[vocabulary.index(c)].double() for t, c in enumerate(text)]
    return float(2 ** -torch.stack(p).log2().mean())


@wrong("ngram.perplexity", PEEKS)
def shown_the_whole_text(predict, text, vocabulary, context=""):
    p = predict(context + text).double()
    return float(2 ** -torch.stack([p[vocabulary.index(c)] for c in text]).log2().mean())


@wrong("ngram.perplexity", "the model is shown only the one token before")
def shown_one_token(predict, text, vocabulary, context=""):
    p = [predict((context + text[:t])[-1:])[vocabulary.index(c)].double() for t, c in enumerate(text)]
    return float(2 ** -torch.stack(p).log2().mean())


@wrong("ngram.perplexity", "the model is asked once, before the text, and never again")
def asked_once(predict, text, vocabulary, context=""):
    p = predict(context).double()
    return float(2 ** -torch.stack([p[vocabulary.index(c)] for c in text]).log2().mean())


@wrong("ngram.perplexity", "the cross-entropy in bits is given back instead of the perplexity")
def bits_given_back(predict, text, vocabulary, context=""):
    return float(-chosen(predict, text, vocabulary, context).log2().mean())


@wrong("ngram.perplexity", "the minus sign is missing: the result is below 1")
def minus_missing(predict, text, vocabulary, context=""):
    return float(2 ** chosen(predict, text, vocabulary, context).log2().mean())


MEAN_P = "probabilities are averaged instead of their logarithms"


@wrong("ngram.perplexity", MEAN_P)
def inverse_of_the_mean(predict, text, vocabulary, context=""):
    return float(1 / chosen(predict, text, vocabulary, context).mean())


@wrong("ngram.perplexity", MEAN_P)
def mean_of_the_inverses(predict, text, vocabulary, context=""):
    return float((1 / chosen(predict, text, vocabulary, context)).mean())


@wrong("ngram.perplexity", "probabilities are multiplied until the product underflows to 0")
def product_underflows(predict, text, vocabulary, context=""):
    product = float(chosen(predict, text, vocabulary, context).prod())
    return product ** (-1 / len(text)) if product else math.inf


@wrong("ngram.perplexity", "the first token of the text is not scored")
def first_token_not_scored(predict, text, vocabulary, context=""):
    p = chosen(predict, text, vocabulary, context)[1:]
    return float(2 ** -p.log2().mean()) if len(p) else 1.0


@wrong("ngram.perplexity", "the likeliest token's probability is scored instead of the actual token's")
def scores_the_likeliest(predict, text, vocabulary, context=""):
    p = [predict(context + text[:t]).double().max() for t in range(len(text))]
    return float(2 ** -torch.stack(p).log2().mean())


@wrong("ngram.perplexity", "the model's own entropy is measured: the text plays no part")
def entropy_of_the_model(predict, text, vocabulary, context=""):
    rows = torch.stack([predict(context + text[:t]).double() for t in range(len(text))])
    return float(2 ** -(rows * rows.clamp(min=1e-300).log2()).sum(-1).mean())


@wrong("ngram.perplexity", "tokens are numbered in sorted order instead of the vocabulary's", visible=False)
def numbered_in_sorted_order(predict, text, vocabulary, context=""):
    return float(2 ** -chosen(predict, text, "".join(sorted(vocabulary)), context).log2().mean())


@wrong("ngram.perplexity", "repeated tokens are scored once")
def repeated_tokens_once(predict, text, vocabulary, context=""):
    p = chosen(predict, text, vocabulary, context)
    first = [text.index(c) for c in dict.fromkeys(text)]
    return float(2 ** (-p[first].log2().sum() / len(text)))


# sample


def drawn(predict, vocabulary, length, prompt, pick):
    out = ""
    for _ in range(length):
        out += vocabulary[int(pick(predict(prompt + out)))]
    return out


GREEDY = "the likeliest token is always taken instead of a drawn one"


@wrong("ngram.sample", GREEDY)
def takes_the_likeliest(predict, vocabulary, length, prompt="", generator=None):
    return drawn(predict, vocabulary, length, prompt, lambda p: p.argmax())


@wrong("ngram.sample", GREEDY)
def takes_the_first_of_topk(predict, vocabulary, length, prompt="", generator=None):
    return drawn(predict, vocabulary, length, prompt, lambda p: p.topk(1).indices[0])


def multinomial(generator, change):
    return lambda p: torch.multinomial(change(p), 1, generator=generator)


SHARPER = "the probabilities are changed before drawing: they are no scores, they need no softmax or power"


@wrong("ngram.sample", SHARPER)
def softmax_of_probabilities(predict, vocabulary, length, prompt="", generator=None):
    return drawn(predict, vocabulary, length, prompt, multinomial(generator, lambda p: p.softmax(0)))


@wrong("ngram.sample", SHARPER)
def squared_probabilities(predict, vocabulary, length, prompt="", generator=None):
    return drawn(predict, vocabulary, length, prompt, multinomial(generator, lambda p: p**2))


@wrong("ngram.sample", SHARPER)
def square_rooted_probabilities(predict, vocabulary, length, prompt="", generator=None):
    return drawn(predict, vocabulary, length, prompt, multinomial(generator, lambda p: p.sqrt()))


@wrong("ngram.sample", "all tokens of the vocabulary are drawn alike")
def uniform_draws(predict, vocabulary, length, prompt="", generator=None):
    return drawn(predict, vocabulary, length, prompt, multinomial(generator, torch.ones_like))


@wrong("ngram.sample", "all tokens that are possible at all are drawn alike")
def uniform_over_the_possible(predict, vocabulary, length, prompt="", generator=None):
    return drawn(predict, vocabulary, length, prompt, multinomial(generator, lambda p: (p > 0).double()))


@wrong("ngram.sample", "every token gets a little probability, impossible ones too")
def impossible_tokens_drawn(predict, vocabulary, length, prompt="", generator=None):
    return drawn(predict, vocabulary, length, prompt, multinomial(generator, lambda p: p + 0.02))


@wrong("ngram.sample", "rare tokens are cut off before drawing", visible=False)
def rare_tokens_cut(predict, vocabulary, length, prompt="", generator=None):
    return drawn(predict, vocabulary, length, prompt, multinomial(generator, lambda p: p * (p >= 0.05)))


@wrong("ngram.sample", "only the two likeliest tokens can be drawn", visible=False)
def two_likeliest_only(predict, vocabulary, length, prompt="", generator=None):
    def keep(p):
        return p * (p >= p.topk(2).values[-1])

    return drawn(predict, vocabulary, length, prompt, multinomial(generator, keep))


PROMPT = "the prompt is part of the result"


@wrong("ngram.sample", PROMPT)
def prompt_given_back(predict, vocabulary, length, prompt="", generator=None):
    return prompt + reference.sample(predict, vocabulary, length, prompt, generator)


@wrong("ngram.sample", PROMPT)
def prompt_counts_towards_length(predict, vocabulary, length, prompt="", generator=None):
    return prompt + reference.sample(predict, vocabulary, max(0, length - len(prompt)), prompt, generator)


LENGTH = "one token too many or too few is drawn"


@wrong("ngram.sample", LENGTH)
def one_too_many(predict, vocabulary, length, prompt="", generator=None):
    return reference.sample(predict, vocabulary, length + 1, prompt, generator)


@wrong("ngram.sample", LENGTH)
def one_too_few(predict, vocabulary, length, prompt="", generator=None):
    return reference.sample(predict, vocabulary, max(0, length - 1), prompt, generator)


@wrong("ngram.sample", "the context stays the prompt and never grows")
def context_never_grows(predict, vocabulary, length, prompt="", generator=None):
    p = predict(prompt)
    return "".join(vocabulary[int(torch.multinomial(p, 1, generator=generator))] for _ in range(length))


@wrong("ngram.sample", "the context stays the prompt and never grows")
def all_drawn_at_once(predict, vocabulary, length, prompt="", generator=None):
    if not length:
        return ""
    picks = torch.multinomial(predict(prompt), length, replacement=True, generator=generator)
    return "".join(vocabulary[int(i)] for i in picks)


@wrong("ngram.sample", "the prompt is not given to the model")
def prompt_ignored(predict, vocabulary, length, prompt="", generator=None):
    return reference.sample(predict, vocabulary, length, "", generator)


ONE_BACK = "the model is shown the last token alone"


@wrong("ngram.sample", ONE_BACK)
def only_the_last_token(predict, vocabulary, length, prompt="", generator=None):
    return reference.sample(lambda c: predict(c[-1:]), vocabulary, length, prompt, generator)


@wrong("ngram.sample", ONE_BACK)
def context_replaced_by_the_token(predict, vocabulary, length, prompt="", generator=None):
    out, context = "", prompt
    for _ in range(length):
        context = vocabulary[int(torch.multinomial(predict(context), 1, generator=generator))]
        out += context
    return out


@wrong("ngram.sample", "each new token is put in front of the context")
def token_put_in_front(predict, vocabulary, length, prompt="", generator=None):
    out, context = "", prompt
    for _ in range(length):
        token = vocabulary[int(torch.multinomial(predict(context), 1, generator=generator))]
        out, context = out + token, token + context
    return out


@wrong("ngram.sample", "the drawn tokens come back in reverse")
def result_reversed(predict, vocabulary, length, prompt="", generator=None):
    return reference.sample(predict, vocabulary, length, prompt, generator)[::-1]


GENERATOR = "the generator is not used, so the same seed gives another text each time"


@wrong("ngram.sample", GENERATOR)
def generator_ignored(predict, vocabulary, length, prompt="", generator=None):
    return reference.sample(predict, vocabulary, length, prompt)


@wrong("ngram.sample", GENERATOR)
def drawn_with_python_random(predict, vocabulary, length, prompt="", generator=None):
    return drawn(
        predict, vocabulary, length, prompt, lambda p: random.choices(range(len(p)), weights=p.tolist())[0]
    )


SEED = "the random numbers are seeded anew inside, so every text starts alike"


@wrong("ngram.sample", SEED)
def seeded_inside(predict, vocabulary, length, prompt="", generator=None):
    return reference.sample(predict, vocabulary, length, prompt, torch.Generator().manual_seed(0))


@wrong("ngram.sample", SEED)
def seeded_at_each_step(predict, vocabulary, length, prompt="", generator=None):
    def pick(p):
        return torch.multinomial(p, 1, generator=torch.Generator().manual_seed(0))

    return drawn(predict, vocabulary, length, prompt, pick)


@wrong("ngram.sample", "the drawn number is looked up in the sorted vocabulary", visible=False)
def looked_up_in_sorted_vocabulary(predict, vocabulary, length, prompt="", generator=None):
    return reference.sample(predict, "".join(sorted(vocabulary)), length, prompt, generator)


@wrong("ngram.sample", "drawing stops at a line break", visible=False)
def stops_at_a_line_break(predict, vocabulary, length, prompt="", generator=None):
    return reference.sample(predict, vocabulary, length, prompt, generator).partition("\n")[0]


@wrong("ngram.sample", "a list of tokens comes back instead of a string")
def list_of_tokens(predict, vocabulary, length, prompt="", generator=None):
    return list(reference.sample(predict, vocabulary, length, prompt, generator))


@wrong("ngram.sample", "token numbers come back instead of characters")
def token_numbers(predict, vocabulary, length, prompt="", generator=None):
    return [vocabulary.index(c) for c in reference.sample(predict, vocabulary, length, prompt, generator)]
