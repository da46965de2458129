"""The set-up cell: tried where nothing of ours is installed but torch and Jupyter are, as on Colab."""
import os
import shutil
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from myst_nb.core.read import read_myst_markdown_notebook

from chapters._book import notebook, setup_cell
from chapters._book.site import ROOT, Site
from tests.conftest import needs_tool

SITE = Site()
CELL = setup_cell.text(SITE)
CHAPTERS = notebook.sources(SITE)
NOT_THERE = "file:///no/such/repository"
JUPYTEXT = "jupytext: {text_representation: {format_name: myst}}\nkernelspec: {name: python3}\n"
COLAB = {
    "accepted": "import os\ndef mount(path):\n    os.makedirs(path + '/MyDrive', exist_ok=True)\n",
    "refused": "def mount(path):\n    raise ValueError('mount failed')\n",
}


def wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """Write the smallest wheel that pip installs."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Path:
    """A Python like Colab's: torch, Jupyter and the rest are there, one small package and our project are not."""
    needs_tool("git")
    folder = tmp_path_factory.mktemp("machine")
    (folder / "there").mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        ours = entry.name.lower().lstrip("_").startswith(("gpt_lineage", "editable", "pypi_simple"))
        if not ours and entry.suffix != ".pth":
            (folder / "there" / entry.name).symlink_to(entry)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    [site] = (folder / "venv" / "lib").glob("python3*/site-packages")
    (site / "there.pth").write_text(f"{folder / 'there'}\n")
    (folder / "wheels").mkdir()
    wheel(folder / "wheels", "pypi_simple", "1.9")
    wheel(folder / "wheels", "torch", "99.0")
    wheel(folder / "wheels", "greedy", "1.0", "Requires-Dist: torch>=99\n")
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A bare repository with the course as it lies in this working tree."""
    work, bare = (tmp_path_factory.mktemp("repository") / name for name in ("work", "bare"))
    for name in ("autograder", "gptlib"):
        shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", work)
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", "-C", str(work)]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "course"]):
        subprocess.run([*git, *command], check=True)
    subprocess.run(["git", "clone", "--quiet", "--bare", str(work), str(bare)], check=True)
    return bare


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """The folder where Colab starts notebooks."""
    (tmp_path / "content").mkdir()
    return tmp_path / "content"


def environment(machine: Path, repository: Path | str, path: str = "") -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "HOME": str(machine), "GPTLIB_REPOSITORY": str(repository), "PYTHONPATH": path,
        "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(machine / "wheels"), "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "OMP_NUM_THREADS": "1", "GIT_CONFIG_GLOBAL": os.devnull,
    }  # fmt: skip


def run(machine: Path, cwd: Path, repository: Path | str, colab: str = "", path: str = "", times: int = 1) -> str:
    """Run the cell in a new Python, once or more, and return what it printed; stderr must stay empty."""
    cell = CELL.replace("/content/drive", str(cwd / "drive"))
    if colab:
        fake = cwd / "fakes" / "google" / "colab"
        fake.mkdir(parents=True, exist_ok=True)
        (fake / "__init__.py").write_text("")
        (fake / "drive.py").write_text(COLAB[colab])
        path = str(cwd / "fakes")
    code = "\n".join([*[cell] * times, "import sys, torch; print('torch is', torch.__version__, sys.path[:2])"])
    done = subprocess.run(
        [machine / "venv" / "bin" / "python", "-c", code], cwd=cwd, capture_output=True, text=True,
        env=environment(machine, repository, path),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    import torch

    assert f"torch is {torch.__version__} " in done.stdout
    [site] = (machine / "venv" / "lib").glob("python3*/site-packages")
    assert not list(site.glob("torch*")), "the set-up cell installed a torch"
    return done.stdout


def forget(machine: Path) -> None:
    """Make the small package missing again, as on a recycled machine."""
    [site] = (machine / "venv" / "lib").glob("python3*/site-packages")
    for entry in site.glob("pypi_simple*"):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def test_drive_accepted(machine, repository, content):
    forget(machine)
    first = run(machine, content, repository, colab="accepted", times=2)
    clone = content / "drive" / "MyDrive" / "gpt-lineage"
    assert first.count(f"Fetching the course to {clone}") == 1
    assert first.count("Installing pypi-simple") == 1
    assert first.count(f"gptlib: {clone / 'gptlib'}") == 2
    assert first.count("Your work is kept in your Google Drive.") == 2
    (clone / "gptlib" / "attention.py").write_text("# my work\n")
    again = run(machine, content, NOT_THERE, colab="accepted")  # after a restart: no network, nothing to do
    assert "Fetching" not in again and "Installing" not in again
    forget(machine)
    recycled = run(machine, content, NOT_THERE, colab="accepted")  # a new machine, the Drive is still there
    assert "Fetching" not in recycled and "Installing pypi-simple" in recycled
    assert (clone / "gptlib" / "attention.py").read_text() == "# my work\n"
    assert not (content / "gpt-lineage").exists()


def test_drive_refused(machine, repository, content):
    first = run(machine, content, repository, colab="refused", times=2)
    clone = content / "gpt-lineage"
    assert first.count(f"Fetching the course to {clone}") == 1
    assert first.count("YOUR WORK IS NOT KEPT") == 2 and "submit" in first
    again = run(machine, content, NOT_THERE, colab="refused")
    assert "Fetching" not in again and "YOUR WORK IS NOT KEPT" in again
    accepted_later = run(machine, content, NOT_THERE, colab="accepted")  # the work in the machine is not lost sight of
    assert f"gptlib: {clone / 'gptlib'}" in accepted_later


def test_plain_jupyter(machine, repository, content):
    """In a real kernel, where what git and pip say arrives on the notebook's streams."""
    forget(machine)
    specs = content / "kernels" / "colab"
    specs.mkdir(parents=True)
    python = machine / "venv" / "bin" / "python"
    (specs / "kernel.json").write_text(
        f'{{"argv": ["{python}", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"],'
        ' "display_name": "x", "language": "python"}'
    )
    manager = KernelManager(kernel_name="colab", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(specs.parent)]))
    manager.start_kernel(cwd=str(content), env=environment(machine, repository))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        said: list[tuple[str, str]] = []

        def listen(message):
            if message["msg_type"] == "stream":
                said.append((message["content"]["name"], message["content"]["text"]))
            elif message["msg_type"] == "error":
                said.append(("error", "\n".join(message["content"]["traceback"])))

        reply = client.execute_interactive(CELL, output_hook=listen, timeout=120)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    text = "".join(words for _, words in said)
    assert reply["content"]["status"] == "ok", text
    assert {stream for stream, _ in said} == {"stdout"}, text
    clone = content / "gpt-lineage"
    assert f"Fetching the course to {clone}" in text and f"gptlib: {clone / 'gptlib'}" in text
    assert "Installing pypi-simple" in text and "NOT KEPT" not in text


