"""Visible checks of the n-gram chapter: numbers small enough to work out on paper."""
import math

import torch

from autograder.checks import checks, same

LETTERS = "abcdr"
ONE = {"": {"a": 5, "b": 2, "r": 2, "c": 1, "d": 1}}  # the counts of "abracadabra", n = 1 …
TWO = {"a": {"b": 2, "c": 1, "d": 1}, "b": {"r": 2}, "r": {"a": 2}, "c": {"a": 1}, "d": {"a": 1}}
THREE = {
    "ab": {"r": 2}, "br": {"a": 2}, "ra": {"c": 1}, "ac": {"a": 1},
    "ca": {"d": 1}, "ad": {"a": 1}, "da": {"b": 1},
}


def row(*numbers):
    """Probabilities as a float64 tensor."""
    return torch.tensor(numbers, dtype=torch.float64)


@checks("ngram.count")
def bigrams_of_abracadabra(count):
    """In "abracadabra", "a" is followed twice by "b", once by "c" and once by "d"."""
    same(
        count(["abracadabra"], 2), TWO,
        "with n = 2 the context is the one character before, and each next character is tallied under it",
    )


@checks("ngram.count")
def trigrams_of_abracadabra(count):
    """With n = 3 the context is the two characters before, and every window counts, the last one too."""
    same(
        count(["abracadabra"], 3), THREE,
        "11 characters hold 9 windows of 3: the first 2 of each are the context, the third is the next token",
    )


@checks("ngram.count")
def one_gram_has_an_empty_context(count):
    """With n = 1 there is one context, the empty one, and it counts every character."""
    same(count(["abracadabra"], 1), ONE, 'n − 1 = 0 characters of context: the only key is ""')


@checks("ngram.count")
def documents_are_apart(count):
    """The end of one document is no context for the start of the next."""
    expected = {"a": {"b": 1}, "b": {"a": 1}}
    same(count(["ab", "ba"], 2), expected, 'in "ab" and "ba" no "b" follows a "b": were the documents joined?')


@checks("ngram.count")
def overlapping_windows(count):
    """Windows overlap: "aaaa" holds three bigrams."""
    same(count(["aaaa"], 2), {"a": {"a": 3}}, "the window moves on by one character, not by n")


@checks("ngram.count")
def a_short_document_holds_nothing(count):
    """A document shorter than n holds no n-gram."""
    same(count(["ab"], 3), {}, "no context was seen, so the table is empty (no entry, not a count of 0)")


@checks("ngram.probability")
def maximum_likelihood(probability):
    """With k = 0, P(b | a) is 2 of 4, in the order of the vocabulary."""
    out = probability([ONE, TWO], "a", LETTERS)
    same(out, row(0, 0.5, 0.25, 0.25, 0), "divide each count after the context by the sum of the counts after it")


@checks("ngram.probability")
def add_k(probability):
    """With k = 1, nothing is impossible: P(a | a) = 1/9."""
    hint = "k goes to all V tokens, seen or not, so the denominator grows by k·V (here 4 + 1·5)"
    same(probability([ONE, TWO], "a", LETTERS, k=1.0), row(1, 3, 2, 2, 1) / 9, hint)


@checks("ngram.probability")
def only_the_last_tokens_count(probability):
    """A bigram looks at the last token of the context and at nothing else."""
    hint = 'after "dab" a bigram sees "b", the last token; "b" was always followed by "r"'
    same(probability([ONE, TWO], "dab", LETTERS), row(0, 0, 0, 0, 1), hint)


@checks("ngram.probability")
def orders_are_mixed(probability):
    """With weights ¼, ¼, ½, three orders share the prediction."""
    out = probability([ONE, TWO, THREE], "ra", LETTERS, weights=[0.25, 0.25, 0.5])
    expected = 0.25 * row(5, 2, 1, 1, 2) / 11 + 0.25 * row(0, 2, 1, 1, 0) / 4 + 0.5 * row(0, 0, 1, 0, 0)
    same(out, expected, 'order 1 sees "", order 2 sees "a", order 3 sees "ra"; weights[m - 1] belongs to order m')


@checks("ngram.probability")
def an_unseen_context_leaves_it_to_a_shorter_one(probability):
    """A context never seen has nothing to divide: the next shorter one answers."""
    hint = '"ba" never occurs, so order 3 repeats order 2, which has seen "a" (0/0 is no answer)'
    same(probability([ONE, TWO, THREE], "ba", LETTERS), row(0, 0.5, 0.25, 0.25, 0), hint)


@checks("ngram.probability")
def an_unseen_order_keeps_its_weight(probability):
    """When order 3 repeats order 2, it does so with its own weight."""
    out = probability([ONE, TWO, THREE], "ba", LETTERS, weights=[0.5, 0.25, 0.25])
    expected = 0.5 * row(5, 2, 1, 1, 2) / 11 + 0.5 * row(0, 2, 1, 1, 0) / 4
    same(out, expected, "order 3 repeats the estimate of order 2 and keeps its weight, so that all sums to 1")


@checks("ngram.probability")
def the_vocabulary_gives_order_and_size(probability):
    """A token that no table holds is in the vocabulary too, and gets its share of k."""
    hint = 'the result has one entry for each token of "zrdcba", in that order; "z" was never seen'
    same(probability([ONE, TWO], "a", "zrdcba", k=0.5), row(0.5, 0.5, 1.5, 1.5, 2.5, 0.5) / 7, hint)


