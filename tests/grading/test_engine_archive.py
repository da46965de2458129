"""Archives: what an assignment needs is read from them and nothing else, whatever they are."""
import csv
import io
import json
import random
import time
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.course import config as course_config
from autograder.engine import archive, collect, intake
from autograder.engine.intake import Rejected
from autograder.table import chapters
from tests.hostile.archives import CASES, MODULE, NOTEBOOK, TAKEN, flat, tarred, zipped

BOOK = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}).encode()
CODE = b"def attend(): return 1\n"
NAMES = {"notebook": NOTEBOOK, "module": MODULE}
MODULE_ONLY = ("only_the_module",)


@pytest.mark.parametrize("name", CASES)
def test_every_archive_gets_its_verdict(name):
    make, says = CASES[name]
    data = make(BOOK, CODE)
    tracemalloc.start()
    start = time.process_time()
    try:
        if says == TAKEN:
            found = archive.contents(data, NAMES)
            wanted = {"module": CODE} if name in MODULE_ONLY else {"notebook": BOOK, "module": CODE}
            assert found.taken == wanted
        else:
            with pytest.raises(Rejected, match=says):
                archive.contents(data, NAMES)
        assert tracemalloc.get_traced_memory()[1] < 450 << 20
        assert time.process_time() - start < 20
    finally:
        tracemalloc.stop()


def test_what_is_not_taken_is_named():
    found = archive.contents(CASES["files_that_shadow_modules"][0](BOOK, CODE), NAMES)
    assert "torch.py" in found.notices[0] and "sitecustomize.py" in found.notices[0]
    assert "links" in archive.contents(CASES["a_link_beside"][0](BOOK, CODE), NAMES).notices[0]
    whole = zipped((NOTEBOOK, BOOK), (MODULE, CODE), ("gptlib/data.py", b""), ("autograder/runner.py", b""))
    assert archive.contents(whole, NAMES).notices == ()


