"""Hidden checks of the n-gram chapter: brute force and exact fractions on drawn texts."""
import collections
import itertools
import math
import re
from fractions import Fraction

import torch

from autograder.checks import checks, same
from autograder.inputs import whole

ALPHABETS = ("ab", "abcde", "a \n.*", "éßж猫🙂", "01234567890"[:10])


def text(generator, alphabet, length):
    """A drawn text."""
    return "".join(alphabet[whole(generator, 0, len(alphabet) - 1)] for _ in range(length))


def shuffled(generator, letters):
    """The letters in a drawn order."""
    return "".join(letters[i] for i in torch.randperm(len(letters), generator=generator))


def tallied(documents, n):
    """The oracle of `count`: overlapping matches of a regular expression."""
    grams = collections.Counter(
        gram for document in documents for gram in re.findall(f"(?=(.{{{n}}}))", document, re.DOTALL)
    )
    table: dict[str, dict[str, int]] = {}
    for gram, times in grams.items():
        table.setdefault(gram[: n - 1], {})[gram[n - 1 :]] = times
    return table


def estimated(tables, context, vocabulary, k, weights):
    """The oracle of `probability`, in exact fractions, by the definition of each order."""

    def of_order(m):
        if m == 0:
            return [Fraction(1, len(vocabulary))] * len(vocabulary)
        tail = "".join(list(context)[::-1][: m - 1][::-1])
        seen = tables[m - 1].get(tail)
        if seen is None:
            return of_order(m - 1)
        total = sum(seen.values()) + k * len(vocabulary)
        return [(Fraction(seen.get(token, 0)) + k) / total for token in vocabulary]

    orders = [of_order(m + 1) for m in range(len(tables))]
    mixed = [sum(w * order[v] for w, order in zip(weights, orders, strict=True)) for v in range(len(vocabulary))]
    return torch.tensor([float(p) for p in mixed], dtype=torch.float64)


@checks("ngram.count")
def it_agrees_with_a_regular_expression(count, generator):
    """Counts of drawn texts over several alphabets are those that a regular expression finds."""
    cases = [
        ([text(generator, alphabet, whole(generator, 0, 40)) for _ in range(whole(generator, 1, 4))], n)
        for alphabet in ALPHABETS
        for n in (1, 2, 3, 5)
    ]
    for documents, n in cases:
        same(count(documents, n), tallied(documents, n), f"the {n}-grams of {documents!r}")


@checks("ngram.count")
def lengths_at_the_edge(count, generator):
    """Documents of length n − 1, n and n + 1, empty ones and none at all."""
    cases = [([text(generator, "abc", n + extra)], n) for n in (1, 2, 4, 7) for extra in (-1, 0, 1)]
    for documents, n in [*cases, ([], 2), (["", ""], 1), (["", "ab", ""], 2), (["abc"], 50)]:
        same(count(documents, n), tallied(documents, n), f"the {n}-grams of {documents!r}")


@checks("ngram.count")
def every_window_is_counted_once(count, generator):
    """A text of T tokens holds T − n + 1 n-grams, and earlier calls leave no trace."""
    documents = [text(generator, "abcdef", 300), text(generator, "abcdef", 200)]
    for n in (1, 3, 4, 1):
        table = count(documents, n)
        total = sum(times for followers in table.values() for times in followers.values())
        same(total, 500 - 2 * (n - 1), f"the number of {n}-grams in texts of 300 and 200 tokens")
        same(table, tallied(documents, n), f"the {n}-grams of two longer texts")


def corpus(generator, alphabet, orders):
    """Tables of orders 1 to `orders` of three drawn documents."""
    documents = [text(generator, alphabet, whole(generator, 5, 30)) for _ in range(3)]
    return [tallied(documents, m) for m in range(1, orders + 1)]


@checks("ngram.probability")
def it_agrees_with_exact_fractions(probability, generator):
    """Every order, every k and every context agree with exact arithmetic."""
    cases = []
    for alphabet, orders in itertools.product(ALPHABETS, (1, 2, 4)):
        vocabulary = shuffled(generator, alphabet + "#%")
        tables = corpus(generator, alphabet, orders)
        for k in (Fraction(0), Fraction(1, 1024), Fraction(1, 2), Fraction(3)):
            context = text(generator, alphabet, whole(generator, 0, 6))
            raw = [whole(generator, 0, 8) for _ in range(orders - 1)] + [whole(generator, 1, 8)]
            weights = [Fraction(w, sum(raw)) for w in raw]
            cases.append((tables, context, vocabulary, k, weights))
    for tables, context, vocabulary, k, weights in cases:
        out = probability(tables, context, vocabulary, float(k), [float(w) for w in weights])
        expected = estimated(tables, context, vocabulary, k, weights)
        same(out, expected, f"after {context!r}, k = {float(k)}, weights {[round(float(w), 3) for w in weights]}")


