"""Bring a file of the learner's to the names that a newer course has for parts of models, before the two are merged.

Only what is unambiguous is changed: in a class that had the name before, `self.NAME` and the method of that name; and
the name in the strings of exercises that are about names of parameters.
"""
import ast
import re
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from autograder.learner import merging

SPELLING = ("gpt2.initial_std", "gpt2.from_hugging_face", "gpt2.GPT2")  # exercises that spell names of parameters
Pairs = dict[str, dict[str, str]]  # for each class the names of before, with those of now
Edit = tuple[ast.AST, dict[str, str]]  # where, and the names of before that may stand there


def named_as_now(own: str, before: str, new: str, module: str) -> tuple[str, str, dict[str, str]]:
    """The learner's text and what it was made of with the newer course's names; and what changed in the learner's code.

    Args:
        own: the learner's text of a file, with plain line ends as the others; nothing is done if one is not Python.
        before: what it was made of.
        new: the newer course's text.
        module: the file's name without .py.
    """
    if not all(map(merging.parses, (own, before, new))):
        return own, before, {}
    changed = pairs(new, module)
    own, times = rewritten(own, module, changed)
    before, of_course = rewritten(before, module, changed)
    words = {old: now for known in changed.values() for old, now in known.items()}
    return own, before, {old: words[old] for old in times if times[old] > of_course[old]}


def pairs(new: str, module: str) -> Pairs:
    """The names that the newer course's classes have in place of others.

    Args:
        new: the newer course's text of a file.
        module: the file's name without .py.
    """
    from gptlib.weights import parts  # only now: it has just come with the newer course

    bound = {node.name: _bound(node) for node in ast.parse(new).body if isinstance(node, ast.ClassDef)}
    known = {name: parts.before(f"{module}.{name}") for name in bound}
    return {name: {old: now for old, now in known[name].items() if now in bound[name] and old not in bound[name]}
            for name in bound}  # fmt: skip


def rewritten(text: str, module: str, changed: Pairs) -> tuple[str, Counter[str]]:
    """Give a file the names of now; and how often each name of before stood in it.

    Args:
        text: Python, with plain line ends.
        module: the file's name without .py.
        changed: see `pairs`.

    Raises:
        SyntaxError: the text is not Python.
    """
    done: Counter[str] = Counter()
    for find in (strings, attributes):  # one after the other: an attribute may stand inside an f-string
        data, edits = text.encode(), list(find(ast.parse(text), module, changed))
        starts = [0, 0, *accumulate(len(line) for line in data.splitlines(keepends=True))]  # lines count from 1
        for node, known in sorted(edits, key=lambda edit: _end(edit[0]), reverse=True):
            (first, column), (last, end) = _begin(node), _end(node)
            begin, end = starts[first] + column, starts[last] + end
            code = data[begin:end].decode()
            for old, new in known.items():
                code, times = re.subn(rf"""(?:(?<=["'.])|(?<=def )){old}(?=["'.(]|$)""", new, code)
                done[old] += times
            data = data[:begin] + code.encode() + data[end:]
        text = data.decode()
    return text, +done


def _begin(node: ast.AST) -> tuple[int, int]:
    return node.lineno, node.col_offset  # type: ignore[attr-defined]


def _end(node: ast.AST) -> tuple[int, int]:
    if isinstance(node, ast.FunctionDef):  # up to the bracket behind its name
        return node.lineno, node.col_offset + len(f"def {node.name}(".encode())
    return node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]


def _bound(tree: ast.AST) -> set[str]:
    """What a class binds: attributes of `self`, and methods."""
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    stored = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    return found | {node.attr for node in stored if _of_self(node)}


def _of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def attributes(tree: ast.Module, module: str, changed: Pairs) -> Iterator[Edit]:
    """Where a class speaks of what had another name before; not if it is made with something under either name."""
    for owner in tree.body:
        if isinstance(owner, ast.ClassDef):
            made = [n for n in owner.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
            bound = set().union(*map(_bound, made))
            known = {old: new for old, new in changed.get(owner.name, {}).items() if not {old, new} <= bound}
            for node in ast.walk(owner):
                if isinstance(node, ast.Attribute) and _of_self(node) and node.attr in known:
                    yield node, {node.attr: known[node.attr]}
                elif isinstance(node, ast.FunctionDef) and node.name in known:
                    yield node, {node.name: known[node.name]}


def strings(tree: ast.Module, module: str, changed: Pairs) -> Iterator[Edit]:
    """Strings, in exercises that spell names of parameters, and the names that may stand in them."""
    for owner in tree.body:
        if f"{module}.{getattr(owner, 'name', '')}" in SPELLING:
            known = {old: new for of_class in changed.values() for old, new in of_class.items()}
            yield from ((node, known) for node in _literals(owner))


def _literals(node: ast.AST) -> Iterator[ast.expr]:
    """The strings of some code, f-strings as a whole, but for docstrings and other strings that stand alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr) or isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child
        elif not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
            yield from _literals(child)
