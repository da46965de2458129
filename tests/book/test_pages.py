"""Generated pages say what the sources say, and refuse sources that contradict each other."""
import re

import pytest

from autograder.mistakes.kill_matrix import matrix
from autograder.table import exercises
from chapters._book import pages
from chapters._book.__main__ import COMMANDS, function
from tests.conftest import ROOT

MODULE = '"""A module.\n\nText: no axis.\n\nAxes:\n    B: batch\n    T: {t}\n"""\ndef f(n_heads, other): ...\n'


def write(root, **modules):
    """Write modules into a repository, those in a folder as given ones."""
    for name, text in modules.items():
        path = root / ("gptlib" if "/" in name else "solutions") / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_axes_and_sizes_are_read_from_the_modules(tmp_path):
    text = MODULE.format(t="time")
    given = {"data/two": text, "data/sources/__init__": text}
    made = write(tmp_path, one=text, three='"""No axes here."""\n', **given)
    everywhere = ["data.sources", "data.two", "one"]
    assert pages.axes(made) == {"B": ("batch", everywhere), "T": ("time", everywhere)}
    assert pages.names(made) == {"n_heads": everywhere}
    page = pages.notation(made)
    assert "| **T** | time | `data.sources`, `data.two`, `one` |" in page
    assert "`n_heads`" in page and "`d_ff`" not in page


@pytest.mark.parametrize(("text", "message"), [
    (MODULE.format(t="tokens"), "axis T is 'time' in one but 'tokens' in two"),
    (MODULE.format(t="time").replace("T: ", "T "), "reads `X: words`, got 'T time'"),
    (MODULE.format(t="time").replace("T: ", "Tau: "), "got 'Tau: time'"),
])
def test_contradicting_or_unreadable_axes_are_an_error(tmp_path, text, message):
    write(tmp_path, one=MODULE.format(t="time"), two=text)
    with pytest.raises(ValueError, match=re.escape(message)):
        pages.notation(tmp_path)


def test_every_axis_letter_of_the_library_is_on_the_notation_page():
    page = pages.notation()
    declared = set()
    for path in [*(ROOT / "solutions").glob("*.py"), *(ROOT / "gptlib").glob("*/**/*.py")]:
        declared |= set(re.findall(r"^    ([A-Z]): ", path.read_text(encoding="utf-8").split('"""')[1], re.M))
    assert declared and declared == set(re.findall(r"^\| \*\*([A-Z])\*\* \|", page, re.M))


def row(mistake, form, visible, hidden):
    return {"exercise": "toy.add", "mistake": mistake, "form": form, "expected_visible": True,
            "visible": visible, "hidden": hidden}  # fmt: skip


def test_the_kill_matrix_groups_forms_and_names_the_checks(monkeypatch):
    monkeypatch.setattr(pages, "checks_of", lambda name, suite: [])
    page = pages.kill_matrix([
        row("a | b is *missed*", "one", "Two and two.", "Many sums."),
        row("a | b is *missed*", "two", "One and `x|y`.", "Many sums."),
        row("overflow", "three", None, "Large sums."),
    ])  # fmt: skip
    assert "| {ref}`toy.add <kill-toy-add>` | 2 | 3 | 2 | 3 |" in page
    assert "| **All** | **2** | **3** | **2** | **3** |" in page
    assert "| **V1** | Two and two. | 1 |" in page and "| **V2** | One and `x\\|y`. | 1 |" in page
    assert "| **H1** | Many sums. | 2 |" in page
    assert "| a \\| b is \\*missed\\* | 2 | V1, V2 | H1 |" in page
    assert "| overflow | 1 | — | H2 |" in page


def test_the_real_kill_matrix_page_has_every_exercise_mistake_and_check():
    rows = [vars(r) for module in dict.fromkeys(e.module for e in exercises().values()) for r in matrix(module)]
    page = pages.kill_matrix(rows)
    for name, exercise in exercises().items():
        assert f"(kill-{pages.slug(name)})=\n## {exercise.title}" in page
        part = page.partition(f"(kill-{pages.slug(name)})=")[2].partition("\n(kill-")[0]
        checks = re.findall(r"^\| \*\*([VH])\d+\*\* \| (.+) \| \d+ \|$", part, re.M)
        assert {kind for kind, _ in checks} == {"V", "H"}
        mistakes = {r["mistake"] for r in rows if r["exercise"] == name}
        assert len(re.findall(r"^\| .+ \| \d+ \| (?:—|V[V\d, —]*) \| H[H\d, ]*\d \|$", part, re.M)) == len(mistakes)


def test_main_writes_the_pages_that_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pages, "TARGET", tmp_path / "new")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setitem(pages.PAGES, "notation", lambda: "# Letters\n")
    assert pages.main(["notation"]) == 0
    assert (tmp_path / "new" / "notation.md").read_text() == "# Letters\n"
    assert pages.main(["letters"]) == 2 and "there are notation, kill_matrix" in capsys.readouterr().out


def test_every_command_of_the_book_exists_and_says_what_it_does():
    for command in COMMANDS:
        assert function(command).__doc__, command


def front_matter():
    return [p for p in sorted((ROOT / "chapters").glob("*.md")) if not p.stem[0].isdigit()]


@pytest.mark.parametrize("path", front_matter(), ids=lambda p: p.stem)
def test_commands_that_the_pages_quote_exist(path):
    from autograder.__main__ import COMMANDS as OURS

    text = path.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"python -m autograder ([a-z_]+)", text):
        assert command in OURS, command
    for command in re.findall(r"python -m chapters\._book ([a-z_]+)", text):
        assert command in COMMANDS, command
    for target in re.findall(r"^\$? ?`?make ([a-z]+)|`make ([a-z]+)`", text, re.M):
        assert re.search(rf"^{''.join(target)}:", makefile, re.M), target
