"""environment.yml, pyproject.toml, the lock and the Makefile tell one story about what is installed."""
import re
import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = dict(
    (canonicalize_name(name), Version(version))
    for name, version in re.findall(r"^([\w.\-]+)==(\S+)$", (ROOT / "requirements/lock.txt").read_text(), re.M)
)


def requirements():
    for row in PROJECT["dependencies"] + sum(PROJECT["optional-dependencies"].values(), []):
        yield Requirement(row)


def test_every_requirement_is_pinned_within_its_bounds():
    for need in requirements():
        assert LOCK[canonicalize_name(need.name)] in need.specifier, need


def test_the_lock_holds_pins_only():
    lines = (ROOT / "requirements/lock.txt").read_text().split()
    assert all(re.fullmatch(r"[\w.\-]+==[\w.]+", line) for line in lines), "no path, host or local version"
    assert not any(line.startswith(("nvidia", "cuda", "triton", "gpt-lineage")) for line in lines)


def test_one_torch():
    pinned = re.search(r"^torch==(\S+)$", (ROOT / "requirements/torch-cpu.txt").read_text(), re.M)[1]
    assert Version(pinned) == LOCK["torch"]


def test_torch_is_only_bounded_from_below():
    torch = next(r for r in requirements() if r.name == "torch")
    assert {s.operator for s in torch.specifier} == {">="}


def test_conda_installs_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    extras = ",".join(PROJECT["optional-dependencies"])
    assert pip == ["-r requirements/torch-cpu.txt", "-c requirements/lock.txt", f"-e .[{extras}]"]
    assert f'-c requirements/lock.txt -e ".[{extras}]"' in (ROOT / "Makefile").read_text()
    python = next(d for d in environment["dependencies"] if isinstance(d, str) and d.startswith("python"))
    assert Requirement(f"x{PROJECT['requires-python']}").specifier.contains(python.split("=")[1] + ".0")


def test_the_installed_packages_are_the_locked_ones():
    from importlib import metadata

    for need in requirements():
        assert Version(Version(metadata.version(need.name)).public) == LOCK[canonicalize_name(need.name)], need.name
