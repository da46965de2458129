"""Chapters as notebooks: nothing of MyST is left, every byte follows from the source, nbgrader agrees."""
import ast
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbgrader.nbgraderformat import reads as nbgrader_reads

from autograder.table import Chapter, Exercise, chapters
from chapters._book import markdown, notebook, results, tree
from chapters._book.site import Site

SITE = Site()
CHAPTERS = notebook.sources(SITE)
CONFIG = """
repository: {url: https://github.com/someone/course, branch: main}
html: {baseurl: https://example.org/book}
parse: {myst_enable_extensions: [colon_fence, dollarmath]}
"""
FRONT = "---\njupytext:\n  text_representation: {format_name: myst}\nkernelspec: {name: python3}\n---\n"
SETUP = "```{setup}\n```\n"
SOLUTION = '''"""A module."""


def double(x):
    """Return twice x."""
    # BEGIN SOLUTION
    return 2 * x
    # END SOLUTION


class Twice:
    def __init__(self):
        # BEGIN SOLUTION
        self.factor = 2
        # END SOLUTION

    def call(self, x):
        # BEGIN SOLUTION
        return self.factor * x
        # END SOLUTION
'''
EVERYTHING = r"""
(start)=
# Doubling, *by hand* 100 $

Costs 5 $ a_b * c; see {ref}`start`, {ref}`there <elsewhere>`, {numref}`fig-a`, {numref}`tab-a`, {eq}`double`,
{eq}`other-eq`, {doc}`02_other`, {doc}`the notation <_generated/notation>`, {term}`logits <Logit>`, {numref}`fig-b`.
{cite:t}`vaswani2017` found it, and so did others {cite:p}`shannon1948,vaswani2017`. It is {result}`demo.x:.2f`.[^n]
[the same](#start), [other](02_other.md), [file](../solutions/demo.py), <https://example.org>, {numref}`two %s <fig-a>`.

% a comment for authors

$$
y = 2 x \\
  = x + x
$$ (double)

:::{task} demo.double
Lead-in with $|x|$ and

$$
a
= b
$$
:::

```{code-cell}
check("demo.double")
```

:::{dropdown} Hint `one` with $x_1$ & {term}`Logit`
Try `x + x`.
:::
:::{answer} demo.double
:::
:::{answer} demo.Twice
:::

## Boxes

::::{note}
Outer.
:::{tip} Inner on the first line
:::
::::
:::{warning}
w
:::
:::{important}
i
:::
:::{admonition} A *title*
body
:::
:::{record} Everybody says so
The source says otherwise {cite:t}`shannon1948`.
:::

:::{quiz} What is $2 \cdot 2$?
Think first.

- [x] four, $2 + 2$ — because *twice* {ref}`two <start>`.
- [ ] five — no:
  it is four.
:::

## Pictures and tables

:::{figure} _static/a.svg
:name: fig-a
:alt: A line that goes up

The *caption* {cite:p}`vaswani2017`.
:::
:::{image} _static/a.svg
:alt: The same line
:::
![inline](_static/a.svg)

```{code-cell}
---
tags: [hide-input]
mystnb:
  figure:
    name: fig-b
    caption: What the *cell* draws.
---
print("drawn")
```

| left | right |
|:-----|------:|
| $\|x\|$ | `a\|b` |

:::{list-table} Rows
:name: tab-a
:header-rows: 1

* - head
  - {ref}`start`
* - $|a|$
  - 2
:::

:::{lineage} attention
:::

- tight
- list

```python
print("plain code")
```

[^n]: A note with `code` {cite:t}`shannon1948`.
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A small book with one exercise chapter, and one other page to refer to."""
    row = dict(chapter="01_demo", visible=2, hidden=3, minutes=5, difficulty=2, importance=3, see="start")
    rows = [Exercise(name=f"demo.{name}", title=f"The {name}", **row) for name in ("double", "Twice")]
    files = {
        "_config.yml": CONFIG, "solutions/demo.py": SOLUTION, "chapters/_static/a.svg": "<svg/>",
        "chapters/results/demo.json": '{"x": 1.2345}',
        "chapters/02_other.md": "# Other page\n\n(elsewhere)=\n## Else\n\n$$\na\n$$ (other-eq)\n",
        "chapters/glossary.md": "# Words\n\n:::{glossary}\nLogit\n  A score.\n:::\n",
        "chapters/references.bib":
            "@article{vaswani2017, author={Vaswani, A. and Shazeer, N. and Parmar, N.}, title={Attention},"
            " journal={N}, year={2017}, url={https://example.org/v}}\n"
            "@article{shannon1948, author={Shannon, Claude}, title={A {$T_\\beta(x)$} Theory_*},"
            " journal={B}, year={1948}}\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return Site(tmp_path, {"01_demo": Chapter("01_demo", "demo", "Demo", (), tuple(rows))})


def lowered(site: Site, body: str, setup: bool = True) -> nbformat.NotebookNode:
    path = site.root / "chapters" / "01_demo.md"
    path.write_text(FRONT + (SETUP if setup else "") + body, encoding="utf-8")
    return nbformat.reads(notebook.convert(site, path), as_version=4)


def prose(nb: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")


def raw_myst(text: str) -> list[str]:
    """Nodes of MyST's that a parser still finds in a notebook's Markdown."""
    found = []
    for token in markdown.parser(["colon_fence", "dollarmath"]).parse(text):
        for part in [token, *(token.children or [])]:
            if part.type.startswith(("myst", "colon_fence", "footnote", "math_block_label")):
                found.append(f"{part.type}: {part.content}")
            elif markdown.is_directive(part):
                found.append(part.info)
            elif part.type == "image" and not str(part.attrs["src"]).startswith("https://"):
                found.append(f"image {part.attrs['src']}")
    return found + [mark for mark in (":::", "```{", "{cite", "{ref", "{eq", "{term", "{result", ")=") if mark in text]


def test_every_feature_is_lowered(site):
    nb = lowered(site, EVERYTHING)
    text = prose(nb)
    assert raw_myst(text) == []
    for expected in [
        '<a id="start" name="start"></a>\n\n# Doubling, *by hand* 100 \\$',
        r"[Doubling, by hand 100 \$](#start)", "[there](https://example.org/book/chapters/02_other.html#elsewhere)",
        "[Figure 1](#fig-a)", "[Table 1](#tab-a)", "[(1)](#equation-double)", "[two 1](#fig-a)", "[Figure 2](#fig-b)",
        "[equation in Other page](https://example.org/book/chapters/02_other.html#equation-other-eq)",
        "[Other page](https://example.org/book/chapters/02_other.html)",
        "[the notation](https://example.org/book/chapters/_generated/notation.html)",
        "[logits](https://example.org/book/chapters/glossary.html#term-Logit)",
        "[Vaswani et al. (2017)](#reference-vaswani2017)",
        "([Shannon, 1948](#reference-shannon1948); [Vaswani et al., 2017](#reference-vaswani2017))",
        "It is 1.23.", '<sup><a href="#note-1">1</a></sup>', '1. <a id="note-1" name="note-1"></a>A note with `code`',
        "[file](https://github.com/someone/course/blob/main/solutions/demo.py)",
        '<a id="equation-double" name="equation-double"></a>\n\n$$\ny = 2 x \\\\\n  = x + x\n\\tag{1}\n$$',
        "> **Exercise: The double** · `demo.double`", "Difficulty ●●○ · importance ●●●", "> $$a = b$$",
        "5 points: 2 for the visible checks, 3 for the hidden ones", "Write `double` in `gptlib/demo.py`",
        "<summary>Hint <code>one</code> with $x_1$ &amp; <a href=",
        "> **Note**\n>\n> Outer.\n>\n> > **Tip**\n> >\n> > Inner on the first line", "> **A *title***\n>\n> body",
        "> **For the record: Everybody says so**", "**What is $2 \\cdot 2$?**\n\nThink first.",
        "<summary>four, $2 + 2$</summary>\n\n**Right:** because *twice* [two](#start).",
        "<summary>five</summary>\n\n**Not quite:** no: it is four.",
        "![A line that goes up](https://raw.githubusercontent.com/someone/course/main/chapters/_static/a.svg)",
        "**Figure 1.** The *caption* ([Vaswani et al., 2017]", "**Figure 2.** What the *cell* draws.",
        "| left | right |\n| :-- | --: |", "<code>a&#124;b</code>", "**Table 1.** Rows",
        f"*Family tree:* {tree.text('attention')}",
        "| head | [Doubling",
        "```python\nprint(\"plain code\")\n```", "- <a id=\"reference-shannon1948\"", "https://example.org/v", 
        r"A $T_\beta (x)$ theory\_\*",
    ]:  # fmt: skip
        assert expected in text, f"{expected!r} is missing from\n{text}"
    assert "comment for authors" not in text


def test_a_bar_inside_a_table_does_not_end_its_cell(site):
    text = prose(lowered(site, "| a | b |\n|---|---|\n| $\\|x\\|$ | 2 |\n"))
    assert r"| $\vert x\vert $ | 2 |" in text


def test_answers_are_cells_of_their_own_and_tell_where_the_solution_is(site):
    cells = lowered(site, EVERYTHING).cells
    answers = [c.source for c in cells if c.metadata.get("tags") == ["answer"]]
    for name, text in zip(("demo.double", "demo.Twice"), answers, strict=True):
        assert f"`python -m autograder solution {name}`" in text and "solutions/demo.py" in text
    assert not any("return 2 * x" in c.source or "self.factor" in c.source for c in cells)


def test_grade_cells_come_from_the_table(site):
    nb = lowered(site, EVERYTHING)
    grades = [c for c in nb.cells if "nbgrader" in c.metadata]
    assert [(c.id, c.metadata.nbgrader.points) for c in grades] == [
        ("demo-double-visible", 2), ("demo-double-hidden", 3),
    ]  # fmt: skip
    assert [notebook.checked(c.source) for c in grades] == ["demo.double", None]
    assert ast.dump(ast.parse(grades[1].source)) == ast.dump(ast.parse('check("demo.double", "hidden")'))
    assert nb.cells.index(grades[1]) == nb.cells.index(grades[0]) + 1
    assert all(c.metadata.nbgrader.locked and not c.metadata.nbgrader.solution for c in grades)
    nbgrader_reads(nbformat.writes(nb), as_version=4)  # raises when the metadata are not valid


def test_a_written_answer_has_a_cell_that_a_person_grades(site):
    nb = lowered(site, ":::{written} demo-why 4 Why *two*?\nSay why in a line {cite:p}`shannon1948`.\n:::\n\nMore.\n")
    question, answer, more = nb.cells[1:4]
    assert question.source.startswith("> **Written answer, 4 points: Why *two*?**\n>\n> Say why in a line ([Shannon")
    assert "nbgrader" not in question.metadata and answer.source == notebook.YOURS and more.source == "More."
    settings = answer.metadata.nbgrader
    assert (settings.grade_id, settings.points, answer.id) == ("demo-why", 4, "demo-why")
    assert settings.grade and settings.solution and not settings.locked and settings.cell_type == "markdown"
    nbgrader_reads(nbformat.writes(nb), as_version=4)


def test_the_notebook_renders(site):
    html, _ = HTMLExporter().from_notebook_node(lowered(site, EVERYTHING))
    for piece in ("<summary>Hint <code>one</code>", "<code>a|b</code></td>",
                  'href="#reference-vaswani2017"', "Outer.", '<a id="start" name="start"></a>'):  # fmt: skip
        assert piece in html, piece


def test_converting_twice_gives_the_same_bytes(site):
    path = site.root / "chapters" / "01_demo.md"
    lowered(site, EVERYTHING)
    text = notebook.convert(site, path)
    assert text == notebook.convert(Site(site.root, site.table), path)
    assert text.endswith("}\n") and not text.endswith("\n\n")
    assert all(c["outputs"] == [] and c["execution_count"] is None
               for c in json.loads(text)["cells"] if c["cell_type"] == "code")  # fmt: skip


def test_an_edit_changes_one_id_only(site):
    before = [c.id for c in lowered(site, "# A\n\none\n\n## B\n\ntwo\n\n## B\n\ntwo\n").cells]
    after = [c.id for c in lowered(site, "# A\n\nedited\n\n## B\n\ntwo\n\n## B\n\ntwo\n").cells]
    assert len(set(before)) == len(before) == 4
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True, True]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("\n:::{seealso}\nx\n:::\n", r"7: the directive \{seealso\}"),
        ("\ntext\nmore {abbr}`x`\n", r"8: the role \{abbr\}"),
        ("\n::::{note}\n\n:::{mermaid}\n:::\n::::\n", r"9: the directive \{mermaid\}"),
        ("\n:::{note}\n:class: x\n\nok\n{ref}`nowhere`\n:::\n", r"11: no page of the book has the label 'nowhere'"),
        ("\n{cite:t}`nobody1900`\n", "7: .* no entry 'nobody1900'"),
        ("\n{result}`demo.y:.2f`\n", r"7: chapters/results/demo.json holds no number 'y'.*_book results"),
        ("\n{result}`demo.x:d`\n", "7: demo.x is 1.2345, and with 'd'"),
        ("\n{result}`nothing.y`\n", r"7: chapters/results/nothing.json holds no number"),
        ("\n{term}`Unknown`\n", "7: the glossary has no term"),
        ("\n{doc}`03_missing`\n", "7: the book has no page"),
        ("\n![alt](_static/missing.png)\n", "7: there is no file _static/missing.png"),
        ("\n![](_static/a.svg)\n", "7: .* needs an alternative text"),
        ("\n:::{figure} _static/a.svg\nCaption\n:::\n", "needs an alternative text"),
        ('\n<img src="_static/a.svg" alt="A line">\n', "7: HTML that points to _static/a.svg"),
        ('\nIn a line <a href="01_demo.html">page</a>.\n', "7: HTML that points to 01_demo.html"),
        ("\n[words](nowhere.md)\n", "7: there is no file nowhere.md"),
        ("\n:::{task} demo.tripple\n:::\n", "7: the table lists no exercise 'demo.tripple'"),
        ('\n```{code-cell}\ncheck("demo.tripple")\n```\n', "7: the table lists no exercise"),
        ("\n::::{dropdown} A\n\n:::{answer} demo.double\n:::\n::::\n", "9: .* must not stand inside another box"),
        ("\n:::{written} demo-why Why?\n:::\n", r"7: \{written\} needs a name, points and a title"),
        ("\n::::{note}\n\n:::{written} a 4 Why?\n:::\n::::\n", "9: .* must not stand inside another box"),
        ("\n:::{quiz} Q?\n- four — yes\n:::\n", r"begins with \[x\]"),
        ("\n:::{quiz} Q?\n- [ ] four — yes\n:::\n", "no choice as right"),
        ("\n:::{quiz} Q?\n- [x] four\n:::\n", "after a dash"),
        ("\n```{code-cell}\n:tags: [setup]\n\nprint()\n```\n", "7: the set-up cell is not the book's"),
        ("\n::::{note}\n\n:::{setup}\n:::\n::::\n", "9: .* must not stand inside another box"),
        ("\nterm\n: definition {unknown}`x`\n", r"\{unknown\}"),
        ("\n```{setup} now\n```\n", r"7: \{setup\} stands alone"),
        ("\n```{setup}\nprint()\n```\n", r"7: \{setup\} stands alone"),
        ("\nno cell at all\n", r"1: a chapter's first code cell must be the set-up cell: write \{setup\}"),
        ("\n```{code-cell}\nprint()\n```\n```{setup}\n```\n", "1: a chapter's first code cell must be the set-up"),
    ],
)
def test_what_has_no_counterpart_is_an_error(site, body, words):
    with pytest.raises(markdown.LoweringError, match=rf"01_demo.md:.*{words}"):
        lowered(site, body, setup=False)


