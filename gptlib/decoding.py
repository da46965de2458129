"""Decoding: from the probabilities of the next token to a text.

A model is here a function `predict(tokens)` that gives the logits of the token after each row, and nothing more is
asked of it; `predictor` makes one of a GPT. *Adjusters* take logits and give logits: they change how likely tokens are,
and a token that is not to come gets −∞. What is drawn from is always the softmax of the logits that come out last.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    V: vocabulary
    W: beams that a search keeps, at most
"""
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .inference import Predict

PAD = -1  # stands behind the end of a text that stopped early; it is no token


def predictor(model: nn.Module) -> Predict:
    """Make `predict` of a GPT (given; no exercise): the logits behind the last position, without gradients or dropout.

    Of a text longer than the model's context the last `model.config.context_length` tokens are read.

    Args:
        model: gives logits (B, T, V) for tokens (B, T) and has a `config` with its `context_length`.
    """
    config: Any = model.config

    @torch.no_grad()
    def predict(tokens: Tensor) -> Tensor:
        training = model.training
        model.eval()
        logits = model(tokens[:, -config.context_length :])[:, -1]
        model.train(training)
        return logits

    return predict


def with_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Sharpen the law of the next token (temperature below 1) or flatten it (above 1).

    Temperature 0 is the limit of ever lower ones: everything goes to the largest logit of the row, and of several
    equally large ones to the first. It keeps its logit; all others become −∞.

    Args:
        logits: (..., V).
        temperature: what logits are divided by, at least 0 and finite.

    Returns:
        (..., V) logits.

    Raises:
        ValueError: `temperature` is negative or not finite.

    Source:
        Ackley, Hinton and Sejnowski 1985, "A Learning Algorithm for Boltzmann Machines".
    """
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be at least 0 and finite, got {temperature}")
    # YOUR CODE HERE
    raise NotImplementedError("decoding.with_temperature")


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k likeliest tokens of each row.

    Tokens exactly as likely as the k-th stay as well, so ties may keep more than k. A k beyond V keeps all.

    Args:
        logits: (..., V).
        k: how many to keep, at least 1.

    Returns:
        (..., V) the kept logits unchanged, each in its place, and −∞ elsewhere.

    Raises:
        ValueError: `k` is less than 1.

    Source:
        Fan, Lewis and Dauphin 2018, "Hierarchical Neural Story Generation", section 5.1; Radford et al. 2019 took
        k = 40 for their samples.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    # YOUR CODE HERE
    raise NotImplementedError("decoding.top_k")


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the nucleus of each row: the fewest of its likeliest tokens whose probabilities sum to at least p.

    So the token with which the sum reaches p stays, and at least one token does. Which of several equally likely
    tokens stays at the border is left open. p = 1 keeps all.

    Args:
        logits: (..., V).
        p: the mass to keep, more than 0 and at most 1.

    Returns:
        (..., V) the kept logits unchanged, each in its place, and −∞ elsewhere.

    Raises:
        ValueError: `p` is not in (0, 1].

    Source:
        Holtzman, Buys, Du, Forbes and Choi 2020, "The Curious Case of Neural Text Degeneration", section 3.1.
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be more than 0 and at most 1, got {p}")
    if p == 1:
        return logits.clone()
    # YOUR CODE HERE
    raise NotImplementedError("decoding.top_p")


def min_p(logits: Tensor, p: float) -> Tensor:
    """Keep the tokens that are at least p times as likely as the likeliest of their row (given; no exercise).

    Args:
        logits: (..., V).
        p: from 0, which keeps all, to 1, which keeps the likeliest alone.

    Returns:
        (..., V) the kept logits unchanged, each in its place, and −∞ elsewhere.

    Raises:
        ValueError: `p` is not in [0, 1].

    Source:
        Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs", section 3.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p must be between 0 and 1, got {p}")
    shares = logits.softmax(-1)
    return logits.masked_fill(shares < p * shares.amax(-1, keepdim=True), -torch.inf)


