"""What learners get wrong in decoding: each a complete wrong implementation, often in several code forms."""
import functools
import math

import torch
import torch.nn.functional as F

from autograder.mistakes import mistake
from gptlib import decoding as reference

GONE = -torch.inf


def wrong(exercise, when, check=lambda *args, **kwargs: None, *, see="", visible=True):
    """Register a mistake that stands where learners make it: behind the checks of arguments that the stub gives."""

    def register(function):
        @functools.wraps(function)
        def behind(*args, **kwargs):
            check(*args, **kwargs)
            return function(*args, **kwargs)

        del behind.__wrapped__
        return mistake(exercise, when, see=see, visible=visible)(behind)

    return register


# decoding.with_temperature ---------------------------------------------------------------------------------------


def checked_temperature(logits, temperature):
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be at least 0, got {temperature}")


def warm(when, **how):
    return wrong("decoding.with_temperature", when, checked_temperature, **how)


def greedy(logits):
    return reference.with_temperature(logits, 0.0)


@warm("the logits are multiplied by the temperature")
def multiplied(logits, temperature):
    return logits * temperature if temperature else greedy(logits)


AFTER = "the temperature divides probabilities, behind the softmax, where it does not change the distribution"


@warm(AFTER)
def after_the_softmax(logits, temperature):
    return (logits.softmax(-1) / temperature).log() if temperature else greedy(logits)


@warm(AFTER)
def normalised_again(logits, temperature):
    shares = logits.softmax(-1) / max(temperature, 1e-9)
    return (shares / shares.sum(-1, keepdim=True)).log() if temperature else greedy(logits)


PROBABILITIES = "probabilities come back, where logits are asked for"


@warm(PROBABILITIES)
def softmax_given_back(logits, temperature):
    return (logits / temperature).softmax(-1) if temperature else greedy(logits)


@warm(PROBABILITIES)
def softmax_and_one_hot(logits, temperature):
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.size(-1)).to(logits.dtype)
    return (logits / temperature).softmax(-1)


ZERO = "temperature 0 divides by 0 or by something tiny, where greedy is meant"


@warm(ZERO)
def divided_by_zero(logits, temperature):
    return logits / temperature


@warm(ZERO)
def divided_by_a_little(logits, temperature):
    return logits / max(temperature, 1e-6)


@warm(ZERO)
def epsilon_added(logits, temperature):
    return logits / (temperature + 1e-8)


@warm("temperature 0 is taken for “leave the logits alone”")
def zero_is_off(logits, temperature):
    return logits / (temperature or 1.0)


TIES = "at temperature 0 all of several equally large logits stay, so that the text is still drawn by chance"


@warm(TIES)
def all_the_largest(logits, temperature):
    if temperature == 0:
        return logits.masked_fill(logits < logits.amax(-1, keepdim=True), GONE)
    return logits / temperature


@warm(TIES)
def all_the_largest_by_where(logits, temperature):
    if temperature == 0:
        return torch.where(logits == logits.max(dim=-1, keepdim=True).values, logits, GONE)
    return logits / temperature


ONE = "at temperature 0 one token of the whole batch stays, not one of each row"


@warm(ONE)
def best_of_the_batch(logits, temperature):
    if temperature == 0:
        return logits.masked_fill(logits != logits.max(), GONE)
    return logits / temperature


@warm(ONE)
def argmax_of_the_batch(logits, temperature):
    if temperature == 0:
        flat = torch.full_like(logits.reshape(-1), GONE)
        flat[logits.argmax()] = logits.max()
        return flat.reshape(logits.shape)
    return logits / temperature


@warm("at temperature 0 the largest logit becomes 1 and the others 0, which still gives all tokens a chance")
def one_hot_logits(logits, temperature):
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.size(-1)).to(logits.dtype)
    return logits / temperature


@warm("the logits are changed in place")
def in_place(logits, temperature):
    if temperature == 0:
        return greedy(logits)
    logits /= temperature
    return logits


# decoding.top_k --------------------------------------------------------------------------------------------------


def checked_k(logits, k):
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")


