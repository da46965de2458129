"""Training steps of `training.fit` against nanoGPT's and transformers' GPT-2, and what each trick of ours gains.

`python -m bench training --nanogpt PATH` measures nanoGPT too, from a checkout of it. All peers take steps in turns, in
one process; with one thread the numbers are CPU seconds, with two they are wall seconds. Medians.
"""
import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

SHAPES = {  # nanoGPT's README for a CPU; and its small GPU model, at a batch that a CPU can take
    "4 layers, 128 wide": {"n_layers": 4, "n_heads": 4, "d_model": 128, "context_length": 64, "batch": 12},
    "6 layers, 384 wide": {"n_layers": 6, "n_heads": 6, "d_model": 384, "context_length": 256, "batch": 4},
}
BETAS, DECAY, LR = (0.9, 0.99), 0.1, 1e-3
Step = Callable[[], None]
Batch = Callable[[], tuple[torch.Tensor, torch.Tensor]]


def text() -> tuple[torch.Tensor, torch.Tensor, int]:
    """Shakespeare by characters: tokens to train on, held-out ones, and how many characters there are."""
    from gptlib.data import shakespeare

    parts = ["".join(shakespeare(split).values()) for split in ("train", "held-out")]
    place = {symbol: i for i, symbol in enumerate(sorted(set("".join(parts))))}
    return *(torch.tensor([place[c] for c in part]) for part in parts), len(place)  # type: ignore[return-value]


def flops(model: torch.nn.Module, shape: dict[str, int]) -> float:
    """Floating-point operations of a step: 6 for each weight and token, and those of attention (Chowdhery 2022)."""
    weights = sum(p.numel() for n, p in model.named_parameters() if "position" not in n and "wpe" not in n)
    attention = 12 * shape["n_layers"] * shape["d_model"] * shape["context_length"]
    return (6 * weights + attention) * shape["batch"] * shape["context_length"]


def windows(tokens: torch.Tensor, shape: dict[str, int], seed: int = 0) -> Batch:
    """Draw batches as nanoGPT's train.py does: random starts, one slice each, stacked."""
    length, generator = shape["context_length"], torch.Generator().manual_seed(seed)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        starts = torch.randint(len(tokens) - length, (shape["batch"],), generator=generator)
        rows = [tokens[i : i + length] for i in starts], [tokens[i + 1 : i + 1 + length] for i in starts]
        return torch.stack(rows[0]), torch.stack(rows[1])

    return batch


def plain_loop(model: Any, loss: Callable[..., torch.Tensor], optimizer: torch.optim.Optimizer, batch: Any) -> Step:
    """The body of nanoGPT's loop on a CPU: batch, loss, gradients, clip at 1, step."""

    def step() -> None:
        value = loss(*batch())
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def ours(tokens: torch.Tensor, shape: dict[str, int], vocab: int, **settings: Any) -> tuple[Step, torch.nn.Module]:
    """A step of the loop that all chapters use, with its log, guard and schedule."""
    from gptlib.gpt2 import GPT2, GPT2Config
    from gptlib.training import next_token_loss
    from gptlib.training.batches import Windows
    from gptlib.training.devices import place
    from gptlib.training.loop import Loop, Settings

    torch.manual_seed(0)
    names = ("n_layers", "n_heads", "d_model", "context_length")
    model = GPT2(GPT2Config(vocab_size=vocab, **{n: shape[n] for n in names}))
    chosen = Settings(10**6, shape["batch"], lr=LR, warmup=100, betas=BETAS, weight_decay=DECAY, **settings)
    loop = Loop(model, Windows(tokens, shape["context_length"]), chosen, None, None, next_token_loss, place("cpu"))
    count = iter(range(10**6))

    def step() -> None:
        loop.log.add(**loop.step(next(count)))

    return step, model


def nanogpt_model(path: Path, shape: dict[str, int], vocab: int, seed: int = 0, bias: bool = False) -> Any:
    """Build nanoGPT's model; its recipe has no biases."""
    sys.path.insert(0, str(path))
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    torch.manual_seed(seed)
    return GPT(GPTConfig(block_size=shape["context_length"], vocab_size=vocab, n_layer=shape["n_layers"],
                         n_head=shape["n_heads"], n_embd=shape["d_model"], dropout=0.0, bias=bias))  # fmt: skip