def repetition_penalty(logits: Tensor, tokens: Tensor, penalty: float) -> Tensor:
    """Make tokens that have occurred less likely: their logits are divided by the penalty, or multiplied if negative.

    However often a token has occurred, it is penalised once. Each row of `logits` has its own row of `tokens`.

    Args:
        logits: (..., V).
        tokens: (..., T) what has been written so far, prompt included, int64; T may be 0.
        penalty: more than 0; 1 changes nothing, less than 1 rewards repetition.

    Returns:
        (..., V) logits.

    Raises:
        ValueError: `penalty` is not more than 0, or not finite.

    Source:
        Keskar et al. 2019, "CTRL: A Conditional Transformer Language Model for Controllable Generation", section 4.1.
        There the logits are divided whatever their sign; libraries multiply negative ones, and so do we.
    """
    if not 0 < penalty < math.inf:
        raise ValueError(f"penalty must be more than 0 and finite, got {penalty}")
    # YOUR CODE HERE
    raise NotImplementedError("decoding.repetition_penalty")


def adjust(
    logits: Tensor, tokens: Tensor, *, temperature: float = 1.0, k: int | None = None, p: float | None = None,
    minimum: float | None = None, penalty: float = 1.0,
) -> Tensor:  # fmt: skip
    """Apply all adjusters, in the order of `transformers` (given; no exercise).

    Repetition penalty, temperature, top-k, top-p, min-p: each sees what the one before has left.

    Args:
        logits: (B, V).
        tokens: (B, T) what has been written so far; PAD counts as nothing.
        temperature: see `with_temperature`.
        k: see `top_k`; None keeps all.
        p: see `top_p`; None keeps all.
        minimum: see `min_p`; None keeps all.
        penalty: see `repetition_penalty`.

    Returns:
        (B, V) logits.
    """
    if penalty != 1:
        logits = repetition_penalty(logits, _without_pads(tokens), penalty)
    if temperature != 1:
        logits = with_temperature(logits, temperature)
    if k is not None:
        logits = top_k(logits, k)
    if p is not None:
        logits = top_p(logits, p)
    if minimum is not None:
        logits = min_p(logits, minimum)
    return logits


def stream(
    predict: Predict, prompt: Tensor, length: int, *, stop: Sequence[Sequence[int]] = (),
    generator: torch.Generator | None = None, **how: Any,
) -> Iterator[Tensor]:  # fmt: skip
    """Write texts on and give each token as soon as it is drawn (given; no exercise); arguments as for `generate`.

    Returns:
        An iterator over (B,) tokens, PAD for rows that have met a stop sequence; it ends early when all have.
    """
    if length < 0:
        raise ValueError(f"length must not be negative, got {length}")
    if prompt.dim() != 2 or prompt.size(1) < 1:
        raise ValueError(f"prompt must have the axes (B, T) and hold a token, got shape {tuple(prompt.shape)}")
    if any(isinstance(end, int) or len(end) == 0 for end in stop):
        raise ValueError(f"stop must hold sequences of at least one token each, got {list(stop)}")
    return _steps(predict, prompt, length, stop, generator, how)


def _steps(
    predict: Predict, tokens: Tensor, length: int, stop: Sequence[Sequence[int]],
    generator: torch.Generator | None, how: dict[str, Any],
) -> Iterator[Tensor]:  # fmt: skip
    running = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
    for done in range(1, length + 1):
        logits = adjust(predict(_without_pads(tokens)), tokens, **how)
        if not logits.amax(-1).isfinite().all():
            raise ValueError("predict must give finite logits to some token of each row, got NaN, ∞ or −∞ for all")
        if how.get("temperature", 1.0) == 0:
            drawn = logits.argmax(-1)
        else:
            shares = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(-1)
            drawn = torch.multinomial(shares, 1, generator=generator)[:, 0]
        drawn = drawn.masked_fill(~running, PAD)
        tokens = torch.cat([tokens, drawn[:, None]], 1)
        for end in stop:
            if len(end) <= done:
                running = running & (tokens[:, -len(end) :] != tokens.new_tensor(end)).any(1)
        yield drawn
        if not running.any():
            return


