"""The words that learners and readers see, by file and line: of pages, Python and JavaScript."""
import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

Line = tuple[int, str]
FENCE = re.compile(r"^(`{3,}|:{3,})(.*)$")
SPAN = re.compile(r"`[^`\n]*`|\$[^$\n]*\$|\]\([^)\n]*\)|<[^>\n]*>|https?://\S+|\bcolor:#\w+")
ROLE = re.compile(r"\{[\w:]+\}`([^`<\n]*)(?:<[^`\n]*>)?`")
SAID = re.compile(r'//.*$|"[^"]* [^"]*"|`[^`]* [^`]*`')
LABEL = re.compile(r"^\([\w-]+\)=$|^\$\$.*$|^name: .*$")


def of_page(text: str) -> Iterator[Line]:
    """The prose of a MyST page, without code, formulas and labels; captions and the strings of cells are prose."""
    lines, inside = text.splitlines(), ""
    cell: list[Line] = []
    formula = False
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line.strip())
        if fence and fence[1][0] == "`":
            if inside:
                if "code-cell" in inside:
                    yield from of_cell(cell)
                inside, cell = "", []
            else:
                inside = fence[2].strip() or "code"
            continue
        if inside:
            if "code-cell" in inside:
                cell.append((number, line))
            elif inside.startswith("{"):
                yield number, plain(line)
            continue
        if line.strip().startswith("$$"):
            formula = not formula and not line.strip("$ ")
            continue
        if not formula and not LABEL.match(line):
            yield number, plain(line)


def plain(line: str) -> str:
    """A line of Markdown without code, formulas and addresses; of a role its words, if it has words."""
    line = ROLE.sub(lambda m: m[1] if re.search(r"\{(term|doc|ref)\}", m[0]) and " " in m[1] else "", line)
    return SPAN.sub("", line)


def of_cell(cell: list[Line]) -> Iterator[Line]:
    """The caption of a cell's figure, and the comments and strings of its code."""
    head = 0
    if cell and cell[0][1] == "---":
        head = next(i for i, (_, line) in enumerate(cell[1:], 1) if line == "---") + 1
        yield from ((number, plain(line)) for number, line in cell[:head] if not LABEL.match(line.strip()))
    head += sum(line.startswith(":") for _, line in cell[head:])
    code = "\n".join(line for _, line in cell[head:])
    first = cell[head][0] if cell[head:] else 0
    yield from ((first + number - 1, words) for number, words in of_python(code))


def of_python(code: str) -> Iterator[Line]:
    """Docstrings, other strings of several words, and comments; formulas and code in them are left out."""
    try:
        tree = ast.parse(code)
    except SyntaxError:  # a cell that only IPython understands
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for i, line in enumerate(node.value.splitlines()):
                yield node.lineno + i, SPAN.sub("", re.sub(r"``.*?``", "", line))
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], SPAN.sub("", token.string.lstrip("# "))


def names_in(code: str) -> Iterator[Line]:
    """The names that Python code gives: functions, classes, parameters, variables, attributes, keys."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.value.lineno, node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.lineno, node.value


def cells_of(text: str) -> Iterator[Line]:
    """The code cells of a page, each with the number of its first line."""
    for match in re.finditer(r"^```\{code-cell\}\n(?:---\n.*?^---\n)?((?::.*\n)*)(.*?)^```$", text, re.M | re.S):
        yield text.count("\n", 0, match.start(2)) + 1, match[2]


def of_javascript(text: str) -> Iterator[Line]:
    """Comments of JavaScript, and strings of several words."""
    for number, line in enumerate(text.splitlines(), 1):
        yield from ((number, words) for words in SAID.findall(line))


def names_in_javascript(text: str) -> Iterator[Line]:
    """Every word of JavaScript: names, keys, and those of comments."""
    for number, line in enumerate(text.splitlines(), 1):
        yield from ((number, name) for name in re.findall(r"[A-Za-z_]+", line))


def files(root: Path, *patterns: str) -> list[Path]:
    """Files by patterns, sorted."""
    return sorted({path for pattern in patterns for path in root.glob(pattern) if "__pycache__" not in path.parts})
