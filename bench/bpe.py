"""Byte-pair encoding beside its peers: training and spelling, on Shakespeare, in CPU seconds of all threads."""
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable
from importlib import metadata
from itertools import chain, pairwise
from typing import Any

ROUNDS = 7
THREADS = 1
VOCABULARY = 1024


def measure() -> dict[str, Any]:
    """Medians over rounds in which every peer takes its turn, and ratios of the medians."""
    os.environ |= {"RAYON_NUM_THREADS": str(THREADS), "TOKENIZERS_PARALLELISM": "false"}  # before they are imported
    from gptlib import bpe, data

    text = "\n".join(data.shakespeare().values())
    small, large, fresh = text[:100_000], text[:1_000_000], text[2_000_000:4_000_000]
    ours = bpe.train(text[:2_000_000], 4096)
    pieces = [ours.pieces[i] for i in range(ours.vocab_size)]
    warm, compiled = bpe.Tokenizer(pieces), ours.to_tiktoken()
    return {
        "threads": THREADS,
        "rounds": ROUNDS,
        "versions": {peer: metadata.version(peer) for peer in ("rustbpe", "tiktoken", "tokenizers")},
        "training_100kb": training(small, {"ours": learn_ours, "naive": learn_naive}, rounds=1),
        "training_1mb": training(
            large, {"ours": learn_ours, "rustbpe": learn_rustbpe, "tokenizers": learn_tokenizers}, ROUNDS
        ),
        "spelling_2mb": spelling(
            fresh,
            {
                "ours_cold": lambda t: bpe.Tokenizer(pieces).encode(t),
                "ours_again": warm.encode,
                "tiktoken": compiled.encode_ordinary,
            },
        ),
    }


def training(text: str, peers: dict[str, Callable[[str], Any]], rounds: int) -> dict[str, Any]:
    """Seconds to learn a vocabulary of 1,024 tokens; whether the merges are ours; how many times ours each takes."""
    seconds, results = take_turns(text, peers, rounds)
    same = {name: result == results["ours"] for name, result in results.items() if result is not None}
    return {
        "bytes": len(text.encode()),
        "vocabulary": VOCABULARY,
        "cpu_seconds": seconds,
        "times_ours": {name: value / seconds["ours"] for name, value in seconds.items()},
        "merges_as_ours": same,
    }


def spelling(text: str, peers: dict[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Megabytes a second with a vocabulary of 4,096 tokens, learned from another part of the plays."""
    seconds, results = take_turns(text, peers, ROUNDS)
    size = len(text.encode()) / 1e6
    return {
        "bytes": len(text.encode()),
        "mb_per_cpu_second": {name: size / value for name, value in seconds.items()},
        "tokens_as_ours": {name: result == results["ours_cold"] for name, result in results.items()},
    }


def take_turns(
    text: str, peers: dict[str, Callable[[str], Any]], rounds: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """Run the peers one after the other, round after round; the median CPU seconds of each and its last result."""
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    results = {}
    for _ in range(rounds):
        for name, call in peers.items():
            start = time.process_time()
            results[name] = call(text)
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}, results


def learn_ours(text: str) -> list[bytes]:
    """Pieces as gptlib learns them, cutting into chunks included."""
    from gptlib import bpe

    return bpe.pieces_of(bpe.learn(bpe.count_chunks(text), VOCABULARY - 256))


def learn_naive(text: str) -> list[bytes]:
    """Pieces by the algorithm as it is usually told: count all pairs of the whole text anew for each merge."""
    from gptlib import bpe

    words = [list(chunk.encode()) for chunk in bpe.pre_tokenise(text)]
    merges: list[tuple[int, int]] = []
    while len(merges) < VOCABULARY - 256:
        counts = Counter(chain.from_iterable(map(pairwise, words)))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [bpe.merge(word, best, 256 + len(merges)) for word in words]
        merges.append(best)
    return bpe.pieces_of(merges)


def learn_rustbpe(text: str) -> list[bytes]:
    """Pieces of Karpathy's trainer in Rust, with the same pattern."""
    import rustbpe

    from gptlib import bpe

    tool = rustbpe.Tokenizer()
    tool.train_from_iterator([text], VOCABULARY, pattern=bpe.GPT2)
    return [bytes(piece) for piece, _ in sorted(tool.get_mergeable_ranks(), key=lambda row: row[1])]


def learn_tokenizers(text: str) -> None:
    """Hugging Face's trainer; it numbers its bytes in another order, so its pieces are not compared."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tool = Tokenizer(models.BPE())
    tool.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tool.train_from_iterator([text], trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False))  # fmt: skip
