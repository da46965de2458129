"""The family tree as data: read chapters/lineage.toml, check it, answer who descends from whom."""
import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

CHAPTERS = Path(__file__).parents[1]
FILE = CHAPTERS / "lineage.toml"


@dataclass(frozen=True)
class Node:
    """One family of models: what it is called, when it appeared, what it builds on, what to read."""

    id: str
    name: str
    date: str
    lane: str
    parents: tuple[str, ...]
    papers: tuple[str, ...]
    gist: str
    chapter: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d{4}(-(0[1-9]|1[0-2]))?", self.date):
            raise ValueError(f"{self.id}: date must be a year or year-month, got {self.date!r}")
        if not self.papers:
            raise ValueError(f"{self.id}: papers must name at least one key of references.bib, got none")

    @property
    def year(self) -> int:
        """The year of the first public version."""
        return int(self.date[:4])


@dataclass(frozen=True)
class Lineage:
    """The whole tree: lanes (id → title) from left to right, nodes (id → node) from old to new; the book's chapters."""

    lanes: dict[str, str]
    nodes: dict[str, Node]
    chapters: tuple[str, ...] = ()

    def node(self, name: str) -> Node:
        """Look a node up.

        Raises:
            ValueError: there is none of that name; the message lists the names there are.
        """
        if name not in self.nodes:
            raise ValueError(f"no node of the family tree is called {name!r}; there are {', '.join(self.nodes)}")
        return self.nodes[name]

    def owner(self, chapter: str) -> str:
        """The chapter to which the number of a file belongs: this one, if no other has it."""
        return next((known for known in self.chapters if known[:3] == chapter[:3]), chapter)

    def children(self, name: str) -> list[Node]:
        """The nodes that name this one as a parent, oldest first."""
        return [n for n in self.nodes.values() if name in n.parents]

    def ancestors(self, name: str) -> set[str]:
        """Every node that this one descends from, itself left out."""
        parents = self.node(name).parents
        return set(parents).union(*(self.ancestors(p) for p in parents))

    def trunk(self, name: str) -> list[Node]:
        """The line of first parents from a root to this node, both included."""
        node = self.node(name)
        return (self.trunk(node.parents[0]) if node.parents else []) + [node]


def read(text: str) -> Lineage:
    """Parse and check the text of a lineage file.

    Raises:
        ValueError: a lane or parent is unknown, a node is older than its parent, or two lanes share an id or two
            chapters a number.
    """
    table = tomllib.loads(text)
    lanes = {lane["id"]: lane["title"] for lane in table["lanes"]}
    if len(lanes) != len(table["lanes"]):
        raise ValueError(f"lane ids must differ, got {[lane['id'] for lane in table['lanes']]}")
    chapters = tuple(table.get("chapters", ()))
    if len({name[:3] for name in chapters}) != len(chapters):
        raise ValueError(f"numbers of chapters must differ, got {', '.join(chapters)}")
    rows = {
        name: Node(name, **{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})
        for name, row in table["nodes"].items()
    }
    for node in rows.values():
        if node.lane not in lanes:
            raise ValueError(f"{node.id}: lane must be one of {', '.join(lanes)}, got {node.lane!r}")
        for parent in node.parents:
            if parent not in rows:
                raise ValueError(f"{node.id}: its parent {parent!r} is no node")
            if rows[parent].date > node.date or parent == node.id:
                raise ValueError(f"{node.id} ({node.date}) cannot descend from {parent} ({rows[parent].date})")
    return Lineage(lanes, _by_date(rows), chapters)


def _by_date(rows: dict[str, Node]) -> dict[str, Node]:
    """Order nodes by date; parents before children where dates are equal."""
    waiting = dict(sorted(rows.items(), key=lambda item: item[1].date))
    ordered: dict[str, Node] = {}
    while waiting:
        ready = (n for n in waiting.values() if all(p in ordered for p in n.parents))
        node = next(ready, None)
        if node is None:
            raise ValueError(f"these nodes descend from each other: {', '.join(waiting)}")
        ordered[node.id] = waiting.pop(node.id)
    return ordered


@functools.cache
def lineage() -> Lineage:
    """The tree of this book."""
    return read(FILE.read_text(encoding="utf-8"))
