"""Grades for Canvas and Moodle: what is written comes back the same, and no cell is a formula."""
import csv
import datetime
import io

import pytest

pytest.importorskip("nbgrader")
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin

from autograder.course import config as course_config
from autograder.review import lms, tables

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
NAME = "05_attention"
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Attention (4711),Essay (4712),Final Score\r\n"
    "    Points Possible,,,,,10,5,(read only)\r\n"
    ",,,,,Manual Posting,,\r\n"
    '"Lovelace, Ada",101,u1,ada@uni.example,T1,,4,80\r\n'
    '"Мария Склодовская-Curie 居里",102,u2,maria,T1,3,,\r\n'
    "\"=HYPERLINK(\"\"http://evil.example\"\",\"\"x\"\")\",103,u3,bo@uni.example,T1,,,\r\n"
    '"Nobody, N.",104,u4,nobody,T1,,1,\r\n'
    '"Student, Test",105,,dora,T1,,,\r\n'
    '"Late, L.",106,,late,T1,9,,\r\n'
)
WORKSHEET = (
    "Identifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,"
    "Last modified (submission),Last modified (grade),Feedback comments\r\n"
    'Participant 1,Ada Lovelace,ada@uni.example,Submitted,,10.00,Yes,"Monday, 2 March",-,\r\n'
    "Participant 2,居里 Curie,maria@uni.example,Submitted,3.00,10.00,Yes,-,-,=1+1\r\n"
    "Participant 3,+cmd|' /C calc'!A0,bo@uni.example,Submitted,,10.00,Yes,-,-,\r\n"
    "Participant 9,No Body,nobody@uni.example,No submission,,10.00,Yes,-,-,\r\n"
)
BOOK = (
    "First name;Last name;ID number;Email address;Assignment: Attention (Real);Course total (Real);"
    "Last downloaded from this course\r\n"
    "Ada;Lovelace;;ada@uni.example;-;-;1700000000\r\nMaria;Curie;;maria;-;-;1700000000\r\n"
)
SCORES = {"ada": 10.0, "maria": 7.5, "bo": 0.0, "late": 8.0, "dora": None, "gone": 2.0}
PENALTY = {"late": 3.0}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A gradebook as nbgrader fills it: points, a late penalty, and one cell that a person has still to grade."""
    course = tmp_path_factory.mktemp("course")
    course_config.write_template(course / "course.toml")
    (course / "nbgrader_config.py").write_text("c = get_config()\n")
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        book.add_assignment(NAME)
        book.add_notebook(NAME, NAME)
        book.add_grade_cell("check", NAME, NAME, max_score=10, cell_type="code")
        for who, score in SCORES.items():
            book.add_student(who, email="bo@uni.example" if who == "bo" else None)
            sent = book.add_submission(NAME, who)
            sent.timestamp = datetime.datetime(2026, 1, 2)
            grade = book.find_grade("check", NAME, NAME, who)
            grade.auto_score, grade.needs_manual_grade = score, score is None
            sent.notebooks[0].late_submission_penalty = PENALTY.get(who)
        book.db.commit()
        book.add_student("absent")
    return course


def run(course, tmp_path, text, kind, *more, encoding="utf-8"):
    place = tmp_path / "export.csv"
    place.write_bytes(text.encode(encoding))
    code = lms.main([str(course), NAME, f"--{kind}", str(place), "--out", str(tmp_path / "out.csv"), *more])
    out = tmp_path / "out.csv"
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    if code:
        return code, []
    return code, list(csv.reader(io.StringIO(out.read_text("utf-8"), newline=""), delimiter=delimiter))


def final(course, tmp_path):
    """What nbgrader itself exports."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        plugin = CsvExportPlugin()
        plugin.to = str(tmp_path / "grades.csv")
        plugin.export(book)
    with open(tmp_path / "grades.csv", encoding="utf-8") as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}