def nanogpt(path: Path, tokens: torch.Tensor, shape: dict[str, int], vocab: int, like_gpt2: bool) -> Step:
    """NanoGPT's model, optimizer and loop body; `like_gpt2` gives it GPT-2's biases and tanh GELU, as ours has."""
    model = nanogpt_model(path, shape, vocab, bias=like_gpt2)
    if like_gpt2:
        for block in model.transformer.h:
            block.mlp.gelu = torch.nn.GELU(approximate="tanh")
    optimizer = model.configure_optimizers(DECAY, LR, BETAS, "cpu")
    return plain_loop(model, lambda x, y: model(x, y)[1], optimizer, windows(tokens, shape))


def hugging_face(tokens: torch.Tensor, shape: dict[str, int], vocab: int) -> Step:
    """`transformers.GPT2LMHeadModel` with fused attention and AdamW in a plain loop."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(
        vocab_size=vocab, n_positions=shape["context_length"], n_embd=shape["d_model"], n_layer=shape["n_layers"],
        n_head=shape["n_heads"], resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        attn_implementation="sdpa",
    ))  # fmt: skip

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model(x, use_cache=False).logits.flatten(0, 1), y.flatten())

    optimizer = torch.optim.AdamW(model.parameters(), LR, BETAS, weight_decay=DECAY)
    return plain_loop(model, loss, optimizer, windows(tokens, shape))


def in_turns(steps: dict[str, Step], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Let each take a step a round; give the median seconds of each, the first rounds left out."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = clock()
            step()
            seconds[name].append(clock() - start)
    return {name: statistics.median(values[2:]) for name, values in seconds.items()}


def product(size: int = 1024) -> Step:
    """One product of fp32 matrices: as many operations a second as this CPU can do."""
    a, b = torch.randn(size, size), torch.randn(size, size)

    def step() -> None:
        torch.mm(a, b)

    return step


def measure_shape(shape: dict[str, int], threads: int, nano: Path | None, rounds: int) -> dict[str, Any]:
    """Tokens a second, share of the matmul peak, and ratio to nanoGPT (or else transformers) of every peer."""
    torch.set_num_threads(threads)
    tokens, _, vocab = text()
    step, model = ours(tokens, shape, vocab)
    steps = {"ours": step, "transformers": hugging_face(tokens, shape, vocab)}
    if nano:
        steps["nanoGPT"] = nanogpt(nano, tokens, shape, vocab, like_gpt2=False)
        steps["nanoGPT with GPT-2's biases and GELU"] = nanogpt(nano, tokens, shape, vocab, like_gpt2=True)
    seconds = in_turns(steps | {"product": product()}, rounds, time.process_time if threads == 1 else time.perf_counter)
    peak, work = 2 * 1024**3 / seconds.pop("product"), flops(model, shape)
    base = seconds["nanoGPT" if nano else "transformers"]
    found = {
        name: {"ms": 1e3 * s, "tokens_per_s": shape["batch"] * shape["context_length"] / s,
               "of_peak": work / s / peak, "ratio": base / s}
        for name, s in seconds.items()
    }  # fmt: skip
    return {"peak_gflops": peak / 1e9, "base": "nanoGPT" if nano else "transformers", "peers": found}


def tricks(rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of a step as the tricks are added one by one, each way interleaved with all others."""
    from bench.slow_gpt import ways

    torch.set_num_threads(1)
    tokens, _, vocab = text()
    shape = SHAPES["4 layers, 128 wide"]
    chain = ways(shape, vocab, windows(tokens, shape))
    chain["the loop of all chapters"] = ours(tokens, shape, vocab)[0]
    chain["torch.compile"] = ours(tokens, shape, vocab, compile=True)[0]
    if torch.cpu._is_avx512_bf16_supported():
        chain["bf16"] = ours(tokens, shape, vocab, compile=True, precision="bf16")[0]
    seconds = in_turns(chain, rounds, time.process_time)
    return [{"trick": name, "ms": 1e3 * s} for name, s in seconds.items()]


def measure(options: Sequence[str] = ()) -> dict[str, Any]:
    """Both shapes with one and two threads, then the tricks."""
    parser = argparse.ArgumentParser(prog="python -m bench training")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT, to measure it too")
    parser.add_argument("--rounds", type=int, default=40)
    chosen = parser.parse_args(options)
    nano, rounds = chosen.nanogpt and chosen.nanogpt.resolve(), chosen.rounds
    found: dict[str, Any] = {"bf16_units": torch.cpu._is_avx512_bf16_supported(), "rounds": rounds, "shapes": {}}
    for name, shape in SHAPES.items():
        few = rounds if shape["d_model"] < 200 else max(6, rounds // 5)
        found["shapes"][name] = {str(n): measure_shape(shape, n, nano, few) for n in (1, 2)}
    found["tricks"] = tricks(rounds)
    return found
