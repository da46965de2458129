"""Bring a learner's gptlib file and the newer course's together: first line by line, then function by function."""
import ast
import subprocess
import tempfile
from pathlib import Path

from autograder.learner import editing
from autograder.strip import functions
from autograder.table import exercises


def merge(mine: str, base: str, new: str, module: str) -> tuple[str | None, list[str], list[str]]:
    """Merge what a learner made of `base` into the newer course's text. All texts have plain line ends.

    Returns:
        The merged text (None if the learner's cannot be read and lines conflict), and, where lines
        conflicted, the names kept in the learner's version and those that are the course's.
    """
    text = by_lines(mine, base, new)
    if text is not None and (parses(text) or not parses(mine)):
        return text, [], []
    if not (parses(mine) and parses(new)):
        return None, [], []
    return _by_function(mine, base if parses(base) else "", new, module)


def by_lines(mine: str, base: str, new: str) -> str | None:
    """The three-way merge of git, or None where it finds a conflict."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for name, text in (("mine", mine), ("base", base), ("new", new)):
            names.append(str(Path(folder) / name))
            Path(names[-1]).write_bytes(text.encode("utf-8"))
        done = subprocess.run(["git", "merge-file", "-p", "--quiet", *names], capture_output=True)
    return done.stdout.decode("utf-8") if done.returncode == 0 else None


def parses(text: str) -> bool:
    """Whether Python can read a text."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _by_function(mine: str, base: str, new: str, module: str) -> tuple[str, list[str], list[str]]:
    """The newer text with the bodies of the learner's exercises, their other edits where nothing stands against it."""
    kept, lost = [], []
    for name in _units(mine, new):
        own, before, now = (editing.find(text, name) for text in (mine, base, new))
        if own is None or own in (before, now):
            continue
        if now is None:
            if before is None:
                kept.append(name)  # the learner's own; added below
            else:
                lost.append(name)
            continue
        better = _one(own, before, now, is_exercise=f"{module}.{name.split('.')[0]}" in exercises())
        (lost if better is None else kept).append(name)
        if better is not None:
            new = editing.put(new, name, better)
    new = _with_additions(mine, base, new)
    return new, kept, lost


def _units(mine: str, new: str) -> list[str]:
    """What is merged as a whole: top-level definitions, but a class by its methods if it has the same ones."""
    there = [{name for name, _ in functions(ast.parse(text))} for text in (mine, new)]
    found = []
    for node in ast.parse(mine).body:
        name = editing.name_of(node)
        methods = [{n for n in names if n.startswith(f"{name}.")} for names in there]
        if isinstance(node, ast.ClassDef) and methods[0] == methods[1]:
            found += sorted(methods[0])
        elif name:
            found.append(name)
    return list(dict.fromkeys(found))


def _one(own: str, before: str | None, now: str, is_exercise: bool) -> str | None:
    """One function of both: merged by lines, else the learner's body below the course's new head, else theirs."""
    if before is not None:
        if before == now:
            return own
        merged = by_lines(own + "\n", before + "\n", now + "\n")
        if merged is not None and _is_unit(merged):
            return merged.rstrip("\n")
        old_todo, new_todo = editing.TODO.search(before + "\n"), editing.TODO.search(now + "\n")
        if old_todo and new_todo and len(editing.TODO.findall(before + "\n")) == 1:
            head, tail = before[: old_todo.start()], (before + "\n")[old_todo.end() :]
            if own.startswith(head) and (own + "\n").endswith(tail):
                body = (own + "\n")[len(head) : len(own) + 1 - len(tail)]
                merged = now[: new_todo.start()] + body + (now + "\n")[new_todo.end() :]
                if _is_unit(merged):
                    return merged.rstrip("\n")
    return own if is_exercise else None


def _is_unit(text: str) -> bool:
    """Whether a piece of a file is Python by itself, a method's indent aside."""
    return parses(f"if True:\n{text}" if text.startswith(" ") else text)


def _with_additions(mine: str, base: str, new: str) -> str:
    """Add the imports, helpers and constants that only the learner has, in their order, below the imports."""
    names = [{editing.name_of(n) or ast.dump(n) for n in ast.parse(text).body} for text in (base, new)]
    lines = editing.LINE.findall(mine)
    added = []
    for node in ast.parse(mine).body:
        name = editing.name_of(node)
        if (name or ast.dump(node)) in names[0] | names[1] or isinstance(node, ast.Expr):
            continue
        code = editing.get(mine, name) if name else "".join(lines[node.lineno - 1 : node.end_lineno]).rstrip("\n")
        added.append(code if isinstance(node, ast.Import | ast.ImportFrom) else f"\n{code}")
    if not added:
        return new
    body = ast.parse(new).body
    heads = [n.end_lineno or 0 for i, n in enumerate(body) if isinstance(n, ast.Import | ast.ImportFrom)
             or i == 0 and isinstance(n, ast.Expr)]
    return editing.insert(new, max(heads, default=0), "\n".join(added))
