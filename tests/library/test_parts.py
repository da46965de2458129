"""One vocabulary for the parts of models: every module keeps to it, and what has the names of before still loads."""
import dataclasses
import importlib
import inspect
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from chapters._book.pages import library, notation
from gptlib import gpt, gpt2, transformer
from gptlib.capstone import hand_in
from gptlib.figures import gpt2 as gpt2_figure
from gptlib.figures.transformer import packed
from gptlib.inference.fast_decode import FastGPT2
from gptlib.training import Settings, checkpoint, fit, log
from gptlib.training.batches import Windows
from gptlib.weights import gpt2 as gpt2_weights
from gptlib.weights import parts
from tests.conftest import ROOT
from tests.grading import old_names
from tests.library.tiny_run import VOCAB, tokens

NAMES = {one.name for one in parts.PARTS}
# What a class is made with, by the name of its argument; a new class may need another line here.
SIZES = {"d_model": 4, "n_heads": 2, "d_ff": 8, "vocab_size": 5, "context_length": 6, "n_layers": 2, "size": 4,
         "kind": "classification", "n_classes": 2}  # fmt: skip


def classes():
    """Every nn.Module class of the library by its dotted name."""
    for name in (name for name, _ in library(ROOT) if not name.endswith("__main__")):
        for one in vars(importlib.import_module(f"gptlib.{name}")).values():
            if inspect.isclass(one) and issubclass(one, nn.Module) and one.__module__ == f"gptlib.{name}":
                yield f"{name}.{one.__name__}", one


def made(kind):
    """A small object of a class of modules or configs."""
    arguments = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in ("config", "model"):
            module = importlib.import_module(kind.__module__)
            configs = [c for c in vars(module).values() if inspect.isclass(c) and dataclasses.is_dataclass(c)]
            arguments[name] = made(next(c for c in configs if c.__name__.endswith("Config")))
        elif parameter.default is inspect.Parameter.empty or name in SIZES:
            arguments[name] = SIZES[name]
    return kind(**arguments)


def foreign(module: nn.Module) -> set[str]:
    """Names of parameters, buffers and sub-modules of classes of ours that are not in the table."""
    own = [m for m in module.modules() if not type(m).__module__.startswith("torch.")]
    return {name for m in own for kind in (m._parameters, m._buffers, m._modules) for name in kind} - NAMES


@pytest.mark.parametrize("name, kind", classes(), ids=lambda x: x if isinstance(x, str) else "")
def test_every_part_of_every_module_has_a_name_of_the_table(name, kind):
    assert not foreign(made(kind)), "name it as gptlib/weights/parts.py does, or add it to the table there"


def test_a_name_that_is_not_in_the_table_is_found():
    block = made(gpt.Block)
    block.widen, block.attention.extra = block.up, nn.Parameter(torch.ones(1))
    block.register_buffer("table", None)
    assert foreign(block) == {"widen", "extra", "table"} and len(list(classes())) > 12


def test_the_table_says_each_thing_once_and_its_names_of_before_are_gone():
    rows = parts.PARTS + parts.OTHERS
    assert len({one.name for one in rows}) == len({one.meaning for one in rows}) == len(rows)
    before = [old for one in rows for old in one.before]
    assert len(set(before)) == len(before) and not NAMES & set(parts.NOW)
    known = dict(classes())
    for old in before:
        owner, _, name = old.rpartition(".")
        thing = made(known[owner])
        assert not hasattr(thing, name) and hasattr(thing, parts.before(owner)[name]), old
    assert len(parts.NOW) == len({old.rpartition(".")[2] for old in before})


def test_the_notation_page_lists_all_names():
    page = notation()
    assert "(parts-of-models)=\n## Parts of models" in page
    for one in parts.PARTS:
        before = ", ".join(f"`{old.rpartition('.')[2]}` ({old.partition('.')[0]})" for old in one.before)
        assert f"| `{one.name}` | {one.meaning} | {before} |" in page


def test_names_fit_whichever_side_has_those_of_before():
    new = {"blocks.0.up.bias": 1, "token_embedding.weight": 2, "own.thing": 3}
    old = {"blocks.0.widen.bias": 1, "token.weight": 2, "own.thing": 3}
    assert parts.fitted(old, new) == parts.fitted(new, new) == new and parts.renamed(old) == new
    assert parts.fitted(new, old) == parts.fitted(old, old) == old
    mixed = {"blocks.0.widen.bias": 1, "token_embedding.weight": 2, "own.thing": 3}
    assert parts.fitted(mixed, new) == new and parts.fitted(mixed, old) == old
    both = {"widen": 1, "up": 2, "expand": 3}
    assert parts.fitted(both, ["up"]) == both and parts.fitted(both, ["widen", "up"]) == both
    assert parts.fitted({"widen": 1, "expand": 2}, ["up"]) == {"up": 1, "expand": 2}


SHAPE = {"n_layers": 2, "d_model": 8, "n_heads": 2, "vocab_size": VOCAB, "context_length": 8, "dropout": 0.1}
MODELS = {
    "gpt2": lambda made: made.GPT2(SHAPE, torch.Generator().manual_seed(0)),
    "gpt": lambda made: made.GPT(made.GPTConfig(**SHAPE, d_ff=16)),
}


