"""Find, in the text of a submission, the library calls that an exercise forbids. It reads the text and runs none of it.

The table says `forbids = ["torch.layer_norm"]`: everything of `torch` whose name has these words, in any spelling
(`nn.LayerNorm`, `F.layer_norm`, `torch.ops.aten.native_layer_norm`). A bare `"tiktoken"` is a whole package.
"""
import ast
import dataclasses
from collections.abc import Iterator

from autograder.table import Exercise

LONGEST = 200_000  # characters of a file; a longer one is for a person to read
BAD = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclasses.dataclass(frozen=True)
class Found:
    """A forbidden name: where it stands, what it is, and which rule names it."""

    line: int
    name: str
    rule: str


def spelled(name: str) -> str:
    """A name without case and underscores: all that its spellings have in common."""
    return name.replace("_", "").casefold()


def broken(forbids: tuple[str, ...], name: str) -> str:
    """The rule that a dotted name breaks, or nothing."""
    root, *rest = name.split(".")
    for rule in forbids:
        package, _, words = rule.partition(".")
        if root == package and (not words or any(spelled(words) in spelled(part) for part in rest)):
            return rule
    return ""


def broken_by_call(forbids: tuple[str, ...], name: str) -> str:
    """The rule that a function of PyTorch breaks, named as a trace names it: dotted only where its module is known."""
    return broken(forbids, name if name.startswith("torch.") else f"torch.{name}")


def scan(text: str, row: Exercise, others: tuple[str, ...] = ()) -> list[Found]:
    """List what an exercise's code names and may not.

    Args:
        text: the file, or a `%%implement` cell.
        row: the exercise, with its `forbids`.
        others: the file's other exercises; they have rules of their own.

    Raises:
        ValueError: the text cannot be read; a person has to.
    """
    if not row.forbids:
        return []
    if len(text) > LONGEST:
        raise ValueError(f"the file has {len(text):,} characters")
    try:
        reader = Reader(ast.parse(text), row, others)
        names = list(reader.names())
    except BAD as error:
        raise ValueError(f"Python cannot read the file: {type(error).__name__}") from None
    found = {(line, rule): Found(line, name, rule) for line, name in names if (rule := broken(row.forbids, name))}
    return [found[key] for key in sorted(found)]


