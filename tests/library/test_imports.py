"""Which gptlib is imported where: a row of the table for each place."""
import os
import shutil
import subprocess
import sys

import pytest

from chapters._book.pages import library
from tests.conftest import ROOT

SHOW = "import gptlib; print(list(gptlib.__path__)[0]); from gptlib import attention; print(attention.merge_heads({}))"
CALL = SHOW.format("__import__('torch').zeros(2, 3, 5)")


def run(code: str, cwd, *path: str) -> tuple[str, str]:
    """Run Python in a folder with this PYTHONPATH; return where gptlib came from and what the call said."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path:
        env["PYTHONPATH"] = os.pathsep.join(path)
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True)
    return done.stdout.split("\n")[0], done.stdout + done.stderr


def test_an_editable_install_shows_the_clones_stubs(tmp_path):
    where, said = run(CALL, tmp_path)
    assert where == str(ROOT / "gptlib")
    committed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "gptlib"], cwd=ROOT).returncode == 0
    if committed:
        assert "NotImplementedError: attention.merge_heads" in said


def test_the_book_and_tests_see_the_reference(tmp_path):
    where, said = run(CALL, tmp_path, str(ROOT / "build/reference"), str(ROOT))
    assert where == str(ROOT / "build/reference/gptlib") and "tensor" in said


def test_an_assignment_folder_shows_its_own(tmp_path):
    shutil.copytree(ROOT / "gptlib", tmp_path / "gptlib", ignore=shutil.ignore_patterns("__pycache__"))
    where, said = run(CALL, tmp_path)
    assert where == str(tmp_path / "gptlib")
    (tmp_path / "gptlib/attention.py").write_text("def merge_heads(x):\n    return 'the submission'\n")
    where, said = run(CALL, tmp_path)
    assert where == str(tmp_path / "gptlib") and "the submission" in said


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-q", str(ROOT), "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", str(folder)], check=True, capture_output=True)
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder / "site")]
    subprocess.run([*install, *map(str, folder.glob("*.whl"))], check=True, capture_output=True)
    return folder / "site"


def test_the_wheel_is_the_complete_library(wheel, tmp_path):
    where, said = run(CALL, tmp_path, str(wheel))
    assert where == str(wheel / "gptlib") and "tensor" in said
    ours, theirs = (
        {p.relative_to(folder) for p in folder.rglob("*.*") if "__pycache__" not in p.parts}
        for folder in (ROOT / "build/reference/gptlib", wheel / "gptlib")
    )
    assert theirs == ours
    texts = [p.read_text() for p in (wheel / "gptlib").rglob("*.py")]
    assert not any("NotImplementedError(" in t or "SOLUTION" in t for t in texts)
    assert {p.name for p in wheel.iterdir() if not p.name.endswith(".dist-info")} == {"gptlib"}


def test_every_module_of_the_wheel_imports_without_the_clone(wheel, tmp_path):
    modules = [f"gptlib.{name}" for name, _ in library(ROOT) if not name.endswith("__main__")]
    code = f"import gptlib, sys\nimport {', '.join(modules)}\n"
    code += "found = {n: vars(m).get('__file__') for n, m in sys.modules.items() if n[:6] in ('gptlib', 'autogr')}\n"
    code += f"print({{n.split('.')[0] for n in found}}, *[found[n] for n in {modules!r}])"
    _, said = run(code, tmp_path, str(wheel))
    assert said.startswith("{'gptlib'}") and said.count(str(wheel)) == len(modules), said
    assert str(ROOT / "gptlib") not in said, said


def test_check_prints_the_path_of_the_file_it_checked(tmp_path):
    code = "import autograder\nautograder.check('attention.merge_heads')"
    _, said = run(code, tmp_path, str(ROOT / "build/reference"), str(ROOT))
    assert f"attention.merge_heads in {ROOT}/build/reference/gptlib/attention.py" in said
