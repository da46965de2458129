"""Write the measured paragraph of chapters/instructor.md from bench/results/grading.json."""
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "chapters" / "instructor.md"
BLOCK = re.compile(r"(<!-- measured: bench/results/grading.json -->\n).*?(<!-- /measured -->)", re.S)


def paragraph() -> str:
    """What the last measurement says, in words."""
    found = json.loads((ROOT / "bench/results/grading.json").read_text())
    n, machine = found["numbers"], found["machine"]
    cells = n["cells_judge"] + n["cells_children"]
    whole = {way: n[f"{way}_grade"] + n[f"{way}_feedback"] for way in ("plain", "engine")}
    return (
        "CPU-seconds for one submission of the solved attention chapter (10 grade cells), all processes together, "
        "without the start of a command:\n\n"
        "| | plain nbgrader | engine, tier T1 | ratio |\n|---|---|---|---|\n"
        f"| running the grade cells (judge {n['cells_judge']:.2f}, child {n['cells_children']:.2f}), against all of "
        f"`nbgrader autograde` | {n['plain_grade']:.2f} | {cells:.2f} | {n['cells_ratio']:.1f} |\n"
        f"| grading: running, and entering into the gradebook | {n['plain_grade']:.2f} | {n['engine_grade']:.2f} | "
        f"{n['plain_grade'] / n['engine_grade']:.1f} |\n"
        f"| feedback pages | {n['plain_feedback']:.2f} | {n['engine_feedback']:.2f} | "
        f"{n['plain_feedback'] / n['engine_feedback']:.1f} |\n"
        f"| grading and feedback | {whole['plain']:.2f} | {whole['engine']:.2f} | {n['whole_ratio']:.1f} |\n"
        f"| start of the two commands, once | {n['plain_grade_start'] + n['plain_feedback_start']:.1f} | "
        f"{n['engine_grade_start'] + n['engine_feedback_start']:.1f} | |\n\n"
        f"Measured with {n['submissions']} submissions each way, in turn (`python -m bench grading`), on "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, Python "
        f"{machine['python']}, at a load of {found['load']:.1f}. Other work on the machine makes both columns larger.\n"
    )


def filled(text: str) -> str:
    """The page's text with the measured paragraph in its place."""
    return BLOCK.sub(lambda m: m[1] + paragraph() + m[2], text)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(paragraph())
