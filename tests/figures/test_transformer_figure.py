"""The factory of the Transformer chapter computes in the page what gptlib.transformer computes in Python."""
import base64
import json

import pytest
import torch

from gptlib import figures, transformer
from gptlib.data import translation
from tests.conftest import ROOT
from tests.figures.node import run_js

PAGE = (ROOT / "chapters/06_transformer.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def model():
    """A small model with random norms and biases, rounded as the page has it."""
    torch.manual_seed(0)
    words = sorted({w for n in range(100) for w in translation.english(n)})
    pieces = sorted({w for n in range(100) for w in translation.german(n)})
    names = ["(pad)", "(begin)", "(end)", *words, *pieces]
    made = transformer.Transformer(transformer.TransformerConfig(len(names), 8, 2, 2, 12, context_length=16))
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return made, names


def packed_figure(model, names):
    """What the page gets."""
    return json.loads(figures.transformer_figure(model.config, model.state_dict(), names, 21, [21], 1, 1).data)


def page(expression: str):
    """The value of an expression in the figure's module."""
    return run_js(figures.module_text("transformer"), expression)


def test_the_page_translates_as_python_does(model):
    made, names = model
    data = packed_figure(made, names)
    with torch.no_grad():
        for name, weight in made.state_dict().items():  # the same rounding on both sides
            numbers = torch.frombuffer(bytearray(base64.b64decode(data["weights"][name]["numbers"])), dtype=torch.int16)
            weight.copy_((numbers.double() * data["weights"][name]["scale"]).view_as(weight))
        numbers = [21, 20, 7]
        calls = ",".join(f"model.translate(english({n}))" for n in numbers)
        found = page(f"(() => {{ const model = new Translator({json.dumps(data)}); return [{calls}]; }})()")
        exact = made.double()
        exact.position_embedding = transformer.sinusoidal_positions(16, 8).double()
        for number, run in zip(numbers, found, strict=True):
            source = torch.tensor([[*map(names.index, translation.english(number)), transformer.END]])
            given = torch.tensor([[transformer.BEGIN, *map(names.index, run["given"][1:])]])
            memory, real = exact.encode(source)
            x = exact.embed(source)
            assert torch.tensor(run["left"][0]["rows"]).double().sub(x[0]).abs().max() < 1e-5
            for i, layer in enumerate(exact.encoder):
                x = layer(x, real)
                assert torch.tensor(run["left"][2 + 2 * i]["rows"]).double().sub(x[0]).abs().max() < 1e-5
            says = exact.decode(given, memory, real).softmax(-1)[0]
            assert torch.tensor(run["right"][-1]["rows"]).double().sub(says).abs().max() < 1e-5
            written = exact.translate(source, 13)[0].tolist()
            shown = [transformer.END if name == "(end)" else names.index(name) for name in run["written"]]
            assert shown == written[: len(shown)]
            for station in run["right"]:
                for head in station["maps"] or []:
                    assert torch.tensor(head).sum(-1).sub(1).abs().max() < 1e-6


def test_the_page_names_numbers_as_python_does():
    found = page("Array.from({ length: 10000 }, (_, n) => english(n))")
    assert found == [translation.english(n) for n in range(translation.LIMIT)]


def test_steps_crossings_and_sentences(model):
    assert page("[0, 4, 5, 13, 14].map((s) => moment(s, 5, 8))") == [
        {"hall": 0, "station": 0, "row": None}, {"hall": 0, "station": 4, "row": None},
        {"hall": 1, "station": 0, "row": 0}, {"hall": 1, "station": 0, "row": 1}, {"hall": 1, "station": 1, "row": 1},
    ]  # fmt: skip
    maps = [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0.1, 0.2, 0.7], [0.2, 0.7, 0.1], [0.7, 0.2, 0.1]]]
    assert page(f"{maps}.map(crossings)") == [0, 1, 3]
    data = packed_figure(*model)
    words = page(f"(() => {{ const run = new Translator({json.dumps(data)}).translate(english(21));"
                 "return [0, 1, 5, 6, 7, 12].map((s) => describe(run, s, 1)); })()")  # fmt: skip
    assert words[0] == "Encoder, embedding + position: all 3 words at once."
    assert "“twenty” at “" in words[1] and "head 1" in words[1]
    assert words[2].endswith("this position alone.") and "after “(begin)”" in words[2]
    assert "look back" in words[3] and "it looks most at “(begin)” (weight 1.00)" in words[3]
    assert "look across" in words[4] and "It writes “" in words[5]
