"""Figures (given): interactive ones that need no kernel, and drawings that read on light and on dark paper.

An interactive figure X stands in files of one name: `X.js` draws it, `X.py` gives its data and has the function
`figures.X_figure`, and where it computes with small weights, these are `X.safetensors`.

    figure      what all interactive figures are: `Figure`
    common.js   what their scripts share
    drawing     curves, bars and heat maps
"""
import importlib
from pathlib import Path
from typing import Any

from .drawing import COLOURS, Drawing, bars, curve, heatmap, style
from .figure import Figure, live, module_text, rounded

__all__ = [
    "COLOURS", "Drawing", "Figure", "bars", "curve", "heatmap", "live", "module_text", "rounded", "style",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Find `X_figure` in the file X, which is read only then: an assignment has only the figures of its chapter."""
    file = name.removesuffix("_figure")
    if file != name and Path(__file__).with_name(f"{file}.py").exists():
        return getattr(importlib.import_module(f".{file}", __name__), name)
    if name == "JS":
        raise AttributeError("figures.JS is gone: the small GPT's weights are `gptlib.figures.gpt2.WEIGHTS`")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