NAME = st.sampled_from([NOTEBOOK, MODULE, "a/" + MODULE, "../x", "/x", "x\x00y", "d/", "torch.py", "x" * 400])
ENTRIES = st.lists(st.tuples(NAME | st.text(min_size=1, max_size=12), st.binary(max_size=40)), max_size=6)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(ENTRIES, st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_archive_is_read_or_refused(entries, tar):
    try:
        data = tarred(*entries) if tar else zipped(*entries)
    except (ValueError, UnicodeError, IndexError):  # Python itself cannot write an empty name
        return
    try:
        found = archive.contents(data, NAMES)
    except Rejected as error:
        assert len(str(error)) < 600
    else:
        assert set(found.taken) <= set(NAMES) and found.taken
        assert all(value in [data for _, data in entries] for value in found.taken.values())


MAGIC = [b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0"]


@given(st.binary(max_size=300), st.sampled_from(MAGIC))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_archive_or_refused(data, magic):
    with pytest.raises(Rejected):
        archive.contents(magic + data, NAMES)


def test_damaged_archives_are_read_or_refused():
    rng = random.Random(0)
    kinds = [tarred((NOTEBOOK, BOOK), (MODULE, CODE), mode=f"w:{kind}") for kind in ("", "gz", "xz")]
    kinds.append(flat(BOOK, CODE))
    for _ in range(1500):
        data = bytearray(rng.choice(kinds))
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            assert set(archive.contents(bytes(data), NAMES).taken) <= set(NAMES)
        except Rejected:
            pass


@pytest.fixture
def course(tmp_path):
    """The folder of a course that has not been written yet: collecting needs its course.toml only."""
    course_config.write_template(tmp_path / "course.toml", chapters())
    (tmp_path / "downloaded" / "05_attention" / "archive").mkdir(parents=True)
    (tmp_path / "roster.txt").write_text("ada bob\ncleo dan\n")
    return tmp_path


def collected(course, *more):
    return collect.main([str(course), "05_attention", *more])


def test_archives_become_submissions_with_a_receipt_of_ours(course, capsys):
    place = course / "downloaded" / "05_attention" / "archive"
    (place / "ada.zip").write_bytes(CASES["a_forged_time"][0](BOOK, CODE))
    (place / "bob-05_attention.tar.gz").write_bytes(CASES["tar_gz"][0](BOOK, CODE))
    (place / "cleo.zip").write_bytes(CASES["path_out"][0](BOOK, CODE))
    (place / "eve.zip").write_bytes(flat(BOOK, CODE))
    (place / "dan.zip").symlink_to("/etc/passwd")
    assert collected(course, "--received", "2026-03-01 23:50:00 UTC") == 0
    said = capsys.readouterr().out
    assert "1 REJECTED  2 TAKEN  1 UNKNOWN" in said and "REJECTED cleo  The archive holds the path" in said
    for who in ("ada", "bob"):
        folder = course / "submitted" / who / "05_attention"
        assert (folder / MODULE).read_bytes() == CODE and (folder / NOTEBOOK).read_bytes() == BOOK
        assert (folder / "timestamp.txt").read_text() == "2026-03-01 23:50:00.000000 UTC"
        assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == [NOTEBOOK, "attention.py", "timestamp.txt"]
        (receipt,) = collect.receipts(course, "05_attention", who)
        assert receipt["sha256"] in said and receipt["received"].startswith("2026-03-01 23:50")
        assert not receipt["refused"]
    assert sorted(p.name for p in (course / "submitted").iterdir()) == ["ada", "bob"]
    assert collect.receipts(course, "05_attention", "cleo")[0]["refused"]


def test_collecting_again_keeps_the_time_and_a_bad_archive_the_earlier_submission(course, capsys):
    path = course / "ada.zip"
    path.write_bytes(flat(BOOK, CODE))
    first, later = ["--received", "2026-03-01 12:00:00 UTC"], ["--received", "2026-03-05 12:00:00 UTC"]
    assert collected(course, str(path), *first) == 0 and collected(course, str(path), *later) == 0
    time_of = course / "submitted" / "ada" / "05_attention" / "timestamp.txt"
    assert "1 UNCHANGED" in capsys.readouterr().out and time_of.read_text().startswith("2026-03-01")
    path.write_bytes(CASES["zip_bomb"][0](BOOK, CODE))
    assert collected(course, str(path), *later) == 0
    assert time_of.read_text().startswith("2026-03-01")
    path.write_bytes(flat(BOOK, CODE + b"# better\n"))
    assert collected(course, str(path), *later) == 0
    assert time_of.read_text().startswith("2026-03-05")
    assert [bool(r["refused"]) for r in collect.receipts(course, "05_attention", "ada")] == [False, True, False]


def test_downloads_of_learning_platforms(course, capsys):
    archives = [
        ("ada_12345_67890_05_attention.zip", flat(BOOK, CODE)), ("bob_LATE_1_2_homework-1.zip", flat(BOOK, CODE)),
        ("Cleo Curie_77_assignsubmission_file_/my work.tar.gz", CASES["tar_gz"][0](BOOK, CODE)),
        ("mallory.zip", flat(BOOK, CODE)), ("dan_1_2_nested.zip", zipped(("ada_1_2_x.zip", flat(BOOK, b"stolen")))),
    ]  # fmt: skip
    (course / "all.zip").write_bytes(zipped(*archives))
    with (course / "names.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "learner"), ("Cleo Curie", "cleo")])
    assert collected(course, "--lms", str(course / "all.zip"), "--names", str(course / "names.csv")) == 0
    assert sorted(p.name for p in (course / "submitted").iterdir()) == ["ada", "bob", "cleo"]
    assert (course / "submitted" / "ada" / "05_attention" / MODULE).read_bytes() == CODE
    said = capsys.readouterr().out
    assert "PASSED OVER 'mallory.zip'" in said and "REJECTED dan" in said and "3 TAKEN" in said


def test_mistakes_of_the_instructor_are_named(course, capsys):
    (course / "x.zip").write_bytes(b"no zip")
    (course / "names.csv").write_text("a,b\n")
    for more, words in (
        (["--lms", str(course / "x.zip")], "not a zip file"), (["--received", "now"], "must be a time"),
        (["--names", str(course / "names.csv")], "columns name and learner"),
        ([str(course / "none.zip")], "No such file"),
    ):  # fmt: skip
        assert collected(course, *more) == 2
        assert words in capsys.readouterr().out


def test_what_zipfile_would_unpack_elsewhere_is_nowhere(course, tmp_path):
    """An archive of every trick together writes nothing but under private/ and its learner's folder."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in ("../../evil", "/tmp/evil-archive", "a/../../../evil"):
            file.writestr(name, b"evil")
    before = {p for p in tmp_path.rglob("*") if "private" not in p.parts}
    (course / "ada.zip").write_bytes(out.getvalue())
    assert collected(course, str(course / "ada.zip")) == 0
    assert {p for p in tmp_path.rglob("*") if "private" not in p.parts} - before == {course / "ada.zip"}


def test_intake_of_a_folder_knows_the_files_of_its_course(tmp_path):
    (tmp_path / "gptlib").mkdir()
    (tmp_path / "gptlib" / "data.py").write_text("x = 1\n")
    assert intake.given(tmp_path) == {"gptlib/data.py": "x = 1\n"}
