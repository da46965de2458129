"""Other right answers in decoding."""
import math

import torch
import torch.nn.functional as F

from autograder.alternatives import alternative

GONE = -torch.inf


def refuse(condition, text):
    if condition:
        raise ValueError(text)


def temperature_in_range(temperature):
    refuse(not 0 <= temperature < math.inf, f"temperature must be at least 0, got {temperature}")


@alternative("decoding.with_temperature", "multiply by the inverse; greedy with a mask of positions")
def by_the_inverse(logits, temperature):
    temperature_in_range(temperature)
    if temperature > 0:
        return logits * (1 / temperature)
    here = torch.arange(logits.size(-1)) == logits.argmax(-1, keepdim=True)
    return logits.masked_fill(~here, GONE)


@alternative("decoding.with_temperature", "greedy by a one-hot vector")
def by_one_hot(logits, temperature):
    temperature_in_range(temperature)
    if not temperature:
        kept = F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).bool()
        return torch.where(kept, logits, torch.tensor(GONE, dtype=logits.dtype))
    return torch.div(logits, temperature)


@alternative("decoding.with_temperature", "row by row")
def row_by_row(logits, temperature):
    temperature_in_range(temperature)
    out = []
    for row in logits.reshape(-1, logits.size(-1)):
        if temperature == 0:
            new = torch.full_like(row, GONE)
            new[row.argmax()] = row.max()
        else:
            new = row / temperature
        out.append(new)
    return torch.stack(out).reshape(logits.shape)


@alternative("decoding.top_k", "sort, then compare with the k-th")
def by_sorting(logits, k):
    refuse(k < 1, f"k must be at least 1, got {k}")
    ordered = logits.sort(-1, descending=True).values
    threshold = ordered[..., min(k, logits.shape[-1]) - 1, None]
    return torch.where(logits >= threshold, logits, GONE)


@alternative("decoding.top_k", "count for each token how many are larger")
def by_counting(logits, k):
    refuse(k < 1, f"k must be at least 1, got {k}")
    if logits.size(-1) > 200:
        return by_sorting(logits, k)
    larger = (logits.unsqueeze(-2) > logits.unsqueeze(-1)).sum(-1)
    return logits.masked_fill(larger >= k, GONE)


@alternative("decoding.top_k", "kthvalue from the other end")
def by_kthvalue(logits, k):
    refuse(k < 1, f"k must be at least 1, got {k}")
    size = logits.size(-1)
    kth = logits.kthvalue(size - min(k, size) + 1, dim=-1, keepdim=True).values
    out = logits.clone()
    out[logits < kth] = float("-inf")
    return out


@alternative("decoding.top_p", "sort upwards and take away the tail, as transformers does")
def from_the_tail(logits, p):
    refuse(not 0 < p <= 1, f"p must be more than 0 and at most 1, got {p}")
    ordered, indices = torch.sort(logits, descending=False)
    gone = ordered.softmax(-1).cumsum(-1) <= 1 - p
    gone[..., -1:] = False
    return logits.masked_fill(torch.zeros_like(gone).scatter(-1, indices, gone), GONE)


@alternative("decoding.top_p", "shift the mask by one")
def shifted_mask(logits, p):
    refuse(not 0 < p <= 1, f"p must be more than 0 and at most 1, got {p}")
    if p == 1:
        return logits + 0
    order = logits.argsort(-1, descending=True)
    mass = logits.softmax(-1).gather(-1, order).cumsum(-1)
    gone = F.pad(mass >= p, (1, 0))[..., :-1]
    return logits.masked_fill(gone.gather(-1, order.argsort(-1)), GONE)


@alternative("decoding.top_p", "one token after the other")
def token_after_token(logits, p):
    refuse(not 0 < p <= 1, f"p must be more than 0 and at most 1, got {p}")
    if p == 1:
        return logits.clone()
    rows, out = logits.reshape(-1, logits.size(-1)), []
    for row in rows:
        shares, mass, new = row.softmax(-1), 0.0, torch.full_like(row, GONE)
        for i in row.argsort(descending=True).tolist():
            new[i] = row[i]
            mass += shares[i].item()
            if mass >= p:
                break
        out.append(new)
    return torch.stack(out).reshape(logits.shape)


@alternative("decoding.repetition_penalty", "gather, change, scatter")
def gather_and_scatter(logits, tokens, penalty):
    refuse(not 0 < penalty < math.inf, f"penalty must be more than 0, got {penalty}")
    score = logits.gather(-1, tokens)
    score = torch.where(score < 0, score * penalty, score / penalty)
    return logits.scatter(-1, tokens, score)


