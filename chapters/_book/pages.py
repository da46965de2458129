"""The book's generated pages: notation, kill matrix, data sources, written to chapters/_generated/.

Nothing in them is typed by hand that stands somewhere else: letters come from the modules' `Axes:` paragraphs,
names from their signatures, the matrix from running every registered mistake, sources from the data table.
"""
import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from autograder import kept
from autograder.mistakes import kill_matrix as kill_matrix_of
from autograder.suites import SUITES, checks_of
from autograder.suites import sentence as sentence_of
from autograder.table import chapters, exercises

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "chapters" / "_generated"
AXES = re.compile(r"^Axes:\n((?:[ ]{4}.*\n?)+)", re.M)

# The names for sizes that GPT-3's Table 2.1 made customary, and three that it lacks.
CONFIG_NAMES = {
    "n_layers": "number of layers",
    "d_model": "width of the model: the length of a token's vector, axis D",
    "n_heads": "number of attention heads, axis H",
    "d_head": "width of one head, axis K; $d_k$ in the paper {cite:p}`vaswani2017`",
    "d_ff": "width of the feed-forward layer",
    "vocab_size": "number of tokens in the vocabulary, axis V",
    "context_length": "the longest context that a model can read, in tokens",
}

NOTATION = """\
(notation)=
# Notation

This page is generated from the library: a letter means one thing in the whole book, and a build that finds two
meanings stops.

## Axes

A tensor's shape is written with one capital letter an axis. `(B, T, D)` is a batch of B sequences, each of T
positions, each position a vector of D numbers; `(..., T, K)` leaves open what stands before. The shapes in every
docstring use these letters, and a test runs the code and compares.

{axes}

## Sizes

In code, sizes have these names. They are those of the GPT-3 paper's Table 2.1 {{cite:p}}`brown2020` where it has one.

{sizes}

(parts-of-models)=
## Parts of models

The layers of a model have these names in every chapter, and so have the keys of its state dict. Where a part was called
otherwise in an earlier version of the course, that name is given with its module. Files of weights that have it are
still read, and `python -m autograder update` changes it in your code.

{parts}

## Conventions

- Tensors are named by words (`query`, `scores`, `logits`), in formulas by letters ($Q$, $K$, $V$ are the matrices of
  queries, keys and values).
- A mask is Boolean. `True` means: this position may be looked at.
- $\\log$ is the natural logarithm, so a cross-entropy is in nats; divide by $\\log 2$ for bits.
- Vectors are rows, as in the code: a layer computes $x W$, not $W x$.
"""

HOW_TO_READ = """\
(kill-matrix)=
# What the checks catch

A check that no wrong answer fails is worthless. So for every exercise this course keeps a list of mistakes that
learners make, each as complete code, and runs the checks on all of them. This page is the result of that run.

For each exercise you find its checks first. V1, V2, … are *visible*: they run in your notebook and tell you what is
wrong. H1, H2, … are *hidden*: they run when your work is graded. Below them stand the mistakes. If you make the mistake
on the left, the check named in its row is the first that fails. A dash means that this suite cannot tell: some mistakes
show only at sizes or values that a hand-worked example does not have, and are left to the hidden checks. No mistake may
pass both. "Forms" counts the different pieces of code in which we wrote the same mistake; where they fail in different
checks, all of them are named.

## Totals

{totals}
"""


def notation(root: Path = ROOT) -> str:
    """The notation page as Markdown.

    Raises:
        ValueError: two modules give one letter different meanings.
    """
    meanings = axes(root)
    letters = [[f"**{letter}**", m, ", ".join(map(link, ms))] for letter, (m, ms) in sorted(meanings.items())]
    used = names(root)
    sizes = [[f"`{n}`", m, ", ".join(map(link, used[n]))] for n, m in CONFIG_NAMES.items() if n in used]
    return NOTATION.format(
        axes=table(["Letter", "Axis", "Used in"], letters), sizes=table(["Name", "Size", "Used in"], sizes),
        parts=table(["Name", "Part", "Before"], parts()),
    )  # fmt: skip


def parts() -> list[list[str]]:
    """A row for each name of a part of a model."""
    from gptlib.weights.parts import PARTS

    before = [[old.split(".") for old in one.before] for one in PARTS]
    words = [", ".join(f"`{old[2]}` ({old[0]})" for old in olds) for olds in before]
    return [[f"`{one.name}`", one.meaning, old] for one, old in zip(PARTS, words, strict=True)]