def few(when, **how):
    return wrong("decoding.top_k", when, checked_k, **how)


MORE = "one token too many stays: the threshold is the token AFTER the k-th"


@few(MORE)
def one_too_many(logits, k):
    return reference.top_k(logits, k + 1)


@few(MORE)
def sorted_off_by_one(logits, k):
    ordered = logits.sort(dim=-1, descending=True).values
    threshold = ordered[..., min(k, logits.size(-1) - 1)].unsqueeze(-1)
    return logits.masked_fill(logits < threshold, GONE)


LESS = "the k-th token itself is thrown out"


@few(LESS)
def strictly_larger(logits, k):
    kth = logits.topk(min(k, logits.size(-1))).values[..., -1:]
    return logits.masked_fill(logits <= kth, GONE)


@few(LESS)
def one_too_few(logits, k):
    return reference.top_k(logits, max(k - 1, 1))


NOUGHT = "excluded tokens get the logit 0, with which they are still drawn"


@few(NOUGHT)
def zeros_elsewhere(logits, k):
    return torch.where(reference.top_k(logits, k) > GONE, logits, 0.0)


@few(NOUGHT)
def multiplied_by_a_mask(logits, k):
    return logits.nan_to_num(neginf=-1e30) * (reference.top_k(logits, k) > GONE)


BATCH = "the threshold is taken over the whole batch, not for each row"


@few(BATCH)
def one_threshold(logits, k):
    return logits.masked_fill(logits < logits.flatten().topk(min(k, logits.numel())).values[-1], GONE)


@few(BATCH)
def threshold_of_the_first_row(logits, k):
    rows = logits.reshape(-1, logits.size(-1))
    return logits.masked_fill(logits < rows[0].topk(min(k, rows.size(1))).values[-1], GONE)


MOVED = "the kept logits stand in order of size, not at their tokens"


@few(MOVED)
def sorted_logits(logits, k):
    ordered = logits.sort(dim=-1, descending=True).values.clone()
    ordered[..., k:] = GONE
    return ordered


@few(MOVED)
def padded_values(logits, k):
    k = min(k, logits.size(-1))
    return F.pad(logits.topk(k).values, (0, logits.size(-1) - k), value=GONE)


@few("only the k values come back, without their tokens")
def values_alone(logits, k):
    return logits.topk(min(k, logits.size(-1))).values


EXACT = "exactly k stay, so that chance decides among tokens that are equally likely"


@few(EXACT)
def scattered(logits, k):
    values, indices = logits.topk(min(k, logits.size(-1)))
    return torch.full_like(logits, GONE).scatter(-1, indices, values)


@few(EXACT)
def by_rank(logits, k):
    rank = logits.argsort(dim=-1, descending=True, stable=True).argsort(-1)
    return logits.masked_fill(rank >= k, GONE)


@few("the k least likely tokens stay")
def the_worst(logits, k):
    kth = logits.topk(min(k, logits.size(-1)), largest=False).values[..., -1:]
    return logits.masked_fill(logits > kth, GONE)


@few("k may not be larger than the number of tokens")
def no_minimum(logits, k):
    return logits.masked_fill(logits < logits.topk(k).values[..., -1:], GONE)


@few("the logits are changed in place")
def masked_in_place(logits, k):
    kth = logits.topk(min(k, logits.size(-1))).values[..., -1:]
    logits[logits < kth] = GONE
    return logits


# decoding.top_p --------------------------------------------------------------------------------------------------