def test_inside_a_clone_the_parent_is_found(machine, repository, content):
    subprocess.run(["git", "clone", "--quiet", repository, content / "mine"], check=True)
    (content / "mine" / "chapters").mkdir()
    said = run(machine, content / "mine" / "chapters", NOT_THERE)
    assert f"gptlib: {content / 'mine' / 'gptlib'}" in said and "Fetching" not in said


def test_an_assignment_folder_is_used_as_it_is(machine, content):
    for name in ("autograder", "gptlib"):
        shutil.copytree(ROOT / name, content / name, ignore=shutil.ignore_patterns("__pycache__"))
    forget(machine)
    said = run(machine, content, NOT_THERE)
    assert f"gptlib: {content / 'gptlib'}" in said
    assert "Fetching" not in said and "Installing" not in said


def test_the_reference_stays_first_in_the_book(machine, tmp_path):
    (tmp_path / "chapters").mkdir()
    path = os.pathsep.join([str(ROOT / "build" / "reference"), str(ROOT)])
    said = run(machine, tmp_path / "chapters", NOT_THERE, path=path)
    assert "gptlib: the complete library (build/reference/gptlib)" in said and "Fetching" not in said


def test_a_package_that_wants_another_torch_is_refused(machine):
    code = "import begin\nbegin.install(['greedy'])"
    done = subprocess.run(
        [machine / "venv" / "bin" / "python", "-c", code], capture_output=True, text=True,
        env=environment(machine, NOT_THERE, str(ROOT / "autograder")),
    )  # fmt: skip
    assert done.returncode and "RuntimeError: pip could not install greedy" in done.stderr
    [site] = (machine / "venv" / "lib").glob("python3*/site-packages")
    assert not list(site.glob("torch*"))


def test_it_is_short_and_holds_the_address_from_the_configuration():
    assert len(CELL.splitlines()) <= 30 and all(len(line) <= 120 for line in CELL.splitlines())
    assert f'"{SITE.repository}"' in CELL
    folders = ("autograder", "solutions", "gptlib", "chapters/_book")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert [path for path in sources if SITE.repository in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_chapter_begins_with_it(path):
    nb = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert code[0].source == CELL
    assert [cell.source == CELL for cell in code].count(True) == 1


@pytest.mark.parametrize("fence", ["```", ":::", "````"])
def test_the_book_loads_it_and_every_line_keeps_its_number(tmp_path, fence):
    source = f"---\n{JUPYTEXT}---\n\n# A\n\n{fence}{{setup}}\n{fence}\n\n## B\n"
    text = setup_cell.loaded(source)
    assert text.splitlines().index("## B") == source.splitlines().index("## B")
    (tmp_path / "build").mkdir()
    setup_cell.write(SITE, tmp_path / "build" / "setup_cell.py")
    for written in (text, setup_cell.written_out(SITE, source)):
        nb = read_myst_markdown_notebook(written, path=tmp_path / "chapters" / "a.md")
        cells = [cell for cell in nb.cells if cell.cell_type == "code"]
        assert [(cell.source, cell.metadata.tags) for cell in cells] == [(CELL, ["setup", "hide-cell"])]


@pytest.mark.parametrize("text", ["```{setup} x\n```\n", "  ```{setup}\n  ```\n", "```{setup}\nprint()\n```\n"])
def test_what_only_resembles_the_directive_is_left_alone(text):
    assert setup_cell.loaded(text) == text == setup_cell.written_out(SITE, text)
