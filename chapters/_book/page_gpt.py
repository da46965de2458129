"""Train the small GPT that lives in the page of chapter 10, and write it as one file of bytes.

    python -m chapters._book.page_gpt            # about 20 minutes on one core
    python -m chapters._book.page_gpt --steps 5  # proves that it runs

The steps, the data and their order are fixed by the seed; the same machine writes the same weights again.
"""
import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from autograder.strip import ROOT, build_reference

FILE = ROOT / "gptlib" / "figures" / "gpt2.safetensors"
# What the page's model can read: all that Shakespeare's modern editions hold often enough to be learned.
CHARACTERS = "\n !'(),-.:;?[]ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SEED, SPLITS = 2019, ("train", "held-out")
SHAPE = {"n_layers": 4, "d_model": 96, "n_heads": 4, "vocab_size": len(CHARACTERS), "context_length": 128}


def numbers(texts: dict[str, str]) -> Tensor:
    """The works as one sequence of character numbers; other characters are left out."""
    known = {c: i for i, c in enumerate(CHARACTERS)}
    return torch.tensor([known[c] for c in "\n\n".join(texts.values()) if c in known])


@torch.no_grad()
def held_out_loss(model: torch.nn.Module, windows: Any, count: int = 400) -> float:
    """Mean loss in nats a character over windows that are spread evenly over the held-out plays."""
    from gptlib.training import next_token_loss

    ids = torch.linspace(0, len(windows) - 1, count).long().tolist()
    parts = [ids[start : start + 50] for start in range(0, count, 50)]
    losses = [next_token_loss(model, *windows.batch(part, [0] * len(part))) for part in parts]
    return float(torch.stack(losses).mean())


def main() -> int:
    """Train, squeeze, measure what the squeezed model loses on held-out plays, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    sys.path.insert(0, str(build_reference()))
    from gptlib import data, gpt2
    from gptlib.training import Settings, fit
    from gptlib.training.batches import Windows
    from gptlib.weights import gpt2 as gpt2_weights

    model = gpt2.GPT2(gpt2.GPT2Config(**SHAPE), torch.Generator().manual_seed(SEED))
    train, held_out = (Windows(numbers(data.shakespeare(split)), SHAPE["context_length"]) for split in SPLITS)
    settings = Settings(
        steps=options.steps, batch_size=24, lr=3e-3, warmup=min(100, options.steps), betas=(0.9, 0.99), seed=SEED,
        precision="fp32", compile=False, eval_every=500,
    )  # fmt: skip
    fit(model, train, settings, held_out=held_out, device="cpu")
    small = gpt2_weights.squeeze(model.state_dict())
    model.load_state_dict(gpt2_weights.unsqueeze(small))
    loss = held_out_loss(model, held_out)
    about = {"config": json.dumps(SHAPE), "characters": CHARACTERS, "steps": str(options.steps), "loss": f"{loss:.4f}"}
    save_file(small, options.out, metadata=about)
    print(f"held-out loss {loss:.4f} nats a character; wrote {options.out} ({options.out.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
