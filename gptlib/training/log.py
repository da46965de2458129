"""What a run tells: a CSV of every step, a line now and then on stdout, a curve; and a guard against bad steps."""
import csv
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FIELDS = ("step", "tokens", "loss", "held_out", "lr", "norm", "skipped")


class TrainingDiverged(Exception):
    """The loss does not come back; the message says what to change."""


class Log:
    """One row a step, in memory and, where there is a folder, in its `log.csv`.

    Numbers are written so that they read back bit by bit. A row is on its way to the disk before the next step
    begins; on resuming, what lies behind the checkpoint is cut off, for those steps are run again.

    Args:
        folder: of the run, or None.
        until: the number of finished steps to keep; 0 starts anew.
    """

    def __init__(self, folder: Path | None, until: int = 0) -> None:
        self.path = folder / "log.csv" if folder else None
        self.rows: list[dict[str, Any]] = []
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if until and self.path.exists():
            self.rows = [row for row in read(self.path) if row["step"] <= until]
        part = self.path.with_suffix(".part")
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(self.rows)
        part.replace(self.path)

    def add(self, **row: Any) -> None:
        """Add the row of a step."""
        self.rows.append({field: row.get(field) for field in FIELDS})
        if self.path:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, FIELDS).writerow(self.rows[-1])


def read(path: Path) -> list[dict[str, Any]]:
    """Read a `log.csv`; a last line that was cut short is left out."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = file.read().split("\n")
    whole = lines[:-1]  # what follows the last line end is empty or cut short
    rows = []
    for row in csv.DictReader(whole):
        rows.append({
            "step": int(row["step"]), "tokens": int(row["tokens"]), "skipped": int(row["skipped"]),
            **{k: float(row[k]) if row[k] else None for k in ("loss", "held_out", "lr", "norm")},
        })  # fmt: skip
    return rows


class Guard:
    """Decides whether a step may change the model: not when loss or gradient is no number, nor when the loss jumps.

    A jump is a loss more than `width` standard deviations, and half a nat, above the recent mean, both kept as
    exponential averages of the steps taken. A bad step is left out; after `patience` in a row the run stops.

    Args:
        width: standard deviations; infinity lets every finite loss pass.
        patience: bad steps in a row.
        state: of an earlier guard, from a checkpoint.
    """

    def __init__(self, width: float = 8.0, patience: int = 20, state: dict[str, float] | None = None) -> None:
        self.width, self.patience = width, patience
        self.state = state or {"seen": 0, "mean": 0.0, "square": 0.0, "bad": 0}

    def allows(self, loss: float, norm: float) -> bool:
        """Judge a step, given its loss and the norm of its gradient.

        Raises:
            TrainingDiverged: it is the last straw.
        """
        s = self.state
        deviation = math.sqrt(max(0.0, s["square"] - s["mean"] ** 2))
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite and (s["seen"] < 50 or loss <= s["mean"] + max(0.5, self.width * deviation)):
            weight = max(0.02, 1 / (s["seen"] + 1))
            s["mean"] += weight * (loss - s["mean"])
            s["square"] += weight * (loss * loss - s["square"])
            s["seen"], s["bad"] = s["seen"] + 1, 0
            return True
        s["bad"] += 1
        if s["bad"] >= self.patience:
            what = "far above the steps before" if finite else "not a number"
            raise TrainingDiverged(
                f"{self.patience} steps in a row had to be left out: the loss or its gradient is {what} "
                f"(loss {loss:.4g}, recent mean {s['mean']:.4g}).\nTry half the learning rate, a longer warm-up, or "
                "clip = 1.0, in another folder. The checkpoints in this one are from before."
            )
        return False


class Progress:
    """Prints where the run is: at every evaluation, and otherwise when `every` seconds have passed.

    Args:
        steps: of the whole run.
        start: steps that were finished before this process began.
        every: seconds between lines.
    """

    def __init__(self, steps: int, start: int, every: float = 10.0) -> None:
        self.steps, self.start, self.every = steps, start, every
        self.began = self.printed = time.monotonic()

    def report(self, row: dict[str, Any], tokens_a_step: int, force: bool = False) -> None:
        """Print a line for a step's row, if it is time."""
        now = time.monotonic()
        if not force and now - self.printed < self.every:
            return
        self.printed = now
        rate = (row["step"] - self.start) / max(1e-9, now - self.began)
        held_out = "" if row["held_out"] is None else f" · held out {row['held_out']:.3f}"
        left = clock((self.steps - row["step"]) / rate) if rate else "?"
        print(
            f"step {row['step']:>{len(str(self.steps))}}/{self.steps} · loss {row['loss']:.3f}{held_out} · "
            f"{rate * tokens_a_step:,.0f} tokens/s · {left} left",
            flush=True,
        )


def clock(seconds: float) -> str:
    """Write a time as 0:07, 12:30 or 3:05:00."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def curve(rows: Sequence[dict[str, Any]]) -> Any:
    """Draw loss against tokens: every step thin, the held-out text with dots; a `drawing.Drawing`."""
    from matplotlib import pyplot

    from ..figures.drawing import COLOURS, Drawing, style

    held = [row for row in rows if row["held_out"] is not None]
    with style():
        figure, axes = pyplot.subplots(figsize=(6.4, 3.2))
        axes.plot([r["tokens"] for r in rows], [r["loss"] for r in rows], lw=0.8, color=COLOURS[0], label="training")
        axes.plot([r["tokens"] for r in held], [r["held_out"] for r in held], "o-", color=COLOURS[1], label="held out")
        axes.set(xlabel="tokens seen", ylabel="loss (nats per token)")
        axes.legend()
    last = f", {held[-1]['held_out']:.2f} on the held-out text" if held else ""
    return Drawing(figure, f"Loss falls from {rows[0]['loss']:.2f} to {rows[-1]['loss']:.2f} in training{last}.")


class LivePlot:
    """The curve of a run, drawn anew in place in a notebook; elsewhere it does nothing."""

    def __init__(self) -> None:
        self.handle: Any = None

    def show(self, rows: Sequence[dict[str, Any]]) -> None:
        """Draw the curve, or replace the one drawn before."""
        try:
            from IPython import get_ipython
            from IPython.display import display
        except ImportError:
            return
        if get_ipython() is None or not rows:
            return
        if self.handle is None:
            self.handle = display(curve(rows), display_id=True)
        else:
            self.handle.update(curve(rows))
