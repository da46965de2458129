"""Drawings: Matplotlib figures in one look, whose ink takes the colour of the text around them."""
import contextlib
import hashlib
import html
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Text colour of the book, JupyterLab, VS Code, Colab.
INK = (
    "var(--pst-color-text-base, var(--jp-content-font-color1, var(--vscode-foreground, "
    "var(--colab-primary-text-color, inherit))))"
)
# A colour that no drawing uses: it marks what takes the colour of the text.
MARK = "#010203"
# Colour-blind safe; each has a contrast of at least 3 with white and with the book's dark paper.
COLOURS = ("#2f7fc1", "#c96a1b", "#258f6b", "#a564c4", "#8a8f2a", "#d1517f")
MAP = "cividis"


class Drawing:
    """A Matplotlib figure as it is shown: sharp at any size, inked in the colour of the text, with words for the blind.

    Args:
        figure: made inside `with style():`, so that it has the course's look.
        alt: what it shows, one or two sentences.
    """

    def __init__(self, figure: Any, alt: str):
        if not alt.strip():
            raise ValueError(f"alt must say what the drawing shows, got {alt!r}")
        self.figure, self.alt = figure, alt
        if getattr(figure, "number", None) is not None:
            from matplotlib import pyplot

            pyplot.close(figure)  # or the notebook would show it a second time

    def svg(self) -> str:
        """Return the drawing as SVG that can stand in a page."""
        import matplotlib

        key = hashlib.sha256(self.alt.encode()).hexdigest()[:8]
        file = io.StringIO()
        with matplotlib.rc_context({"svg.hashsalt": key, "svg.fonttype": "path"}):
            self.figure.savefig(file, format="svg", bbox_inches="tight", pad_inches=0.05, transparent=True,
                                metadata={"Date": None})  # fmt: skip
        text = file.getvalue()
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
        used = set(re.findall(r"#([\w.-]+)", text))
        text = re.sub(r' id="([^"]*)"', lambda m: f' id="{key}-{m[1]}"' if m[1] in used else "", text)
        text = re.sub(r'(href="|url\()#(?=[\w.-])', rf"\1#{key}-", text).replace(MARK, "currentColor")
        attributes = f'<svg role="img" aria-label="{html.escape(self.alt)}" style="max-width:100%;height:auto" '
        return text.replace("<svg ", attributes, 1)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=110, bbox_inches="tight", facecolor="white")
        page = f'<div class="course-drawing" style="color:{INK}">{self.svg()}</div>'
        return {"text/html": page, "image/png": file.getvalue(), "text/plain": self.alt}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Give the Matplotlib figures made inside the course's look."""
    import matplotlib
    from cycler import cycler

    ink = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    look: dict[Any, Any] = {
        "axes.prop_cycle": cycler(color=COLOURS), "image.cmap": MAP, "font.size": 10.5,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
        "grid.alpha": 0.18, "lines.linewidth": 2, "lines.markersize": 5, "legend.frameon": False,
        "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left", "figure.facecolor": "none",
        "axes.facecolor": "none", "figure.constrained_layout.use": True, "hatch.color": "#8a9099",
        "hatch.linewidth": 0.6,
    }  # fmt: skip
    with matplotlib.rc_context(look | dict.fromkeys(ink, MARK)):
        yield