def axes(root: Path = ROOT) -> dict[str, tuple[str, list[str]]]:
    """Map each axis letter to its meaning and the modules that declare it.

    Raises:
        ValueError: two modules give one letter different meanings, or a line of an `Axes:` paragraph is not `X: words`.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for module, path in library(root):
        paragraph = AXES.search((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "") + "\n")
        for line in paragraph[1].splitlines() if paragraph else []:
            letter, colon, meaning = line.strip().partition(": ")
            if not colon or not re.fullmatch(r"[A-Z]", letter):
                raise ValueError(f"{path.name}: a line of the Axes paragraph reads `X: words`, got {line.strip()!r}")
            known, modules = found.setdefault(letter, (meaning, []))
            if known != meaning:
                raise ValueError(f"axis {letter} is {known!r} in {modules[0]} but {meaning!r} in {module}")
            modules.append(module)
    return found


def names(root: Path = ROOT) -> dict[str, list[str]]:
    """Map each size name of CONFIG_NAMES to the modules whose parameters or fields use it."""
    found: dict[str, list[str]] = {}
    for module, path in library(root):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        arguments = {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
        targets = {n.target for n in ast.walk(tree) if isinstance(n, ast.AnnAssign)}
        fields = {t.id for t in targets if isinstance(t, ast.Name)}
        for name in (arguments | fields) & set(CONFIG_NAMES):
            found.setdefault(name, []).append(module)
    return found


def library(root: Path) -> list[tuple[str, Path]]:
    """Every file of the library with its dotted name: what learners write, and what is given."""
    found = {path.stem: path for path in (root / "solutions").glob("*.py")}
    for path in (root / "gptlib").glob("*/**/*.py"):
        found[".".join(path.relative_to(root / "gptlib").with_suffix("").parts).removesuffix(".__init__")] = path
    return sorted(found.items())


def link(module: str) -> str:
    """A module's name, linked to its chapter where there is one."""
    for chapter in chapters().values():
        if chapter.module == module and (ROOT / "chapters" / f"{chapter.name}.md").exists():
            return f"{{doc}}`{module} </chapters/{chapter.name}>`"
    return f"`{module}`"


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in line) + " |" for line in lines)


def kill_matrix(rows: list[dict] | None = None) -> str:
    """The kill matrix page as Markdown.

    Args:
        rows: those of `mistakes.kill_matrix`, by default of every module.
    """
    rows = rows if rows is not None else matrix_rows()
    by_exercise: dict[str, list[dict]] = {}
    for row in rows:
        by_exercise.setdefault(row["exercise"], []).append(row)
    totals = [[f"{{ref}}`{title(e)} <kill-{slug(e)}>`", *counts(found)] for e, found in by_exercise.items()]
    totals.append(["**All**", *(f"**{c}**" for c in counts(rows))])
    head = ["Exercise", "Mistakes", "Forms", "Forms that visible checks catch", "Forms that hidden checks catch"]
    parts = [HOW_TO_READ.format(totals=table(head, totals))]
    for name, found in by_exercise.items():
        heading = f"(kill-{slug(name)})=\n## {title(name)}"
        parts.append(f"{heading}\n\nThe exercise `{name}`.\n\n{one_exercise(name, found)}\n")
    return "\n".join(parts)


def one_exercise(name: str, rows: list[dict]) -> str:
    """The checks of one exercise with their short names, then its mistakes with the checks that catch them."""
    codes: dict[tuple[str, str], str] = {}
    for suite in SUITES:
        sentences = dict.fromkeys([*map(sentence_of, checks_of(name, suite)), *(r[suite] for r in rows if r[suite])])
        codes |= {(suite, text): f"{suite[0].upper()}{i}" for i, text in enumerate(sentences, 1)}
    first = {key: sum(row[key[0]] == key[1] for row in rows) for key in codes}
    legend = [[f"**{code}**", plain(key[1]), str(first[key])] for key, code in codes.items()]
    body = []
    for mistake in dict.fromkeys(row["mistake"] for row in rows):
        forms = [row for row in rows if row["mistake"] == mistake]
        caught = [", ".join(dict.fromkeys(codes.get((s, r[s]), "—") for r in forms)) for s in SUITES]
        body.append([plain(mistake), str(len(forms)), *caught])
    return "\n\n".join([
        table(["", "Check", "First to fail on"], legend), table(["When …", "Forms", "Visible", "Hidden"], body),
    ])  # fmt: skip


def title(name: str) -> str:
    """An exercise's title in the table."""
    known = exercises()
    return known[name].title if name in known else name


def slug(name: str) -> str:
    """An exercise's name as a label."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def counts(rows: list[dict]) -> list[str]:
    """Numbers of mistakes, of code forms, and of forms that each suite caught."""
    caught = [sum(row[suite] is not None for row in rows) for suite in SUITES]
    return [str(n) for n in (len({(r["exercise"], r["mistake"]) for r in rows}), len(rows), *caught)]


def plain(text: str) -> str:
    """Plain text for a table cell: what Markdown would take for markup is escaped, code stays code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([*_$<\[\]{}\\])", r"\\\1", p) for p in parts)


def matrix_rows() -> list[dict]:
    """The rows of every module; the mistakes of those whose rows are not kept run first, on our own checks."""
    environment = {name: value for name, value in os.environ.items() if name not in kept.CHOICES}
    subprocess.run([sys.executable, "-m", kill_matrix_of.__name__], cwd=ROOT, env=environment, check=True)
    return [row for chapter in chapters().values() for row in kill_matrix_of.known(chapter.module) or []]


def data_sources() -> str:
    """The page of data sources."""
    from chapters._book.data_page import page

    return page()


PAGES: dict[str, Callable[[], str]] = {"notation": notation, "kill_matrix": kill_matrix, "data_sources": data_sources}


def main(argv: list[str]) -> int:
    """Write the generated pages (or only those named) to chapters/_generated/."""
    unknown = [name for name in argv if name not in PAGES]
    if unknown:
        print(f"no generated page is called {', '.join(unknown)}; there are {', '.join(PAGES)}")
        return 2
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in argv or PAGES:
        text = PAGES[name]()
        path = TARGET / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0
