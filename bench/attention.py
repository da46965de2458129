"""The reference's attention against PyTorch's fused kernel and its module, forward and backward, one thread."""
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn.functional import scaled_dot_product_attention


def measure(rounds: int = 15) -> dict[str, dict[str, float]]:
    """Median CPU milliseconds per call and the ratio to the peer, interleaved in one run."""
    from gptlib.attention import attend

    torch.set_num_threads(1)
    found = {}
    for length in (64, 256, 1024):
        generator = torch.Generator().manual_seed(0)
        query, key, value = (torch.randn(4, 8, length, 32, generator=generator, requires_grad=True) for _ in range(3))
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        ours = timed(lambda q=query, k=key, v=value, m=mask: attend(q, k, v, m).sum().backward())
        peer = timed(lambda q=query, k=key, v=value, m=mask: scaled_dot_product_attention(q, k, v, m).sum().backward())
        pairs = [(ours(), peer()) for _ in range(rounds)]
        mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        found[str(length)] = {"attend_ms": mine, "sdpa_ms": theirs, "ratio": mine / theirs}
    return found


def timed(call: Callable[[], None]) -> Callable[[], float]:
    """Return a function that runs `call` once and gives its CPU milliseconds."""
    call()

    def once() -> float:
        start = time.process_time()
        call()
        return (time.process_time() - start) * 1e3

    return once