def test_canvas_round_trip(course, tmp_path, capsys):
    code, rows = run(course, tmp_path, CANVAS, "canvas")
    said = capsys.readouterr().out
    assert code == 0
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Attention (4711)"]
    assert rows[1][0].strip() == "Points Possible" and rows[1][5] == "10" and rows[2][5] == "Manual Posting"
    found = {row[1]: row[5] for row in rows[3:]}
    truth = final(course, tmp_path)
    people = {"101": "ada", "102": "maria", "103": "bo", "106": "late"}
    assert {key: float(found[key]) for key in people} == {key: truth[who] for key, who in people.items()}
    assert found["104"] == found["105"] == "" and truth["late"] == 5.0
    assert "居里" in rows[4][0] and rows[5][0].startswith("'=HYPERLINK")
    assert "a person has still to grade: dora" in said and "not in the file: gone" in said
    assert "without a submission that was graded (left as they are): 1" in said and "4 grades in" in said


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_moodle_worksheet_round_trip(course, tmp_path, encoding):
    code, rows = run(course, tmp_path, WORKSHEET, "moodle", encoding=encoding)
    assert code == 0
    header = [line for line in csv.reader(io.StringIO(WORKSHEET))][0]
    assert rows[0] == header and len(rows) == 5
    truth, grade = final(course, tmp_path), header.index("Grade")
    assert [row[grade] for row in rows[1:]] == [f"{truth[w]:g}" for w in ("ada", "maria", "bo")] + [""]
    assert rows[2][-1] == "'=1+1" and rows[3][1].startswith("'+cmd") and rows[1][7] == "Monday, 2 March"


def test_moodle_gradebook_round_trip(course, tmp_path):
    code, rows = run(course, tmp_path, BOOK, "moodle")
    assert code == 0 and rows[0][4] == "Assignment: Attention (Real)" and "Course total (Real)" not in rows[0]
    assert [row[4] for row in rows[1:]] == ["10", "7.5"] and rows[1][-1] == "1700000000"


def test_points_of_another_maximum_are_scaled_only_when_asked(course, tmp_path, capsys):
    text = CANVAS.replace(",10,5,", ",100,5,")
    assert run(course, tmp_path, text, "canvas")[0] == 2 and "--scale" in capsys.readouterr().out
    code, rows = run(course, tmp_path, text, "canvas", "--scale")
    assert code == 0 and [row[5] for row in rows[3:5]] == ["100", "75"]


@pytest.mark.parametrize("text, more, says", [
    (CANVAS.replace("Attention (4711)", "Week 5 (4711)"), (), "--column"),
    (CANVAS.replace("Essay (4712)", "Attention (4712)"), (), "more than one"),
    (CANVAS.replace("Section", "Group"), (), "Grades → Export"),
    ("Student,ID,Section,Attention\r\n", (), "no rows"),
    (CANVAS, ("--match", "Nickname"), "no column 'Nickname'"),
    (CANVAS, ("--match", "ID"), "--match"),
    ("a\0b\r\nc", (), "CSV"),
], ids=["no column", "two columns", "no gradebook", "empty", "no such column", "nobody", "binary"])  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_to_do(course, tmp_path, capsys, text, more, says):
    assert run(course, tmp_path, text, "canvas", *more)[0] == 2
    assert says in capsys.readouterr().out


def test_one_learner_in_two_rows_is_not_guessed(course, tmp_path, capsys):
    twice = CANVAS + '"Ada again",107,,ada@uni.example,T2,,,\r\n'
    assert run(course, tmp_path, twice, "canvas", "--match", "SIS Login ID")[0] == 2
    assert "no row of the file is a learner" in capsys.readouterr().out


def test_a_column_can_be_named(course, tmp_path):
    text = CANVAS.replace("Attention (4711)", "Week 5 (4711)")
    code, rows = run(course, tmp_path, text, "canvas", "--column", "Week 5")
    assert code == 0 and rows[0][-1] == "Week 5 (4711)" and rows[3][-1] == "10"


def test_the_exported_file_is_not_overwritten(course, tmp_path):
    place = tmp_path / "export.csv"
    place.write_text(CANVAS)
    assert lms.main([str(course), NAME, "--canvas", str(place), "--out", str(place)]) == 2
    assert place.read_text().startswith("Student")


FORMULAS = ["=1", "+A1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "=cmd|' /C calc'!A0", "-", "+"]


@pytest.mark.parametrize("text", FORMULAS)
def test_every_cell_that_could_be_a_formula_is_text(text):
    (row,) = csv.reader(io.StringIO(tables.write([[text, "plain", 3.5, None, "-4.5", "+1", "12,5"]]), newline=""))
    assert row == [f"'{text}", "plain", "3.5", "", "-4.5", "+1", "12,5"]
