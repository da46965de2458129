"""Which files of a package some code needs: imports are followed through the text, and nothing is run."""
import ast
import functools
from collections.abc import Iterable, Iterator, Mapping

FIGURE = "_figure"  # `figures.ngram_figure` is found in figures/ngram.py


@functools.lru_cache(maxsize=1024)
def wanted(code: str, package: str, where: str = "") -> tuple[tuple[str, str], ...]:
    """What some code takes from a package: pairs of a module, dotted and without the package's name, and a name in it.

    Args:
        code: Python.
        package: for example "gptlib".
        where: for code of the package itself, the package within it that the file stands in, for example "data".
    """
    return tuple(_wanted(code, package, where))


def _wanted(code: str, package: str, where: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == package:
                    yield alias.name[len(package) + 1 :], ""
        elif isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".") if node.module else []
            if node.level:
                above = where.split(".") if where else []
                parts = above[: len(above) - node.level + 1] + parts
            elif parts[:1] == [package]:
                parts = parts[1:]
            else:
                continue
            for alias in node.names:
                yield ".".join(parts), alias.name
        elif isinstance(node, ast.Attribute) and node.attr.endswith(FIGURE):
            if isinstance(node.value, ast.Name) and node.value.id == "figures":
                yield "figures", node.attr


def file_of(module: str, files: Mapping[str, object]) -> str:
    """The file of a dotted module, "" if there is none."""
    path = module.replace(".", "/")
    places = (f"{path}/__init__.py", f"{path}.py") if path else ("__init__.py",)
    return next((place for place in places if place in files), "")


def files_for(module: str, name: str, files: Mapping[str, object]) -> list[str]:
    """The files that `from module import name` reads, but for the packages around them."""
    found = [place for place in [file_of(module, files)] if place]
    inner = name.removesuffix(FIGURE) if module == "figures" else name
    if name and (place := file_of(f"{module}.{inner}".lstrip("."), files)):
        found.append(place)
    return found


def needed(files: Mapping[str, str], package: str, code: Iterable[str], roots: Iterable[str]) -> set[str]:
    """The files of a package that some code and some of its files need, themselves among them.

    Args:
        files: the texts of the package's Python files by path; what is not among them is not followed.
        package: its name.
        code: Python from elsewhere.
        roots: paths that are needed in any case.
    """
    waiting = [place for text in code for pair in wanted(text, package) for place in files_for(*pair, files)]
    waiting += roots
    found: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in found or path not in files:
            continue
        found.add(path)
        folder = path.rpartition("/")[0]
        waiting += [f"{part}__init__.py" for part in around(folder)]
        for pair in wanted(files[path], package, folder.replace("/", ".")):
            waiting += files_for(*pair, files)
    return found


def around(folder: str) -> Iterator[str]:
    """The packages around what stands in a folder, each with a slash at its end, "" for the outermost."""
    parts = folder.split("/") if folder else []
    yield ""
    for i in range(len(parts)):
        yield "/".join(parts[: i + 1]) + "/"


def lacking(code: str, package: str, files: Mapping[str, str], where: str = "") -> list[str]:
    """The modules that some code imports and that are not among the files, dotted, with the package's name."""
    found = []
    for module, name in wanted(code, package, where):
        if not file_of(module, files):
            found.append(module)
        elif name and len(files_for(module, name, files)) < 2 and not bound(files[file_of(module, files)], name):
            found.append(f"{module}.{name}".lstrip("."))
    return [f"{package}.{one}" for one in dict.fromkeys(found)]


def bound(text: str, name: str) -> bool:
    """Whether a module binds a name, in whatever way; a table of names, as that of what was moved, counts."""
    words = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            words.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            words.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            words |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
    return name in words
