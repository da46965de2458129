"""Write the measured paragraphs on scale and survival of chapters/instructor.md from bench/results."""
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "chapters" / "instructor.md"
BLOCK = re.compile(r"(<!-- measured: bench/results/(scale|survival)\.json -->\n).*?(<!-- /measured -->)", re.S)


def place(found: dict) -> str:
    """The machine of a measurement in words."""
    machine = found["machine"]
    return (f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
            f"Python {machine['python']}")  # fmt: skip


def scale(found: dict) -> str:
    """What the last measurement of scale says."""
    lines = ["| submissions | CPU-seconds each | an hour | memory of the command, by quarter of the run (MiB) | load |",
             "|---|---|---|---|---|"]  # fmt: skip
    for row in found["numbers"]:
        memory = ", ".join(f"{value:.0f}" for value in row["coordinator_mib_by_quarter"])
        lines.append(f"| {row['submissions']:,} | {row['cpu_s_per_submission']:.2f} | {row['per_hour']:,} | {memory} | "
                     f"{row['load_before']:.1f}–{row['load_after']:.1f} |")  # fmt: skip
    tier = found["numbers"][0]["tier"]
    return (
        "Synthetic submissions of the attention chapter, all exercises solved, nothing taken from a record; the whole "
        f"command, in tier {tier} (`python -m bench scale`):\n\n" + "\n".join(lines) + "\n\n"
        f"Machine: {place(found)}. The load is what else ran on it: above the number of cores it makes every column "
        "worse.\n"
    )


def survival(found: dict) -> str:
    """What the last measurement of survival says."""
    n = found["numbers"]
    killed = ", ".join(f"{kind} {count} times" for kind, count in sorted(n["killed"].items()))
    same = "the same, byte for byte" if n["the same scored bytes"] else "NOT THE SAME"
    return (
        f"{n['submissions']} submissions in random order, {n['right']} right and {sum(n['hostile'].values())} hostile "
        f"(`python -m bench survival`): {len(n['wrong outcomes'])} wrong outcomes. Graded once more with "
        f"{n['database']} while kill −9 hit {killed}, the command started {n['commands until done']} times in all: "
        f"grades and verdicts {same}. Machine: {place(found)}.\n"
    )


def filled(text: str) -> str:
    """The page's text with the measured paragraphs in their places."""
    words = {"scale": scale, "survival": survival}

    def paragraph(match: re.Match[str]) -> str:
        path = ROOT / "bench" / "results" / f"{match[2]}.json"
        return match[1] + words[match[2]](json.loads(path.read_text("utf-8"))) + match[3]

    return BLOCK.sub(paragraph, text)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
