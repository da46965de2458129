import json
import math
import re

import numpy
import pytest
import torch

from gptlib import figures
from gptlib.figures import drawing, figure
from gptlib.figures.figure import FOLDER
from tests.figures.node import run_js

NAMES = sorted(path.stem for path in FOLDER.glob("*.js") if path.stem != "common")


def html(shown) -> str:
    return shown._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize("name", NAMES)
def test_a_module_draws_and_says_what_it_does(name):
    text = figures.module_text(name)
    assert re.search(r"^export function mount\(root, data\b", text, re.M)
    assert "status()" in text, "one sentence must say what the figure shows"


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_has_its_python_half_beside_it(name):
    assert callable(getattr(figures, f"{name}_figure"))
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert re.search(rf'Figure\(\s*"{name}"', text), "it must draw with the script of its own name"


def test_what_is_no_figure_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'nothing_figure'"):
        figures.nothing_figure  # noqa: B018
    with pytest.raises(AttributeError, match="gptlib.figures.gpt2.WEIGHTS"):
        figures.JS  # noqa: B018


def test_no_data_ends_the_script():
    shown = html(figures.Figure(NAMES[0], {"text": "</script><!--"}, "A <figure> & more."))
    data = re.search(r'<script type="application/json">(.*?)</script>', shown, re.S)[1]
    assert json.loads(data) == {"text": "</script><!--"}
    assert "<p>A &lt;figure&gt; &amp; more.</p>" in shown
    assert shown.count("</script>") == 2


def test_other_data_is_another_figure():
    keys = [re.search(r'data-figure="(\w+)"', html(figures.Figure(NAMES[0], {"n": n}, "Words.")))[1] for n in (1, 2, 1)]
    assert keys[0] != keys[1] and keys[0] == keys[2]


@pytest.mark.parametrize("arguments, rule", [
    (("no-such-module", {}, "Words."), "name must be one of"),
    (("common", {}, "Words."), "name must be one of"),
    (("attention", {}, " "), "alt must say"),
    (("attention", {"x": math.nan}, "Words."), "data must be JSON"),
    (("attention", {"x": torch.ones(2)}, "Words."), "data must be JSON"),
])  # fmt: skip
def test_what_cannot_be_shown_is_refused(arguments, rule):
    with pytest.raises(ValueError, match=rule):
        figures.Figure(*arguments)


def test_a_module_cannot_end_its_own_script(tmp_path, monkeypatch):
    (tmp_path / "common.js").write_text("// fine\n")
    (tmp_path / "bad.js").write_text("// </SCRIPT>\nexport function mount(root, data) {}\n")
    monkeypatch.setattr(figure, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match="closing script tag"):
        figures.module_text("bad")


def test_rounded_gives_plain_numbers():
    given = {"a": torch.tensor([[1 / 3]], dtype=torch.float64), "b": (numpy.float32(0.5), 7, "x", True), "c": 2 / 3}
    assert figures.rounded(given, 3) == {"a": [[0.333]], "b": [0.5, 7, "x", True], "c": 0.667}


def test_live_shows_sliders_or_the_figure(monkeypatch):
    shown = figures.Figure(NAMES[0], {}, "Words.")
    calls = []
    monkeypatch.setenv("COURSE_STATIC", "1")
    assert figures.live(calls.append, shown, n=(1, 5)) is shown
    monkeypatch.delenv("COURSE_STATIC")
    widget = figures.live(lambda n: calls.append(n), shown, n=(1, 5))
    widget.children[0].value = 2
    assert calls[-1] == 2


DRAWINGS = {
    "curve": lambda: figures.curve({"one": ([1, 2], [3, 4]), "two": ([1, 2], torch.tensor([4.0, 3.0]))},
                                   xlabel="x", ylabel="y", alt="A & B", log="y"),
    "bars": lambda: figures.bars(["a", "b"], [0.25, 0.75], xlabel="share", alt="A & B"),
    "heatmap": lambda: figures.heatmap(torch.tensor([[0.5, -math.inf], [1.0, 2.0]]), rows="ab", columns="cd",
                                       alt="A & B", label="score"),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_takes_the_colour_of_the_text_and_has_words(name):
    shown = html(DRAWINGS[name]())
    assert "currentColor" in shown and "#010203" not in shown
    assert 'role="img" aria-label="A &amp; B"' in shown
    identifiers = re.findall(r' id="([^"]*)"', shown)
    assert len(identifiers) == len(set(identifiers))
    assert set(re.findall(r'(?:href="|url\()#([\w.-]+)', shown)) == set(identifiers)


def test_two_drawings_on_a_page_share_no_identifier():
    one, other = (figures.bars(["a"], [1.0], xlabel="x", alt=alt) for alt in ("first", "second"))
    assert not set(re.findall(r' id="([^"]*)"', html(one))) & set(re.findall(r' id="([^"]*)"', html(other)))


def test_the_same_drawing_is_the_same_text():
    assert html(DRAWINGS["heatmap"]()) == html(DRAWINGS["heatmap"]())


@pytest.mark.parametrize("colour", drawing.COLOURS)
@pytest.mark.parametrize("paper", ["#ffffff", "#12171c"])
def test_lines_are_seen_on_both_papers(colour, paper):
    def luminance(code: str) -> float:
        channels = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(colour), luminance(paper)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3


def test_numbers_in_figures_have_a_real_minus_sign():
    numbers = "[1.234, -1.234, -0.001, 0, Infinity, -Infinity, NaN]"
    found = run_js(figures.module_text(NAMES[0]), f"{numbers}.map((x) => format(x))")
    assert found == ["1.23", "−1.23", "0.00", "0.00", "∞", "−∞", "–"]


def test_node_gives_numbers_that_json_lacks():
    assert run_js("const f = () => [Infinity, -Infinity, {a: null}];", "f()") == [math.inf, -math.inf, {"a": None}]
