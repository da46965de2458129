"""Figures: interactive ones that need no kernel, and drawings that read on light and on dark paper.

An interactive figure is one ES module of `js/` with its data, put whole into the output: it works in the book, from a
file, in JupyterLab, VS Code and Colab, with no network and no kernel. The drawings come from `drawing`.
"""
import base64
import hashlib
import html
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .drawing import Drawing, bars, curve, heatmap, style

__all__ = [
    "Drawing", "Figure", "attention_figure", "bars", "curve", "gpt2_figure", "heatmap", "live", "module_text",
    "ngram_figure", "rounded", "style",
]

JS = Path(__file__).with_name("js")
MOUNT = """
for (const host of document.querySelectorAll('[data-figure="KEY"]')) {
  if (!host.shadowRoot) mount(host.attachShadow({ mode: "open" }), JSON.parse(host.firstElementChild.textContent));
}"""


class Figure:
    """An interactive figure: the module `js/<name>.js`, its data, and a sentence for those who cannot see or run it.

    Args:
        name: of a module that exports `mount(root, data)`; what all share is in `js/common.js`.
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
    path = JS / f"{name}.js"
    if name == "common" or not path.exists():
        known = sorted(p.stem for p in JS.glob("*.js") if p.stem != "common")
        raise ValueError(f"name must be one of {', '.join(known) or '(there are none)'}, got {name!r}")
    text = "".join(p.read_text(encoding="utf-8") for p in (JS / "common.js", path))
    if "</script" in text.lower():
        raise ValueError(f"js/{name}.js must not contain a closing script tag, not even in a comment")
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
    """Return sliders that call `function` where Python runs; in the static book, `figure` in their place.

    Args:
        function: draws for one setting of the controls; what it returns is shown.
        figure: shows the same without a kernel.
        controls: an argument's range each, as `ipywidgets.interact` takes it: `n=(1, 5)`, `mask=True`.
    """
    if os.environ.get("COURSE_STATIC") == "1":
        return figure
    from ipywidgets import interactive

    return interactive(function, {"auto_display": True}, **controls)


def ngram_figure(
    tables: Sequence[Mapping[str, Mapping[str, int]]], context: str, examples: Sequence[str], size: int = 290_000
) -> Figure:
    """Show what n-grams of every order expect after a context that the reader types or picks.

    The page carries the eight likeliest followers of the contexts seen most often, and how often they were seen; for
    the others it backs off to a shorter context. How often is often enough follows from `size`.

    Args:
        tables: `ngram.count(documents, m)` for m = 1 … n.
        context: what stands in the box at first.
        examples: contexts to pick.
        size: most bytes of the tables in the page.

    Raises:
        ValueError: a text holds one of the separators "|" and "#".
    """
    if any(mark in token for table in tables[:1] for row in table.values() for token in row for mark in "|#"):
        raise ValueError('tables must not count "|" or "#", which separate the records in the page')
    records = [_records(table) for table in tables]
    # From the contexts seen most often down, as many as there is room for; none seen equally often is left out alone.
    floor, used = 1, 0
    for total, text in sorted((record for table in records for record in table), reverse=True):
        used += len(text.encode()) + 1
        if used > size:
            floor = total + 1
            break
    packed = ["|".join(text for total, text in table if total >= floor) for table in records]
    data = {"tables": packed, "floor": floor, "context": context, "examples": list(examples)}
    return Figure("ngram", data, f"Interactive table: the characters that n-grams of order 1 to {len(tables)} expect "
                  f"after a context such as {context!r}, with their probabilities, side by side.")  # fmt: skip


def _records(table: Mapping[str, Mapping[str, int]]) -> list[tuple[int, str]]:
    """Write each context as `context likeliest#counts,total`, with how often it was seen."""
    records = []
    for context, followers in table.items():
        total = sum(followers.values())
        best = sorted(followers.items(), key=lambda pair: (-pair[1], pair[0]))[:8]
        numbers = ",".join(str(times) for _, times in best)
        records.append((total, f"{context}{''.join(token for token, _ in best)}#{numbers},{total}"))
    return records


def attention_figure(
    tokens: Sequence[str], query: Any, key: Any, value: Any, *, position: int | None = None, causal: bool = True,
    scaled: bool = True, readout: tuple[Sequence[str], Any, Any] | None = None,
) -> Figure:  # fmt: skip
    """One head of attention, query by query: products, scale, mask, softmax and weighted sum, to play with.

    Args:
        tokens: T names of positions.
        query: T rows of K numbers.
        key: T rows of K numbers.
        value: T rows of V numbers.
        position: the query that is shown first; the last one by default.
        causal: whether the causal mask is on at first.
        scaled: whether scores are divided by √K at first.
        readout: labels, weights (a row of V numbers for each label) and biases of a linear layer that turns the
            weighted sum into probabilities of the labels; without it the weighted sum is shown.

    Raises:
        ValueError: the numbers of tokens, queries, keys and values differ, or there is no such position.
    """
    sizes = len(tokens), len(query), len(key), len(value)
    if len(set(sizes)) > 1:
        raise ValueError(f"tokens, query, key and value must have one row for each position, got {sizes} rows")
    position = len(tokens) - 1 if position is None else position
    if not 0 <= position < len(tokens):
        raise ValueError(f"position must be between 0 and {len(tokens) - 1}, got {position}")
    data: dict[str, Any] = {"tokens": list(tokens), "position": position, "causal": causal, "scaled": scaled}
    data |= {"query": rounded(query), "key": rounded(key), "value": rounded(value)}
    if readout is not None:
        labels, weight, bias = readout
        data["readout"] = {"labels": list(labels), "weight": rounded(weight), "bias": rounded(bias)}
    start = f"{'causal' if causal else 'unmasked'} attention of “{tokens[position]}” (position {position})"
    return Figure("attention", data, f"Interactive table: one head over {' '.join(tokens)}; at first {start}.")


def gpt2_figure(
    path: str | Path | None = None, text: str = "Now is the winter of our", examples: Sequence[str] = ()
) -> Figure:
    """Put a small GPT into the page: type, and see its guesses, its heads and the stages of a block.

    Args:
        path: a safetensors file as `python -m chapters._book.page_gpt` writes it; None takes the one of this library.
        text: what stands in the box at first.
        examples: texts to pick.

    Raises:
        ValueError: there is no such file.
    """
    path = JS / "gpt2_page.safetensors" if path is None else Path(path)
    if not path.is_file():
        raise ValueError(f"path must be the file of a small GPT, and there is none at {path}")
    data = {"weights": base64.b64encode(path.read_bytes()).decode(), "text": text, "examples": list(examples)}
    return Figure("gpt2", data, "Interactive: a small GPT that runs in this page. Type a text and see which character "
                  "it expects next, where its heads look, and how a block changes the last position.")  # fmt: skip
