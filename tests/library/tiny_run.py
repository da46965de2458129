"""A run of a tiny model with dropout, as a script: `python -m tests.library.tiny_run FOLDER STEPS [name=value …]`."""
import json
import sys
import time

import torch
from torch import nn

from gptlib.training import Settings, fit
from gptlib.training.batches import Windows

VOCAB = 11


class Tiny(nn.Module):
    """Looks at one token and, through a sum of all before, at the past; has a list of blocks and a tied embedding."""

    def __init__(self, dropout: float = 0.1, width: int = 16) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.embedding = nn.Embedding(VOCAB, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, 0.0, 0.2, generator=generator)
        for block in self.blocks:
            nn.init.zeros_(block.bias)

    def forward(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = x + self.dropout(torch.tanh(block(x.cumsum(1) / x.size(1))))
        return nn.functional.linear(self.norm(x), self.embedding.weight)


def tokens(seed: int = 0, count: int = 2000):
    """A row in which each token mostly follows from the one before."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randint(0, 2, (count,), generator=generator) + 1
    return steps.cumsum(0) % VOCAB


def main(folder: str, steps: int, **chosen) -> None:
    """Train; `delay` seconds a batch leave time for a kill."""
    delay, dropout = chosen.pop("delay", 0), chosen.pop("dropout", 0.1)
    data = Windows(tokens(), 8, {"vocab_size": VOCAB})
    if delay:
        plain = data.batch
        data.batch = lambda ids, epochs: (time.sleep(delay), plain(ids, epochs))[1]
    settings = {"batch_size": 8, "lr": 1e-2, "warmup": 5, "eval_every": 10, "checkpoint_every": 7, **chosen}
    held_out = Windows(tokens(1, 400), 8)
    fit(Tiny(dropout), data, Settings(steps=steps, **settings), held_out=held_out, folder=folder, device="cpu")


if __name__ == "__main__":
    options = {name: json.loads(value) for name, value in (a.split("=") for a in sys.argv[3:])}
    main(sys.argv[1], int(sys.argv[2]), **options)
