"""The GPT Lineage: from n-grams to GPT-4, one module a chapter.

The modules here are those that learners write. The packages beside them are given:

    data       texts and vocabularies, fetched once and checked
    training   one run for all chapters
    figures    interactive figures and drawings
    weights    published weights, read and compared
    inference  the same models, faster
    capstone   presets, bands, and what is handed in
"""
import importlib
import sys
import types
from importlib.machinery import ModuleSpec
from typing import Any

# Where given modules were before they stood in packages: work that names them so still runs.
MOVED = {
    "batches": "training.batches", "capstone_gpt": "capstone.gpt", "checkpoint": "training.checkpoint",
    "devices": "training.devices", "download": "data.download", "drawing": "figures.drawing",
    "envelopes": "capstone.envelopes", "fast_decode": "inference.fast_decode", "gpt2_weights": "weights.gpt2",
    "hand_in": "capstone.hand_in", "online_text": "data.online_text", "optimizer": "training.optimizer",
    "token_files": "data.token_files", "training_log": "training.log", "training_loop": "training.loop",
    "translation": "data.translation",
}  # fmt: skip


class _Moved(types.ModuleType):
    """A module under its name of before; what it has is looked up under its new name."""

    __path__: list[str] = []  # else `python -m` would warn that it is known already

    def __init__(self, old: str, new: str) -> None:
        super().__init__(old, f"Now `{new}`.")
        self.__dict__.update(_new=new, __spec__=ModuleSpec(old, self))  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self._new), name)

    def get_code(self, name: str) -> types.CodeType:
        """What `python -m` runs."""
        return compile(f"import runpy\nrunpy.run_module({self._new!r}, run_name='__main__')", name, "exec")


for _old, _new in MOVED.items():
    sys.modules[f"{__name__}.{_old}"] = globals()[_old] = _Moved(f"{__name__}.{_old}", f"{__name__}.{_new}")
