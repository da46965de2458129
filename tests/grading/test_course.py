"""The nbgrader course, for real: the instructor's page is run and everyone gets the grade they earned."""
import csv
import html
import os
import re
import signal
import socket
import stat
import subprocess
import sys

import pytest

from autograder.course import config as course_config
from autograder.course import leaks
from autograder.course import write as course
from tests.conftest import ROOT
from tests.grading.course_kit import BY_EXCHANGE, BY_ZIP, CHAPTER, DIRECT, EXPECTED, FULL, Term, commands, unreadable

pytest.importorskip("nbgrader")


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    """The instructor's page, run to its end, with learners in between."""
    term = Term(tmp_path_factory.mktemp("term"))
    settings = f'c.Exchange.root = "{term.course}/exchange"\nc.CourseDirectory.course_id = "gpt-lineage"\n'
    (term.home / "hub_config.py").write_text("c = get_config()\n" + settings)
    for line in commands():
        if "activate" in line:
            continue
        if "collect" in line and "zip" not in line:
            for name, work in BY_EXCHANGE.items():
                term.learner(name, work)
        if "zip_collect" in line:
            for name, work in BY_ZIP.items():
                term.upload(name, work)
        if "student import" in line:
            (term.course / "roster.csv").write_text("id,first_name,last_name,email\nada,Ada,Lovelace,ada@example.org\n")
        if "nbgrader autograde" in line:
            for name, work in DIRECT.items():
                term.hand_in(name, work)
            term.hand_in("unreadable", unreadable)
        term.run(line, ok=(0, 1) if "nbgrader autograde" in line else (0,))
        if " course --out" in line:
            term.choose(check_seconds="5")
    return term


@pytest.fixture(scope="module")
def grades(term):
    with open(term.course / "grades.csv", encoding="utf-8") as file:
        return {row["student_id"]: row for row in csv.DictReader(file) if row["assignment"] == CHAPTER}


@pytest.mark.parametrize("name", EXPECTED)
def test_everyone_gets_what_they_earned(grades, name):
    assert (float(grades[name]["score"]), float(grades[name]["max_score"])) == (EXPECTED[name], FULL)


def test_the_roster_gives_grades_a_name(grades):
    assert (grades["ada"]["first_name"], grades["ada"]["last_name"]) == ("Ada", "Lovelace")


def test_the_unreadable_one_is_named_and_stops_nobody(term, grades):
    assert set(EXPECTED) <= set(grades)
    assert re.search(r"ERROR.*unreadable", term.log)


def test_support_files_are_put_back_and_the_learners_file_is_not(term):
    release = term.course / "release" / CHAPTER
    tampered = term.course / "autograded" / "tampered" / CHAPTER
    for name in ("autograder/runner.py", "gptlib/training/loop.py"):
        assert (tampered / name).read_bytes() == (release / name).read_bytes()
    assert not (term.course / "autograded" / "missing" / CHAPTER / "gptlib" / "attention.py").exists()
    ours = (term.course / "submitted" / "wrong" / CHAPTER / "gptlib" / "attention.py").read_bytes()
    assert (term.course / "autograded" / "wrong" / CHAPTER / "gptlib" / "attention.py").read_bytes() == ours


def feedback(term, name):
    text = (term.course / "feedback" / name / CHAPTER / f"{CHAPTER}.html").read_text(encoding="utf-8")
    return html.unescape(re.sub(r"<[^>]*>", "", text))


def test_feedback_shows_the_message_and_the_learners_own_source(term):
    text = feedback(term, "wrong")
    assert "✗" in text and "expected" in text and "actual" in text
    assert "scores = query @ key.transpose(-2, -1)" in text
    assert "√" in text or "square root" in text
    assert str(term.home) not in text


@pytest.mark.parametrize(
    "name, words", [("loop", "still running"), ("syntax", "Python cannot read"), ("missing", "is missing"),
                    ("stub", "not written yet")],
)  # fmt: skip
def test_feedback_says_what_happened(term, name, words):
    assert words in feedback(term, name)


def test_nothing_leaked(term):
    assert course.find_leaks(term.course, course_config.read(term.course / "course.toml")) == []
    assert term.log.count("0 leaks found") == 2


def test_feedback_shows_no_hidden_check_and_no_answer_to_those_who_have_none(term):
    choice = course_config.read(term.course / "course.toml")
    secrets = course.secrets_of(term.course, choice, CHAPTER)
    assert leaks.scan(term.course / "feedback" / "stub", secrets) == []


def test_a_second_run_keeps_grades_submissions_and_own_changes(term):
    own = term.course / "source" / CHAPTER / f"{CHAPTER}.ipynb"
    before = {p: p.read_bytes() for p in (term.course / "gradebook.db", term.course / "course.toml")}
    text = own.read_text(encoding="utf-8")
    own.write_text(text.replace("Attention", "My attention"), encoding="utf-8")
    try:
        said = term.run(f"python -m autograder course --out {term.course}", ROOT)
        assert f"kept your own {own}" in said and "My attention" in own.read_text(encoding="utf-8")
        assert all(path.read_bytes() == data for path, data in before.items())
        assert (term.course / "submitted" / "half" / CHAPTER).is_dir()
    finally:
        own.write_text(text, encoding="utf-8")


def test_the_secret_is_its_owners(term):
    assert stat.S_IMODE((term.course / "course.toml").stat().st_mode) == 0o600
    assert stat.S_IMODE((term.course / "private").stat().st_mode) == 0o700


@pytest.fixture(scope="module")
def formgrader(term):
    """The address of JupyterLab, started as the page says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--course", str(term.course), f"--port={port}", "--no-browser", "--IdentityProvider.token=t"]
    process = subprocess.Popen(
        [sys.executable, "-m", "autograder", "formgrader", *options], cwd=ROOT, env=term.env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout
    for line in process.stdout:
        if "is running at" in line:
            break
    else:
        pytest.fail("JupyterLab did not start")
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)


def test_the_formgrader_shows_the_grades(term, grades, formgrader, browser):
    page = browser.new_page()
    page.goto(f"{formgrader}/?token=t")
    page.get_by_role("link", name=CHAPTER, exact=True).wait_for()
    assert page.url.endswith("/formgrader/manage_assignments") or page.url.endswith("/formgrader")
    assert "could not be created" not in page.inner_text("body")
    page.goto(f"{formgrader}/formgrader/manage_submissions/{CHAPTER}")
    page.locator("td", has_text="ada").first.wait_for()
    rows = page.locator("tr", has_text=" / ").all_inner_texts()
    shown = {row.split("\t")[1]: row.split("\t")[4] for row in rows}
    assert {n: shown[n] for n in EXPECTED} == {n: f"{EXPECTED[n]} / {FULL}" for n in EXPECTED}
    page.close()