LABELLED = """
(My_Label.x)=
# Page

(place)=
Text {eq}`Eq_a`, {numref}`Fig_b`, {numref}`Tab_b`.

$$
a
$$ (Eq_a)

:::{math}
:label: eq-b
b
:::

:::{figure} _static/a.svg
:name: no-caption
:alt: A line
:::
:::{figure} _static/a.svg
:alt: A line

Not named.
:::
:::{figure} _static/a.svg
:name: Fig_b
:alt: A line

Named.
:::
:::{list-table} Caption
:name: Tab_b

* - 1
:::
"""


def test_addresses_are_those_that_sphinx_gives(site):
    """Labels, equations, figures, tables and terms are looked for in HTML that Sphinx itself builds."""
    (site.root / "chapters" / "03_labels.md").write_text(LABELLED, encoding="utf-8")
    glossary = "# Words\n\n:::{toctree}\n02_other\n03_labels\n:::\n"
    glossary += ":::{glossary}\nLogit\n  A score.\n\nKey, query & value\n  Three.\n:::\n"
    (site.root / "chapters" / "glossary.md").write_text(glossary, encoding="utf-8")
    (site.root / "conf.py").write_text(
        "extensions = ['myst_parser']\nmyst_enable_extensions = ['colon_fence', 'dollarmath']\n"
        "numfig = True\nroot_doc = 'chapters/glossary'\nhtml_theme = 'basic'\nnumfig_secnum_depth = 0\n"
        "math_numfig = False\n"
    )
    out = site.root / "html"
    subprocess.run([sys.executable, "-m", "sphinx", "-q", site.root, out], check=True, capture_output=True)
    pages = {path: (out / f"{path}.html").read_text(encoding="utf-8") for path in site.pages}
    assert len(site.targets) == 11
    for label, target in site.targets.items():
        assert f'id="{target.anchor}"' in pages[target.page], label
    numbers = {"other-eq": "1", "Eq_a": "1", "eq-b": "2", "no-caption": "", "Fig_b": "2", "Tab_b": "1"}
    assert {label: site.targets[label].title for label in numbers} == numbers
    assert 'href="#fig-b"><span class="std std-numref">Fig. 2<' in pages["chapters/03_labels"]
    assert 'href="#tab-b"><span class="std std-numref">Table 1<' in pages["chapters/03_labels"]
    assert 'href="#equation-eq-a">(1)<' in pages["chapters/03_labels"]


