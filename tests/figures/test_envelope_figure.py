"""The capstone's figure judges a run in the page as capstone.envelopes does in Python."""
import json
import random

import pytest

from gptlib import figures
from gptlib.capstone import envelopes
from tests.figures.node import run_js


def page(expression: str):
    """The value of an expression in the figure's module."""
    return run_js(figures.module_text("envelope"), expression)


def rows_of(run):
    return [{"tokens": tokens, "loss": 2.0, "held_out": loss} for tokens, loss in run]


def drawn(rng):
    """A band, or none, and a run that may lie in it, above, below, before or behind it."""
    places = sorted(rng.sample(range(1000, 90_000), 4))
    low = [rng.uniform(1, 3) for _ in places]
    band = {"tokens": places, "low": low, "high": [x + rng.uniform(0.05, 0.6) for x in low]}
    stops = sorted(rng.sample(range(500, 100_000), rng.randint(1, 4)))
    if rng.random() < 0.3:
        stops[-1] = max(stops[-1], places[1])
    return (None if rng.random() < 0.1 else band), [[t, round(rng.uniform(0.8, 3.6), 3)] for t in stops]


def test_every_verdict_is_that_of_python():
    rng = random.Random(0)
    cases = [drawn(rng) for _ in range(400)]
    found = page(f"{json.dumps(cases)}.map(([band, run]) => judge(run, band))")
    names = set()
    for (band, run), verdict in zip(cases, found, strict=True):
        known = band and envelopes.Band(*(tuple(band[k]) for k in ("tokens", "low", "high")), 3, 1.0, "here")
        expected = envelopes.judge(rows_of(run), known)
        assert verdict == {"name": expected.name, "words": expected.words}
        names.add(expected.name)
    assert names == set(envelopes.VERDICTS)


def test_the_band_between_evaluations_is_that_of_python():
    band = {"tokens": [100, 1000, 5000], "low": [3.0, 2.0, 1.5], "high": [3.5, 2.2, 1.9]}
    known = envelopes.Band(*(tuple(band[k]) for k in ("tokens", "low", "high")), 3, 1.0, "here")
    places = [99, 100, 101, 400, 1000, 3000, 5000, 5001]
    for place, found in zip(places, page(f"{places}.map((t) => at({json.dumps(band)}, t))"), strict=True):
        expected = known.at(place)
        assert found == (expected and pytest.approx(list(expected), abs=1e-12))


def test_what_the_sliders_do():
    run = [[100, 3.0], [200, 2.0], [300, 1.5]]
    assert page(f"bent({run}, 1, 0.5)") == [[100, 3.0], [200, 2.5]] and page(f"bent({run}, 2, 0)") == run
    assert page("judge([], null)")["name"] == "too early" and page("judge([[1, NaN]], null)")["name"] == "diverging"


def test_the_figure_holds_the_run_its_band_and_its_samples():
    known = envelopes.band("cpu-quick")
    figure = figures.envelope_figure(rows_of([[81_920, 2.6], [163_840, 2.55], [245_760, 2.4]]), known, ["one", "two"])
    data = json.loads(figure.data)
    assert data["run"][-1] == [245_760, 2.4] and data["band"]["low"] == list(known.low)
    assert data["samples"] == ["", "one", "two"] and "on track" in figure.alt
    assert json.loads(figures.envelope_figure(rows_of([[5, 2.0]]), None).data)["samples"] == []
    with pytest.raises(ValueError, match="at least one evaluation"):
        figures.envelope_figure([{"tokens": 1, "loss": 1.0, "held_out": None}], None)
