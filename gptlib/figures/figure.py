"""An interactive figure: one ES module with its data, put whole into the output of a cell.

It works in the book, from a file, in JupyterLab, VS Code and Colab, with no network and no kernel.
"""
import hashlib
import html
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
MOUNT = """
for (const host of document.querySelectorAll('[data-figure="KEY"]')) {
  if (!host.shadowRoot) mount(host.attachShadow({ mode: "open" }), JSON.parse(host.firstElementChild.textContent));
}"""


class Figure:
    """An interactive figure: the module `<name>.js`, its data, and a sentence for those who cannot see or run it.

    Args:
        name: of a module that exports `mount(root, data)`; what all share is in `common.js`.
        data: what the module draws, as JSON can hold it; see `rounded`.
        alt: what the figure shows, one or two sentences.

    Raises:
        ValueError: there is no such module, `alt` is empty, or the data cannot be JSON.
    """

    def __init__(self, name: str, data: Mapping[str, Any], alt: str):
        if not alt.strip():
            raise ValueError(f"alt must say what the figure shows, got {alt!r}")
        self.name, self.alt, self.code = name, alt, module_text(name)
        try:
            text = json.dumps(data, separators=(",", ":"), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"data must be JSON without NaN or infinity (see figures.rounded): {error}") from None
        self.data = text.replace("<", "\\u003c")  # no text in it can then end the script element

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        # A name per content: an older copy of the figure in the page keeps its own code.
        key = hashlib.sha256((self.code + self.data).encode()).hexdigest()[:12]
        # JupyterLab would take the arrow keys; the attribute leaves them to the figure.
        page = (
            f'<div class="course-figure" data-figure="{key}" data-lm-suppress-shortcuts="true">'
            f'<script type="application/json">{self.data}</script><p>{html.escape(self.alt)}</p></div>'
            f'<script type="module">{self.code}{MOUNT.replace("KEY", key)}</script>'
        )
        return {"text/html": page, "text/plain": self.alt}


def module_text(name: str) -> str:
    """Return the text of a figure's ES module: what all figures share, then its own.

    Raises:
        ValueError: there is no such module, or its text holds a closing script tag, which would end it early.
    """
    path = FOLDER / f"{name}.js"
    if name == "common" or not path.exists():
        known = sorted(p.stem for p in FOLDER.glob("*.js") if p.stem != "common")
        raise ValueError(f"name must be one of {', '.join(known) or '(there are none)'}, got {name!r}")
    text = "".join(p.read_text(encoding="utf-8") for p in (FOLDER / "common.js", path))
    if "</script" in text.lower():
        raise ValueError(f"{name}.js must not contain a closing script tag, not even in a comment")
    return text


def rounded(values: Any, digits: int = 4) -> Any:
    """Return tensors, arrays, numbers and nested sequences of them as rounded plain numbers, for a figure's data."""
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, Mapping):
        return {key: rounded(value, digits) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [rounded(value, digits) for value in values]
    return round(values, digits) if isinstance(values, float) else values


def live(function: Callable[..., object], figure: object, **controls: Any) -> object:
    """Return sliders that call `function` where Python runs; in the static book `figure` instead.

    Args:
        function: draws for one setting of the controls; what it returns is shown.
        figure: shows the same without a kernel.
        controls: an argument's range each, as `ipywidgets.interact` takes it: `n=(1, 5)`, `mask=True`.
    """
    if os.environ.get("COURSE_STATIC") == "1":
        return figure
    from ipywidgets import interactive

    return interactive(function, {"auto_display": True}, **controls)
