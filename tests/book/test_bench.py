"""What the benchmarks say of the machine: a busy one is refused or marked, and a kind of processor keeps its result."""
import json

import pytest

import bench.__main__ as command
from bench import machine
from tests.conftest import ROOT

RESULTS = sorted((ROOT / "bench" / "results").glob("*.json"))
HERE = {"cpu": "Xeon (family 6, model 207)", "units": ["avx2", "avx512f", "amx_bf16"]}
OTHER = {"cpu": "EPYC (family 25, model 17)", "units": ["avx2", "avx512f", "avx512_bf16"]}


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_are_of_quiet_machines_or_say_so(path):
    found = json.loads(path.read_text("utf-8"))
    for result in [found, *found.get("elsewhere", [])]:
        assert result["load"] <= machine.QUIET or f"load {result['load']:.1f}" in result["busy"], result["machine"]


@pytest.mark.parametrize("now, said", [(0.0, ""), (1.0, ""), (1.5, "load 1.5"), (None, "")])
def test_other_work_is_noticed(now, said):
    assert said in machine.noise(now) and bool(machine.noise(now)) == bool(said)


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Run the command with a benchmark that measures nothing, on a machine with a given load."""

    class Instant:
        @staticmethod
        def measure(*options):
            return {"tokens": 1}

    def run(*names, said="", here=HERE):
        monkeypatch.setattr(command, "__file__", str(tmp_path / "__main__.py"))
        monkeypatch.setattr(command, "noise", lambda load: said)
        monkeypatch.setattr(command, "machine", lambda: dict(here))
        monkeypatch.setattr(command, "build_reference", lambda: tmp_path)
        monkeypatch.setattr(command.importlib, "import_module", lambda name: Instant)
        monkeypatch.setattr(command.pages, "write", lambda: None)
        code = command.main(list(names))
        path = tmp_path / "results" / "generation.json"
        return code, json.loads(path.read_text("utf-8")) if path.exists() else None

    return run


def test_a_busy_machine_is_refused_and_with_busy_marked(measured, capsys):
    busy = "the machine has other work to do (load 3.0)"
    assert measured("generation", said=busy) == (1, None)
    assert "load 3.0" in capsys.readouterr().out
    code, found = measured("generation", "--busy", said=busy)
    assert code == 0 and found["busy"] == busy
    assert "busy" not in measured("generation")[1]


def test_each_kind_of_processor_keeps_its_last_result(measured):
    limited = HERE | {"limits": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}
    for here in (OTHER, limited, HERE, OTHER, HERE):
        _, found = measured("generation", here=here)
    assert found["machine"] == HERE
    assert [row["machine"] for row in found["elsewhere"]] == [OTHER, limited]
    assert all("elsewhere" not in row for row in found["elsewhere"])


def test_kinds_are_told_apart_by_units_and_limits():
    kinds = {machine.kind(HERE), machine.kind(OTHER), machine.kind(HERE | {"limits": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}),
             machine.kind(HERE | {"units": ["avx2"]})}  # fmt: skip
    assert len(kinds) == 4
    assert machine.kind(HERE) == "Xeon (family 6, model 207) with amx_bf16"
    assert {"cpu", "units", "cores"} <= machine.machine().keys()
