"""`python -m autograder similarity COURSE ASSIGNMENT`: pairs of submissions that share more than a class shares.

Fingerprints (winnowed runs of tokens, by copydetect) do not see names, comments, spacing or order. Taken away are
those of the stub, those of the published solution, and those that a good part of the class has: what is left is rare,
and two submissions that share much of it are worth a look.
"""
import collections
import contextlib
import dataclasses
import html
import io
import itertools
import logging
import math
from pathlib import Path

from autograder.course import command
from autograder.review import tables
from autograder.review.submissions import works
from autograder.strip import ROOT, reference
from autograder.table import chapters

RUN, WINDOW = 16, 4  # characters of a fingerprint in the simplified code, and the winnowing window
COMMON = 0.1  # of the class: what more of it (and more than FEW learners) share is common
FEW = 4
ENOUGH, SHARE = 25, 0.75  # a pair is shown from so many shared rare fingerprints, being this part of the smaller one's
MOST = 200  # pairs on the page
STYLE = """body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#111;
background:#fff}
table{border-collapse:collapse}td,th{padding:.25rem .75rem;border-bottom:1px solid #999;text-align:left}
.two{display:grid;grid-template-columns:1fr 1fr;gap:1rem}pre{overflow-x:auto;border:1px solid #999;padding:.5rem;
font-size:13px}
mark{background:#fd8;color:#111}
@media(prefers-color-scheme:dark){body{color:#eee;background:#111}mark{background:#750;color:#fff}a{color:#8cf}}
@media(max-width:50rem){.two{grid-template-columns:1fr}}"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclasses.dataclass(frozen=True)
class Print:
    """The fingerprints of one text, and where in it each stands."""

    text: str
    places: dict[int, tuple[tuple[int, int], ...]]


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two submissions that share much of what is rare in them."""

    one: str
    other: str
    share: float
    common: frozenset[int]


def main(argv: list[str]) -> int:
    """List pairs of submissions that share more than the class does, for a person to look at; no points change."""
    parser = command.parser("similarity", main.__doc__)
    parser.add_argument("--out", type=Path, help="folder of page and table (default: COURSE/private/review)")
    options = parser.parse_args(argv)
    course = options.course
    try:
        command.settings(course, options.assignment)
        chapter = chapters()[options.assignment]
        known = [(course / "source" / chapter.name / "gptlib" / f"{chapter.module}.py").read_text("utf-8"),
                 reference((ROOT / "solutions" / f"{chapter.module}.py").read_text("utf-8"))]  # fmt: skip
        texts = {work.learner: "\n".join([work.text, *(text for _, text in work.cells)])
                 for work in works(course, chapter)}  # fmt: skip
        prints = {learner: fingerprints(text) for learner, text in texts.items()}
        pairs = compare(prints, known)
    except (OSError, ValueError) as error:
        print(f"Nothing was compared: {error}")
        return 2
    except ImportError as error:
        print(f"Nothing was compared: {error.name} is not installed; it comes with the extra [grade].")
        return 2
    out = options.out or course / "private" / "review"
    out.mkdir(parents=True, exist_ok=True)
    name = f"{chapter.name}-similarity"
    (out / f"{name}.html").write_text(page(chapter.title, pairs, prints), "utf-8")
    rows = [[pair.one, pair.other, f"{pair.share:.2f}", len(pair.common)] for pair in pairs]
    head = ["one", "other", "share", "shared rare fingerprints"]
    (out / f"{name}.csv").write_text(tables.write([head, *rows]), "utf-8-sig", newline="")
    for pair in pairs[:20]:
        print(f"{pair.share:4.0%}  {len(pair.common):4d}  {pair.one}  {pair.other}")
    print(f"{len(pairs)} pairs of {len(prints)} submissions, in {out / name}.html and .csv. {note()}")
    return 0


def note() -> str:
    """What the list means, with its thresholds."""
    return (
        f"A pair is listed if it shares {ENOUGH} rare fingerprints or more, and {SHARE:.0%} of the smaller one's. "
        f"Rare: not in the stub, not in the published solution, in at most {FEW} submissions or {COMMON:.0%} of them. "
        "A single copied function among others of one's own may stay unseen. "
        "Read both and ask: two who worked side by side look the same."
    )