def test_the_command_writes_notebooks_once(site, monkeypatch, capsys):
    path = site.root / "chapters" / "01_demo.md"
    path.write_text(FRONT + SETUP + "\n# A\n\nThe last line\n", encoding="utf-8")
    (site.root / "chapters" / "02_other.md").unlink()
    monkeypatch.setattr(notebook, "Site", lambda: site)
    assert notebook.main([]) == 0
    assert capsys.readouterr().out == "wrote 01_demo.ipynb\n"
    assert path.with_suffix(".ipynb").read_text(encoding="utf-8") == notebook.convert(site, path)
    assert notebook.main([]) == 0
    assert capsys.readouterr().out == ""


def test_results_are_copied_from_the_build(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "ROOT", tmp_path)
    (tmp_path / "chapters").mkdir()
    assert results.main([]) == 1 and "build the book first" in capsys.readouterr().out
    (tmp_path / "build" / "results").mkdir(parents=True)
    (tmp_path / "build" / "results" / "demo.json").write_text('{"x": 1}')
    assert results.main([]) == 0
    assert (tmp_path / "chapters" / "results" / "demo.json").read_text() == '{"x": 1}'


def test_line_numbers_count_from_the_top_of_the_file(site):
    with pytest.raises(markdown.LoweringError, match=rf":{len(FRONT.splitlines()) + 4}: "):
        lowered(site, "a\n\nb\n{abbr}`x`\n", setup=False)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_committed_notebooks_follow_from_their_sources(path):
    committed = path.with_suffix(".ipynb")
    assert committed.exists(), f"{committed.name} is missing: run python -m chapters._book notebooks"
    text = notebook.convert(SITE, path)
    assert committed.read_bytes() == text.encode(), (
        f"{committed.name} does not follow from {path.name}: run python -m chapters._book notebooks"
    )
    nb = nbgrader_reads(text, as_version=4)
    assert raw_myst(prose(nb)) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_exercises_stand_in_the_order_of_the_table(path):
    tokens = SITE.parser.parse(path.read_text(encoding="utf-8"))
    boxes = [markdown.read_directive(t, 1) for t in tokens if markdown.is_directive(t)]
    chapter = chapters().get(path.stem)
    names = [e.name for e in chapter.exercises] if chapter else []
    assert [box.argument for box in boxes if box.name == "task"] == names
    assert [name for box in boxes if box.name == "code-cell" and (name := notebook.checked(box.body))] == names
    assert [box.argument for box in boxes if box.name == "answer"] == names


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_exercise_links_to_the_section_that_teaches_it(path):
    for exercise in chapters()[path.stem].exercises if path.stem in chapters() else ():
        target = SITE.targets.get(exercise.see)
        assert target and target.page == f"chapters/{path.stem}", f"{exercise.name}: no section {exercise.see!r}"


def test_every_chapter_of_the_table_has_its_source():
    assert set(chapters()) <= {path.stem for path in CHAPTERS}