def trained(model, folder, optimizer):
    data = Windows(tokens(), 8, {"vocab_size": VOCAB})
    fit(model, data, Settings(12, 8, lr=1e-2, checkpoint_every=6, optimizer=optimizer), folder=folder, device="cpu")
    return checkpoint.load(folder / "step-00000012")[0]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("module", MODELS)
def test_a_checkpoint_of_then_resumes_bit_for_bit(module, optimizer, tmp_path, capsys):
    models = []
    for modules in ({"gpt": gpt, "gpt2": gpt2}, old_names.library()):
        torch.manual_seed(0)
        models.append(MODELS[module](modules[module]))
    whole = trained(models[0], tmp_path / "whole", optimizer)
    trained(models[1], tmp_path / "then", optimizer)
    shutil.rmtree(tmp_path / "then/step-00000012")
    assert any("norm_1" in name for name in load_file(tmp_path / "then/step-00000006/model.safetensors"))
    torch.manual_seed(1)
    resumed = trained(MODELS[module]({"gpt": gpt, "gpt2": gpt2}[module]), tmp_path / "then", optimizer)
    assert "Going on after step 6" in capsys.readouterr().out
    assert log.read(tmp_path / "then/log.csv") == log.read(tmp_path / "whole/log.csv")
    for kind, tensors in whole.items():
        assert tensors and resumed[kind].keys() == tensors.keys()
        assert all(torch.equal(resumed[kind][name], tensors[name]) for name in tensors)


def test_another_models_checkpoint_is_still_refused(tmp_path):
    trained(MODELS["gpt2"](gpt2), tmp_path, "adamw")
    other = gpt.GPT(gpt.GPTConfig(**SHAPE, d_ff=32))
    with pytest.raises(ValueError, match="of another model"):
        trained(other, tmp_path, "adamw")


@pytest.fixture
def pair():
    """A GPT-2 of then and one of today with the same weights."""
    then = MODELS["gpt2"](old_names.library()["gpt2"]).eval()
    now = MODELS["gpt2"](gpt2).eval()
    now.load_state_dict(parts.fitted(then.state_dict(), now.state_dict()))
    assert then.state_dict().keys() != now.state_dict().keys()
    return then, now


def test_weights_of_then_are_read_written_and_compared(pair):
    then, now = pair
    text = torch.randint(VOCAB, (2, 6), generator=torch.Generator().manual_seed(1))
    published = [gpt2_weights.to_hugging_face(model.state_dict(), 2) for model in pair]
    assert published[0].keys() == published[1].keys() and len(published[0]) == len(now.state_dict())
    assert all(torch.equal(published[0][name], t) for name, t in published[1].items())
    small = gpt2_weights.squeeze(then.state_dict())
    assert small.keys() == gpt2_weights.squeeze(now.state_dict()).keys()
    of_then = {name.replace("up", "expand"): t for name, t in small.items()}
    assert gpt2_weights.unsqueeze(of_then).keys() == now.state_dict().keys()
    assert all(d.agree and d.largest == 0 for d in gpt2_weights.compare(then, now, text))
    fast = [FastGPT2(model)(text) for model in pair]
    assert torch.equal(*fast)


def test_a_models_weights_of_then_are_handed_in_and_taken(pair, tmp_path):
    then, now = pair
    wanted = {name: list(t.shape) for name, t in now.state_dict().items()}
    for model in pair:
        save_file(model.state_dict(), tmp_path / "model.safetensors")
        found = hand_in.tensors((tmp_path / "model.safetensors").read_bytes(), wanted)
        assert found.keys() == wanted.keys() and all(torch.equal(found[n], now.state_dict()[n]) for n in found)
    odd = {name: t for name, t in then.state_dict().items() if "norm_1" not in name}
    save_file(odd, tmp_path / "model.safetensors")
    with pytest.raises(hand_in.Refused, match="lacks 'blocks.0.attention_norm.bias'"):
        hand_in.tensors((tmp_path / "model.safetensors").read_bytes(), wanted)


def test_figures_take_weights_of_then(pair, tmp_path):
    then = old_names.library()["transformer"]
    now = transformer.Transformer(transformer.TransformerConfig(7, 8, 2, 1, 16))
    other = then.Transformer(then.TransformerConfig(7, 8, 2, 1, 16))
    assert packed(other.state_dict()).keys() == packed(now.state_dict()).keys() == now.state_dict().keys()
    tensors = {name.replace("up", "expand"): t for name, t in load_file(gpt2_figure.WEIGHTS).items()}
    save_file(tensors, tmp_path / "then.safetensors", metadata={"config": "é"})
    (tmp_path / "now.safetensors").write_bytes(gpt2_figure.renamed((tmp_path / "then.safetensors").read_bytes()))
    found, wanted = load_file(tmp_path / "now.safetensors"), load_file(gpt2_figure.WEIGHTS)
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], t) for name, t in wanted.items())
    assert gpt2_figure.gpt2_figure(tmp_path / "then.safetensors").data != ""
    data = gpt2_figure.WEIGHTS.read_bytes()
    assert gpt2_figure.renamed(data) == data
