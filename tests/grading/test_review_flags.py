"""`python -m autograder flags`: what the text says and what the engine saw, in one list; no point is touched."""
import csv
import json

from autograder.course import config as course_config
from autograder.review import flags
from autograder.strip import reference
from tests.conftest import ROOT

NAME = "05_attention"
RIGHT = reference((ROOT / "solutions" / "attention.py").read_text("utf-8"))
LINE = "    scores = query @ key.transpose"
CALL = RIGHT.replace(LINE, f"    return nn.functional.scaled_dot_product_attention(query, key, value, mask)\n{LINE}", 1)


def prepared(tmp_path, texts, cells=()):
    course = tmp_path / "course"
    (course / "source" / NAME / "gptlib").mkdir(parents=True)
    course_config.write_template(course / "course.toml")
    (course / "source" / NAME / "gptlib" / "attention.py").write_text("raise NotImplementedError\n")
    (course / "source" / NAME / f"{NAME}.ipynb").write_text('{"nbformat": 4, "metadata": {}, "cells": []}')
    for who, text in texts.items():
        folder = course / "submitted" / who / NAME / "gptlib"
        folder.mkdir(parents=True)
        (folder / "attention.py").write_text(text, "utf-8")
    for who, source in cells:
        book = {"nbformat": 4, "cells": [{"cell_type": "code", "metadata": {}, "source": source}]}
        (course / "submitted" / who / NAME / f"{NAME}.ipynb").write_text(json.dumps(book))
    return course


def rows_of(course):
    place = course / "private" / "review" / f"{NAME}-flags.csv"
    with place.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_text_cells_and_runs_are_in_one_list(tmp_path, capsys):
    assert CALL != RIGHT
    cell = ("%%implement attention.attend\nimport torch\ndef attend(query, key, value, mask=None):\n"
            "    return torch.nn.functional.scaled_dot_product_attention(query, key, value)\n")  # fmt: skip
    texts = {"ada": RIGHT, "bo": CALL, "cleo": RIGHT, "dan": RIGHT, "eve": "def attend(:", "=fay": RIGHT}
    course = prepared(tmp_path, texts, [("cleo", cell)])
    result = course / "private" / "engine" / "results" / NAME
    result.mkdir(parents=True)
    seen = {"exercise": "attention.attend", "name": "aten._scaled_dot_product_attention_math", "rule": "forged"}
    other = {"exercise": "attention.attend", "name": "aten.mm", "rule": "torch.scaled_dot_product"}
    cells = {"x": {"flags": [seen, other]}, "y": {"flags": [seen]}, "z": {}}
    (result / "dan.json").write_text(json.dumps({"cells": cells, "notices": []}))
    assert flags.main([str(course), NAME]) == 0
    said, rows = capsys.readouterr().out, rows_of(course)
    found = {(row["learner"], row["exercise"], row["seen"].partition(" ")[0]) for row in rows}
    attend = "attention.attend"
    assert {("bo", attend, "line"), ("cleo", attend, "the"), ("dan", attend, "while"), ("eve", attend, "the")} <= found
    assert not [row for row in rows if row["learner"] == "ada"]
    assert [row["name"] for row in rows if row["learner"] == "dan"] == ["aten._scaled_dot_product_attention_math"]
    line = next(int(row["seen"].split()[1]) for row in rows if row["learner"] == "bo")
    assert "scaled_dot_product_attention" in CALL.splitlines()[line - 1]
    assert "among 5 submissions" in said and "takes no point away" in said and "does all of it" in said


def test_a_course_without_the_assignment_is_named(tmp_path, capsys):
    assert flags.main([str(tmp_path), NAME]) == 2
    course = prepared(tmp_path, {})
    assert flags.main([str(course), "99_none"]) == 2 and "99_none" in capsys.readouterr().out
    assert flags.main([str(course), NAME]) == 0 and rows_of(course) == []
