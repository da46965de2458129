"""CPU seconds until a model reaches the held-out loss at which nanoGPT's own recipe for a CPU ends.

`python -m bench to_loss --nanogpt PATH`: for each seed, nanoGPT trains for its 2,000 steps and ours, in turns with it,
for fewer on the same text, shape and batch; then we look where its held-out loss was first as low. Evaluations are not
counted. One thread.
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


class Peer:
    """nanoGPT, trained by its recipe."""

    def __init__(self, path: Path, seed: int) -> None:
        from gptlib.training.optimizer import learning_rate

        tokens, self.held_out, vocab = text()
        self.model, self.rate = nanogpt_model(path, SHAPE, vocab, seed), learning_rate
        self.optimizer = self.model.configure_optimizers(DECAY, LR, BETAS, "cpu")
        loss = lambda x, y: self.model(x, y)[1]  # noqa: E731
        self.body = plain_loop(self.model, loss, self.optimizer, windows(tokens, SHAPE, seed))

    def step(self, i: int) -> None:
        """Take step number i of `STEPS`."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(i, steps=STEPS, lr=LR, warmup=WARMUP, schedule="cosine", floor=0.1)
        self.body()

    def loss(self) -> float:
        """Loss on the held-out plays."""

        def logits(x: torch.Tensor) -> torch.Tensor:
            x = x.contiguous()
            return self.model(x, x)[0]

        return held_out_loss(logits, self.held_out)


class Ours:
    """The loop of all chapters."""

    def __init__(self, seed: int, steps: int) -> None:
        from gptlib.gpt2 import GPT2, GPT2Config
        from gptlib.training import next_token_loss
        from gptlib.training.batches import Windows
        from gptlib.training.devices import place
        from gptlib.training.loop import Loop, Settings

        tokens, self.held_out, vocab = text()
        shape = {name: SHAPE[name] for name in ("n_layers", "n_heads", "d_model", "context_length")}
        self.model = GPT2(GPT2Config(vocab_size=vocab, **shape), torch.Generator().manual_seed(seed))
        chosen = Settings(steps, SHAPE["batch"], seed=seed, betas=BETAS, weight_decay=DECAY, **OURS)
        data = Windows(tokens, SHAPE["context_length"])
        self.loop = Loop(self.model, data, chosen, None, None, next_token_loss, place("cpu"))
        self.step = self.loop.step

    def loss(self) -> float:
        """Loss on the held-out plays."""
        return held_out_loss(self.model.eval(), self.held_out)


def race(path: Path, seed: int, steps: int, every: int = 20) -> dict[str, Any]:
    """Let both train, in turns, so that whatever else the machine does it does to both; compare CPU seconds."""
    theirs, ours = Peer(path, seed), Ours(seed, steps)
    spent, curve, done = {"theirs": 0.0, "ours": 0.0}, list[tuple[int, float, float]](), 0

    def timed(name: str, step: Any, i: int) -> None:
        start = time.process_time()
        step(i)
        spent[name] += time.process_time() - start

    for i in range(STEPS):
        timed("theirs", theirs.step, i)
        while done < steps * (i + 1) // STEPS:
            timed("ours", ours.step, done)
            done += 1
            if done % every == 0 and (done > steps / 2 or done % (4 * every) == 0):
                curve.append((done, round(spent["ours"], 2), round(ours.loss(), 4)))
    target = theirs.loss()
    row = {"seed": seed, "nanogpt_s": spent["theirs"], "nanogpt_loss": target, "curve": curve, "reached": False}
    reached = next(((at, seconds) for at, seconds, loss in curve if loss <= target), None)
    if reached:
        row |= {"reached": True, "steps": reached[0], "seconds": reached[1], "ratio": spent["theirs"] / reached[1]}
    return row


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
        rows.append(race(chosen.nanogpt.resolve(), seed, chosen.steps))
        print(rows[-1], flush=True)
    return {"settings": OURS | {"steps": chosen.steps}, "seeds": rows}
