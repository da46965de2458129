"""Writing one token after the other: ours against transformers' `generate` and against the bare products of weights.

CPU milliseconds of one thread for a token (batch 1) or a step (batch 8), peers in turns in one run. A peer's time is
that of its whole call for some new tokens behind a prompt, less the time that the prompt takes, over the tokens.
The floor multiplies every weight matrix with its vector and does nothing else.

    BENCH_TOKENS=64 BENCH_ROUNDS=5 python -m bench generation

Another kind of processor is another result, and `ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2` makes one of the
same chip: without the units for bfloat16 that newer ones have.
"""
import functools
import os
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SHAPES = {"124M": (12, 768, 12, 50257), "4L/128d": (4, 128, 4, 66)}
PROMPT, CONTEXT = 64, 1024


def measure() -> dict[str, dict[str, dict[str, float]]]:
    """Median CPU milliseconds a step for each setting and peer, and the ratios to transformers."""
    tokens, rounds = int(os.environ.get("BENCH_TOKENS", 64)), int(os.environ.get("BENCH_ROUNDS", 5))
    torch.set_num_threads(1)
    found = {}
    for name, batch in (("124M", 1), ("124M", 8), ("4L/128d", 1), ("4L/128d", 8)):
        more = tokens if name == "124M" else 4 * tokens
        found[f"{name}, batch {batch}"] = setting(*models(name), batch, more, rounds)
    found["124M, by length"] = by_length(models("124M")[0], tokens, rounds)
    return found


@functools.cache
def models(name: str) -> tuple:
    """Our model, in float32, with drawn weights, and transformers' with the same."""
    import transformers

    from gptlib import gpt2
    from gptlib.weights import gpt2 as gpt2_weights

    transformers.utils.logging.set_verbosity_error()
    layers, width, heads, vocabulary = SHAPES[name]
    config = gpt2.GPT2Config(layers, width, heads, vocabulary, CONTEXT)
    own = gpt2.GPT2(config, torch.Generator().manual_seed(0)).eval()
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(
        n_layer=layers, n_embd=width, n_head=heads, vocab_size=vocabulary, n_positions=CONTEXT, bos_token_id=None,
        eos_token_id=None)).eval()  # fmt: skip
    theirs.load_state_dict(gpt2_weights.to_hugging_face(own.state_dict(), layers), strict=False)
    theirs.tie_weights()
    theirs.generation_config.pad_token_id = 0
    return own, theirs


def setting(own: torch.nn.Module, theirs: torch.nn.Module, batch: int, more: int, rounds: int) -> dict:
    """All peers on one shape and batch, in turns."""
    from gptlib import kv_cache
    from gptlib.inference import fast_decode

    prompt = torch.randint(own.config.vocab_size, (batch, PROMPT), generator=torch.Generator().manual_seed(1))
    half = torch.bfloat16
    readers = {
        "cached": kv_cache.CachedGPT2(own).eval(), "fast fp32": fast_decode.FastGPT2(own),
        "fast bf16": fast_decode.FastGPT2(own, dtype=half),
    }  # fmt: skip
    peers: dict[str, Callable[[], float]] = {
        name: functools.partial(ours, reader, prompt, more) for name, reader in readers.items()
    }
    peers["transformers"] = functools.partial(generated, theirs, prompt, more)
    peers["floor fp32"] = functools.partial(floor, matrices(own, torch.float32), batch, more)
    peers["floor bf16"] = functools.partial(floor, matrices(own, half), batch, more)
    agree = torch.equal(written(readers["fast fp32"], prompt, 8), theirs_text(theirs, prompt, 8))
    rows: list[dict[str, float]] = []
    for number in range(rounds + 1):
        row = {name: peer() for name, peer in peers.items()}
        if number:  # the first round warms up
            rows.append(row)
    out: dict[str, float] = {f"{name} ms": statistics.median(row[name] for row in rows) for name in peers}
    for name in (*readers, "floor fp32", "floor bf16"):  # ratios within a round: what slows one peer slows the next
        out[f"{name} ratio"] = statistics.median(row["transformers"] / row[name] for row in rows)
    return out | {"same greedy text": float(agree), "new tokens": more, "rounds": rounds}


def seconds(function: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    begin = time.process_time()
    function()
    return time.process_time() - begin


def written(reader: Callable, prompt: Tensor, more: int) -> Tensor:
    """Continue a prompt greedily with one of our readers."""
    reader.reset()  # type: ignore[attr-defined]
    text = [prompt, reader(prompt, True)[:, -1].argmax(-1, keepdim=True)]
    for _ in range(more - 1):
        text.append(reader(text[-1], True)[:, -1].argmax(-1, keepdim=True))
    return torch.cat(text, 1)


def ours(reader: Callable, prompt: Tensor, more: int) -> float:
    """CPU milliseconds a step."""
    whole = seconds(lambda: written(reader, prompt, more + 1))
    return 1e3 * (whole - seconds(lambda: written(reader, prompt, 1))) / more


def theirs_text(model: torch.nn.Module, prompt: Tensor, more: int) -> Tensor:
    """What transformers writes, greedily, with its cache."""
    with torch.inference_mode():
        return model.generate(  # type: ignore[operator]
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=more, do_sample=False, use_cache=True)


def generated(model: torch.nn.Module, prompt: Tensor, more: int) -> float:
    """CPU milliseconds a step."""
    whole = seconds(lambda: theirs_text(model, prompt, more + 1))
    return 1e3 * (whole - seconds(lambda: theirs_text(model, prompt, 1))) / more


def matrices(model: torch.nn.Module, dtype: torch.dtype) -> list[Tensor]:
    """The matrices that a step multiplies with: all but the positions."""
    return [p.detach().to(dtype) for n, p in model.named_parameters() if p.dim() == 2 and "position" not in n]


def floor(weights: list[Tensor], batch: int, more: int) -> float:
    """CPU milliseconds of the bare products."""
    inputs = [torch.ones(w.size(1), batch, dtype=w.dtype) for w in weights]
    vectors = [x[:, 0].contiguous() for x in inputs]

    def step() -> None:
        if batch == 1:
            for weight, vector in zip(weights, vectors, strict=True):
                torch.mv(weight, vector)
        else:
            for weight, columns in zip(weights, inputs, strict=True):
                if weight.dtype == torch.bfloat16:
                    F.linear(columns.t(), weight)
                else:
                    weight @ columns

    with torch.no_grad():
        return 1e3 * seconds(lambda: [step() for _ in range(more)]) / more


def by_length(own: torch.nn.Module, tokens: int, rounds: int) -> dict[str, float]:
    """CPU milliseconds of our steps behind 64 and behind 512 tokens, in turns."""
    from gptlib.inference import fast_decode

    lengths = (64, 512)
    text = torch.randint(own.config.vocab_size, (1, max(lengths)), generator=torch.Generator().manual_seed(2))
    reader = fast_decode.FastGPT2(own)
    rows = [[ours(reader, text[:, :length], tokens) for length in lengths] for _ in range(rounds + 1)][1:]
    short, long = (statistics.median(column) for column in zip(*rows, strict=True))
    growth = statistics.median(b / a for a, b in rows)
    return {"fast fp32 at 64 ms": short, "fast fp32 at 512 ms": long, "fast fp32 growth": growth}