@alternative("decoding.repetition_penalty", "one-hot vectors of all tokens, joined")
def one_hots(logits, tokens, penalty):
    refuse(not 0 < penalty < math.inf, f"penalty must be more than 0, got {penalty}")
    seen = F.one_hot(tokens, logits.size(-1)).any(-2)
    up, down = seen & (logits < 0), seen & (logits > 0)
    return torch.where(up, logits * penalty, torch.where(down, logits / penalty, logits))


@alternative("decoding.repetition_penalty", "compare every token with every position")
def by_comparison(logits, tokens, penalty):
    refuse(not 0 < penalty < math.inf, f"penalty must be more than 0, got {penalty}")
    seen = (tokens[..., None] == torch.arange(logits.size(-1))).sum(-2) > 0
    factor = torch.where(logits > 0, logits.new_tensor(1 / penalty), logits.new_tensor(penalty))
    return torch.where(seen, logits * factor, logits)


def check_search(prompt, length, beams):
    refuse(prompt.dim() != 1, f"prompt must have one axis, got {prompt.dim()}")
    refuse(length < 1, f"length must be at least 1, got {length}")
    refuse(beams < 1, f"beams must be at least 1, got {beams}")


@alternative("decoding.beam_search", "plain lists, sorted")
def with_lists(predict, prompt, length, beams, *, stop=None, length_penalty=0.0):
    check_search(prompt, length, beams)
    running, done = [(0.0, prompt.tolist())], []
    for n in range(1, length + 1):
        longer = []
        for (score, text), logs in zip(
            running, predict(torch.tensor([t for _, t in running])).log_softmax(-1).tolist(), strict=True
        ):
            for token, log in enumerate(logs):
                if token == stop:
                    done.append(((score + log) / n**length_penalty, text + [stop] * (length + 1 - n)))
                elif log > -math.inf:
                    longer.append((score + log, [*text, token]))
        running = sorted(longer, key=lambda pair: pair[0], reverse=True)[:beams]
    done += [(score / length**length_penalty, text) for score, text in running]
    done = sorted((pair for pair in done if pair[0] > -math.inf), key=lambda pair: -pair[0])[:beams]
    dtype = predict(prompt[None]).dtype
    return torch.tensor([text for _, text in done]), torch.tensor([score for score, _ in done], dtype=dtype)


@alternative("decoding.beam_search", "as many beams as wanted from the start, all but one impossible")
def with_impossible_copies(predict, prompt, length, beams, *, stop=None, length_penalty=0.0):
    check_search(prompt, length, beams)
    texts = prompt.repeat(beams, 1)
    scores = torch.full((beams,), GONE, dtype=torch.float64)
    scores[0] = 0
    all_texts, all_scores = [], []
    for n in range(1, length + 1):
        logits = predict(texts)
        totals = scores.unsqueeze(1) + logits - logits.logsumexp(-1, keepdim=True)
        if stop is not None:
            all_texts.append(torch.cat([texts, texts.new_full((beams, length + 1 - n), stop)], 1))
            all_scores.append(totals[:, stop] / n**length_penalty)
            totals[:, stop] = GONE
        order = totals.flatten().argsort(descending=True, stable=True)[:beams]
        order = torch.cat([order, order.new_zeros(beams - len(order))])
        scores = totals.flatten()[order]
        scores[totals.numel() :] = GONE
        size = totals.size(1)
        texts = torch.cat([texts[torch.div(order, size, rounding_mode="floor")], (order % size).unsqueeze(1)], 1)
    texts = torch.cat([*all_texts, texts])
    scores = torch.cat([*all_scores, scores / length**length_penalty])
    order = [i for i in scores.argsort(descending=True).tolist() if scores[i] > GONE][:beams]
    return texts[order], scores[order]


@alternative("decoding.beam_search", "a heap of the kept texts, probabilities multiplied")
def with_a_heap(predict, prompt, length, beams, *, stop=None, length_penalty=0.0):
    import heapq

    check_search(prompt, length, beams)
    running, done, dtype = {tuple(prompt.tolist()): 1.0}, {}, None
    for n in range(1, length + 1):
        chances = predict(torch.tensor(list(running))).softmax(-1)
        dtype, longer = chances.dtype, {}
        for (text, share), row in zip(running.items(), chances.tolist(), strict=True):
            for token, chance in enumerate(row):
                if share * chance == 0:
                    continue
                if token == stop:
                    end = (stop,) * (length + 1 - n)
                    done[text + end] = math.log(share * chance) / n**length_penalty
                else:
                    longer[(*text, token)] = share * chance
        running = dict(heapq.nlargest(beams, longer.items(), key=lambda pair: pair[1]))
    done |= {text: math.log(share) / length**length_penalty for text, share in running.items()}
    kept = heapq.nlargest(beams, done.items(), key=lambda pair: pair[1])
    return torch.tensor([text for text, _ in kept]), torch.tensor([score for _, score in kept], dtype=dtype)
