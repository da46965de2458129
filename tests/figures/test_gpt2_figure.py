"""The GPT of the page computes in JavaScript what our GPT-2 computes in Python."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from gptlib import figures, gpt2
from gptlib.training.batches import Windows
from gptlib.weights import gpt2 as gpt2_weights
from tests.conftest import ROOT, needs_tool

FILE = ROOT / "gptlib/figures/gpt2.safetensors"
SCRIPT = """
import { readFileSync } from "node:fs";
const [modulePath, filePath, textPath] = process.argv.slice(2);
const { unpack, GPT, window_, likeliest, pick } = await import(modulePath);
const file = unpack(new Uint8Array(readFileSync(filePath)));
const texts = JSON.parse(readFileSync(textPath, "utf8"));
const model = new GPT(file);
const answers = texts.map((ids) => {
  const { logits, blocks } = model.run(window_(ids, file.config.context_length));
  return {
    logits: [...logits], heads: blocks.map((b) => b.heads), stages: blocks.map((b) => b.stages.map((s) => [...s])),
    read: model.seen.length };
});
console.log(JSON.stringify({ answers, config: file.config, characters: file.characters.join(""),
  picked: [0, 0.4, 0.69, 0.71, 0.999].map((x) => pick([0.2, 0.5, 0.3], x)), order: likeliest([0.1, 0.5, 0.4], 2) }));
"""


def characters_and_model():
    with safe_open(FILE, "pt") as file:
        about = file.metadata()
    model = gpt2.GPT2(json.loads(about["config"])).eval()
    model.load_state_dict(gpt2_weights.unsqueeze(load_file(FILE)))
    return about, model


def expected(model, ids):
    """Logits, weights of every head and stages of every block, for the last position."""
    weights, stages = [], []

    def mix(query, key, value):
        scores = query @ key.transpose(-2, -1) / query.size(-1) ** 0.5
        mask = torch.ones(len(ids), len(ids), dtype=torch.bool).tril()
        share = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        weights.append(share[0, :, -1].tolist())
        return share @ value

    with torch.no_grad():
        logits = model(torch.tensor([ids]), None, [mix] * len(model.blocks))
        traced = gpt2_weights.trace(model, torch.tensor([ids]))
    for number in range(len(model.blocks)):
        at = {name: traced[f"block {number}: {name}"][0, -1] for name in
              ("attention_norm", "attention", "feed_forward_norm", "feed-forward", "its output")}  # fmt: skip
        middle = at["its output"] - at["feed-forward"]
        before = middle - at["attention"]
        stages.append(
            [before, at["attention_norm"], at["attention"], middle, at["feed_forward_norm"], None, at["feed-forward"],
             at["its output"]]
        )
    return logits[0, -1], weights, stages


def run_in_node(tmp_path, texts):
    (tmp_path / "gpt2.mjs").write_text(figures.module_text("gpt2"), encoding="utf-8")
    (tmp_path / "run.mjs").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    command = [needs_tool("node"), tmp_path / "run.mjs", tmp_path / "gpt2.mjs", FILE, tmp_path / "texts.json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def test_it_computes_what_python_computes(tmp_path):
    about, model = characters_and_model()
    text = "Now is the winter of our discontent\nMade glorious summer by this sun of York; And all the clouds"
    ids = [about["characters"].index(c) for c in text * 3]
    # Typed, changed in the middle, cut, and longer than the window: the cache must never show.
    texts = [ids[:70], ids[:71], ids[:72], ids[:30] + [5, 6], ids[:1], ids[:128], ids[:129], ids[:130], ids[:300]]
    found = run_in_node(tmp_path, texts)
    assert found["characters"] == about["characters"] and found["config"] == json.loads(about["config"])
    assert found["picked"] == [0, 1, 1, 2, 2] and found["order"] == [1, 2]
    for asked, answer in zip(texts, found["answers"], strict=True):
        assert min(len(asked), 64) < answer["read"] + 1 <= 129
        read = asked[len(asked) - answer["read"] :]
        logits, weights, stages = expected(model, read)
        assert torch.tensor(answer["logits"]) == pytest.approx(logits, abs=2e-4)
        for block, (heads, values) in enumerate(zip(weights, stages, strict=True)):
            assert torch.tensor(answer["heads"][block]) == pytest.approx(torch.tensor(heads), abs=1e-4)
            for stage, wanted in enumerate(values):
                if wanted is not None:
                    assert torch.tensor(answer["stages"][block][stage]) == pytest.approx(wanted, abs=2e-4)


def test_the_file_is_what_its_header_says():
    """The held-out loss that the header states is that of the weights in the file."""
    from chapters._book import page_gpt
    from gptlib import data

    about, model = characters_and_model()
    assert about["characters"] == page_gpt.CHARACTERS and json.loads(about["config"]) == page_gpt.SHAPE
    ids = page_gpt.numbers(data.shakespeare("held-out"))
    loss = page_gpt.held_out_loss(model, Windows(ids, page_gpt.SHAPE["context_length"]))
    assert loss == pytest.approx(float(about["loss"]), abs=2e-4)
    assert loss < 1.75
    assert FILE.stat().st_size < 600_000


def test_training_is_repeatable(tmp_path):
    """The command's first steps write the same weights twice (safetensors may order the header otherwise)."""
    files = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for file in files:
        command = [sys.executable, "-m", "chapters._book.page_gpt", "--steps", "2", "--out", file]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    one, two = (load_file(file) for file in files)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert safe_open(files[0], "pt").metadata() == safe_open(files[1], "pt").metadata()


def test_the_figure_carries_the_file():
    shown = figures.gpt2_figure(text="To be", examples=["a"])
    assert json.loads(shown.data)["text"] == "To be"
    with pytest.raises(ValueError, match="none at"):
        figures.gpt2_figure("/nowhere/at/all")


def test_typing_in_chromium_gives_the_probabilities_of_python(tmp_path, browser):
    about, model = characters_and_model()
    html = figures.gpt2_figure(text="To be, or no")._repr_mimebundle_()["text/html"]
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{html}", encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.locator("textarea").press("End")
    page.locator("textarea").press_sequentially("t t")
    shown = page.locator("tbody").first.locator("tr").all_inner_texts()
    page.close()
    with torch.no_grad():
        ids = torch.tensor([[about["characters"].index(c) for c in "To be, or not t"]])
        top = model(ids)[0, -1].softmax(0).topk(8)
    assert [float(line.split("\t")[1]) for line in shown] == pytest.approx(top.values.tolist(), abs=6e-4)
    assert about["characters"][top.indices[0]] in shown[0].split("\t")[0]
