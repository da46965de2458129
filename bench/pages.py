"""Write the measured paragraphs of README.md and the book from bench/results; `python -m bench` does it at its end.

A paragraph stands between `<!-- measured: bench/results/NAME.json … -->` and `<!-- /measured -->`.
"""
import json
import re
from pathlib import Path

from bench.machine import kind

ROOT = Path(__file__).parents[1]
README, INSTRUCTOR = ROOT / "README.md", ROOT / "chapters" / "instructor.md"
PAGES = (README, INSTRUCTOR)
BLOCK = re.compile(r"(<!-- measured: bench/results/(\w+)\.json[^\n]* -->\n).*?(<!-- /measured -->)", re.S)


def setup_time(found: dict) -> str:
    """How long set-up and book take."""
    n = found["numbers"]
    return (
        f"Measured on a fresh clone with an empty pip cache: set-up {minutes(n['setup_s'])} "
        f"({n['venv_mb']:,} MB in `.venv`), the book of {n['chapters']} chapters {minutes(n['book_s'])}, "
        f"the book again with nothing changed {n['book_again_s']:.1f} s. Machine: {place(found)}.\n"
    )


def phases(*assignments: dict) -> str:
    """Where the engine's time goes, in each assignment: a table."""
    columns = []
    for n in assignments:
        parts = [n["cells_judge"], n["cells_children"], n["engine_grade"] - n["cells_judge"] - n["cells_children"],
                 n["engine_feedback"]]  # fmt: skip
        columns.append([f"{1000 * part:.0f} ms, {100 * part / sum(parts):.0f} %" for part in parts])
    names = ("judge: what checks expect, comparing it, and its end of the conversation",
             "child: fork, loading the files, the learner's code, and its end of the conversation",
             "taking in, the records of verdicts, entering into the gradebook", "feedback pages")  # fmt: skip
    rows = (f"| {' | '.join(row)} |\n" for row in zip(names, *columns, strict=True))
    return "| where the engine's time goes | the chapter | one exercise |\n|---|---|---|\n" + "".join(rows)


def grading(found: dict) -> str:
    """What a submission costs, plain nbgrader beside the engine."""
    n, n1 = found["numbers"], found["numbers"]["one_exercise"]
    cells = n["cells_judge"] + n["cells_children"]
    whole = {way: n[f"{way}_grade"] + n[f"{way}_feedback"] for way in ("plain", "engine")}
    return (
        "CPU-seconds for one submission of the solved attention chapter (10 grade cells), all processes together, "
        "without the start of a command:\n\n"
        "| | plain nbgrader | engine, tier T1 | ratio |\n|---|---|---|---|\n"
        f"| running the grade cells (judge {n['cells_judge']:.2f}, child {n['cells_children']:.2f}), against all of "
        f"`nbgrader autograde` | {n['plain_grade']:.2f} | {cells:.2f} | {n['cells_ratio']:.1f} |\n"
        f"| the same checks in one process without any isolation | | {n['checks_alone']:.2f} | "
        f"{n['plain_grade'] / n['checks_alone']:.1f} |\n"
        f"| grading: running, and entering into the gradebook | {n['plain_grade']:.2f} | {n['engine_grade']:.2f} | "
        f"{n['plain_grade'] / n['engine_grade']:.1f} |\n"
        f"| feedback pages | {n['plain_feedback']:.2f} | {n['engine_feedback']:.2f} | "
        f"{n['plain_feedback'] / n['engine_feedback']:.1f} |\n"
        f"| grading and feedback | {whole['plain']:.2f} | {whole['engine']:.2f} | {n['whole_ratio']:.1f} |\n"
        f"| start of the two commands, once | {n['plain_grade_start'] + n['plain_feedback_start']:.1f} | "
        f"{n['engine_grade_start'] + n['engine_feedback_start']:.1f} | |\n"
        f"| an assignment of one exercise, `attend`: running its 2 grade cells | {n1['plain_grade']:.2f} | "
        f"{n1['cells_judge'] + n1['cells_children']:.2f} | {n1['cells_ratio']:.1f} |\n"
        f"| the same: grading and feedback | {n1['plain_grade'] + n1['plain_feedback']:.2f} | "
        f"{n1['engine_grade'] + n1['engine_feedback']:.2f} | {n1['whole_ratio']:.1f} |\n\n"
        f"{phases(n, n1)}\n"
        f"The median of {n['rounds']} rounds with {n['plain_submissions']} and {n['engine_submissions']} submissions, "
        "the two ways in turn (`python -m bench grading`), on "
        f"{place(found)}, at a load of {found['load']:.1f}. Other work on the machine makes both columns larger. "
        "The row without isolation is the least that running these checks can cost: they compare values and gradients "
        "over many shapes.\n"
    )


def scale(found: dict) -> str:
    """How the cost of grading grows with the number of submissions."""
    lines = ["| exercises | submissions | CPU-seconds each | an hour | memory of the command, by quarter of the run "
             "(MiB) | load |", "|---|---|---|---|---|---|"]  # fmt: skip
    for row in found["numbers"]:
        memory = ", ".join(f"{value:.0f}" for value in row["coordinator_mib_by_quarter"])
        lines.append(f"| {row['exercises']} | {row['submissions']:,} | {row['cpu_s_per_submission']:.2f} | "
                     f"{row['per_hour']:,} | {memory} | {row['load_before']:.1f}–"
                     f"{row['load_after']:.1f} |")  # fmt: skip
    tier = found["numbers"][0]["tier"]
    return (
        "Synthetic submissions of the attention chapter, all of its exercises or only one, solved, nothing taken from "
        "a record; the whole "
        f"command, in tier {tier} (`python -m bench scale`):\n\n" + "\n".join(lines) + "\n\n"
        f"Machine: {place(found)}. The load is what else ran on it: above the number of cores it makes every column "
        "worse.\n"
    )


def survival(found: dict) -> str:
    """What became of a batch with hostile submissions, in peace and under kill -9."""
    n = found["numbers"]
    killed = ", ".join(f"{kind} {count} times" for kind, count in sorted(n["killed"].items()))
    same = "the same, byte for byte" if n["the same scored bytes"] else "NOT THE SAME"
    return (
        f"{n['submissions']} submissions in random order, {n['right']} right and {sum(n['hostile'].values())} hostile "
        f"(`python -m bench survival`): {len(n['wrong outcomes'])} wrong outcomes. Graded once more with "
        f"{n['database']} while kill −9 hit {killed}, the command started {n['commands until done']} times in all: "
        f"grades and verdicts {same}. Machine: {place(found)}.\n"
    )


WORDS = {"setup_time": setup_time, "grading": grading, "scale": scale, "survival": survival}


def place(found: dict) -> str:
    """The machine of a measurement in words, and whether it had other work to do."""
    machine = found["machine"]
    busy = "**A busy machine** " if found.get("busy") else ""
    return (f"{busy}{kind(machine)}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
            f"Python {machine['python']}")  # fmt: skip


def minutes(seconds: float) -> str:
    """Seconds in the unit one would say."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def filled(text: str) -> str:
    """A page's text with the measured paragraphs put where they belong."""

    def paragraph(match: re.Match[str]) -> str:
        path = ROOT / "bench" / "results" / f"{match[2]}.json"
        found = WORDS[match[2]](json.loads(path.read_text("utf-8"))) if path.exists() else "Not measured yet.\n"
        return match[1] + found + match[3]

    return BLOCK.sub(paragraph, text)


def write() -> None:
    """Write the last measurements into all pages."""
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8")), "utf-8")
