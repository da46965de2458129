"""CPU seconds until a model reaches the held-out loss at which nanoGPT's own recipe for a CPU ends.

`python -m bench to_loss --nanogpt PATH`: for each seed, nanoGPT trains for its 2,000 steps, then ours trains on the
same text, shape and batch until its held-out loss is as low. Evaluations are not counted. One thread.
"""
import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from bench.training import BETAS, DECAY, LR, SHAPES, nanogpt_model, plain_loop, text, windows

SHAPE = SHAPES["4 layers, 128 wide"]
STEPS, WARMUP = 2000, 100  # nanoGPT's README and its config/train_shakespeare_char.py
OURS: dict[str, Any] = {"optimizer": "muon", "lr": 1e-2, "warmup": 20, "schedule": "cosine", "floor": 0.1}


def held_out_loss(call: Any, tokens: torch.Tensor, batches: int = 60) -> float:
    """Mean loss over windows spread evenly over the held-out plays; `call` gives logits."""
    length, count = SHAPE["context_length"], batches * 64
    starts = torch.arange(count) * ((len(tokens) - length - 1) // count)
    rows = tokens[starts[:, None] + torch.arange(length + 1)]
    with torch.no_grad():
        losses = [float(F.cross_entropy(call(part[:, :-1]).flatten(0, 1), part[:, 1:].flatten()))
                  for part in rows.split(64)]  # fmt: skip
    return statistics.mean(losses)


def peer(path: Path, seed: int) -> tuple[float, float]:
    """Train nanoGPT by its recipe; give its CPU seconds and its final loss."""
    from gptlib.optimizer import learning_rate

    tokens, held_out, vocab = text()
    model = nanogpt_model(path, SHAPE, vocab, seed)
    optimizer = model.configure_optimizers(DECAY, LR, BETAS, "cpu")
    step = plain_loop(model, lambda x, y: model(x, y)[1], optimizer, windows(tokens, SHAPE, seed))
    start = time.process_time()
    for i in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(i, steps=STEPS, lr=LR, warmup=WARMUP, schedule="cosine", floor=0.1)
        step()
    seconds = time.process_time() - start

    def logits(x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        return model(x, x)[0]

    return seconds, held_out_loss(logits, held_out)


def ours(seed: int, steps: int, target: float, every: int = 20, **settings: Any) -> dict[str, Any]:
    """Train until the loss is at most `target`; give CPU seconds, steps and the curve."""
    from gptlib.batches import Windows
    from gptlib.devices import place
    from gptlib.gpt2 import GPT2, GPT2Config
    from gptlib.training import next_token_loss
    from gptlib.training_loop import Loop, Settings

    tokens, held_out, vocab = text()
    shape = {name: SHAPE[name] for name in ("n_layers", "n_heads", "d_model", "context_length")}
    model = GPT2(GPT2Config(vocab_size=vocab, **shape), torch.Generator().manual_seed(seed))
    chosen = Settings(steps, SHAPE["batch"], seed=seed, betas=BETAS, weight_decay=DECAY, **{**OURS, **settings})
    data = Windows(tokens, SHAPE["context_length"])
    loop = Loop(model, data, chosen, None, None, next_token_loss, place("cpu"))
    seconds, curve = 0.0, []
    for i in range(steps):
        start = time.process_time()
        loop.step(i)
        seconds += time.process_time() - start
        if (i + 1) % every == 0:
            curve.append((i + 1, round(seconds, 2), round(held_out_loss(model.eval(), held_out), 4)))
            if curve[-1][2] <= target:
                return {"reached": True, "seconds": seconds, "steps": i + 1, "curve": curve}
    return {"reached": False, "seconds": seconds, "steps": steps, "curve": curve}


def measure(options: Sequence[str] = ()) -> dict[str, Any]:
    """Both for each seed, and the ratio of CPU seconds."""
    parser = argparse.ArgumentParser(prog="python -m bench to_loss")
    parser.add_argument("--nanogpt", type=Path, required=True, help="a checkout of nanoGPT")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600, help="steps of ours; the schedule ends there")
    chosen = parser.parse_args(options)
    torch.set_num_threads(1)
    rows = []
    for seed in range(chosen.seeds):
        seconds, loss = peer(chosen.nanogpt.resolve(), seed)
        row = ours(seed, chosen.steps, loss)
        ratio = seconds / row["seconds"] if row["reached"] else None
        rows.append({"seed": seed, "nanogpt_s": seconds, "nanogpt_loss": loss, **row, "ratio": ratio})
        print(rows[-1], flush=True)
    return {"settings": OURS | {"steps": chosen.steps}, "seeds": rows}
