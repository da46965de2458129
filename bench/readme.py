"""Write the measured sentence of README.md from bench/results/setup_time.json."""
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- measured: .*? -->\n).*?(<!-- /measured -->)", re.S)


def sentence() -> str:
    """What the last measurement says, in words."""
    found = json.loads((ROOT / "bench/results/setup_time.json").read_text())
    numbers, machine = found["numbers"], found["machine"]
    return (
        f"Measured on a fresh clone with an empty pip cache: set-up {minutes(numbers['setup_s'])} "
        f"({numbers['venv_mb']:,} MB in `.venv`), the book of {numbers['chapters']} chapters "
        f"{minutes(numbers['book_s'])}, "
        f"the book again with nothing changed {numbers['book_again_s']:.0f} s. "
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}.\n"
    )


def minutes(seconds: float) -> str:
    """Seconds in the unit one would say."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def filled(text: str) -> str:
    """README's text with the measured sentence in its place."""
    return BLOCK.sub(lambda m: m[1] + sentence() + m[2], text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text(encoding="utf-8")), encoding="utf-8")
    print(sentence())