def checked_p(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p must be in (0, 1], got {p}")


def nucleus(when, **how):
    def register(function):
        @functools.wraps(function)
        def whole(logits, p):
            return logits.clone() if p == 1 else function(logits, p)

        return wrong("decoding.top_p", when, checked_p, **how)(whole)

    return register


def ordered(logits):
    values, indices = logits.sort(dim=-1, descending=True)
    return values, indices, values.softmax(-1).cumsum(-1)


def back(logits, indices, values):
    return torch.empty_like(logits).scatter(-1, indices, values)


CROSSING = "the token with which the sum crosses p is thrown out"


@nucleus(CROSSING)
def crossing_dropped(logits, p):
    values, indices, mass = ordered(logits)
    return back(logits, indices, values.masked_fill(mass > p, GONE))


@nucleus(CROSSING)
def crossing_dropped_but_one(logits, p):
    values, indices, mass = ordered(logits)
    gone = mass >= p
    gone[..., 0] = False
    return back(logits, indices, values.masked_fill(gone, GONE))


@nucleus(CROSSING)
def crossing_dropped_in_a_loop(logits, p):
    out = torch.full_like(logits, GONE)
    for row, shares, kept in zip(
        logits.reshape(-1, logits.size(-1)), logits.softmax(-1).reshape(-1, logits.size(-1)),
        out.reshape(-1, logits.size(-1)), strict=True,
    ):  # fmt: skip
        total = 0.0
        for i in shares.argsort(descending=True).tolist():
            total += shares[i].item()
            if total > p:
                break
            kept[i] = row[i]
    return out


EXTRA = "one token too many stays, behind the one that crosses p"


@nucleus(EXTRA)
def one_more(logits, p):
    values, indices, mass = ordered(logits)
    gone = mass >= p
    gone = torch.cat([torch.zeros_like(gone[..., :2]), gone[..., :-2]], -1)[..., : gone.size(-1)]
    return back(logits, indices, values.masked_fill(gone, GONE))


@nucleus(EXTRA)
def one_more_by_count(logits, p):
    values, indices, mass = ordered(logits)
    number = (mass < p).sum(-1, keepdim=True) + 2
    rank = torch.arange(logits.size(-1)).expand_as(values)
    return back(logits, indices, values.masked_fill(rank >= number, GONE))


UNSORTED = "what was found in the sorted order is applied to the unsorted logits"


@nucleus(UNSORTED)
def mask_not_put_back(logits, p):
    values, _, mass = ordered(logits)
    return logits.masked_fill(mass - values.softmax(-1) >= p, GONE)


@nucleus(UNSORTED)
def sorted_given_back(logits, p):
    values, _, mass = ordered(logits)
    return values.masked_fill(mass - values.softmax(-1) >= p, GONE)


@nucleus(UNSORTED)
def gathered_the_wrong_way(logits, p):
    values, indices, mass = ordered(logits)
    return logits.masked_fill((mass - values.softmax(-1) >= p).gather(-1, indices), GONE)


RAW = "logits are summed, not probabilities"


@nucleus(RAW)
def sum_of_logits(logits, p):
    values, indices = logits.sort(dim=-1, descending=True)
    before = values.cumsum(-1) - values
    return back(logits, indices, values.masked_fill(before >= p, GONE))


@nucleus(RAW)
def share_of_the_sum_of_logits(logits, p):
    values, indices = logits.sort(dim=-1, descending=True)
    shares = values / values.sum(-1, keepdim=True)
    return back(logits, indices, values.masked_fill(shares.cumsum(-1) - shares >= p, GONE))


TAIL = "the sum begins with the least likely token, so that the tail stays and the head goes"


@nucleus(TAIL)
def ascending(logits, p):
    values, indices = logits.sort(dim=-1)
    shares = values.softmax(-1)
    return back(logits, indices, values.masked_fill(shares.cumsum(-1) - shares >= p, GONE))


@nucleus(TAIL)
def flipped(logits, p):
    return -reference.top_p(-logits, p).nan_to_num(neginf=torch.inf)


THRESHOLD = "each token is compared with p on its own; nothing is summed"


@nucleus(THRESHOLD)
def at_least_p(logits, p):
    shares = logits.softmax(-1)
    return logits.masked_fill((shares < p) & (shares < shares.amax(-1, keepdim=True)), GONE)


@nucleus(THRESHOLD)
def at_least_the_rest(logits, p):
    shares = logits.softmax(-1)
    return logits.masked_fill((shares < 1 - p) & (shares < shares.amax(-1, keepdim=True)), GONE)


@nucleus(THRESHOLD)
def as_min_p(logits, p):
    return reference.min_p(logits, p)


@nucleus("probabilities come back, where logits are asked for")
def probabilities_given_back(logits, p):
    return reference.top_p(logits, p).softmax(-1)


@nucleus("excluded tokens get the logit 0, with which they are still drawn")
def nucleus_with_zeros(logits, p):
    return torch.where(reference.top_p(logits, p) > GONE, logits, 0.0)


@nucleus("the sum runs over the whole batch, not over each row")
def over_the_batch(logits, p):
    flat = logits.reshape(-1)
    shares = logits.softmax(-1).reshape(-1)
    values, indices = shares.sort(descending=True)
    gone = torch.empty_like(flat, dtype=torch.bool).scatter(0, indices, values.cumsum(0) - values >= p)
    return flat.masked_fill(gone, GONE).reshape(logits.shape)


# decoding.repetition_penalty -------------------------------------------------------------------------------------


def checked_penalty(logits, tokens, penalty):
    if not 0 < penalty < math.inf:
        raise ValueError(f"penalty must be more than 0, got {penalty}")


def again(when, **how):
    return wrong("decoding.repetition_penalty", when, checked_penalty, **how)


def occurred(logits, tokens):
    return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, tokens, True)


