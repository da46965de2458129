"""What grading checks of decoding: plain Python over lists as oracle, and every text there is."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autograder.checks import checks, raises, same
from autograder.inputs import F64, normal

GONE = -math.inf
SHAPES: tuple[tuple[int, ...], ...] = ((1,), (7,), (1, 5), (3, 11), (2, 3, 4), (5, 1))


def by_row(function: Callable[..., list[float]], logits: Tensor, *more: float) -> Tensor:
    """Apply a function of one row of plain numbers to every row."""
    rows = [function(row, *more) for row in logits.reshape(-1, logits.shape[-1]).tolist()]
    return torch.tensor(rows, dtype=logits.dtype).reshape(logits.shape)


def shares(row: list[float]) -> list[float]:
    """The softmax of one row."""
    top = max(row)
    powers = [math.exp(x - top) for x in row]
    return [x / math.fsum(powers) for x in powers]


def batches(generator: torch.Generator) -> list[Tensor]:
    """Logits of several shapes; some large, some with excluded tokens, some not contiguous."""
    found = [normal(generator, *shape, std=3.0) for shape in SHAPES]
    found.append(normal(generator, 4, 6, std=400))
    gaps = normal(generator, 4, 9, std=3.0)
    gaps[:, 2::3] = GONE
    return [*found, gaps, normal(generator, 6, 4, std=3.0).T]


@checks("decoding.with_temperature")
def every_logit_divided(with_temperature, generator):
    """Drawn logits are divided by drawn temperatures, in all shapes."""
    cases = [(x, t) for x in batches(generator) for t in (0.1, 0.7, 1.0, 2.5, 10.0)]
    for logits, temperature in cases:
        expected = by_row(lambda row, t: [x / t for x in row], logits, temperature)
        same(with_temperature(logits, temperature), expected, f"temperature {temperature}")


@checks("decoding.with_temperature")
def zero_keeps_the_first_of_the_largest(with_temperature, generator):
    """Temperature 0 keeps the first of each row's largest logits as it is."""
    whole = [torch.randint(-3, 4, shape, generator=generator).to(F64) for shape in SHAPES]

    def greedy(row: list[float]) -> list[float]:
        return [x if i == row.index(max(row)) else GONE for i, x in enumerate(row)]

    for logits in [*batches(generator), *whole]:
        same(with_temperature(logits, 0.0), by_row(greedy, logits), "temperature 0")
    same(with_temperature(whole[3], 0), by_row(greedy, whole[3]), "temperature 0 as a whole number")


@checks("decoding.with_temperature")
def single_precision(with_temperature, generator):
    """float32 stays float32, also at temperature 0."""
    logits = normal(generator, 3, 5, std=3.0).float()
    same(with_temperature(logits, 0.5), logits * 2, "temperature ½ of float32")
    same(with_temperature(logits, 0.0).dtype == torch.float32, True, "temperature 0 of float32 gives float32")
    for wrong in (-0.1, math.nan, math.inf):
        with raises(ValueError, "temperature"):
            with_temperature(logits, wrong)


def best_k(row: list[float], k: float) -> list[float]:
    """Keep what fewer than k are larger than."""
    return [x if sum(y > x for y in row) < k else GONE for x in row]


@checks("decoding.top_k")
def fewer_than_k_are_larger(top_k, generator):
    """A token stays exactly when fewer than k are likelier."""
    for logits in batches(generator):
        for k in (1, 2, 3, 5, 40):
            same(top_k(logits, k), by_row(best_k, logits, k), f"k = {k}")


@checks("decoding.top_k")
def ties_are_kept(top_k, generator):
    """Whole logits tie often: all that equal the k-th stay."""
    for shape in ((6, 9), (2, 4, 7), (12,)):
        logits = torch.randint(-2, 3, shape, generator=generator).to(F64)
        for k in (1, 2, 4, 6):
            same(top_k(logits, k), by_row(best_k, logits, k), f"ties, k = {k}")


@checks("decoding.top_k")
def a_vocabulary(top_k, generator):
    """The 40 likeliest of a thousand tokens in float32."""
    logits = normal(generator, 3, 1000, std=3.0).float()
    same(top_k(logits, 40), by_row(best_k, logits, 40), "k = 40 of 1,000")
    with raises(ValueError, "k must"):
        top_k(logits, -1)


def nucleus(row: list[float], p: float) -> list[float]:
    """Take the likeliest, one by one, until there is enough."""
    probability, kept, mass = shares(row), set(), 0.0
    for i in sorted(range(len(row)), key=lambda i: -row[i]):
        if mass >= p:
            break
        kept.add(i)
        mass = math.fsum(probability[j] for j in kept)
    return [x if i in kept else GONE for i, x in enumerate(row)]


