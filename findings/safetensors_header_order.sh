#!/usr/bin/env bash
# safetensors: the same tensors with the same metadata, saved twice, need not give the same bytes. Two or more metadata
# keys come in an order that changes from call to call (with one key the bytes are the same). So a checksum of a file
# does not tell whether weights were reproduced: compare what is loaded.
#
# Expected of safetensors 0.8.0: 200 calls with 4 keys give more than one file, all of one length, and all with equal
# tensors and metadata; 200 calls with 1 key give one.
# Seen (Python 3.11.7, Linux): all 24 orders of 4 keys.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load, save

tensors = {"weight": np.arange(6.0).reshape(2, 3), "bias": np.ones(2)}
four = {"config": "{}", "characters": "abc", "steps": "2", "loss": "1.0"}
files = {save(tensors, metadata=four) for _ in range(200)}
print("4 keys:", len(files), "different files, lengths", {len(file) for file in files})
print("1 key:", len({save(tensors, metadata={"steps": "2"}) for _ in range(200)}), "file")
assert len(files) > 1 and len({len(file) for file in files}) == 1, "the order of the keys is fixed now"
assert len({save(tensors, metadata={"steps": "2"}) for _ in range(200)}) == 1
for number, file in enumerate(files):
    path = Path(sys.argv[1]) / f"{number}.safetensors"
    path.write_bytes(file)
    with safe_open(path, "numpy") as opened:
        assert opened.metadata() == four
    assert all((load(file)[name] == tensors[name]).all() for name in tensors)
print("as expected")
PY