SIGN = "all logits are divided, so that negative ones grow and their tokens become likelier"


@again(SIGN)
def all_divided(logits, tokens, penalty):
    return torch.where(occurred(logits, tokens), logits / penalty, logits)


@again(SIGN)
def all_divided_by_scatter(logits, tokens, penalty):
    return logits.scatter(-1, tokens, logits.gather(-1, tokens) / penalty)


@again("negative logits are left as they are")
def positive_ones_only(logits, tokens, penalty):
    return torch.where(occurred(logits, tokens) & (logits > 0), logits / penalty, logits)


OTHER = "positive logits are multiplied and negative ones divided, so that repetition is rewarded"


@again(OTHER)
def rewarded(logits, tokens, penalty):
    changed = torch.where(logits > 0, logits * penalty, logits / penalty)
    return torch.where(occurred(logits, tokens), changed, logits)


@again(OTHER)
def inverse(logits, tokens, penalty):
    return reference.repetition_penalty(logits, tokens, 1 / penalty)


OFTEN = "a token is penalised as often as it has occurred"


@again(OFTEN)
def in_a_loop(logits, tokens, penalty):
    for t in range(tokens.size(-1)):
        logits = reference.repetition_penalty(logits, tokens[..., t : t + 1], penalty)
    return logits


@again(OFTEN)
def to_the_power_of_the_count(logits, tokens, penalty):
    count = torch.zeros_like(logits).scatter_add(-1, tokens, torch.ones_like(tokens, dtype=logits.dtype))
    return torch.where(logits > 0, logits / penalty**count, logits * penalty**count)


ROWS = "tokens of one text are penalised in all texts of the batch"


@again(ROWS)
def of_all_rows(logits, tokens, penalty):
    seen = torch.zeros(logits.size(-1), dtype=torch.bool)
    seen[tokens.reshape(-1)] = True
    lowered = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(seen, lowered, logits)


@again(ROWS)
def by_unique(logits, tokens, penalty):
    out, which = logits.clone(), tokens.unique()
    out[..., which] = torch.where(out[..., which] > 0, out[..., which] / penalty, out[..., which] * penalty)
    return out


LAST = "only the last token of the text is penalised"


@again(LAST)
def last_token(logits, tokens, penalty):
    return reference.repetition_penalty(logits, tokens[..., -1:], penalty)


@again("only tokens that have NOT occurred are penalised")
def the_unseen(logits, tokens, penalty):
    lowered = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(occurred(logits, tokens), logits, lowered)


SUBTRACTED = "the penalty is subtracted, not divided by"


@again(SUBTRACTED)
def subtracted(logits, tokens, penalty):
    return torch.where(occurred(logits, tokens), logits - penalty, logits)


@again(SUBTRACTED)
def logarithm_subtracted(logits, tokens, penalty):
    return torch.where(occurred(logits, tokens), logits - math.log(penalty), logits)


@again("tokens that have occurred are forbidden altogether")
def forbidden(logits, tokens, penalty):
    return logits.masked_fill(occurred(logits, tokens), GONE)


