"""Everything that reads a learner's bytes without running them, as one function of bytes.

CI replays the corpus beside this file: seeds, and every input that once did harm. By hand, with atheris installed
(`pip install atheris`, which wants Python 3.11 to 3.13), a coverage-guided fuzzer looks for more:

    python -m tests.fuzz.harness --minutes 30
"""
import argparse
import contextlib
import io
import json
import re
import struct
import sys
import zipfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
NAMES = {"notebook": "05_attention.ipynb", "module": "gptlib/attention.py"}
CODE = b"def attend():\n    pass\n"
TEMPLATE = {"cells": [
    {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": "a", "grade": True}}, "source": "check('a.b')"},
    {"cell_type": "markdown", "metadata": {"nbgrader": {"grade_id": "b", "solution": True}}, "source": ""},
]}  # fmt: skip


def archives(data: bytes) -> None:
    """Read an archive."""
    from autograder.engine import archive, intake

    with contextlib.suppress(intake.Rejected):
        found = archive.contents(data, NAMES)
        assert set(found.taken) <= set(NAMES)
        assert all(len(value) <= intake.MAX_NOTEBOOK for value in found.taken.values())
        assert all(line.isprintable() for line in found.notices)


def notebooks(data: bytes) -> None:
    """Rebuild a notebook."""
    from autograder.engine import essay, intake, rebuild

    with contextlib.suppress(intake.Rejected):
        book = rebuild.rebuilt(rebuild.Template(TEMPLATE), intake.cells_of(data))
        assert book["cells"][0]["source"] == "check('a.b')"
        tags = set(re.findall("<([A-Za-z0-9]+)", book["cells"][1]["source"]))
        assert tags <= essay.TAGS
        json.dumps(book, ensure_ascii=False).encode()


def times(data: bytes) -> None:
    """Read a time."""
    from autograder.engine import intake

    assert len(intake.timestamp(data, [])) <= 80


def frames(data: bytes) -> None:
    """Read a message between judge and child."""
    from autograder.engine import wire

    def refuse(*_):
        raise wire.WireError("nothing is lent here")

    size = struct.unpack(">H", data[:2].rjust(2, b"\0"))[0]
    with contextlib.suppress(*wire.BAD_DATA, wire.WireError):
        wire.decode(*wire.unpack(data[2 : 2 + size], data[2 + size :]), refuse)


TARGETS = (archives, notebooks, times, frames)


def one(data: bytes) -> None:
    """Give bytes to the target that their first one chooses."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def seeds() -> dict[str, bytes]:
    """Inputs to start from."""
    import tarfile

    import torch

    from autograder.engine import wire

    book = json.dumps({"nbformat": 4, "cells": [
        {"cell_type": "markdown", "metadata": {"nbgrader": {"grade_id": "b", "solution": True}}, "source": ["<b>"]},
        {"cell_type": "code", "metadata": {}, "source": "%%implement a.b\nx"}]}).encode()  # fmt: skip
    packed, rolled = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, data in (("05_attention.ipynb", book), ("gptlib/attention.py", CODE), ("torch.py", b"")):
            file.writestr(zipfile.ZipInfo(name), data)
    with tarfile.open(fileobj=rolled, mode="w") as file:
        info = tarfile.TarInfo("a/gptlib/attention.py")
        info.size = len(CODE)
        file.addfile(info, io.BytesIO(CODE))
    found = {"zip": b"\0" + packed.getvalue(), "tar": b"\0" + rolled.getvalue()[:2048], "notebook": b"\1" + book,
             "time": b"\x022026-01-02 03:04:05.678901 UTC"}  # fmt: skip
    values = {"tensors": [torch.arange(6.0).reshape(2, 3).t(), {"a": (1, 2.5)}], "dict": {(1, "x"): {2, 3}, "y": b"z"},
              "others": [range(3), torch.float16, torch.Size([1]), 1 + 2j]}  # fmt: skip
    for name, value in values.items():
        tensors: list = []
        frame = wire.pack(wire.encode(value, tensors, lambda *_: None), tensors)
        size = wire.HEAD.unpack(frame[: wire.HEAD.size])[0]
        found[name] = b"\3" + struct.pack(">H", size) + frame[wire.HEAD.size :]
    return found


def main() -> None:
    """Fuzz with atheris for some minutes."""
    import atheris

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--found", default="build/fuzz", help="folder for new inputs and for those that do harm")
    options = parser.parse_args()
    with atheris.instrument_imports(include=["autograder.engine", "zipfile", "tarfile"]):
        from autograder.engine import archive, intake, wire  # noqa: F401
    import nbgrader.utils  # noqa: F401  (now: a first import takes longer than an input may)

    Path(options.found).mkdir(parents=True, exist_ok=True)
    for name, data in seeds().items():
        (Path(options.found) / f"seed-{name}").write_bytes(data)
    line = [sys.argv[0], options.found, str(CORPUS), f"-max_total_time={int(60 * options.minutes)}", "-timeout=20",
            "-rss_limit_mb=3000", "-max_len=6000", f"-artifact_prefix={options.found}/harm-"]  # fmt: skip
    atheris.Setup(line, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
