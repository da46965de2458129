"""What n-grams of every order expect after a context: the figure's Python half."""
from collections.abc import Mapping, Sequence

from .figure import Figure


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
    # From the contexts seen most often down, as many as fit; none seen equally often is left out alone.
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
