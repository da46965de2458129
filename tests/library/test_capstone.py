"""Capstone 1: presets, bits per byte, envelopes, runs that survive, and what is handed in."""
import json
import math
import os
import re
import signal
import struct
import subprocess
import sys
import time

import pytest
import torch

from gptlib import bpe, gpt2
from gptlib.capstone import envelopes, hand_in
from gptlib.capstone import gpt as capstone_gpt
from gptlib.capstone.envelopes import Band, judge
from gptlib.data import token_files
from gptlib.figures.envelope import draw
from gptlib.training import Run, fit
from tests.conftest import ROOT

TEXT = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind to suffer\n" * 60
SHAPE = {"n_layers": 1, "d_model": 16, "n_heads": 2, "context_length": 16}
TINY = {"steps": 24, "batch_size": 4, "lr": 0.01, "warmup": 2, "eval_every": 8, "eval_batches": 2,
        "checkpoint_every": 6}  # fmt: skip


def tiny(source, tokenizer="characters"):
    return capstone_gpt.Preset("tiny", "", "cpu", 0.1, str(source), tokenizer, 0, SHAPE, TINY)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    """A tiny run, and what is handed in of it."""
    folder = tmp_path_factory.mktemp("trained")
    chosen = tiny(text)
    tokens = capstone_gpt.prepare(chosen, folder)
    model = gpt2.GPT2(chosen.config(token_files.read_meta(tokens)["vocab_size"]), torch.Generator().manual_seed(0))
    run = capstone_gpt.train(model, chosen, tokens, folder / "run", sample=lambda _: "a sample")
    tool = token_files.tokenizer_of(tokens)
    bits = capstone_gpt.bits_per_byte(model, TEXT[:400], tool, 16)
    hand_in.pack(folder / "submission", model, chosen, run, tokens, folder / "run", bits, ["a sample"])
    return folder, model, run


# Presets


@pytest.mark.parametrize("name", list(capstone_gpt.presets()))
def test_a_preset_builds_its_model_and_its_settings(name):
    chosen = capstone_gpt.preset(name)
    with torch.device("meta"):
        model = gpt2.GPT2(chosen.config(50257 if chosen.tokenizer == "gpt2" else 84))
    assert sum(p.numel() for p in model.parameters()) == gpt2.parameter_count(model.config)
    settings = chosen.run_settings()
    assert settings.batch_size % (settings.micro_batch or 1) == 0
    assert chosen.tokens == settings.steps * settings.batch_size * model.config.context_length
    assert settings.checkpoint_every and settings.eval_every, "a preset must survive a disconnect and be watched"
    assert 4 * sum(p.numel() for p in model.parameters()) < hand_in.LARGEST
    assert model.config.vocab_size % 64 == 0 or chosen.device == "cpu"


def test_the_presets_are_those_of_the_course_and_a_changed_one_says_so():
    assert list(capstone_gpt.presets()) == ["cpu-quick", "cpu-10min", "t4-30min", "l4", "a100", "h200-10min"]
    quick = capstone_gpt.preset("cpu-quick")
    other = quick.but(n_layers=2, lr=0.5, tokenizer="bytes").but(seed=3)
    assert (other.name, other.model["n_layers"], other.settings["lr"]) == ("cpu-quick+", 2, 0.5)
    assert other.tokenizer == "bytes"
    assert other.run_settings().seed == 3 and quick.model["n_layers"] != 2
    with pytest.raises(ValueError, match="'layers'"):
        quick.but(layers=2)
    with pytest.raises(ValueError, match="cpu-quick, cpu-10min"):
        capstone_gpt.preset("cpu")


# Bits per byte


@pytest.mark.parametrize("kind, bits", [("bytes", 8), ("characters", None)])
def test_a_model_that_knows_nothing_needs_log_v_bits_a_token(kind, bits):
    text = "Größe – naïve café\n" * 9
    tool = token_files.tokenizer(kind, "".join(sorted(set(text))))
    known_nothing = lambda tokens: torch.zeros(*tokens.shape, tool.vocab_size)  # noqa: E731
    wanted = bits or len(text) * math.log2(tool.vocab_size) / len(text.encode())
    for length, stride in ((5, None), (5, 1), (5, 5), (1, None), (10_000, None)):
        assert capstone_gpt.bits_per_byte(known_nothing, text, tool, length, stride) == pytest.approx(wanted, rel=1e-6)