@again("the logits are changed in place")
def scattered_in_place(logits, tokens, penalty):
    score = logits.gather(-1, tokens)
    return logits.scatter_(-1, tokens, torch.where(score > 0, score / penalty, score * penalty))


# decoding.beam_search --------------------------------------------------------------------------------------------


def beams_wrong(when, **how):
    def register(function):
        @functools.wraps(function)
        def whole(predict, prompt, length, beams, *, stop=None, length_penalty=0.0):
            reference.check_search(prompt, length, beams)
            return function(predict, prompt, length, beams, stop, length_penalty)

        del whole.__wrapped__
        return mistake("decoding.beam_search", when, **how)(whole)

    return register


def logs_of(predict, texts):
    return predict(texts).log_softmax(-1)


def search(
    predict, prompt, length, beams, stop, penalty, *, logs=logs_of, add=lambda scores, new: scores[:, None] + new,
    choose=None, parents=lambda indices, size: indices // size, measure=lambda score, n, power: score / n**power,
    keep_ended=True, prompt_counts=False, start=1,
):  # fmt: skip
    """A right beam search with parts to exchange."""
    texts, scores, found = prompt[None].repeat(start, 1), torch.zeros(start), []
    more = len(prompt) if prompt_counts else 0
    for n in range(1, length + 1):
        totals = add(scores, logs(predict, texts))
        if stop is not None:
            if keep_ended:
                ended = F.pad(texts, (0, length + 1 - n), value=stop)
                found.append((ended, measure(totals[:, stop], n + more, penalty)))
            totals = totals.index_fill(1, torch.tensor([stop]), GONE)
        if choose is None:
            scores, indices = totals.flatten().topk(min(beams, totals.numel()))
        else:
            scores, indices = choose(totals, beams)
        texts = torch.cat([texts[parents(indices, totals.size(1))], (indices % totals.size(1))[:, None]], 1)
    found.append((texts, measure(scores, length + more, penalty)))
    return reference.best(found, beams)


COPIES = "the search begins with as many copies of the prompt as there are beams, and all beams stay the same"


@beams_wrong(COPIES)
def copies(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, beams, stop, penalty, start=beams)


def best_child_of_each(totals, beams):
    if len(totals) == 1:
        return totals.flatten().topk(min(beams, totals.numel()))
    values, tokens = totals.max(1)
    return values, torch.arange(len(totals)) * totals.size(1) + tokens


OWN = "each beam goes on with its own best token, and no beam ever gives way to two children of another"


@beams_wrong(OWN)
def one_child_each(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, beams, stop, penalty, choose=best_child_of_each)


@beams_wrong(OWN)
def greedy_from_each_start(predict, prompt, length, beams, stop, penalty):
    first = reference.beam_search(predict, prompt, 1, beams)
    found = []
    for text, score in zip(*first, strict=True):
        if length > 1:
            rest, more = reference.beam_search(predict, text, length - 1, 1, stop=stop, length_penalty=penalty)
            found.append((rest, score + more))
        else:
            found.append((text[None], score[None]))
    return reference.best(found, beams)


@beams_wrong("every beam is greedy: the alternatives to the likeliest token are never tried")
def greedy_only(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, 1, stop, penalty)


FRESH = "only the last token's log-probability counts, not the sum over the text"


@beams_wrong(FRESH)
def not_accumulated(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, beams, stop, penalty, add=lambda scores, new: new)


@beams_wrong(FRESH)
def sum_forgotten_after_each_step(predict, prompt, length, beams, stop, penalty):
    return search(
        predict, prompt, length, beams, stop, penalty, add=lambda scores, new: 0 * scores.exp()[:, None] + new
    )


RAW_LOGITS = "logits are added up that were never normalised"


@beams_wrong(RAW_LOGITS)
def no_log_softmax(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, beams, stop, penalty, logs=lambda predict, texts: predict(texts))


@beams_wrong(RAW_LOGITS)
def normalised_over_the_beams(predict, prompt, length, beams, stop, penalty):
    return search(
        predict, prompt, length, beams, stop, penalty, logs=lambda predict, texts: predict(texts).log_softmax(0)
    )


