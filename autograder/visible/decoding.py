"""What learners see checked of decoding: laws of four tokens, and texts of two letters."""

import math

import torch
from torch import Tensor

from autograder.checks import checks, raises, same
from autograder.inputs import real

GONE = -math.inf


def logs(rows: list) -> Tensor:
    """The logarithms of probabilities, so that softmax gives these back."""
    return real(rows).log()


@checks("decoding.with_temperature")
def logits_are_divided(with_temperature):
    """Temperature 2 halves the logits, temperature ½ doubles them."""
    logits = real([[4, 0, -2], [1, 3, -1]])
    hint = "Divide the logits, and leave them logits: no softmax here."
    same(with_temperature(logits, 2.0), real([[2, 0, -1], [0.5, 1.5, -0.5]]), hint)
    same(with_temperature(logits, 0.5), real([[8, 0, -4], [2, 6, -2]]), hint)


@checks("decoding.with_temperature")
def probabilities_are_sharpened(with_temperature):
    """At temperature ½, probabilities 0.8 and 0.2 become 16/17 and 1/17."""
    out = with_temperature(logs([0.8, 0.2]), 0.5).softmax(-1)
    same(out, real([16 / 17, 1 / 17]), "Half the temperature squares the ratio: 4 to 1 becomes 16 to 1.")


@checks("decoding.with_temperature")
def temperature_zero_is_greedy(with_temperature):
    """Temperature 0 leaves each row its largest logit alone."""
    out = with_temperature(real([[1, 3, 2], [-5, -7, -6]]), 0.0)
    hint = "All but the row's own largest logit become −∞; nothing is divided by 0."
    same(out, real([[GONE, 3, GONE], [-5, GONE, GONE]]), hint)


@checks("decoding.with_temperature")
def of_equal_ones_the_first(with_temperature):
    """At temperature 0, the first of equally large logits stays."""
    out = with_temperature(real([2, 5, 5, 1]), 0.0)
    same(out, real([GONE, 5, GONE, GONE]), "Two tokens have the logit 5; the first one wins, alone.")


@checks("decoding.with_temperature")
def what_is_excluded_stays_so(with_temperature):
    """A logit of −∞ stays −∞ at every temperature, and a negative temperature is refused."""
    for temperature in (0.5, 3.0):
        out = with_temperature(real([GONE, 3, 0]), temperature)
        same(out, real([GONE, 3 / temperature, 0]), "−∞ divided by a positive number is −∞.")
    with raises(ValueError, "temperature"):
        with_temperature(real([1, 2]), -1.0)


@checks("decoding.top_k")
def the_two_best_of_four(top_k):
    """With k = 2, the two largest logits of each row stay where they were."""
    out = top_k(real([[1, 4, 3, 2], [-1, -2, -4, -3]]), 2)
    hint = "Each row keeps its own two largest; the kept logits do not move and do not change, the others become −∞."
    same(out, real([[GONE, 4, 3, GONE], [-1, -2, GONE, GONE]]), hint)


@checks("decoding.top_k")
def one_is_enough(top_k):
    """With k = 1, only the best stays; with k = 3 of four, only the worst goes."""
    same(top_k(real([1, 4, 3, 2]), 1), real([GONE, 4, GONE, GONE]), "k counts the tokens that stay.")
    same(top_k(real([1, 4, 3, 2]), 3), real([GONE, 4, 3, 2]), "k counts the tokens that stay.")


@checks("decoding.top_k")
def equals_stay_together(top_k):
    """Tokens exactly as likely as the k-th stay as well."""
    hint = "The second largest logit is 3, and there are two of them: what is not SMALLER than the k-th stays."
    same(top_k(real([3, 5, 3, 1]), 2), real([3, 5, 3, GONE]), hint)


@checks("decoding.top_k")
def more_than_there_are(top_k):
    """A k beyond the number of tokens keeps them all."""
    logits = real([[1, 4], [3, 2]])
    same(top_k(logits, 40), logits, "topk of more tokens than there are raises an error: ask for V at most.")
    with raises(ValueError, "k must"):
        top_k(logits, 0)


@checks("decoding.top_p")
def the_token_that_crosses_stays(top_p):
    """With p = 0.7, of 0.5, 0.3 and 0.2 the first two stay: 0.5 alone is not enough."""
    out = top_p(logs([0.5, 0.3, 0.2]), 0.7)
    hint = "0.5 is less than p; with 0.3 it is at least p. The token with which the sum reaches p belongs to it."
    same(out, real([math.log(0.5), math.log(0.3), GONE]), hint)