def curve(
    series: Mapping[str, tuple[Any, Any]], *, xlabel: str, ylabel: str, alt: str, title: str = "", log: str = "",
    size: tuple[float, float] = (6.6, 3.6),
) -> Drawing:  # fmt: skip
    """Draw one line for each entry of `series`, which maps a label to (x, y).

    Args:
        series: labels and points; a single series needs no label and may have an empty one.
        xlabel: with its unit.
        ylabel: with its unit.
        alt: what the drawing shows.
        title: one line above it.
        log: axes with a logarithmic scale: "", "x", "y" or "xy".
        size: width and height in inches.
    """
    from matplotlib.figure import Figure as Canvas

    markers, dashes = "osD^vP", ("-", "--", "-.", ":", (0, (6, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
    with style():
        canvas = Canvas(figsize=size)
        axes = canvas.subplots()
        for i, (label, (x, y)) in enumerate(series.items()):
            axes.plot(_array(x), _array(y), label=label, marker=markers[i % 6] if len(_array(x)) <= 40 else "",
                      linestyle=dashes[i % 6])  # fmt: skip
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        for axis in log:
            getattr(axes, f"set_{axis}scale")("log")
        if any(series):
            axes.legend()
        return Drawing(canvas, alt)


def bars(
    labels: Sequence[str], values: Sequence[float], *, xlabel: str, alt: str, title: str = "", digits: int = 2
) -> Drawing:
    """Draw one horizontal bar for each label, its number beside it; the first label is on top."""
    from matplotlib.figure import Figure as Canvas

    with style():
        canvas = Canvas(figsize=(6.6, 0.8 + 0.32 * len(labels)))
        axes = canvas.subplots()
        drawn = axes.barh(range(len(labels)), _array(values), color=COLOURS[0], height=0.7)
        axes.bar_label(drawn, fmt=f"%.{digits}f", padding=4)
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.grid(visible=False, axis="y")
        axes.set(xlabel=xlabel, title=title)
        return Drawing(canvas, alt)


def heatmap(
    matrix: Any, *, alt: str, rows: Sequence[str] = (), columns: Sequence[str] = (), ylabel: str = "", xlabel: str = "",
    label: str = "", title: str = "", limits: tuple[float | None, float | None] = (None, None), digits: int = 2,
) -> Drawing:  # fmt: skip
    """Draw a matrix as coloured cells, with its numbers where they fit; cells without a finite number are hatched.

    Args:
        matrix: (rows, columns). Numbers.
        alt: what the drawing shows.
        rows: a name for each row.
        columns: a name for each column.
        ylabel: what the rows are.
        xlabel: what the columns are.
        label: what the colour means, with its unit.
        title: one line above it.
        limits: numbers at the two ends of the colours; None takes the matrix's own.
        digits: decimal places of the numbers in the cells.
    """
    import numpy
    from matplotlib.figure import Figure as Canvas

    cells = numpy.ma.masked_invalid(_array(matrix).astype(float))
    height, width = cells.shape
    numbers = height * width <= 144 and width <= 12
    side = 0.52 if numbers else min(0.4, 5 / width)
    with style():
        canvas = Canvas(figsize=(2.2 + max(side * width, 1.6), 1.3 + max(side * height, 0.6)))
        axes = canvas.subplots()
        axes.patch.set(hatch="///", edgecolor="#8a9099", linewidth=0)
        mesh = axes.pcolormesh(cells, vmin=limits[0], vmax=limits[1], edgecolors="face", linewidth=0.3,
                               rasterized=height * width > 400)  # fmt: skip
        axes.set(aspect="equal", title=title, xlabel=xlabel, ylabel=ylabel)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        if columns:
            axes.set_xticks(numpy.arange(width) + 0.5, columns, rotation=0 if max(map(len, columns)) <= 4 else 45)
        if rows:
            axes.set_yticks(numpy.arange(height) + 0.5, rows)
        if numbers:
            _write_numbers(axes, mesh, _array(matrix), digits)
        canvas.colorbar(mesh, ax=axes, label=label, shrink=0.85).outline.set_visible(False)
        return Drawing(canvas, alt)


def _write_numbers(axes: Any, mesh: Any, matrix: Any, digits: int) -> None:
    """Write each cell's number into it, dark on light cells and light on dark ones."""
    for (i, j), value in dict(_items(matrix)).items():
        red, green, blue, _ = (channel**2.2 for channel in mesh.to_rgba(float(value)))
        light = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18  # where dark and light text contrast alike
        finite = abs(float(value)) < float("inf")
        text = f"{float(value):.{digits}f}" if finite else str(float(value)).replace("inf", "∞").replace("nan", "")
        axes.text(j + 0.5, i + 0.5, text.replace("-", "−"), ha="center", va="center", fontsize=9,
                  color=MARK if not finite else "#101418" if light else "#ffffff")  # fmt: skip


def _items(matrix: Any) -> Iterator[tuple[tuple[int, int], float]]:
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            yield (i, j), value


def _array(values: Any) -> Any:
    """Return a tensor or sequence as a NumPy array."""
    import numpy

    return numpy.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