@checks("decoding.top_p")
def the_smallest_set(top_p, generator):
    """The nucleus is what one gets by taking the likeliest, one by one, until there is enough."""
    for logits in batches(generator):
        for p in (0.05, 0.3, 0.5, 0.77, 0.9, 0.99):
            same(top_p(logits, p), by_row(nucleus, logits, p), f"p = {p}")


@checks("decoding.top_p")
def all_with_p_one(top_p, generator):
    """With p = 1 everything stays, down to the rarest; p near 1 drops the rarest."""
    logits = normal(generator, 4, 50, std=20)
    same(top_p(logits, 1.0), logits, "p = 1 keeps all")
    same(top_p(logits, 0.97), by_row(nucleus, logits, 0.97), "p = 0.97 of a steep law")


@checks("decoding.top_p")
def equal_tokens(top_p, generator):
    """Of m equally likely tokens, as few stay as make up p, whatever is beside them."""
    for m in (2, 4, 8, 16):
        logits = torch.full((2, m + 3), -900.0, dtype=F64)
        places = torch.randperm(m + 3, generator=generator)[:m]
        logits[:, places] = 2.0
        for some in range(1, m + 1):
            kept = top_p(logits, (some - 0.5) / m) > GONE
            same(kept.sum(-1), torch.tensor([some, some]), f"{some} of {m} equals make up {(some - 0.5) / m}")
            same(bool((logits[kept] == 2.0).all()), True, "only the likely ones are in the nucleus")


@checks("decoding.top_p")
def flat_laws_keep_many(top_p, generator):
    """A flat law of a thousand tokens keeps hundreds, a peaked one keeps few; float32."""
    for spread in (0.1, 2.0, 8.0):
        logits = normal(generator, 2, 1000, std=spread).float()
        out = top_p(logits, 0.9)
        mass = (logits.double().softmax(-1) * (out > GONE)).sum(-1)
        same(bool((mass > 0.9 - 1e-5).all()), True, "the kept mass is at least p")
        few = by_row(nucleus, logits.double(), 0.9) > GONE
        same(bool(((out > GONE).sum(-1) - few.sum(-1)).abs().max() <= 1), True, "as many stay as are needed")
        same(bool((out[out > GONE] == logits[out > GONE]).all()), True, "what stays keeps its logit")
    with raises(ValueError, "p must"):
        top_p(logits, 1.01)


@checks("decoding.repetition_penalty")
def token_by_token(repetition_penalty, generator):
    """Drawn logits and texts, penalties above and below 1, agree with a loop."""
    cases = []
    for lead, size, length in (((1,), 4, 3), ((3,), 9, 12), ((2, 2), 5, 4), ((), 6, 5), ((2,), 1, 2)):
        logits = normal(generator, *lead, size, std=3.0)
        tokens = torch.randint(size, (*lead, length), generator=generator)
        cases += [(logits, tokens, penalty) for penalty in (0.5, 1.0, 1.2, 3.0)]
    for logits, tokens, penalty in cases:
        texts = iter(tokens.reshape(-1, tokens.shape[-1]).tolist())

        def lowered(row: list[float], texts=texts, penalty=penalty) -> list[float]:
            text = next(texts)
            return [(x / penalty if x > 0 else x * penalty) if i in text else x for i, x in enumerate(row)]

        same(repetition_penalty(logits, tokens, penalty), by_row(lowered, logits), f"penalty {penalty}")


@checks("decoding.repetition_penalty")
def never_likelier(repetition_penalty, generator):
    """With a penalty above 1, no token that has occurred gains against one that has not."""
    logits, tokens = normal(generator, 5, 8, std=3.0) - 4, torch.randint(3, (5, 6), generator=generator)
    change = repetition_penalty(logits, tokens, 1.7) - logits
    seen = torch.zeros(5, 8, dtype=torch.bool).scatter(1, tokens, True)
    same(bool((change[seen] <= 0).all()), True, "a seen token's logit must not grow")
    same(change[~seen], torch.zeros(int((~seen).sum()), dtype=F64), "an unseen token's logit must not change")


@checks("decoding.repetition_penalty")
def single_precision_and_edges(repetition_penalty, generator):
    """float32, excluded tokens, an empty text, and refused penalties."""
    logits, tokens = normal(generator, 2, 4, std=3.0).float(), torch.tensor([[0, 3], [1, 1]])
    logits[0, 3] = GONE
    expected = logits.clone()
    for i, row in enumerate(tokens.tolist()):
        for j in set(row):
            expected[i, j] = logits[i, j] / 1.3 if logits[i, j] > 0 else logits[i, j] * 1.3
    same(repetition_penalty(logits, tokens, 1.3), expected, "float32 with an excluded token")
    same(repetition_penalty(logits, tokens[:, :0], 1.3), logits, "an empty text changes nothing")
    with raises(ValueError, "penalty"):
        repetition_penalty(logits, tokens, -2.0)


Model = Callable[[Tensor], Tensor]