@checks("decoding.top_p")
def every_logit_in_its_place(top_p):
    """Tokens need not be in order: each row has a nucleus of its own."""
    out = top_p(logs([[0.1, 0.2, 0.6, 0.1], [0.05, 0.5, 0.15, 0.3]]), 0.75)
    expected = real([[GONE, math.log(0.2), math.log(0.6), GONE], [GONE, math.log(0.5), GONE, math.log(0.3)]])
    same(out, expected, "You sorted; are the answers back at the places of their tokens? And is each row summed alone?")


@checks("decoding.top_p")
def one_token_at_least(top_p):
    """When the likeliest token alone has more than p, it stays, and it alone."""
    out = top_p(logs([0.15, 0.8, 0.05]), 0.5)
    same(out, real([GONE, math.log(0.8), GONE]), "The first token crosses p, and the one that crosses stays.")


@checks("decoding.top_p")
def logits_are_no_probabilities(top_p):
    """Logits are shifted at will: only their softmax can be summed."""
    out = top_p(logs([0.2, 0.5, 0.3]) + 7, 0.6)
    hint = "Sum probabilities (softmax), return logits: what stays keeps its number."
    same(out, logs([0, 0.5, 0.3]) + 7, hint)


@checks("decoding.top_p")
def the_fewest_of_equals(top_p):
    """Of four equal tokens, p = ½ keeps two and p = 0.6 keeps three."""
    for p, number in ((0.5, 2), (0.6, 3)):
        kept = top_p(real([1, 1, 1, 1]), p) > GONE
        same(int(kept.sum()), number, f"Each has ¼. The fewest whose sum is at least {p} are {number}.")


@checks("decoding.top_p")
def what_was_excluded_before(top_p):
    """Tokens that top-k has excluded have no mass, and a p outside (0, 1] is refused."""
    out = top_p(real([GONE, 1, 1, GONE]), 0.9)
    same(out, real([GONE, 1, 1, GONE]), "The two that are left have ½ each; 0.9 needs both.")
    with raises(ValueError, "p must"):
        top_p(real([1, 2]), 0.0)


@checks("decoding.repetition_penalty")
def positive_logits_are_divided(repetition_penalty):
    """A token that has occurred has its positive logit divided by the penalty."""
    out = repetition_penalty(real([[6, 4, 2]]), torch.tensor([[0]]), 2.0)
    same(out, real([[3, 4, 2]]), "Only token 0 has occurred: 6 / 2. The others stay as they are.")


@checks("decoding.repetition_penalty")
def negative_logits_are_multiplied(repetition_penalty):
    """A negative logit is multiplied, so that the token becomes less likely, too."""
    out = repetition_penalty(real([[6, -4, -1]]), torch.tensor([[1, 0]]), 2.0)
    same(out, real([[3, -8, -1]]), "−4 / 2 = −2 would be LARGER than −4: the token would become likelier.")


@checks("decoding.repetition_penalty")
def however_often(repetition_penalty):
    """A token that has occurred three times is penalised once."""
    out = repetition_penalty(real([[8, 4, 2]]), torch.tensor([[0, 2, 0, 0]]), 2.0)
    same(out, real([[4, 4, 1]]), "8 / 2 = 4, although token 0 has occurred three times.")


@checks("decoding.repetition_penalty")
def rows_are_different_texts(repetition_penalty):
    """Each row is penalised for its own text alone."""
    out = repetition_penalty(real([[8, 4, 2], [8, 4, 2]]), torch.tensor([[0, 0], [1, 2]]), 2.0)
    same(out, real([[4, 4, 2], [8, 2, 1]]), "The first text holds token 0 only, the second tokens 1 and 2.")


@checks("decoding.repetition_penalty")
def nothing_written_nothing_penalised(repetition_penalty):
    """Before the first token nothing changes; a logit of −∞ stays so; the penalty must be positive."""
    nothing = torch.zeros(1, 0, dtype=torch.int64)
    same(repetition_penalty(real([[8, -4, 2]]), nothing, 2.0), real([[8, -4, 2]]), "No token has occurred.")
    out = repetition_penalty(real([[GONE, 0, 2]]), torch.tensor([[0, 1]]), 2.0)
    same(out, real([[GONE, 0, 2]]), "Twice −∞ is −∞, and 0 stays 0.")
    with raises(ValueError, "penalty"):
        repetition_penalty(real([[1, 2]]), nothing, 0.0)


# Tokens 0, 1 and 2; the law of the next token depends on the last one. Token 3 begins.
PATHS = [[0.4, 0.3, 0.3], [0.1, 0.0, 0.9], [0.3, 0.4, 0.3], [0.5, 0.4, 0.1]]


def garden(tokens: Tensor) -> Tensor:
    """A model whose likeliest first token leads to no likely text; its logits are not normalised."""
    return logs(PATHS)[tokens[:, -1]] + 5