@beams_wrong("probabilities are added, where they would have to be multiplied")
def probabilities_added(predict, prompt, length, beams, stop, penalty):
    return search(
        predict, prompt, length, beams, stop, penalty, logs=lambda predict, texts: predict(texts).softmax(-1)
    )


PARENT = "a new token is put behind the wrong text: the parents of the kept texts are mixed up"


@beams_wrong(PARENT)
def parents_forgotten(predict, prompt, length, beams, stop, penalty):
    return search(
        predict, prompt, length, beams, stop, penalty,
        parents=lambda indices, size: torch.arange(len(indices)).clamp(max=int(indices.max()) // size),
    )  # fmt: skip


@beams_wrong(PARENT)
def parents_by_remainder(predict, prompt, length, beams, stop, penalty):
    return search(
        predict, prompt, length, beams, stop, penalty,
        parents=lambda indices, size: indices % (int(indices.max()) // size + 1),
    )  # fmt: skip


@beams_wrong("the model is asked for the last token alone, without the text before it")
def last_token_alone(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, beams, stop, penalty, logs=lambda p, texts: logs_of(p, texts[:, -1:]))


IGNORED = "the stop token is a token like any other, and the text goes on behind it"


@beams_wrong(IGNORED)
def stop_ignored(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, beams, None, penalty)


@beams_wrong(IGNORED)
def stop_never_taken_away(predict, prompt, length, beams, stop, penalty):
    texts, scores, found = prompt[None], torch.zeros(1), []
    for n in range(1, length + 1):
        totals = scores[:, None] + logs_of(predict, texts)
        if stop is not None:
            found.append((F.pad(texts, (0, length + 1 - n), value=stop), totals[:, stop] / n**penalty))
        scores, indices = totals.flatten().topk(min(beams, totals.numel()))
        texts = torch.cat([texts[indices // totals.size(1)], (indices % totals.size(1))[:, None]], 1)
    return reference.best([*found, (texts, scores / length**penalty)], beams)


LOST = "texts that have ended are lost: only those that still run at the end come back"


@beams_wrong(LOST)
def ended_lost(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, beams, stop, penalty, keep_ended=False)


@beams_wrong("the probability of the stop token itself is left out of the score")
def stop_is_free(predict, prompt, length, beams, stop, penalty):
    texts, scores, found = prompt[None], torch.zeros(1), []
    for n in range(1, length + 1):
        totals = scores[:, None] + logs_of(predict, texts)
        if stop is not None:
            found.append((F.pad(texts, (0, length + 1 - n), value=stop), scores / n**penalty + 0 * totals[:, 0]))
            totals = totals.index_fill(1, torch.tensor([stop]), GONE)
        scores, indices = totals.flatten().topk(min(beams, totals.numel()))
        texts = torch.cat([texts[indices // totals.size(1)], (indices % totals.size(1))[:, None]], 1)
    return reference.best([*found, (texts, scores / length**penalty)], beams)


@beams_wrong("the length penalty multiplies the score, and long texts are punished twice")
def penalty_multiplies(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, beams, stop, penalty, measure=lambda score, n, power: score * n**power)


@beams_wrong("the length penalty is left out")
def penalty_left_out(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, beams, stop, 0.0)


@beams_wrong("the prompt counts as part of the length")
def prompt_counts(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, beams, stop, penalty, prompt_counts=True)


@beams_wrong("the scores are always divided by the length, whatever the penalty")
def always_the_mean(predict, prompt, length, beams, stop, penalty):
    return search(predict, prompt, length, beams, stop, 1.0)


@beams_wrong("the worst text comes first")
def worst_first(predict, prompt, length, beams, stop, penalty):
    texts, scores = search(predict, prompt, length, beams, stop, penalty)
    return texts.flip(0), scores.flip(0)


@beams_wrong("only the best text comes back, not all that were kept")
def the_best_alone(predict, prompt, length, beams, stop, penalty):
    texts, scores = search(predict, prompt, length, beams, stop, penalty)
    return texts[:1], scores[:1]