def model_of(generator: torch.Generator, size: int) -> Model:
    """A model whose logits depend on the last two tokens and on all before; they are not normalised."""
    last, before, whole = (normal(generator, size, size, std=1.5) for _ in range(3))

    def predict(tokens: Tensor) -> Tensor:
        second = before[tokens[:, -2]] if tokens.size(1) > 1 else 0
        return last[tokens[:, -1]] + second + torch.sin(3 * whole[tokens].cumsum(1)[:, -1])

    return predict


def log_probability(predict: Model, prompt: list[int], text: Sequence[int]) -> float:
    """The sum of the log-probabilities of the tokens of a text after a prompt."""
    total, so_far = 0.0, list(prompt)
    for token in text:
        total += math.log(shares(predict(torch.tensor([so_far]))[0].tolist())[token])
        so_far.append(token)
    return total


def searched(
    predict: Model, prompt: list[int], length: int, beams: int, stop: int | None, length_penalty: float
) -> list[tuple[list[int], float]]:
    """Beam search over plain lists."""
    running: list[tuple[list[int], float]] = [([], 0.0)]
    done: list[tuple[list[int], float]] = []
    for n in range(1, length + 1):
        longer = []
        for text, score in running:
            law = shares(predict(torch.tensor([prompt + text]))[0].tolist())
            for token, share in enumerate(law):
                entry = ([*text, token], score + math.log(share))
                if token == stop:
                    done.append((prompt + entry[0] + [token] * (length - n), entry[1] / n**length_penalty))
                else:
                    longer.append(entry)
        running = sorted(longer, key=lambda entry: -entry[1])[:beams]
    done += [(prompt + text, score / length**length_penalty) for text, score in running]
    return sorted(done, key=lambda entry: -entry[1])[:beams]


@checks("decoding.beam_search")
def enough_beams_find_the_best_of_all(beam_search, generator):
    """With as many beams as there are texts, the ranking is that of all texts."""
    for size, length, prompt in ((2, 4, [0]), (3, 3, [1, 2, 2]), (5, 2, [4])):
        predict = model_of(generator, size)
        texts, scores = beam_search(predict, torch.tensor(prompt), length, size**length)
        every = [(log_probability(predict, prompt, text), list(text)) for text in
                 itertools.product(range(size), repeat=length)]  # fmt: skip
        every.sort(reverse=True)
        same(texts, torch.tensor([prompt + text for _, text in every]), f"all {size}^{length} texts, best first")
        same(scores.double(), torch.tensor([score for score, _ in every], dtype=F64), "their log-probabilities")


@checks("decoding.beam_search")
def narrow_beams(beam_search, generator):
    """Few beams keep what a search over plain lists keeps."""
    for size, length, beams, prompt in ((4, 5, 1, [0]), (6, 7, 2, [3, 1]), (7, 4, 3, [2]), (3, 6, 5, [0, 0, 1])):
        predict = model_of(generator, size)
        expected = searched(predict, prompt, length, beams, None, 0.0)
        texts, scores = beam_search(predict, torch.tensor(prompt), length, beams)
        same(texts, torch.tensor([text for text, _ in expected]), f"{beams} beams over {size} tokens")
        same(scores.double(), torch.tensor([score for _, score in expected], dtype=F64), "their log-probabilities")


@checks("decoding.beam_search")
def stops_and_lengths(beam_search, generator):
    """With a stop token and every length penalty, the ranking is that of a search over plain lists."""
    for size, length, beams, stop, penalty in (
        (4, 5, 2, 0, 0.0), (4, 5, 2, 3, 1.0), (5, 6, 3, 2, 0.6), (3, 4, 1, 1, 2.0), (3, 4, 30, 2, 1.0),
    ):  # fmt: skip
        predict, prompt = model_of(generator, size), [1 if stop != 1 else 0, 0]
        expected = searched(predict, prompt, length, beams, stop, penalty)
        texts, scores = beam_search(
            predict, torch.tensor(prompt), length, beams, stop=stop, length_penalty=penalty
        )
        same(texts, torch.tensor([text for text, _ in expected]), f"{beams} beams, stop {stop}, penalty {penalty}")
        same(scores.double(), torch.tensor([score for _, score in expected], dtype=F64), f"scores, penalty {penalty}")


@checks("decoding.beam_search")
def single_precision_model(beam_search, generator):
    """A float32 model will do, and wrong arguments are refused."""
    predict = model_of(generator, 5)
    texts, scores = beam_search(lambda tokens: predict(tokens).float(), torch.tensor([2]), 4, 3)
    expected = searched(predict, [2], 4, 3, None, 0.0)
    same(texts, torch.tensor([text for text, _ in expected]), "float32 logits")
    for wrong in ({"length": 0, "beams": 1}, {"length": 1, "beams": -1}):
        with raises(ValueError, "must be at least 1"):
            beam_search(predict, torch.tensor([0]), **wrong)
    with raises(ValueError, "prompt"):
        beam_search(predict, torch.tensor([[0]]), 1, 1)