@checks("decoding.beam_search")
def two_beams_see_further(beam_search):
    """Greedy takes token 0 (½) and ends with 0.2; two beams find 1, 2 with 0.4 · 0.9 = 0.36."""
    texts, scores = beam_search(garden, torch.tensor([3]), 2, 2)
    hint = "Keep the two best TEXTS of all, by the sum of their log-probabilities, and continue each with every token."
    same(texts[0], torch.tensor([3, 1, 2]), hint)
    same(scores[0].double(), logs([0.36])[0], "The score is the log-probability of what was written.")
    same(texts, torch.tensor([[3, 1, 2], [3, 0, 0]]), "All texts that were kept come back, the best first.")


@checks("decoding.beam_search")
def one_beam_is_greedy(beam_search):
    """With one beam, the likeliest token is taken at each step."""
    texts, scores = beam_search(garden, torch.tensor([3]), 2, 1)
    same(texts, torch.tensor([[3, 0, 0]]), "0 (½), then 0 (0.4); the prompt stands in front.")
    same(scores.double(), logs([0.2]), "log ½ + log 0.4: logits must be normalised first (log_softmax).")


@checks("decoding.beam_search")
def both_beams_may_have_one_parent(beam_search):
    """Both of the two best texts may continue the same text."""
    def model(tokens: Tensor) -> Tensor:
        return logs([[0.45, 0.45, 0.1], [0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.9, 0.05, 0.05]])[tokens[:, -1]]

    texts, scores = beam_search(model, torch.tensor([3]), 2, 2)
    same(scores.double(), logs([0.405, 0.405]), "0, 0 and 0, 1 have 0.9 · 0.45 each; whatever begins with 1 has less.")
    same(texts[:, 1], torch.tensor([0, 0]), "A beam belongs to no parent: the best texts of ALL are kept.")


@checks("decoding.beam_search")
def all_of_the_past_is_known(beam_search):
    """The model sees the whole text of each beam."""
    def model(tokens: Tensor) -> Tensor:
        return logs([[0.6, 0.4], [0.3, 0.7], [0.05, 0.95]])[tokens.sum(1).clamp(max=2)]

    texts, scores = beam_search(model, torch.tensor([0, 0]), 3, 3)
    same(texts[0], torch.tensor([0, 0, 1, 1, 1]), "0.4 · 0.7 · 0.95: hand the texts to the model whole, beams as rows.")
    same(scores[0].double(), logs([0.4 * 0.7 * 0.95])[0], "0.4 · 0.7 · 0.95: add all log-probabilities.")


# Token 2 ends a text.
ENDING = [[0.6, 0.1, 0.3], [0.1, 0.8, 0.1], [0.05, 0.9, 0.05], [0.5, 0.2, 0.3]]


def ending(tokens: Tensor) -> Tensor:
    """A model of which every token may end the text."""
    return logs(ENDING)[tokens[:, -1]]


@checks("decoding.beam_search")
def what_has_ended_goes_on_no_longer(beam_search):
    """A text that ends with the stop token is put aside with its probability, and filled up with it."""
    texts, scores = beam_search(ending, torch.tensor([3]), 3, 2, stop=2)
    hint = "Token 2 at once has 0.3; going on, 0, 0, 0 has 0.5 · 0.6 · 0.6 = 0.18 and 0, 2 has 0.15."
    same(texts, torch.tensor([[3, 2, 2, 2], [3, 0, 0, 0]]), hint)
    same(scores.double(), logs([0.3, 0.18]), hint)


@checks("decoding.beam_search")
def long_texts_can_be_helped(beam_search):
    """With length penalty 1, the score is the mean log-probability of the tokens that were written."""
    texts, scores = beam_search(ending, torch.tensor([3, 3]), 3, 1, stop=2, length_penalty=1.0)
    hint = "log 0.3 / 1 for the short one, log 0.18 / 3 for the long one: the prompt does not count."
    same(texts, torch.tensor([[3, 3, 0, 0, 0]]), hint)
    same(scores.double(), real([math.log(0.18) / 3]), hint)
    texts, scores = beam_search(ending, torch.tensor([3, 0]), 2, 1, stop=2, length_penalty=0.5)
    same(scores.double(), real([math.log(0.36) / math.sqrt(2)]), "With penalty ½, divide by the root of the length.")


@checks("decoding.beam_search")
def fewer_than_asked(beam_search):
    """When fewer texts are possible than beams, fewer come back; wrong numbers are refused."""
    texts, scores = beam_search(garden, torch.tensor([1]), 1, 9)
    same(texts, torch.tensor([[1, 2], [1, 0]]), "After token 1, token 1 is impossible (−∞); two texts are left.")
    same(scores.double(), logs([0.9, 0.1]), "log 0.9 and log 0.1.")
    with raises(ValueError, "beams"):
        beam_search(garden, torch.tensor([1]), 1, 0)
