"""README says what is so: its commands exist, its pictures are there, its numbers are the measured ones."""
import re
import subprocess

from bench import pages
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_measured_paragraphs_are_the_last_measurements():
    """Of README, and of the instructor's page."""
    for page, names in ((pages.README, {"setup_time"}), (pages.INSTRUCTOR, {"scale", "grading"})):
        text = page.read_text("utf-8")
        assert pages.filled(text) == text, 'run `python -c "from bench import pages; pages.write()"`'
        assert {match[2] for match in pages.BLOCK.finditer(text)} >= names
    assert pages.filled(README.replace("Measured on a fresh clone", "It takes no time")) == README


def test_every_make_target_it_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make (?:[A-Z]+=\S+ )?([a-z]+)", README, re.M))
    assert {"book", "test", "serve", "help"} <= named <= targets


def test_make_help_lists_every_target():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    assert all(re.search(rf"^  {target} ", shown, re.M) for target in phony)


def test_its_pictures_and_pages_are_there():
    for path in re.findall(r"\]\(([^):]+)\)", README):
        assert (ROOT / path).exists(), path
    assert len(re.findall(r"!\[[^\]]{20,}\]", README)) == 2, "two pictures, each with alt text"


def test_the_repositorys_address_stands_in_one_place():
    address = re.search(r"^ +url: *(https://\S+)", (ROOT / "_config.yml").read_text(), re.M)[1]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    generated = {p for p in tracked if p.endswith((".ipynb", ".jsonl"))}
    binary = (".png", ".ico", ".woff2", ".safetensors")
    text_files = [p for p in tracked if p not in generated and (ROOT / p).suffix not in binary
                  and not p.startswith("tests/fuzz/corpus/")]
    holders = [p for p in text_files if (ROOT / p).exists() and address in (ROOT / p).read_text(encoding="utf-8")]
    assert holders == ["_config.yml"]