class Reader:
    """One file: what its names stand for, and which of its code belongs to an exercise."""

    def __init__(self, tree: ast.Module, row: Exercise, others: tuple[str, ...]) -> None:
        self.known: dict[str, str] = {}
        self.stars: list[str] = []
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        own = [node for node in tree.body if isinstance(node, kinds)]
        foreign = {name.split(".")[1] for name in others if name != row.name}
        loose = [node for node in tree.body if not isinstance(node, kinds)]
        self.code = loose + reached([n for n in own if n.name == row.function] or own, own, foreign)
        self.learn()

    def learn(self) -> None:
        """Follow imports and assignments until nothing new is learned."""
        nodes = [node for part in self.code for node in ast.walk(part)]
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    root = alias.name.split(".")[0]
                    self.known[alias.asname or root] = alias.name if alias.asname else root
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    if alias.name == "*":
                        self.stars.append(str(node.module))
                    else:
                        self.known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        for _ in range(4):
            before = len(self.known)
            for node in nodes:
                for goal, value in bound(node):
                    if isinstance(goal, ast.Name) and (name := self.dotted(value)) and goal.id not in self.known:
                        self.known[goal.id] = name
            if len(self.known) == before:
                return

    def names(self) -> Iterator[tuple[int, str]]:
        """Every dotted name of a library that the code names, with its line."""
        for part in self.code:
            for node in ast.walk(part):
                line = getattr(node, "lineno", 0)
                if isinstance(node, ast.Import):
                    yield from ((line, alias.name) for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    yield from ((line, f"{node.module}.{alias.name}") for alias in node.names if alias.name != "*")
                elif isinstance(node, ast.Name) and node.id not in self.known:
                    yield from ((line, f"{star}.{node.id}") for star in self.stars)
                elif isinstance(node, ast.Attribute | ast.Name | ast.Call | ast.Subscript):
                    if name := self.dotted(node):
                        yield line, name
                    elif isinstance(node, ast.Call) and (text := ran(node)):
                        yield from ((line, name) for _, name in self.inside(text))

    def inside(self, text: str) -> Iterator[tuple[int, str]]:
        """The names in a text that the code runs with `eval` or `exec`."""
        try:
            tree = ast.parse(text.strip())
        except BAD:
            return
        inner = Reader.__new__(Reader)
        inner.known, inner.stars, inner.code = dict(self.known), list(self.stars), list(tree.body)
        inner.learn()
        yield from inner.names()

    def dotted(self, node: ast.AST) -> str:
        """What an expression stands for, as a dotted name of a library; nothing if it is no such thing."""
        if isinstance(node, ast.Name):
            return self.known.get(node.id, "")
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else ""
        if isinstance(node, ast.NamedExpr):
            return self.dotted(node.value)
        if isinstance(node, ast.Call):
            return self.called(node)
        if isinstance(node, ast.Subscript) and (key := constant(node.slice)):
            holder = node.value  # vars(F)["…"], F.__dict__["…"], sys.modules["…"]
            if isinstance(holder, ast.Call) and isinstance(holder.func, ast.Name) and holder.func.id == "vars":
                owner = self.dotted(holder.args[0]) if holder.args else ""
                return f"{owner}.{key}" if owner else ""
            name = self.dotted(holder)
            if name == "sys.modules":
                return key
            return f"{name.removesuffix('.__dict__')}.{key}" if name.endswith(".__dict__") else ""
        return ""

    def called(self, node: ast.Call) -> str:
        """What `getattr(x, "name")`, `import_module("name")`, `attrgetter("name")(x)` and the like stand for."""
        function, texts = node.func, [constant(one) for one in node.args]
        plain = function.id if isinstance(function, ast.Name) and function.id not in self.known else ""
        name = plain or self.dotted(function)
        if name in ("getattr", "builtins.getattr") and len(texts) > 1 and texts[1]:
            owner = self.dotted(node.args[0])
            return f"{owner}.{texts[1]}" if owner else ""
        if name in ("__import__", "builtins.__import__", "importlib.import_module", "importlib.__import__") and texts:
            return texts[0]
        if isinstance(function, ast.Call) and function.args and node.args:
            path = constant(function.args[0])
            if path and self.dotted(function.func).endswith("operator.attrgetter"):
                base = self.dotted(node.args[0])
                return f"{base}.{path}" if base else ""
        return ""


def reached(roots: list, own: list, foreign: set[str]) -> list:
    """The definitions that some need, but for those of other exercises."""
    by_name = {node.name: node for node in own if node.name not in foreign}
    found, left = [], list(roots)
    while left:
        node = left.pop()
        if node in found:
            continue
        found.append(node)
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        left += [by_name[name] for name in sorted(names & by_name.keys())]
    return found


def bound(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Pairs of a goal and the expression that is assigned to it."""
    if isinstance(node, ast.Assign):
        for goal in node.targets:
            if isinstance(goal, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from zip(goal.elts, node.value.elts, strict=False)
            else:
                yield goal, node.value
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        yield node.target, node.value
    elif isinstance(node, ast.arguments):
        last = [*node.posonlyargs, *node.args][len(node.posonlyargs) + len(node.args) - len(node.defaults) :]
        for argument, value in [*zip(last, node.defaults, strict=True),
                                *zip(node.kwonlyargs, node.kw_defaults, strict=True)]:  # fmt: skip
            if value is not None:
                yield ast.Name(argument.arg), value


def constant(node: ast.AST) -> str:
    """The text of a constant, of a sum of constants, or of an f-string of constants; else nothing."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = constant(node.left), constant(node.right)
        return left + right if left and right else ""
    if isinstance(node, ast.JoinedStr):
        parts = [constant(v.value if isinstance(v, ast.FormattedValue) else v) for v in node.values]
        return "".join(parts) if all(parts) else ""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join" and node.args:
        items = node.args[0]
        if isinstance(items, ast.List | ast.Tuple) and isinstance(node.func.value, ast.Constant):
            parts = [constant(item) for item in items.elts]
            return str(node.func.value.value).join(parts) if parts and all(parts) else ""
    return ""


def ran(node: ast.Call) -> str:
    """The constant text that a call of `eval`, `exec` or `compile` runs."""
    if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "compile") and node.args:
        return constant(node.args[0])
    return ""