@checks("ngram.probability")
def nothing_known_is_uniform(probability):
    """Tables that are empty leave all tokens equally likely."""
    same(probability([{}, {}], "a", "abcd"), row(0.25, 0.25, 0.25, 0.25), "below order 1 stands the uniform 1/V")


def fixed(vocabulary, *probabilities):
    """A model that ignores its context."""
    return lambda context: row(*probabilities)


def cycle(context):
    """A model that is certain: a, b, c, and again from the start."""
    return torch.eye(3, dtype=torch.float64)[("abc".index(context[-1]) + 1) % 3 if context else 0]


def two_back(context):
    """A model that gives 3/4 to the token two positions back, and guesses where there is none."""
    if len(context) < 2:
        return row(0.5, 0.5)
    return torch.eye(2, dtype=torch.float64)["ab".index(context[-2])] * 0.5 + 0.25


@checks("ngram.perplexity")
def guessing_among_four(perplexity):
    """A model that guesses evenly among four tokens has perplexity 4."""
    out = perplexity(fixed("abcd", 0.25, 0.25, 0.25, 0.25), "abacad", "abcd")
    same(out, 4.0, "each token costs 2 bits, the mean is 2 bits, and 2 to the power of 2 is 4")


@checks("ngram.perplexity")
def the_mean_is_taken_of_bits(perplexity):
    """Probabilities 1/2 and 1/8 cost 1 and 3 bits: 2 bits on average, perplexity 4."""
    out = perplexity(fixed("abc", 0.5, 0.125, 0.375), "ab", "abc")
    same(out, 4.0, "average the logarithms over the tokens, then go back; base 2 both ways")


@checks("ngram.perplexity")
def certainty_has_perplexity_one(perplexity):
    """Who predicts every token has perplexity 1; each is predicted from what stands before it."""
    hint = "token t is predicted from context + text[:t]: neither itself nor anything after it"
    same(perplexity(cycle, "abcabc", "abc"), 1.0, hint)


@checks("ngram.perplexity")
def the_context_is_read_but_not_scored(perplexity):
    """Tokens of `context` help to predict, and cost nothing themselves."""
    hint = '"ca" follows "bb" with certainty from its first token on, because the model has read the context'
    same(perplexity(cycle, "ca", "abc", context="bb"), 1.0, hint)


@checks("ngram.perplexity")
def all_that_stands_before_is_given(perplexity):
    """The model is given all that stands before, not just one token of it."""
    out = perplexity(two_back, "bab", "ab", context="ba")
    same(out, 4 / 3, "this model looks two tokens back: each time it is given context + text[:t] it gives 3/4")


@checks("ngram.perplexity")
def an_impossible_token_costs_everything(perplexity):
    """One token of probability 0 makes the perplexity infinite."""
    hint = "log 0 is −∞; leaving such tokens out, or lifting them a little, hides the model's worst error"
    same(perplexity(fixed("abc", 0.5, 0.5, 0.0), "abc", "abc"), math.inf, hint)


@checks("ngram.perplexity")
def a_long_text_does_not_underflow(perplexity):
    """A text of 2,000 tokens is no harder to measure than one of 2."""
    out = perplexity(fixed("abcd", 0.25, 0.25, 0.25, 0.25), "abca" * 500, "abcd")
    same(out, 4.0, "the product of 2,000 probabilities is 0 in floating point: add logarithms instead")


@checks("ngram.sample")
def each_token_follows_the_one_before(sample):
    """A model that is certain leaves no choice: after "a" come b, c, a, b, c."""
    hint = "ask the model after each drawn token, with that token in the context; return the drawn tokens alone"
    same(sample(cycle, "abc", 5, "a", torch.Generator().manual_seed(0)), "bcabc", hint)


@checks("ngram.sample")
def it_begins_with_nothing(sample):
    """Without a prompt the first context is empty; drawing nothing gives the empty string."""
    generator = torch.Generator().manual_seed(0)
    same(sample(cycle, "abc", 4, generator=generator), "abca", "the context starts as the prompt, here empty")
    same(sample(cycle, "abc", 0, "a", generator), "", "0 tokens are the empty string")


@checks("ngram.sample")
def it_draws_and_does_not_choose(sample):
    """A token of probability ¼ comes up about a quarter of the time."""
    text = sample(fixed("abc", 0.75, 0.25, 0.0), "abc", 1000, generator=torch.Generator().manual_seed(1))
    same(len(text), 1000, "1000 tokens were asked for")
    near = round(4 * text.count("b") / 1000, 1)
    fits = "about a quarter" if 0.8 <= near <= 1.2 else f"{text.count('b') / 10:.0f} %"
    same(fits, "about a quarter", "draw with the model's probabilities as they are: how often did “b” come up?")
    same(text.count("c"), 0, "a token of probability 0 is never drawn")


@checks("ngram.sample")
def the_generator_decides(sample):
    """The same seed gives the same text, another seed gives another one."""
    model = fixed("abcd", 0.25, 0.25, 0.25, 0.25)
    one, again, other = (sample(model, "abcd", 30, "a", torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    same(one == again, True, "same seed, different text: pass `generator` on to the function that draws")
    same(one != other, True, "different seeds, same text: is the generator seeded anew inside?")


@checks("ngram.sample")
def the_whole_text_is_the_context(sample):
    """The model sees the prompt and all that was drawn, not the last token alone."""
    def three_back(context):
        return torch.eye(3, dtype=torch.float64)["abc".index(context[-3])]

    out = sample(three_back, "abc", 6, "aabc", torch.Generator().manual_seed(0))
    same(out, "abcabc", "this model repeats the token three back: give it prompt + everything drawn so far")
