"""The fuzzer's corpus, replayed: no input makes intake, archives or the wire raise their own errors, or take long."""
import random
import time

import pytest

from tests.fuzz.harness import CORPUS, one, seeds

FILES = sorted(p for p in CORPUS.iterdir() if p.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_an_input_that_was_found_does_no_harm(path):
    start = time.process_time()
    one(path.read_bytes())
    assert time.process_time() - start < 10


@pytest.mark.filterwarnings("ignore")
def test_mutated_seeds_do_no_harm():
    """What the fuzzer does, without its guidance: a little of it on every run."""
    rng, start = random.Random(0), list(seeds().values())
    for _ in range(1200):
        data = bytearray(rng.choice(start))
        for _ in range(rng.randrange(1, 6)):
            place = rng.randrange(1, len(data))
            what = rng.randrange(4)
            if what == 0:
                data[place] = rng.randrange(256)
            elif what == 1:
                del data[place : place + rng.randrange(1, 9)]
            elif what == 2:
                data[place:place] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
            else:
                other = rng.choice(start)
                data[place:place] = other[rng.randrange(len(other)) :][:40]
            if len(data) < 2:
                break
        one(bytes(data))
