"""The recipes of deploy/: shells can read them, YAML is YAML, and every option they use exists."""
import argparse
import re
import subprocess
from pathlib import Path

import pytest

from autograder.engine import grading
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
FILES = sorted(p for p in DEPLOY.iterdir() if p.is_file())
yaml = pytest.importorskip("yaml")


@pytest.mark.parametrize("path", DEPLOY.glob("*.sh"), ids=lambda p: p.name)
def test_shell_scripts_parse_and_stop_at_errors(path):
    subprocess.run(["bash", "-n", path], check=True)
    text = path.read_text("utf-8")
    assert "set -euo pipefail" in text and path.stat().st_mode & 0o100
    assert text.startswith("#!/usr/bin/env bash\n")


@pytest.mark.parametrize("path", DEPLOY.glob("*.yaml"), ids=lambda p: p.name)
def test_manifests_are_complete(path):
    for document in yaml.safe_load_all(path.read_text("utf-8")):
        assert document["apiVersion"] and document["kind"] and document["metadata"]["name"]


def test_the_parts_of_the_indexed_job_are_all_parts():
    job = next(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))
    line = job["spec"]["template"]["spec"]["containers"][0]["args"][0]
    assert line.endswith(f"/{job['spec']['completions']}") and "$((JOB_COMPLETION_INDEX + 1))" in line
    found = [subprocess.run(["sh", "-c", f"JOB_COMPLETION_INDEX={i}; echo {line.split('--shard ')[1]}"],
                            capture_output=True, text=True).stdout.strip() for i in (0, 19)]  # fmt: skip
    assert found == ["1/20", "20/20"] and [grading.shard(part) for part in found] == [(1, 20), (20, 20)]
    for bad in ("0/20", "21/20", "1", "a/b"):
        with pytest.raises(argparse.ArgumentTypeError):
            grading.shard(bad)


def test_every_option_and_file_that_is_named_exists(capsys):
    with pytest.raises(SystemExit):
        grading.main(["--help"])
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    lines = [line for p in FILES for line in p.read_text("utf-8").splitlines() if "autograder grade" in line]
    assert len(lines) >= 7
    for line in lines:
        after = line.split("autograder grade", 1)[1].split("&&")[0].split("'")[0]
        assert set(re.findall(r"--[\w-]+", after)) <= known, line
    for path in FILES:
        for name in re.findall(r"deploy/([\w.-]+)", path.read_text("utf-8")):
            assert (DEPLOY / name).exists(), f"{path.name} names {name}"
    table = (DEPLOY / "README.md").read_text("utf-8")
    assert all(f"`{path.name}`" in table for path in FILES if path.name != "README.md")


def test_the_python_recipe_compiles():
    for path in DEPLOY.glob("*.py"):
        compile(path.read_text("utf-8"), str(path), "exec")
    assert Path(DEPLOY / "Containerfile").read_text("utf-8").count("\nFROM ") == 1
