"""The loss envelope of a preset: `python -m bench envelopes cpu-quick [--seeds 3]`, into the data that learners get."""
import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.machine import load, machine

ROOT = Path(__file__).parents[1]
BANDS = ROOT / "gptlib" / "capstone" / "gpt_envelopes.json"


def one(name: str, seed: int, tokens: Path) -> tuple[list[dict[str, Any]], float]:
    """Train one seed of a preset; give its rows and its seconds: of computing on a CPU, of waiting on a GPU."""
    import torch

    from gptlib import gpt2
    from gptlib.capstone import gpt as capstone_gpt
    from gptlib.data import token_files
    from gptlib.training import devices

    chosen = capstone_gpt.preset(name).but(seed=seed, checkpoint_every=0)
    config = chosen.config(token_files.read_meta(tokens)["vocab_size"])
    model = gpt2.GPT2(config, torch.Generator().manual_seed(seed))
    clock = time.monotonic if devices.place().device.type == "cuda" else time.process_time
    start = clock()
    with tempfile.TemporaryDirectory() as folder:
        run = capstone_gpt.train(model, chosen, tokens, folder)
    return run.rows, clock() - start


def main(argv: list[str]) -> int:
    """Measure the band of one preset, and put it among the others."""
    parser = argparse.ArgumentParser(prog="python -m bench envelopes", description=main.__doc__)
    parser.add_argument("preset")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokens", default=str(ROOT / "build" / "tokens"), help="folder for token files")
    chosen = parser.parse_args(argv)
    import torch

    from gptlib.capstone import envelopes
    from gptlib.capstone import gpt as capstone_gpt

    before = "" if torch.cuda.is_available() else f", load {load()}"
    tokens = capstone_gpt.prepare(capstone_gpt.preset(chosen.preset), chosen.tokens)
    runs, times = [], []
    for seed in range(chosen.seeds):
        rows, seconds = one(chosen.preset, seed, tokens)
        runs.append(rows)
        times.append(seconds)
        print(f"seed {seed}: {rows[-1]['held_out']:.4f} in {seconds:.1f} s", flush=True)
    gpu = torch.cuda.is_available()
    what = torch.cuda.get_device_name() if gpu else f"{machine()['cpu']}, {torch.get_num_threads()} thread(s)"
    known = json.loads(BANDS.read_text(encoding="utf-8"))
    known[chosen.preset] = envelopes.make(runs, statistics.median(times), f"{what}{before}, torch {torch.__version__}")
    known[chosen.preset]["clock"] = "waiting" if gpu else "computing"
    BANDS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {BANDS}; run `python -m autograder strip` to take it into the course")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
