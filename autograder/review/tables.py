"""CSV for spreadsheets: a cell that a spreadsheet would run as a formula is turned into text."""
import csv
import io
import re
from collections.abc import Iterable

START = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the last four are their full-width forms
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?%?")


def risky(text: str) -> bool:
    """Whether a spreadsheet may take a cell for a formula; plain numbers are none, spaces before it do not help."""
    return text.lstrip(" \u00a0\ufeff").startswith(START) and not NUMBER.fullmatch(text)


def safe(value: object) -> str:
    """A cell's text, with an apostrophe before what could be a formula; it stays readable."""
    text = "" if value is None else str(value)
    return f"'{text}" if risky(text) else text


def write(rows: Iterable[Iterable[object]], delimiter: str = ",") -> str:
    """Rows as CSV, every cell safe."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([safe(cell) for cell in row] for row in rows)
    return text.getvalue()