@checks("ngram.probability")
def the_longest_order_alone_is_the_default(probability, generator):
    """Without weights, order n answers, or the longest order that has seen its context."""
    tables = corpus(generator, "abcd", 4)
    contexts = [text(generator, "abcd", length) for length in (0, 1, 2, 3, 3, 3, 3, 9)] + ["zzz", "azz", "zza"]
    for context in contexts:
        for k in (Fraction(0), Fraction(1, 4)):
            expected = estimated(tables, context, "zdcba", k, [0, 0, 0, 1])
            same(probability(tables, context, "zdcba", float(k)), expected, f"after {context!r}, k = {float(k)}")


@checks("ngram.probability")
def it_sums_to_one_everywhere(probability, generator):
    """Over the whole vocabulary the probabilities sum to 1, whatever was seen."""
    tables = corpus(generator, "abcdef", 3)
    one = torch.tensor(1.0, dtype=torch.float64)
    for context in ("", "a", "ab", "fz", "zf", "zz", text(generator, "abcdef", 20)):
        for k in (0.0, 1e-9, 0.1, 100.0):
            for weights in (None, [0.2, 0.3, 0.5], [1.0, 0.0, 0.0]):
                out = probability(tables, context, "abcdefz", k, weights)
                same(out.sum(), one, f"the sum after {context!r}, k = {k}, weights {weights}")


@checks("ngram.probability")
def large_counts_and_single_tokens(probability):
    """Counts of millions and a vocabulary of one token are no special cases."""
    tables = [{"": {"a": 3_000_000, "b": 1_000_000}}, {"a": {"b": 7_000_001}}]
    out = probability(tables, "ba", "abc", 0.5, [0.25, 0.75])
    same(out, estimated(tables, "ba", "abc", Fraction(1, 2), [Fraction(1, 4), Fraction(3, 4)]), "large counts")
    same(probability([{"": {"a": 3}}], "aaa", "a"), torch.ones(1, dtype=torch.float64), "one token, certain")
    same(probability([{}], "", "abcde"), torch.full((5,), 0.2, dtype=torch.float64), "nothing was counted")


def lookup(generator, vocabulary, reach, dtype=torch.float64):
    """A model with its own drawn distribution for each context of up to `reach` tokens."""
    contexts = ["".join(c) for size in range(reach + 1) for c in itertools.product(vocabulary, repeat=size)]
    rows = torch.rand(len(contexts), len(vocabulary), generator=generator, dtype=torch.float64) + 0.02
    table = dict(zip(contexts, (rows / rows.sum(-1, keepdim=True)).to(dtype), strict=True))
    return lambda context: table[context[max(0, len(context) - reach) :]].clone()


def surprise(predict, tokens, vocabulary, context):
    """The oracle of `perplexity`: sums of natural logarithms."""
    logs = [
        math.log(float(predict(context + tokens[:t])[vocabulary.index(token)])) for t, token in enumerate(tokens)
    ]
    return math.exp(-math.fsum(logs) / len(tokens))


@checks("ngram.perplexity")
def it_agrees_with_summed_logarithms(perplexity, generator):
    """The perplexity of drawn texts under drawn models, with and without a context."""
    for letters in ("ab", "dbca", "猫é🙂"):
        for reach, size, before in ((0, 9, 0), (1, 20, 0), (2, 1, 3), (2, 37, 5), (3, 2, 1)):
            predict = lookup(generator, letters, reach)
            tokens, context = text(generator, letters, size), text(generator, letters, before)
            expected = surprise(predict, tokens, letters, context)
            same(perplexity(predict, tokens, letters, context), expected, f"of {tokens!r} after {context!r}")


@checks("ngram.perplexity")
def order_of_the_vocabulary(perplexity, generator):
    """Probabilities stand in the order of the vocabulary, which need not be sorted."""
    for letters in ("zyxw", "ba", "b\na "):
        predict = lookup(generator, letters, 1)
        tokens = text(generator, letters, 25)
        same(perplexity(predict, tokens, letters), surprise(predict, tokens, letters, ""), f"vocabulary {letters!r}")


@checks("ngram.perplexity")
def tiny_and_zero_probabilities(perplexity, generator):
    """Probabilities of 1e-12 count in full, and 0 gives infinity."""
    tiny = torch.tensor([1 - 1e-12, 1e-12], dtype=torch.float64)
    none = torch.tensor([1.0, 0.0], dtype=torch.float64)
    same(perplexity(lambda c: tiny, "ab", "ab"), surprise(lambda c: tiny, "ab", "ab", ""), "one token of 1e-12")
    same(perplexity(lambda c: none, "aaaaab", "ab"), math.inf, "one impossible token among six")
    same(perplexity(lambda c: none, "aaaaaa", "ab"), 1.0, "certainty that comes true")