def generate(
    predict: Predict, prompt: Tensor, length: int, *, temperature: float = 1.0, k: int | None = None,
    p: float | None = None, minimum: float | None = None, penalty: float = 1.0, stop: Sequence[Sequence[int]] = (),
    generator: torch.Generator | None = None,
) -> Tensor:  # fmt: skip
    """Write texts on by drawing token after token (given; no exercise).

    Logits are adjusted in the order of `adjust`. A row ends with the first stop sequence that it has written; those
    tokens are kept, and PAD (−1) fills the rest of the row. What the prompt ends with does not count.

    Args:
        predict: the model.
        prompt: (B, T) the texts to continue, int64, T at least 1.
        length: number of tokens to write at most.
        temperature: see `with_temperature`; 0 is greedy and draws no random numbers.
        k: see `top_k`; None keeps all.
        p: see `top_p`; None keeps all.
        minimum: see `min_p`; None keeps all.
        penalty: see `repetition_penalty`; 1 changes nothing.
        stop: sequences of tokens, each of which ends a text.
        generator: source of randomness; None takes PyTorch's global one. The rows of a batch share it.

    Returns:
        (B, T + length) the prompts and what was written.

    Raises:
        ValueError: a number is out of its range, or `prompt` is not (B, T) with T at least 1.
    """
    how = {"temperature": temperature, "k": k, "p": p, "minimum": minimum, "penalty": penalty}
    columns = [prompt, *(c[:, None] for c in stream(predict, prompt, length, stop=stop, generator=generator, **how))]
    tokens = torch.cat(columns, 1)
    return F.pad(tokens, (0, prompt.size(1) + length - tokens.size(1)), value=PAD)


def beam_search(
    predict: Predict, prompt: Tensor, length: int, beams: int, *, stop: int | None = None, length_penalty: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Look for the most probable continuation, keeping at each step the W likeliest texts of all.

    Every kept text is continued with every token; of all these, the `beams` with the largest sum of log-probabilities
    are kept. With a stop token, each kept text may also end at each step: it is put aside, and goes on no longer. At
    last the texts put aside and those still running are ranked by score.

    Args:
        predict: the model; its logits need not be normalised.
        prompt: (T) one text to continue, int64.
        length: number of tokens to write, at least 1; with the stop token, at most.
        beams: number W of texts to keep, at least 1; 1 is greedy.
        stop: the token that ends a text, itself included; None lets none end.
        length_penalty: the score is the log-probability divided by n to this power, n being the number of tokens
            written, the stop token included. 0 favours what is short; 1 takes the mean over the tokens.

    Returns:
        The `beams` best texts, best first (fewer if fewer are possible): tokens (W, T + length), the prompt in front
        and filled up with `stop` where a text ended early, and their scores (W).

    Raises:
        ValueError: `length` or `beams` is less than 1, or `prompt` is not of shape (T).

    Source:
        Lowerre 1976, "The HARPY Speech Recognition System"; Sutskever, Vinyals and Le 2014, section 3.2. The length
        penalty is that of `transformers`; Wu et al. 2016, equation 14, has a gentler one.
    """
    check_search(prompt, length, beams)
    # YOUR CODE HERE
    raise NotImplementedError("decoding.beam_search")


def best(found: Sequence[tuple[Tensor, Tensor]], beams: int) -> tuple[Tensor, Tensor]:
    """Rank texts, given in several groups of equal length, by their scores (given; no exercise).

    Args:
        found: pairs of texts, one a row, and their scores; a score of −∞ marks what is impossible.
        beams: how many to keep.

    Returns:
        The best texts and their scores, best first.
    """
    texts, scores = (torch.cat(parts) for parts in zip(*found, strict=True))
    order = scores.argsort(descending=True, stable=True)[:beams]
    order = order[scores[order] > -torch.inf]
    return texts[order], scores[order]


def check_search(prompt: Tensor, length: int, beams: int) -> None:
    """Check the arguments of `beam_search` (given; no exercise).

    Raises:
        ValueError: see `beam_search`.
    """
    if prompt.dim() != 1:
        raise ValueError(f"prompt must have the axis (T) alone, got shape {tuple(prompt.shape)}")
    for name, number in (("length", length), ("beams", beams)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")


def repeated(tokens: Sequence[int], n: int = 4) -> float:
    """Give the share of the n-grams of a text that stood in it before (given; no exercise).

    Args:
        tokens: the text, more than n tokens; any things that can be compared, characters too.
        n: length of the runs.

    Returns:
        1 − different n-grams / all n-grams: 0.0 where none comes twice, close to 1 in a loop.

    Source:
        Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training", section 4.
    """
    runs = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    if not runs:
        raise ValueError(f"tokens must be at least n = {n}, got {len(tokens)}")
    return 1 - len(set(runs)) / len(runs)


def _without_pads(tokens: Tensor) -> Tensor:
    """Put the first token of the row in the place of each PAD: a model can read it, and it has been seen anyway."""
    return torch.where(tokens == PAD, tokens[:, :1], tokens)
