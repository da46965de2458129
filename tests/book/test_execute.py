"""Pages run side by side, each when what it depends on has changed; what measures time has the machine to itself."""
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_cache import get_cache

from autograder import kept, uses
from autograder.strip import build_reference
from chapters._book import cells, depends, execute, kernels
from chapters._book.site import ROOT, Site

SITE = Site()
PAGES = cells.pages(SITE)
LIBRARY = build_reference() / "gptlib"
HEAD = "---\njupytext: {text_representation: {format_name: myst}}\nkernelspec: {name: python3}\n---\n\n# A page\n"


def notebook(*sources: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in sources],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )


@pytest.fixture
def book(tmp_path: Path, monkeypatch) -> Path:
    """A folder for pages, and where what comes of them is kept."""
    (tmp_path / "chapters").mkdir()
    monkeypatch.setattr(execute, "KEPT", tmp_path / "executed")
    return tmp_path


def page(book: Path, name: str, *sources: str) -> execute.Page:
    text = HEAD + "".join(f"\n```{{code-cell}}\n{source}\n```\n" for source in sources)
    path = book / "chapters" / f"{name}.md"
    path.write_text(text, encoding="utf-8")
    return execute.Page(SITE, path, LIBRARY.parent)


def test_every_page_with_cells_is_found():
    assert {f"{name}.md" for name in SITE.table} <= {path.name for path in PAGES}
    assert not {"glossary.md", "contributor.md"} & {path.name for path in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_book_shows_the_cells_of_the_notebook_but_for_the_hidden_checks(path):
    run = [cell.source for cell in cells.to_run(cells.shown(SITE, path)).cells]
    shown = [cell.source for cell in cells.shown(SITE, path).cells if cell.cell_type == "code"]
    assert [source for source in run if '"hidden")' not in source] == shown
    if path.with_suffix(".ipynb").exists():
        there = nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells
        assert run == [cell.source for cell in there if cell.cell_type == "code"]


@pytest.mark.parametrize("source, answer", [
    ("import time\nx = 1", False),
    ("start = time.perf_counter()", True),
    ("from time import process_time\nprocess_time()", True),
    ("%timeit f(1)", True),
    ("%%time\nf(1)", True),
    ("timeit.repeat(f)", True),
    ("run.time()\nevent.time", False),
    ("time.sleep(1)", False),
])  # fmt: skip
def test_a_cell_that_reads_a_clock_measures_time(source, answer):
    assert cells.timed([source]) == [answer]


def test_a_cell_that_calls_a_function_which_reads_a_clock_measures_time():
    sources = ["def seconds(f):\n    return time.perf_counter()", "def twice(f):\n    return 2 * seconds(f)",
               "x = seconds", "1 + 1", "print([twice(f) for f in g])", "not Python at all"]  # fmt: skip
    assert cells.timed(sources) == [False, False, True, False, True, False]


def test_what_is_wrong_with_outputs_is_named():
    bad = notebook("1 / 0", "warn()", 'print("NotImplementedError")', "1 / 0", "fine")
    new = nbformat.v4.new_output
    error = new("error", ename="ZeroDivisionError", evalue="division by zero")
    bad.cells[0].outputs = bad.cells[3].outputs = [error]
    bad.cells[3].metadata["tags"] = ["raises-exception"]
    bad.cells[1].outputs = [new("stream", name="stderr", text="a warning\n")]
    bad.cells[2].outputs = [new("stream", name="stdout", text="NotImplementedError\n")]
    bad.cells[4].outputs = [new("stream", name="stdout", text="fine\n")]
    found = cells.problems(bad)
    assert [line.partition(",")[0] for line in found] == ["cell 0", "cell 1", "cell 2"]
    for words, line in zip(("ZeroDivisionError", "a warning", "shows a NotImplementedError"), found, strict=True):
        assert words in line


def names(path: str) -> set[str]:
    """The files that a page uses, below the repository or build/reference."""
    found = depends.files(cells.shown(SITE, ROOT / "chapters" / path), LIBRARY)
    return {file.relative_to(ROOT).as_posix().removeprefix("build/reference/") for file in found}


def test_a_page_depends_on_what_it_imports_and_checks_and_on_nothing_else():
    found = names("05_attention.md")
    for needed in ("gptlib/attention.py", "gptlib/figures/attention.py", "gptlib/figures/attention.js",
                   "gptlib/figures/common.js", "gptlib/data/sources/plays.py", "gptlib/training/notebooks.py",
                   "autograder/runner.py", "autograder/suites.py", "autograder/hunt.py", "autograder/begin.py",
                   "autograder/visible/attention.py", "autograder/hidden/attention.py",
                   "autograder/exercises/attention.toml"):  # fmt: skip
        assert needed in found, needed
    for other in ("gptlib/gpt2.py", "gptlib/figures/bpe.js", "autograder/visible/bpe.py",
                  "autograder/mistakes/attention.py", "autograder/alternatives/attention.py",
                  "autograder/engine/judge.py", "autograder/course/write.py", "bench/results/bpe.json"):  # fmt: skip
        assert other not in found, other


def test_weights_presets_measurements_and_modules_that_are_imported_by_name_count_too():
    assert {"gptlib/figures/gpt2.safetensors", "gptlib/gpt2.py"} <= names("11_decoding.md")
    assert {"gptlib/capstone/gpt_presets.json", "gptlib/bpe.py", "autograder/capstones.toml"} <= names(
        "13_capstone_gpt.md"
    )
    assert "bench/results/training.json" in names("speed.md")
    by_name = set(uses.library(["from gptlib.data import token_files"], [], LIBRARY))
    assert LIBRARY / "bpe.py" in by_name and LIBRARY / "ngram.py" not in by_name


def test_a_key_is_of_cells_settings_and_files(book):
    one = page(book, "a", "1 + 1")
    assert one.key == page(book, "b", "1 + 1").key != page(book, "c", "1 + 2").key
    assert depends.key(one.shown, LIBRARY, {"GPTLIB_BUDGET": "full"}) != one.key
    (book / "file").write_text("1")
    before = kept.digest([book / "file"], root=book)
    assert before == kept.digest([book / "file"], root=book) != kept.digest([book / "file"], "more", root=book)
    (book / "file").write_text("2")
    assert kept.digest([book / "file"], root=book) != before


RECORD = 'import json, os\nfrom pathlib import Path\npath = Path(os.environ["COURSE_RESULTS"], "NAME.json")\n'
RECORD += "_ = path.write_text(json.dumps({'x': NUMBER}))"


def recording(name: str, number: int) -> str:
    return RECORD.replace("NAME", name).replace("NUMBER", str(number))


def test_only_what_changed_runs_and_the_others_keep_their_numbers(book, capsys):
    pages = [page(book, "a", recording("a", 1)), page(book, "b", recording("b", 1), 'print("two")')]
    assert execute.bring_up_to_date(pages) == []
    assert "ran a.md" in (said := capsys.readouterr().out) and "2 of 2" in said
    execute.collect(pages, book / "results")
    stamp = (book / "results" / "a.json").stat().st_mtime_ns
    pages[1] = page(book, "b", recording("b", 2), 'print("two")')
    assert [one.current for one in pages] == [True, False]
    assert execute.bring_up_to_date(pages) == []
    assert "ran b.md" in (said := capsys.readouterr().out) and "1 of 1" in said and "a.md" not in said
    execute.collect(pages, book / "results")
    found = {path.stem: json.loads(path.read_text())["x"] for path in (book / "results").glob("*.json")}
    assert found == {"a": 1, "b": 2} and (book / "results" / "a.json").stat().st_mtime_ns == stamp
    execute.collect(pages[:1], book / "results")
    assert not (book / "results" / "b.json").exists()
    execute.offer(pages, book / "cache")
    there = get_cache(book / "cache").merge_match_into_notebook(pages[1].shown)[1]
    assert [output.text for cell in there.cells for output in cell.get("outputs", ())] == ["two\n"]


def test_a_page_that_fails_is_named_with_its_cell_and_is_not_kept(book):
    bad, noisy = page(book, "bad", "x = 1", "1 / 0"), page(book, "noisy", 'import sys\nprint("oh", file=sys.stderr)')
    found = "\n".join(execute.bring_up_to_date([bad, noisy]))
    assert "bad.md: " in found and "1 / 0" in found and "ZeroDivisionError" in found
    assert "noisy.md: cell 0" in found and "'oh'" in found
    assert not bad.current and not noisy.current and not list((book / "executed").glob("*.part*"))


TICKS = """import time
from pathlib import Path
ticks = []
_ = Path("started").write_text("")
for _ in range(600):
    ticks.append(time.monotonic_ns())
    time.sleep(0.02)
    if Path("measured").exists() and len(ticks) > 50:
        break
print(max(b - a for a, b in zip(ticks, ticks[1:])) / 1e9)"""
ALONE = """import time
from pathlib import Path
clock = getattr(time, "monotonic")  # so that this cell is not taken for one that measures
while not Path("started").exists():
    pass
"""
MEASURE = """start = READ()
while READ() - start < 1.5:
    pass
_ = Path("measured").write_text("")"""


@pytest.mark.parametrize("read, alone", [("time.perf_counter", True), ("clock", False)])
def test_a_cell_that_measures_time_runs_alone(tmp_path, read, alone):
    """The other kernel writes the time down again and again: there is a gap as long as the cell that measures."""
    other, mine = notebook(TICKS), notebook(ALONE, MEASURE.replace("READ", read))
    turns, settings = kernels.Turns(), execute.environment(LIBRARY.parent, tmp_path)
    threads = [threading.Thread(target=kernels.run, args=(one, tmp_path, settings, turns)) for one in (other, mine)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert (float(other.cells[0].outputs[0].text) > 1.2) == alone
    assert turns.kernels == {}


BUILD = """import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background was started without
from pathlib import Path
from chapters._book import execute
from chapters._book.site import Site
execute.KEPT = Path("executed")
pages = [execute.Page(Site(), Path(name).resolve(), Path(sys.argv[1])) for name in sys.argv[2:]]
execute.bring_up_to_date(pages)"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signals")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_no_kernel_is_left_when_the_build_is_interrupted(book, number):
    """Not even one that is stopped because another measures time."""
    known = "import os, time\nfrom pathlib import Path\n_ = Path(f'kernel{os.getpid()}').write_text('')"
    several = kept.at_once(execute.ONE_KERNEL) > 1
    page(book, "a", known, "while True: pass" if several else "1")
    page(book, "b", known, "while len(list(Path().glob('kernel*'))) < 2: pass", "while True: time.perf_counter()")
    command = [sys.executable, "-c", BUILD, str(LIBRARY.parent), "chapters/a.md", "chapters/b.md"]
    build = subprocess.Popen(command, cwd=book, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
    while len(found := list((book / "chapters").glob("kernel*"))) < 2:
        time.sleep(0.1)
    time.sleep(1)
    build.send_signal(getattr(signal, number))
    build.communicate(timeout=30)
    assert build.returncode != 0
    gone, alive = psutil.wait_procs([psutil.Process(pid) for path in found if psutil.pid_exists(
        pid := int(path.name.removeprefix("kernel")))], timeout=10)  # fmt: skip
    assert not alive


def test_memory_bounds_how_many_run_at_once(monkeypatch):
    class Memory:
        available = 5 << 30

    monkeypatch.setattr(kept.psutil, "virtual_memory", Memory)
    monkeypatch.setattr(kept.os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert [kept.at_once(memory) for memory in (1 << 30, 2 << 30, 6 << 30)] == [5, 2, 1]


def test_what_is_kept_is_good_for_its_key_only(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    values = iter(range(1, 9))
    assert [kept.kept("a/b", key, lambda: next(values)) for key in ("x", "x", "y", "x")] == [1, 1, 2, 3]
    assert kept.found("a/b", "x") == 3 and kept.found("a/b", "y") is None and kept.found("c", "x") is None
    monkeypatch.setenv("AUTOGRADER_SECRET", "s")
    assert kept.kept("a/b", "x", lambda: next(values)) == 4
