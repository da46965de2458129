"""Train the small GPT that lives in the page of chapter 10, and write it as one file of bytes.

    python -m chapters._book.page_gpt            # about 20 minutes on one core
    python -m chapters._book.page_gpt --steps 5  # proves that it runs

The steps, the data and their order are fixed by the seed; the same machine writes the same file again.
"""
import argparse
import json
import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from autograder.strip import ROOT, build_reference

FILE = ROOT / "gptlib" / "figures" / "gpt2.safetensors"
# What the page's model can read: all that Shakespeare's modern editions hold often enough to be learned.
CHARACTERS = "\n !'(),-.:;?[]ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SHAPE = {"n_layers": 4, "d_model": 96, "n_heads": 4, "vocab_size": len(CHARACTERS), "context_length": 128}


def numbers(texts: dict[str, str]) -> Tensor:
    """The works as one sequence of character numbers; other characters are left out."""
    text = "\n\n".join(texts.values())
    return torch.tensor([CHARACTERS.index(c) for c in text if c in CHARACTERS])


def held_out_loss(model: torch.nn.Module, ids: Tensor, windows: int = 400) -> float:
    """Mean loss in nats a character over windows that are spread evenly over the held-out plays."""
    length = SHAPE["context_length"]
    starts = torch.linspace(0, len(ids) - length - 1, windows).long()
    batch = ids[starts[:, None] + torch.arange(length + 1)]
    with torch.no_grad():
        losses = [F.cross_entropy(model(part[:, :-1]).flatten(0, 1), part[:, 1:].flatten()) for part in batch.split(50)]
    return float(torch.stack(losses).mean())


def train(model: torch.nn.Module, ids: Tensor, steps: int, generator: torch.Generator, batch: int = 24) -> None:
    """Adam with weight decay, warm-up and a cosine down to a tenth, on windows drawn at random."""
    rate, length, begun = 3e-3, SHAPE["context_length"], time.time()
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99), fused=True)
    for step in range(steps):
        share = min(1.0, (step + 1) / 100)
        for group in optimizer.param_groups:
            group["lr"] = rate * share * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        starts = torch.randint(len(ids) - length, (batch,), generator=generator)
        window = ids[starts[:, None] + torch.arange(length + 1)]
        loss = F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:5d} of {steps}  loss {loss.item():.3f}  {time.time() - begun:.0f} s", flush=True)


def main() -> int:
    """Train, squeeze, measure what the squeezed model loses on held-out plays, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    import sys

    sys.path.insert(0, str(build_reference()))
    from gptlib import data, gpt2
    from gptlib.weights import gpt2 as gpt2_weights

    generator = torch.Generator().manual_seed(2019)
    model = gpt2.GPT2(gpt2.GPT2Config(**SHAPE), generator)
    train(model, numbers(data.shakespeare("train")), options.steps, generator)
    small = gpt2_weights.squeeze(model.state_dict())
    model.load_state_dict(gpt2_weights.unsqueeze(small))
    loss = held_out_loss(model, numbers(data.shakespeare("held-out")))
    about = {"config": json.dumps(SHAPE), "characters": CHARACTERS, "steps": str(options.steps), "loss": f"{loss:.4f}"}
    save_file(small, options.out, metadata=about)
    print(f"held-out loss {loss:.4f} nats a character; wrote {options.out} ({options.out.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
