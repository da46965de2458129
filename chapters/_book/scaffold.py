"""Make a new chapter that passes everything but its content: module, checks, mistakes, table row, page."""
import json
import re
from pathlib import Path

from chapters._book import pages
from chapters._book.lineage import Lineage, read

ROOT = Path(__file__).parents[2]
TEMPLATES = Path(__file__).with_name("templates")
USAGE = """\
usage: python -m chapters._book scaffold NN_NAME MODULE TITLE [NODE]

  NN_NAME   the chapter's file, e.g. 02_word2vec; the number says where it stands in the book
  MODULE    the library module it introduces, e.g. word2vec
  TITLE     its title, e.g. "Word vectors"
  NODE      its node in chapters/lineage.toml, if that is not called like the module
"""


def main(argv: list[str]) -> int:
    """Make a new chapter: scaffold 02_word2vec word2vec "Word vectors" [NODE]."""
    if len(argv) not in (3, 4):
        print(USAGE)
        return 2
    try:
        made = scaffold(*argv)
    except ValueError as error:
        print(error)
        return 1
    for path in made:
        print(f"wrote {path.relative_to(ROOT)}")
    print("Now go on with step 2 of chapters/contributor.md.")
    return 0


def scaffold(name: str, module: str, title: str, node: str = "") -> list[Path]:
    """Write the new chapter's files and its lines in the shared ones; return all that changed.

    Raises:
        ValueError: a name breaks its rule or is taken, or the family tree has no such node. Nothing is written then.
    """
    lineage_file = ROOT / "chapters" / "lineage.toml"
    tree_text = lineage_file.read_text(encoding="utf-8")
    tree = read(tree_text)
    node = node or module
    new = new_files(name, module)
    check_names(name, module, title, new)
    if (owner := tree.owner(name)) != name:
        raise ValueError(f"NN_NAME: the number {name[:2]} belongs to {owner} (chapters/lineage.toml), got {name!r}")
    words = fill_in(name, module, title, node, tree)
    shared = {
        ROOT / "_toc.yml": lambda text: with_toc_line(text, name),
        lineage_file: lambda text: with_chapter(text, node, name) if not tree.node(node).chapter else text,
    }
    texts = {path: template(kind, words) for path, kind in new.items()}
    texts |= {path: change(path.read_text(encoding="utf-8")) for path, change in shared.items()}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return list(texts)


def new_files(name: str, module: str) -> dict[Path, str]:
    """The files of a chapter, and the template of each."""
    return {
        ROOT / "solutions" / f"{module}.py": "module.py",
        ROOT / "autograder" / "visible" / f"{module}.py": "visible.py",
        ROOT / "autograder" / "hidden" / f"{module}.py": "hidden.py",
        ROOT / "autograder" / "mistakes" / f"{module}.py": "mistakes.py",
        ROOT / "autograder" / "alternatives" / f"{module}.py": "alternatives.py",
        ROOT / "autograder" / "exercises" / f"{module}.toml": "exercises.toml",
        ROOT / "chapters" / f"{name}.md": "chapter.md",
    }


def check_names(name: str, module: str, title: str, new: dict[Path, str]) -> None:
    """Refuse names that break their rule and files that exist.

    Raises:
        ValueError: see above; the message names the argument, the rule and the value.
    """
    if not re.fullmatch(r"\d\d_[a-z][a-z0-9_]*", name):
        raise ValueError(f"NN_NAME must be two digits, _ and a name in lower case, got {name!r}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", module):
        raise ValueError(f"MODULE must be a Python name in lower case, got {module!r}")
    if not title.strip() or re.search(r'["\\\n]', title):
        raise ValueError(f"TITLE must be one line without quotes and backslashes, got {title!r}")
    taken = [path.relative_to(ROOT).as_posix() for path in new if path.exists()]
    if taken:
        raise ValueError(f"NN_NAME and MODULE must be new, but there is {', '.join(taken)} already")


def fill_in(name: str, module: str, title: str, node: str, tree: Lineage) -> dict[str, str]:
    """What stands for the @WORDS@ of the templates."""
    meaning = pages.axes().get("D", ("the width of a vector", []))[0]
    found = tree.node(node)
    return {
        "NAME": name, "MODULE": module, "TITLE": title, "NODE": node, "PAPER": found.papers[0],
        "AXIS_D": meaning,
    }  # fmt: skip


def template(kind: str, words: dict[str, str]) -> str:
    """A template with its @WORDS@ replaced."""
    text = (TEMPLATES / f"{kind}.txt").read_text(encoding="utf-8")
    return re.sub(r"@([A-Z_]+)@", lambda m: words[m[1]], text)


def with_toc_line(text: str, name: str) -> str:
    """Add a chapter to the text of _toc.yml, after the last one with a smaller number.

    Raises:
        ValueError: the table lists no chapter with a smaller number.
    """
    lines = text.splitlines(keepends=True)
    entries = [(i, m) for i, line in enumerate(lines) if (m := re.match(r"( *)- file: chapters/(\d\d_\w+)\n", line))]
    before = [(i, m) for i, m in entries if m[2] < name]
    if not before:
        raise ValueError(f"_toc.yml must list a chapter before {name}; it lists {', '.join(m[2] for _, m in entries)}")
    place, entry = before[-1]
    lines.insert(place + 1, f"{entry[1]}- file: chapters/{name}\n")
    return "".join(lines)


def with_chapter(text: str, node: str, name: str) -> str:
    """Give a node of the text of lineage.toml its chapter."""
    start = text.index(f"[nodes.{node}]\n")
    end = text.find("\n\n", start)
    end = len(text.rstrip("\n")) if end < 0 else end
    return f"{text[:end]}\nchapter = {json.dumps(name)}{text[end:]}"