@checks("ngram.perplexity")
def long_texts_and_single_precision(perplexity, generator):
    """Five thousand tokens do not underflow, and models in float32 are welcome."""
    predict, tokens = lookup(generator, "abcd", 1), text(generator, "abcd", 5000)
    same(perplexity(predict, tokens, "abcd"), surprise(predict, tokens, "abcd", ""), "a text of 5,000 tokens")
    half, short = lookup(generator, "abcd", 2, torch.float32), text(generator, "abcd", 50)
    same(perplexity(half, short, "abcd"), surprise(half, short, "abcd", ""), "a float32 model", rtol=1e-5)


def chi_square(text, probabilities, letters):
    """Pearson's statistic of the counts of letters against their probabilities."""
    wanted = {letter: len(text) * p for letter, p in zip(letters, probabilities, strict=True)}
    return sum((text.count(letter) - w) ** 2 / w for letter, w in wanted.items())


@checks("ngram.sample")
def frequencies_fit_the_probabilities(sample, generator):
    """Three thousand draws fit the model's probabilities (chi-square far beyond doubt)."""
    probabilities, letters = [0.4, 0.25, 0.15, 0.1, 0.06, 0.04], shuffled(generator, "abcdef")
    out = sample(lambda c: torch.tensor(probabilities, dtype=torch.float64), letters, 3000, "ab", generator)
    same(len(out), 3000, "3000 tokens were asked for")
    same(set(out) <= set(letters), True, "only tokens of the vocabulary can be drawn")
    statistic = chi_square(out, probabilities, letters)
    # chance exceeds 50 once in 700 million runs (5 degrees of freedom)
    same("fits" if statistic < 50 else f"chi-square {statistic:.0f}", "fits", "frequencies against probabilities")


@checks("ngram.sample")
def transitions_fit_a_chain(sample, generator):
    """What follows each token fits that token's own distribution."""
    chain = {"a": [0.1, 0.7, 0.2], "b": [0.5, 0.1, 0.4], "c": [0.3, 0.3, 0.4]}
    out = sample(lambda c: torch.tensor(chain[c[-1]], dtype=torch.float64), "abc", 3000, "a", generator)
    for letter, probabilities in chain.items():
        after = "".join(second for first, second in zip("a" + out, out, strict=False) if first == letter)
        same(len(after) > 200, True, f"{letter!r} must come up again and again")
        statistic = chi_square(after, probabilities, "abc")
        # chance exceeds 40 once in 480 million runs (2 degrees of freedom)
        same("fits" if statistic < 40 else f"chi-square {statistic:.0f}", "fits", f"what follows {letter!r}")


@checks("ngram.sample")
def the_model_is_asked_with_the_whole_text(sample, generator):
    """Before each draw the model is given the prompt and all tokens drawn so far."""
    for letters, prompt, length in (("abc", "", 7), ("猫é🙂", "é🙂", 6), ("x\ny", "x\n\n", 9), ("ab", "b", 1)):
        asked: list[str] = []

        def predict(context, letters=letters, asked=asked):
            asked.append(context)
            return torch.full((len(letters),), 1 / len(letters), dtype=torch.float64)

        out = sample(predict, letters, length, prompt, generator)
        same(len(out), length, f"{length} tokens were asked for")
        same(set(out) <= set(letters), True, "only tokens of the vocabulary can be drawn")
        same(set(asked), {prompt + out[:t] for t in range(length)}, f"what the model was asked, prompt {prompt!r}")


@checks("ngram.sample")
def certain_models_leave_no_choice(sample, generator):
    """A model that is certain decides the text, whatever the seed, whatever the vocabulary's order."""
    # with 199 impossible tokens even a little probability for each is drawn before 60 draws are over
    for letters, length in (("zebra", 12), ("🙂ж猫", 12), ("".join(map(chr, range(0x4E00, 0x4E00 + 200))), 60)):
        prompt = text(generator, letters, 4)
        steps = [whole(generator, 0, len(letters) - 1) for _ in range(length)]
        eye = torch.eye(len(letters), dtype=torch.float64)
        out = sample(lambda c, s=steps, e=eye: e[s[len(c) - 4]], letters, length, prompt, generator)
        same(out, "".join(letters[i] for i in steps), f"vocabulary {letters[:9]!r}, prompt {prompt!r}")


@checks("ngram.sample")
def seeds_decide(sample, generator):
    """The same seed gives the same text, and other seeds give others."""
    predict, seeds = lookup(generator, "abcd", 1), [whole(generator, 1, 2**31) for _ in range(4)]
    texts = [sample(predict, "abcd", 40, "a", torch.Generator().manual_seed(s)) for s in seeds]
    again = [sample(predict, "abcd", 40, "a", torch.Generator().manual_seed(s)) for s in seeds]
    same(texts, again, "the same seeds once more")
    same(len(set(texts)), 4, "the number of different texts from four seeds")