def byte_model(tokens):
    """A bigram model of bytes, by any rule: logits (B, T, 256) in float64."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(256, 256, generator=generator, dtype=torch.float64)[tokens]


def test_bits_per_byte_is_the_length_of_the_texts_code():
    text = "Größe – naïve café\n" * 9
    tool, ids = token_files.tokenizer("bytes"), torch.tensor(list(text.encode()))
    logs = byte_model(ids[:-1]).log_softmax(-1).gather(1, ids[1:, None])
    wanted = (8 - float(logs.sum()) / math.log(2)) / len(ids)
    for length, stride in ((7, None), (7, 7), (3, 2), (1, 1), (1000, None)):
        found = capstone_gpt.bits_per_byte(byte_model, text, tool, length, stride)
        assert found == pytest.approx(wanted, rel=1e-6), (length, stride)


def test_two_tokenizers_of_the_same_distribution_give_the_same_bits_per_byte():
    """Pairs of bytes as tokens: the same distribution of texts, written with half as many tokens, has the same bits."""
    text = "to be or not to be, that is it." * 6 + "!!"
    pairs = token_files.Tokenizer(
        "pairs", 1 << 16, lambda t: [256 * a + b for a, b in zip(*[iter(t.encode())] * 2, strict=True)],
        lambda ids: bytes(n for i in ids for n in divmod(i, 256)).decode(),
    )  # fmt: skip
    table = byte_model(torch.arange(256)).log_softmax(-1)

    def pair_model(tokens):  # P(c d | a b) = P(c | b) · P(d | c)
        last = tokens % 256
        return (table[last][..., :, None] + table).flatten(-2)

    one = capstone_gpt.bits_per_byte(byte_model, text, token_files.tokenizer("bytes"), 8)
    two = capstone_gpt.bits_per_byte(pair_model, text, pairs, 8)
    first = float(-table[ord("t"), ord("o")]) / math.log(2) - 8  # what pairs pay more evenly: their first token is two
    assert two == pytest.approx(one - first / len(text), rel=1e-5)
    assert pairs.encode(text)[0] == 256 * ord("t") + ord("o") and len(pairs.encode(text)) == len(text) // 2


def test_a_loss_in_nats_a_token_agrees_with_token_files(trained):
    """For a text of one context, bits per byte are loss / ln 2 / bytes per token, but for the first token."""
    folder, model, _ = trained
    tool = token_files.tokenizer_of(folder / "text-characters")
    text = TEXT[:17]
    ids = torch.tensor([tool.encode(text)])
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(ids[:, :-1])[0], ids[0, 1:], reduction="sum")
    wanted = (float(loss) + math.log(tool.vocab_size)) / math.log(2) / 17
    assert capstone_gpt.bits_per_byte(model, text, tool, 16) == pytest.approx(wanted, rel=1e-5)


def test_a_tokenizer_that_loses_text_is_refused():
    lossy = token_files.Tokenizer("lossy", 2, lambda text: [0] * len(text), lambda ids: "a" * len(ids))
    zeros = lambda tokens: torch.zeros(*tokens.shape, 2)  # noqa: E731
    with pytest.raises(ValueError, match="'lossy' loses something"):
        capstone_gpt.bits_per_byte(zeros, "abc", lossy, 4)
    with pytest.raises(ValueError, match="stride must lie"):
        capstone_gpt.bits_per_byte(zeros, "aaa", lossy, 4, 5)


def test_compressors_count_only_what_a_text_adds():
    alone, after = (capstone_gpt.compressed_bits(TEXT[:170], before) for before in ("", TEXT))
    assert set(alone) == {"gzip", "bz2", "xz"} and all(after[name] < alone[name] for name in alone)


# Envelopes


BAND = Band((100, 1000, 10000), (4.0, 3.0, 2.0), (4.4, 3.4, 2.4), 3, 60.0, "a machine")


def rows(*pairs, loss=1.0):
    return [{"tokens": t, "held_out": h, "loss": loss} for t, h in pairs]


@pytest.mark.parametrize("name, found", [
    ("on track", rows((100, 4.2), (1000, 3.2))),
    ("on track", rows((100, 9.0), (10000, 2.4))),
    ("slow", rows((100, 4.2), (1000, 3.5))),
    ("slow", rows((100, 4.2), (500, None), (1000, 4.1), (10000, 2.41))),
    ("diverging", rows((100, 4.2), (1000, 3.2), (10000, 3.6))),
    ("diverging", rows((100, 4.2), (1000, math.nan))),
    ("diverging", rows((100, 4.2), (500, None), loss=math.inf)),
    ("suspiciously good", rows((100, 4.2), (1000, 2.9))),
    ("too early", rows((50, 6.0))),
    ("too early", rows((50, None))),
    ("not measured yet", rows((100, 4.2), (20000, 2.0))),
])  # fmt: skip
def test_each_verdict(name, found):
    assert judge(found, BAND).name == name and name in envelopes.VERDICTS
    assert str(judge(found, BAND)).startswith(f"{name}: ")


def test_between_evaluations_the_band_is_interpolated_along_the_logarithm():
    low, high = BAND.at(round(math.sqrt(100 * 1000)))
    assert (low, high) == (pytest.approx(3.5, abs=1e-3), pytest.approx(3.9, abs=1e-3))
    assert BAND.at(99) is None and BAND.at(10001) is None and BAND.at(1000) == (3.0, 3.4)


def test_without_a_band_only_divergence_can_be_told():
    assert judge(rows((100, 4.0)), None).name == "not measured yet"
    assert judge(rows((100, 4.0), (200, 4.4)), None).name == "diverging"


def test_a_band_holds_its_runs_with_room_and_needs_three():
    runs = [rows((100, 4.0 + s), (200, 3.0 + s)) for s in (0.0, 0.01, 0.05)]
    made = envelopes.make(runs, 12.34, "here")
    known = Band(*(tuple(made[k]) for k in ("tokens", "low", "high")), 3, 12.3, "here")
    assert all(judge(run, known).name == "on track" for run in runs)
    assert made["low"][0] == pytest.approx(4.0 - 0.02 * 4.02, abs=1e-3) and made["mean"][1] == pytest.approx(3.02)
    with pytest.raises(ValueError, match="at least 3"):
        envelopes.make(runs[:2], 1, "here")
    with pytest.raises(ValueError, match="same numbers"):
        envelopes.make([*runs[:2], rows((100, 4.0))], 1, "here")


def test_shipped_bands_are_of_presets_and_reach_their_end():
    shipped = json.loads(envelopes.BANDS.read_text())
    assert "cpu-quick" in shipped and set(shipped) <= set(capstone_gpt.presets())
    for name, row in shipped.items():
        band, chosen = envelopes.band(name), capstone_gpt.preset(name)
        assert band.seeds >= 3 and band.tokens[-1] == chosen.tokens
        assert all(low < mean < high for low, mean, high in zip(band.low, row["mean"], band.high, strict=True))
        assert list(band.high) == sorted(band.high, reverse=True)
    unmeasured = set(capstone_gpt.presets()) - set(shipped)
    assert all(envelopes.band(name) is None for name in unmeasured)


def test_the_drawing_says_what_it_shows():
    found = rows((100, 4.2), (1000, 3.2), (10000, 2.2))
    assert "falls from 4.20 to 2.20: on track" in draw(found, BAND).alt
    assert "one run" in draw(found, None).alt and "<svg" in draw(found, BAND).svg()


# A run that is cut off


def test_a_run_is_kept_in_drive_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COURSE_RESULTS", raising=False)
    monkeypatch.delenv("GPTLIB_BUDGET", raising=False)
    assert capstone_gpt.home("cpu-quick") == tmp_path / "runs" / "cpu-quick"
    (tmp_path / "drive").mkdir()
    monkeypatch.setattr(capstone_gpt, "DRIVE", tmp_path / "drive")
    assert capstone_gpt.home("mine") == tmp_path / "drive" / "gpt-lineage-runs" / "mine"
    monkeypatch.setenv("COURSE_RESULTS", "somewhere")
    assert capstone_gpt.home("mine") != capstone_gpt.home("mine"), "the book shows runs from their beginning"


def test_samples_outlive_a_call_that_was_killed_while_it_wrote(tmp_path):
    assert capstone_gpt.samples(tmp_path) == []
    (tmp_path / "samples.txt").write_text('"one\\n"\n"tw"two"\n"three"\n')
    assert capstone_gpt.samples(tmp_path) == ["one\n", "three"]


def test_an_excerpt_is_the_text(trained):
    folder = trained[0] / "text-characters"
    cut = len(TEXT) - len(TEXT) // token_files.HELD_OUT_PART
    assert capstone_gpt.excerpt(folder, "train", 7, 50) == TEXT[7:57]
    assert capstone_gpt.excerpt(folder, "held_out") == TEXT[cut:]



SCRIPT = """
import sys, time
from pathlib import Path
import torch
from gptlib import gpt2
from gptlib.capstone import gpt as capstone_gpt
from gptlib.data import token_files
from gptlib.training import batches
from tests.library.test_capstone import tiny
text, folder, delay = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
plain = batches.Windows.batch
batches.Windows.batch = lambda self, *a: (time.sleep(delay), plain(self, *a))[1]
chosen = tiny(text)
tokens = capstone_gpt.prepare(chosen, folder)
model = gpt2.GPT2(chosen.config(token_files.read_meta(tokens)["vocab_size"]), torch.Generator().manual_seed(0))
capstone_gpt.train(model, chosen, tokens, folder / "run", sample=lambda _: "a sample")
"""


def test_the_same_cell_after_a_disconnect_gives_the_same_run(text, trained, tmp_path):
    path = os.pathsep.join([str(ROOT / "build/reference"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    (tmp_path / "run.py").write_text(SCRIPT)  # a file, so that the folder of the stubs is not the first to be searched
    command = [sys.executable, str(tmp_path / "run.py"), str(text), str(tmp_path)]
    process = subprocess.Popen([*command, "0.05"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    log, patience = tmp_path / "run" / "log.csv", time.monotonic() + 120
    while not log.exists() or log.read_text().count("\n") < 14:
        assert process.poll() is None and time.monotonic() < patience
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    said = subprocess.run([*command, "0"], cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, check=True).stdout
    assert "Going on after step" in said
    assert log.read_text() == (trained[0] / "run" / "log.csv").read_text()
    assert capstone_gpt.seconds(tmp_path / "run") > 0
    assert "a sample" in (tmp_path / "run" / "samples.txt").read_text()


# What is handed in


def test_what_was_packed_is_read_back_with_equal_logits(trained):
    folder, model, run = trained
    got = hand_in.read(folder / "submission", gpt2.GPT2)
    tokens = torch.randint(0, model.config.vocab_size, (2, 9))
    assert torch.equal(got.model(tokens), model(tokens))
    m = got.manifest
    assert (m["preset"], m["steps"], m["loss"]) == ("tiny", 24, run.held_out) and m["tokens"] == 24 * 4 * 16
    assert got.tool.decode(got.tool.encode("to be")) == "to be" and m["versions"]["torch"] == torch.__version__
    assert hand_in.about(folder / "run" / "log.csv") == m["files"]["log.csv"]


def test_transformers_loads_it_and_gives_the_same_logits(trained):
    transformers = pytest.importorskip("transformers")
    folder, model, _ = trained
    other = transformers.GPT2LMHeadModel.from_pretrained(folder / "submission" / "hugging_face").double().eval()
    ours = gpt2.load_pretrained(folder / "submission" / "hugging_face").double()
    tokens = torch.randint(0, model.config.vocab_size, (3, 11))
    with torch.no_grad():
        assert (other(tokens).logits - ours(tokens)).abs().max() < 1e-9
    mine = gpt2.GPT2(model.config)
    mine.load_state_dict(model.state_dict())
    assert (other(tokens).logits - mine.double().eval()(tokens)).abs().max() < 1e-9


def spoiled(folder, tmp_path, change):
    """A copy of a submission with something wrong in it."""
    goal = tmp_path / "spoiled"
    goal.mkdir()
    for name in hand_in.FILES:
        (goal / name).write_bytes((folder / "submission" / name).read_bytes())
    change(goal)
    return goal


def manifest(goal, **changes):
    path = goal / "manifest.json"
    found = json.loads(path.read_text())
    for name, value in changes.items():
        part, _, rest = name.partition("__")
        if rest:
            found[part][rest] = value
        else:
            found[name] = value
    path.write_text(json.dumps(found))


def weights(goal, data):
    """Put other bytes in the place of the weights, and say so in the manifest."""
    (goal / "model.safetensors").write_bytes(data)
    manifest(goal, files={"model.safetensors": hand_in.about(goal / "model.safetensors")})


def with_header(data, change):
    length = struct.unpack("<Q", data[:8])[0]
    rows_ = json.loads(data[8 : 8 + length])
    change(rows_)
    head = json.dumps(rows_).encode()
    return struct.pack("<Q", len(head)) + head + data[8 + length :]


def tensors_changed(change):
    def spoil(goal):
        from safetensors.torch import load, save

        found = load((goal / "model.safetensors").read_bytes())
        change(found)
        weights(goal, save(found))

    return spoil


def first(rows_):
    return next(row for name, row in rows_.items() if name != "__metadata__")


def of_bytes(change):
    return lambda goal: weights(goal, change((goal / "model.safetensors").read_bytes()))


def pickled(goal):
    torch.save({"a": torch.ones(2)}, goal / "model.safetensors")
    weights(goal, (goal / "model.safetensors").read_bytes())


HUGE = struct.pack("<Q", 1 << 40)
WRONG = {
    "pickle": (pickled, "a pickle"),
    "missing": (lambda goal: (goal / "model.safetensors").unlink(), "cannot be read"),
    "link": (lambda goal: ((goal / "model.safetensors").unlink(),
                           (goal / "model.safetensors").symlink_to("/etc/passwd")), "cannot be read"),
    "pipe": (lambda goal: ((goal / "model.safetensors").unlink(), os.mkfifo(goal / "model.safetensors")), "ordinary"),
    "empty": (lambda goal: weights(goal, b""), "head is missing"),
    "cut short": (of_bytes(lambda d: d[:-7]), "its head says"),
    "longer": (of_bytes(lambda d: d + b"\0" * 4), "its head says"),
    "huge head": (of_bytes(lambda d: HUGE + d[8:]), "too long"),
    "no head": (of_bytes(lambda d: d[:8] + b"[" * (len(d) - 8)), "cannot be read"),
    "deep head": (of_bytes(lambda d: struct.pack("<Q", 1 << 19) + b"[" * (1 << 19)), "cannot be read"),
    "overlap": (of_bytes(lambda d: with_header(d, lambda r: first(r).update(data_offsets=[0, 4]))), "does not lie"),
    "float offset": (of_bytes(lambda d: with_header(d, lambda r: first(r).update(data_offsets=[0.5, 4]))), "head"),
    "huge shape": (of_bytes(lambda d: with_header(d, lambda r: first(r).update(shape=[1 << 62, 4]))), "does not lie"),
    "integers": (of_bytes(lambda d: with_header(d, lambda r: first(r).update(dtype="I64"))), "'I64'"),
    "foreign": (tensors_changed(lambda t: t.update(other=torch.ones(2))), "has 'other'"),
    "part": (tensors_changed(lambda t: t.pop("final_norm.bias")), "lacks 'final_norm.bias'"),
    "shape": (tensors_changed(lambda t: t.update({"final_norm.bias": torch.ones(5)})), "has shape"),
    "nan": (tensors_changed(lambda t: t["final_norm.bias"].fill_(math.nan)), "not finite"),
    "other weights": (lambda goal: (goal / "model.safetensors").write_bytes(b"\0" * 90), "speaks of another"),
    "no manifest": (lambda goal: (goal / "manifest.json").unlink(), "cannot be read"),
    "not json": (lambda goal: (goal / "manifest.json").write_text("{"), "hand_in.pack"),
    "not ours": (lambda goal: (goal / "manifest.json").write_text("[]"), "hand_in.pack"),
    "nan loss": (lambda goal: manifest(goal, loss=math.nan), "finite loss"),
    "too deep": (lambda goal: manifest(goal, model__n_layers=10**9), "n_layers must be"),
    "odd": (lambda goal: manifest(goal, model__n_heads=3), "no model that can be built"),
    "bool": (lambda goal: manifest(goal, model__n_heads=True), "n_heads must be"),
    "extra": (lambda goal: manifest(goal, model__import_os=1), "'import_os'"),
    "tokenizer": (lambda goal: manifest(goal, tokenizer__name="mine"), "tokenizer"),
    "symbols": (lambda goal: manifest(goal, tokenizer__symbols="aa"), "twice"),
    "pattern": (lambda goal: manifest(goal, tokenizer__name="bpe:x", tokenizer__symbols=json.dumps(
        {"format": 1, "pattern": "(a+)+$", "special": [], "pieces": []})), "GPT-2's pattern"),
    "a file": (lambda goal: manifest(goal, tokenizer__name="bpe:/etc/hosts", tokenizer__symbols=""), "cannot be bu"),
    "too many": (lambda goal: manifest(goal, tokenizer__symbols="".join(map(chr, range(65, 900)))), "the model knows"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_with_its_reason(name, trained, tmp_path):
    change, words = WRONG[name]
    goal = spoiled(trained[0], tmp_path, change)
    with pytest.raises(hand_in.Refused, match=words):
        hand_in.read(goal, gpt2.GPT2)


def test_a_vocabulary_of_ones_own_goes_along(text, tmp_path):
    bpe.train(TEXT, 270).save(tmp_path / "own.json")
    chosen = tiny(text, f"bpe:{tmp_path / 'own.json'}")
    tokens = capstone_gpt.prepare(chosen, tmp_path / "tokens")
    model = gpt2.GPT2(chosen.config(token_files.read_meta(tokens)["vocab_size"]), torch.Generator().manual_seed(0))
    run = capstone_gpt.train(model, chosen, tokens, tmp_path / "run")
    tool = token_files.tokenizer_of(tokens)
    bits = capstone_gpt.bits_per_byte(model, TEXT[:200], tool, 16)
    hand_in.pack(tmp_path / "submission", model, chosen, run, tokens, tmp_path / "run", bits, [])
    (tmp_path / "own.json").unlink()
    got = hand_in.read(tmp_path / "submission", gpt2.GPT2)
    assert capstone_gpt.bits_per_byte(got.model, TEXT[:200], got.tool, 16) == bits
    assert got.manifest["tokenizer"]["name"] == "bpe:own.json" and got.tool.vocab_size == 270
    assert hand_in.PATTERN == bpe.GPT2


def test_size_is_capped_before_anything_is_read(trained, tmp_path):
    hole = lambda goal: os.truncate(goal / "model.safetensors", 1 << 33)  # noqa: E731  (8 GB, none of it on disk)
    goal = spoiled(trained[0], tmp_path, hole)
    with pytest.raises(hand_in.Refused, match="are allowed"):
        hand_in.read(goal, gpt2.GPT2)


def test_half_precision_is_read_as_float32(trained, tmp_path):
    goal = spoiled(trained[0], tmp_path, tensors_changed(lambda t: t.update({n: v.half() for n, v in t.items()})))
    assert {p.dtype for p in hand_in.read(goal, gpt2.GPT2).model.parameters()} == {torch.float32}


def test_fit_is_the_loop_of_all_chapters():
    assert capstone_gpt.fit is fit and Run.__module__ == "gptlib.training.run"


def test_the_page_grades_what_the_table_says_and_its_questions_have_criteria():
    page = (ROOT / "chapters" / "13_capstone_gpt.md").read_text(encoding="utf-8")
    questions = re.findall(r":::\{written\} (\S+) (\d+) .*?\n(.*?):::", page, re.S)
    assert len(questions) == 3 and all("*Full points:*" in text and "*None:*" in text for *_, text in questions)
    assert page.count("look(submission)") == 1
