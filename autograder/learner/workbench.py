"""`fill`, `reset` and `solution`: move between stub, own code and solution, one exercise at a time."""
import time
from collections.abc import Callable
from pathlib import Path

from autograder import source
from autograder.learner import editing
from autograder.table import Exercise, chapters, exercise, exercises


def named(names: list[str]) -> list[Exercise]:
    """The exercises that names of exercises, chapters or modules stand for, each once.

    Raises:
        LookupError: a name is none of these.
    """
    found: list[Exercise] = []
    for name in names:
        groups = [c.exercises for c in chapters().values() if name in (c.name, c.module)]
        found += [e for group in groups for e in group] or [exercise(name)]
    return list(dict.fromkeys(found))


def _run(argv: list[str], usage: str, work: Callable[[list[Exercise]], int]) -> int:
    if not argv or argv[0].startswith("-"):
        print(f"{usage}\nnames: {', '.join([*chapters(), *exercises()])}")
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    try:
        return work(named(argv))
    except LookupError as error:
        print(error.args[0])
        return 2
    except (source.Unusable, OSError) as error:
        print(error)
        return 1


def solution(argv: list[str]) -> int:
    """Print the solution of an exercise: the last rung of the ladder of hints."""

    def work(rows: list[Exercise]) -> int:
        for row in rows:
            for name, region in editing.answers(row).items():
                print(f"# solutions/{row.module}.py, {name}\n{region}")
        return 0

    return _run(argv, "usage: python -m autograder solution attention.attend …", work)


def fill(argv: list[str]) -> int:
    """Put the solution into exercises you have not begun: `fill ngram.count`, `fill 01_ngram`, `fill ngram`."""

    def work(rows: list[Exercise]) -> int:
        touched: dict[Path, list[str]] = {}
        for row in rows:
            path = source.path_of(row.module)
            new, count = editing.filled(editing.read(path), row)
            if count:
                editing.write(path, new)
                touched.setdefault(path, []).append(row.name)
                print(f"{row.name}: filled in.")
            else:
                print(f"{row.name}: already begun, nothing changed.")
        for path, names in touched.items():
            print(f"\n{path} now holds these solutions, each below a line `{editing.FROM_SOLUTIONS}`.\n"
                  f"To see them: git diff {path}. To take them out: python -m autograder reset {' '.join(names)}")
        return 0

    return _run(argv, "usage: python -m autograder fill 01_ngram   (or ngram.count …)", work)


def reset(argv: list[str]) -> int:
    """Put exercises back to their stubs; what was there is kept in .course/backups."""

    def work(rows: list[Exercise]) -> int:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for row in rows:
            path = source.path_of(row.module)
            stub = editing.stub_text(row.module)
            try:
                text = editing.read(path)
                new = editing.put(text, row.function, editing.get(stub, row.function))
            except source.Unusable as error:
                if not _all_of(row, rows):
                    print(f"{error}\n\nThe file must be readable to reset one exercise. "
                          f"`reset {row.module}` resets all of it.")
                    return 1
                text, new = "", stub
            if new == text:
                print(f"{row.name}: is a stub already.")
                continue
            kept = editing.keep_backup(path, f"{stamp}-reset-{row.name}")
            editing.write(path, new)
            print(f"{row.name}: a stub again. Your file as it was: {kept}")
        return 0

    return _run(argv, "usage: python -m autograder reset attention.attend …", work)


def _all_of(row: Exercise, rows: list[Exercise]) -> bool:
    return set(chapters()[row.chapter].exercises) <= set(rows)
