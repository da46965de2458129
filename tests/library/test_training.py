"""The training loop: exact resume after kill -9, ranks against one process, and what happens when things go wrong."""
import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from gptlib.training import Settings, checkpoint, devices, fit, optimizer
from gptlib.training.batches import Order, Windows
from gptlib.training.checkpoint import CheckpointError
from gptlib.training.log import Guard, Log, TrainingDiverged, read
from tests.conftest import ROOT
from tests.library.tiny_run import VOCAB, Tiny, main, tokens

RUN = [sys.executable, "-m", "tests.library.tiny_run"]


def environment():
    path = os.pathsep.join([str(ROOT / "build/reference"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def rows(folder):
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_killed_at_a_random_step_and_run_again_it_gives_the_same_run_bit_by_bit(tmp_path):
    main(str(tmp_path / "whole"), 60)
    killed = tmp_path / "killed"
    stop = int(torch.randint(9, 45, ()))
    process = subprocess.Popen([*RUN, str(killed), "60", "delay=0.02"], cwd=ROOT, env=environment(),
                               stdout=subprocess.DEVNULL)  # fmt: skip
    patience = time.monotonic() + 120
    while not (killed / "log.csv").exists() or len(rows(killed)) <= stop:
        assert process.poll() is None and time.monotonic() < patience
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert stop <= len(rows(killed)) - 1 < 60, "the kill came when the run was over"
    main(str(killed), 60)
    assert rows(killed) == rows(tmp_path / "whole")
    (ours, _), (theirs, _) = (checkpoint.load(f / "step-00000060") for f in (killed, tmp_path / "whole"))
    for kind in theirs:
        assert theirs[kind] and ours[kind].keys() == theirs[kind].keys()
        assert all(torch.equal(ours[kind][name], theirs[kind][name]) for name in theirs[kind])


def test_two_ranks_whole_or_sharded_give_the_losses_of_one_process(tmp_path):
    main(str(tmp_path / "one"), 14, dropout=0)
    ranks = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    shutil.copytree(tmp_path / "one", tmp_path / "fsdp")
    shutil.rmtree(tmp_path / "fsdp/step-00000014")  # so two sharded ranks go on from what one process wrote
    ways = {"ddp": ["micro_batch=2"], "fsdp": ["shard=true", "micro_batch=2"]}
    command = [*ranks, "tests.library.tiny_run"]
    running = [subprocess.Popen([*command, str(tmp_path / way), "14", "dropout=0", *more], cwd=ROOT,
                                env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
               for way, more in ways.items()]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in running]
    wanted = read(tmp_path / "one/log.csv")
    for way, process, text in zip(ways, running, said, strict=True):
        assert process.returncode == 0, text
        got = read(tmp_path / way / "log.csv")
        assert [r["tokens"] for r in got] == [r["tokens"] for r in wanted]
        for name in ("loss", "norm", "held_out"):
            pairs = [(a[name], b[name]) for a, b in zip(got, wanted, strict=True) if b[name] is not None]
            assert pairs and all(a == pytest.approx(b, rel=2e-5) for a, b in pairs), (way, name)
    assert "Going on after step 7" in said[1]
    (a, _), (b, _) = (checkpoint.load(tmp_path / way / "step-00000014") for way in ("fsdp", "one"))
    for kind in b:
        assert a[kind].keys() == b[kind].keys()
        assert all(torch.allclose(a[kind][name], b[kind][name], atol=1e-4) for name in b[kind])


def test_accumulation_gives_the_step_of_the_whole_batch(tmp_path):
    main(str(tmp_path / "whole"), 5, dropout=0)
    main(str(tmp_path / "parts"), 5, dropout=0, micro_batch=2)
    for a, b in zip(read(tmp_path / "parts/log.csv"), read(tmp_path / "whole/log.csv"), strict=True):
        assert (a["loss"], a["norm"]) == pytest.approx((b["loss"], b["norm"]), rel=1e-5)


def test_one_step_is_adamw_written_out():
    data, model = Windows(tokens(), 8), Tiny(0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    ids, epochs = Order(len(data), 3)[0:8]
    inputs, targets = data.batch(ids, epochs)
    torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    norm = sum(g.square().sum() for g in gradients.values()).sqrt()
    run = fit(model, data, Settings(1, 8, lr=0.01, schedule="constant", clip=0.5, seed=3), device="cpu")
    assert norm > 0.5 and run.rows[0]["norm"] == pytest.approx(float(norm), rel=1e-5)
    for name, p in model.named_parameters():
        g = gradients[name] * 0.5 / (norm + 1e-6)
        decayed = before[name] * (1 - 0.01 * (0.1 if p.dim() > 1 else 0))
        assert torch.allclose(p, decayed - 0.01 * g / (g.abs() + 1e-8), atol=1e-6), name


def test_a_spoiled_checkpoint_is_told_and_the_one_before_it_serves(tmp_path, capsys):
    main(str(tmp_path / "whole"), 21)
    main(str(tmp_path / "run"), 21)
    for file, spoil in (("model.safetensors", b"\0"), ("state.json", b"{")):
        path = tmp_path / "run/step-00000021" / file
        whole = path.read_bytes()
        path.write_bytes(whole[:-9] + spoil)
        capsys.readouterr()
        main(str(tmp_path / "run"), 21)
        said = capsys.readouterr().out
        assert file in said and "Going on after step 14" in said
        assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    for path in (tmp_path / "run").glob("step-*/model.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="nothing was deleted"):
        main(str(tmp_path / "run"), 21)
    assert len(checkpoint.checkpoints(tmp_path / "run")) == 2


def test_a_full_disk_is_told_and_costs_nothing_that_was_kept(tmp_path, monkeypatch):
    import safetensors.torch

    main(str(tmp_path / "whole"), 21)
    real, calls = safetensors.torch.save_file, []

    def full(tensors, path, *rest):
        calls.append(path)
        if len(calls) < 4:
            return real(tensors, path, *rest)
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(CheckpointError, match="the disk is full(.|\n)*step-00000007 is there and whole"):
        main(str(tmp_path / "run"), 21)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["log.csv", "step-00000007"]
    monkeypatch.undo()
    main(str(tmp_path / "run"), 21)
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


@pytest.mark.parametrize("change", ["lr=0.5", "seed=1", "batch_size=4", "steps", "vocabulary", "model"])
def test_another_run_is_refused_and_nothing_is_changed(tmp_path, change):
    data, settings = Windows(tokens(), 8, {"vocab_size": VOCAB}), dict(steps=4, batch_size=8)
    fit(Tiny(), data, Settings(**settings), folder=tmp_path, device="cpu")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    model, word = Tiny(width=24) if change == "model" else Tiny(), change.split("=")[0]
    if change == "vocabulary":
        data, word = Windows(tokens(), 8, {"vocab_size": VOCAB + 1}), "vocab_size must be 11"
    elif change == "steps":
        settings["steps"] = 8
    elif change != "model":
        settings[word] = float(change.split("=")[1]) if word == "lr" else int(change.split("=")[1])
    with pytest.raises(ValueError, match="of another model" if change == "model" else word):
        fit(model, data, Settings(**settings), folder=tmp_path, device="cpu")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_what_only_decides_how_it_is_done_may_change(tmp_path):
    main(str(tmp_path), 14, dropout=0)
    (tmp_path / "step-00000014").rename(tmp_path / "gone")
    main(str(tmp_path), 14, dropout=0, micro_batch=2, eval_every=0, keep=1)
    assert len(read(tmp_path / "log.csv")) == 14 and len(checkpoint.checkpoints(tmp_path)) == 1


def test_a_loss_that_is_no_number_changes_nothing_and_stops_the_run_in_the_end():
    model = Tiny(0)
    before = [p.detach().clone() for p in model.parameters()]

    def broken(model, inputs, targets):
        return model(inputs).sum() * float("nan")

    with pytest.raises(TrainingDiverged, match="20 steps in a row(.|\n)*not a number"):
        fit(model, Windows(tokens(), 8), Settings(30, 8), loss=broken, device="cpu")
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_the_guard_leaves_out_a_spike_but_no_noise():
    guard, noise = Guard(), torch.randn(300, generator=torch.Generator().manual_seed(0)) * 0.1
    assert all(guard.allows(3 + float(x), 1.0) for x in noise)
    assert not guard.allows(4.6, 1.0) and not guard.allows(float("inf"), 1.0) and not guard.allows(3.0, float("nan"))
    assert guard.allows(3.0, 1.0) and guard.state["bad"] == 0
    copy = Guard(state=dict(guard.state))
    assert copy.allows(3.1, 1) == guard.allows(3.1, 1) and copy.state == guard.state


def test_each_epoch_sees_every_window_once_and_any_place_can_be_asked_first():
    order = Order(17, seed=4)
    for epoch in range(3):
        ids, epochs = order[17 * epoch : 17 * epoch + 17]
        assert sorted(ids) == list(range(17)) and set(epochs) == {epoch}
    assert Order(17, 4)[30:40] == order[30:40] and Order(17, 5)[0:17] != order[0:17]


@pytest.mark.parametrize("count", [9, 16, 17, 100])
def test_windows_stay_inside_and_targets_are_the_next_tokens(count):
    data = Windows(torch.arange(count), 8)
    ids = list(range(len(data)))
    for epoch in range(20):
        inputs, targets = data.batch(ids, [epoch] * len(ids))
        assert torch.equal(inputs + 1, targets) and inputs.shape == (len(ids), 8)
        assert torch.equal(inputs.flatten(), inputs[0, 0] + torch.arange(8 * len(ids))), "no token twice in an epoch"
    with pytest.raises(ValueError, match="context_length"):
        Windows(torch.arange(8), 8)


def test_schedules():
    cosine = [optimizer.learning_rate(i, steps=100, lr=2.0, warmup=10, schedule="cosine") for i in range(100)]
    assert cosine[0] == pytest.approx(0.2) and cosine[9] == cosine[10] == 2.0 and cosine[99] == pytest.approx(0.2)
    peer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(peer, 89, eta_min=0.2)
    for value in cosine[10:]:
        assert value == pytest.approx(theirs.get_last_lr()[0])
        peer.step()
        theirs.step()
    wsd = [optimizer.learning_rate(i, steps=100, lr=2.0, warmup=10, schedule="wsd") for i in range(100)]
    assert set(wsd[10:81]) == {2.0} and wsd[90] == pytest.approx(2 - 1.8 * 10 / 19) and wsd[99] == pytest.approx(0.2)
    with pytest.raises(ValueError, match="schedule must be one of cosine, wsd, constant, got 'linear'"):
        Settings(10, 1, schedule="linear")
    with pytest.raises(ValueError, match="warmup"):
        Settings(10, 1, warmup=11)


def test_the_table_of_number_formats():
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    table = {(6, 0): "fp32", (7, 0): "fp16", (7, 5): "fp16", (8, 0): "bf16", (8, 9): "bf16", (9, 0): "bf16"}
    assert {c: devices.precision_for(gpu, "auto", c) for c in table} == table
    assert devices.precision_for(cpu) == "fp32" and devices.precision_for(cpu, "bf16") == "bf16"
    for device, wish in ((gpu, "bf16"), (cpu, "fp16"), (cpu, "half")):
        with pytest.raises(ValueError, match="precision must be"):
            devices.precision_for(device, wish, (7, 5))


def test_decay_spares_biases_and_norms():
    model = Tiny()
    decayed, spared = optimizer.decay_groups(model, 0.1)
    names = {id(p): n for n, p in model.named_parameters()}
    assert {names[id(p)] for p in decayed["params"]} == {"embedding.weight", "blocks.0.weight", "blocks.1.weight"}
    assert len(spared["params"]) == 4 and (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)


def test_bf16_trains_on_a_cpu(tmp_path):
    run = fit(Tiny(0), Windows(tokens(), 8), Settings(30, 8, lr=1e-2, precision="bf16"), device="cpu")
    assert run.rows[-1]["loss"] < run.rows[0]["loss"] - 0.3


def test_the_log_reads_back_and_a_cut_line_is_left_out(tmp_path):
    log = Log(tmp_path)
    for step in (1, 2):
        log.add(step=step, tokens=64 * step, loss=1 / 3, held_out=None, lr=0.1, norm=1.0, skipped=0)
    assert read(tmp_path / "log.csv") == log.rows
    with (tmp_path / "log.csv").open("a") as file:
        file.write("3,192,0.2")
    assert Log(tmp_path, 3).rows == log.rows and Log(tmp_path, 1).rows == log.rows[:1]


def test_fit_leaves_the_global_generator_alone_and_draws_a_curve():
    from gptlib.training.log import curve

    model, state = Tiny(), torch.random.get_rng_state()
    run = fit(model, Windows(tokens(), 8), Settings(3, 8), held_out=Windows(tokens(1), 8), device="cpu")
    assert torch.equal(state, torch.random.get_rng_state())
    assert "<svg" in curve(run.rows).svg() and run.held_out == run.rows[-1]["held_out"]


def test_a_sample_is_printed_after_each_evaluation_and_errors_name_what_is_wrong(capsys):
    data = Windows(tokens(), 8)
    fit(Tiny(), data, Settings(4, 8, eval_every=2), held_out=data, sample=lambda model: "hear me", device="cpu")
    assert capsys.readouterr().out.count("hear me") == 2
    with pytest.raises(ValueError, match="batch_size must be a multiple of ranks · micro_batch = 1 · 3, got 8"):
        fit(Tiny(), data, Settings(4, 8, micro_batch=3), device="cpu")
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        Settings(0, 1)