def fingerprints(text: str) -> Print:
    """The fingerprints of a file's code."""
    from copydetect import CodeFingerprint

    logging.getLogger().setLevel(logging.ERROR)
    made = CodeFingerprint("module.py", RUN, WINDOW, fp=io.StringIO(text), language="python")
    places: dict[int, tuple[tuple[int, int], ...]] = {}
    for key, starts in made.hash_idx.items():
        run = [(int(start), int(start) + RUN) for start in starts]
        places[int(key)] = tuple((shifted(made.offsets, a), shifted(made.offsets, b - 1) + 1) for a, b in run)
    return Print(text, places)


def shifted(offsets: object, at: int) -> int:
    """The offset in the text of an offset in the simplified code."""
    import numpy as np

    table = np.asarray(offsets)
    if not len(table):
        return at
    row = int(np.searchsorted(table[:, 0], at, side="right")) - 1
    return at + int(table[max(row, 0), 1])


def compare(prints: dict[str, Print], known: list[str]) -> list[Pair]:
    """The pairs to look at, most alike first.

    Args:
        prints: fingerprints by learner.
        known: texts whose fingerprints say nothing: the stub and the published solution.
    """
    given = {key for text in known for key in fingerprints(text).places}
    count = collections.Counter(key for one in prints.values() for key in one.places.keys() - given)
    limit = max(FEW, math.floor(COMMON * len(prints)))
    rare = {who: {k for k in one.places if k in count and count[k] <= limit} for who, one in prints.items()}
    holders = collections.defaultdict(list)
    for who, keys in rare.items():
        for key in keys:
            holders[key].append(who)
    shared: collections.defaultdict[tuple[str, str], set[int]] = collections.defaultdict(set)
    for key, people in holders.items():
        for pair in itertools.combinations(sorted(people), 2):
            shared[pair].add(key)
    found = []
    for (one, other), keys in shared.items():
        part = len(keys) / min(len(rare[one]), len(rare[other]))
        if len(keys) >= ENOUGH and part >= SHARE:
            found.append(Pair(one, other, part, frozenset(keys)))
    return sorted(found, key=lambda pair: (-pair.share, -len(pair.common), pair.one, pair.other))


def page(title: str, pairs: list[Pair], prints: dict[str, Print]) -> str:
    """The pairs as a page of their own, everything that learners wrote escaped."""
    rows = [f'<tr><td><a href="#p{i}">{html.escape(p.one)}, {html.escape(p.other)}</a></td>'
            f"<td>{p.share:.0%}</td><td>{len(p.common)}</td></tr>" for i, p in enumerate(pairs)]  # fmt: skip
    parts = []
    for i, pair in enumerate(pairs[:MOST]):
        sides = "".join(
            f"<div><h3>{html.escape(who)}</h3><pre>{marked(prints[who], pair.common)}</pre></div>"
            for who in (pair.one, pair.other)
        )
        heading = f"{html.escape(pair.one)} and {html.escape(pair.other)}: {pair.share:.0%}"
        parts.append(f'<h2 id="p{i}">{heading}</h2><div class="two">{sides}</div>')
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Similarity: {html.escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>Submissions alike: {html.escape(title)}</h1><p>{html.escape(note())}</p>"
        f"<table><tr><th>pair</th><th>share</th><th>shared rare fingerprints</th></tr>{''.join(rows)}</table>"
        f"{''.join(parts)}</body></html>\n"
    )


def marked(one: Print, keys: frozenset[int]) -> str:
    """A text, escaped, with what a pair shares marked."""
    spans = sorted(place for key in keys for place in one.places.get(key, ()))
    pieces, at = [], 0
    for start, end in spans:
        start, end = max(start, at), min(end, len(one.text))
        if end <= start:
            continue
        pieces += [html.escape(one.text[at:start]), f"<mark>{html.escape(one.text[start:end])}</mark>"]
        at = end
    return "".join([*pieces, html.escape(one.text[at:])]).replace("</mark><mark>", "")


with contextlib.suppress(ImportError):  # matplotlib, which copydetect loads, must not look for a screen
    import matplotlib

    matplotlib.use("Agg")
