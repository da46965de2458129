"""The given files of gptlib, which learners use and do not write: whether they are as the course has them.

`given.txt` lists them, each with the number that git gives its content. So a changed file is noticed without git, and
where there is git, the course's own version can be had whatever was committed since.
"""
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (".py", ".js", ".json")
KINDS = (*TEXT, ".safetensors")
LIST = Path("autograder") / "given.txt"
COMMAND = "python -m autograder update"


class Edited(ValueError):
    """Given files are not as the course has them; nothing may be made of them."""


def listed(root: Path = ROOT) -> dict[str, str]:
    """The given files by their path in gptlib/, with the number of their content; none in a released assignment."""
    path = root / LIST
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {name: number for number, name in (line.split(" ", 1) for line in lines if line[:1] not in ("", "#"))}


def there(root: Path = ROOT) -> Iterator[Path]:
    """The files of gptlib/ that are given: what is in its packages, and the head of the library."""
    yield root / "gptlib" / "__init__.py"
    for path in sorted((root / "gptlib").glob("[a-z]*/**/*.*")):
        if path.suffix in KINDS and not path.name.startswith("."):
            yield path


def content(path: Path) -> bytes:
    """What a file holds; a text with the line ends that the repository has."""
    data = path.read_bytes()
    return data.replace(b"\r\n", b"\n") if path.suffix in TEXT else data


def number_of(data: bytes) -> str:
    """The number that git gives a content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def edited(root: Path = ROOT) -> list[str]:
    """The given files that were changed or removed, by their path in gptlib/."""
    return [name for name, number in listed(root).items() if _other(root / "gptlib" / name, number)]


def _other(path: Path, number: str) -> bool:
    return not path.is_file() or number_of(content(path)) != number


def files(root: Path = ROOT) -> dict[str, bytes]:
    """Every given file by its path in gptlib/.

    Raises:
        Edited: some are not as the course has them.
    """
    if wrong := edited(root):
        raise Edited(
            f"{', '.join(f'gptlib/{name}' for name in wrong[:5])}{' …' if len(wrong) > 5 else ''}: not as the course "
            f"has it, so nothing is made of it. `{COMMAND}` puts the course's version back and keeps yours; if you are "
            "changing the course itself, `python -m autograder strip` takes yours into it."
        )
    return {name: content(root / "gptlib" / name) for name in listed(root)}


def write_list(root: Path = ROOT) -> bool:
    """List the given files as they are now; say whether that changed the list."""
    head = "# The given files of gptlib/, with git's number of their content. Made by `python -m autograder strip`.\n"
    rows = [f"{number_of(content(path))} {path.relative_to(root / 'gptlib').as_posix()}\n" for path in there(root)]
    path, text = root / LIST, head + "".join(rows)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.write_text(text, encoding="utf-8")
    return True


def original(name: str, root: Path = ROOT) -> bytes | None:
    """The course's version of a given file, out of git's store; None if it is not there."""
    number = listed(root)[name]
    done = subprocess.run(["git", "cat-file", "blob", number], cwd=root, capture_output=True)
    return done.stdout if done.returncode == 0 else None
