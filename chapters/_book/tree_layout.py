"""Where the boxes and lines of the family tree go: rows by date, columns by lane, lines in the gaps.

Positions are whole rows and columns here; tree_draw.py turns them into pixels. A line runs down out of its
parent, along the channel (the gap between two rows), down a column or the gutter left of one, and into the
top of its child. Lines of different parents get different tracks in a channel or gutter, so none overlap.
"""
from collections import defaultdict
from dataclasses import dataclass, field

from chapters._book.lineage import Lineage


@dataclass(frozen=True)
class Edge:
    """A line from parent to child: the column it runs down in, or the gutter left of that column."""

    parent: str
    child: str
    column: int
    gutter: bool


@dataclass
class Layout:
    """Row and column of every node, the lines, and the tracks that parents have in channels and gutters."""

    row: dict[str, int]
    column: dict[str, int]
    edges: list[Edge]
    channels: dict[int, list[str]] = field(default_factory=dict)
    gutters: dict[int, list[str]] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """How many rows the tree has."""
        return max(self.row.values()) + 1

    def crowded(self, edge: Edge) -> bool:
        """Whether a node that is not the parent stands right above the child."""
        above = (self.row[edge.child] - 1, self.column[edge.child])
        return any((self.row[n], self.column[n]) == above for n in self.row if n != edge.parent)


def rows(tree: Lineage) -> dict[str, int]:
    """Give every node a row: never above an older one, below its parents, one node a lane, one year a row."""
    found: dict[str, int] = {}
    current, year, taken = -1, None, set()
    for node in tree.nodes.values():
        below = any(found[p] == current for p in node.parents)
        if node.year != year or node.lane in taken or below:
            current, year, taken = current + 1, node.year, set()
        found[node.id] = current
        taken.add(node.lane)
    return found


def layout(tree: Lineage) -> Layout:
    """Give every node a row and a column, and every line a route."""
    lanes = list(tree.lanes)
    row, column = rows(tree), {n.id: lanes.index(n.lane) for n in tree.nodes.values()}
    busy = {(row[n], column[n]) for n in row}
    plan = Layout(row, column, [])
    for node in tree.nodes.values():
        for parent in node.parents:
            plan.edges.append(route(parent, node.id, row, column, busy))
    channels, gutters = defaultdict(set), defaultdict(set)
    for edge in plan.edges:
        first, last = row[edge.parent], row[edge.child] - 1
        target = column[edge.child]
        if edge.gutter or edge.column != column[edge.parent]:
            channels[first].add(edge.parent)
        if edge.gutter or edge.column != target:
            channels[last].add(edge.parent)
        if edge.gutter:
            gutters[edge.column].add(edge.parent)
    order = list(tree.nodes)
    plan.channels = {k: sorted(v, key=order.index) for k, v in channels.items()}
    plan.gutters = {k: sorted(v, key=order.index) for k, v in gutters.items()}
    return plan


def route(parent: str, child: str, row: dict[str, int], column: dict[str, int], busy: set[tuple[int, int]]) -> Edge:
    """Choose the way down: the child's column, else the parent's, else the gutter between or beside them."""
    here, there = column[parent], column[child]
    between = range(row[parent] + 1, row[child])

    def free(lane: int) -> bool:
        return all((r, lane) not in busy for r in between)

    if free(there):
        return Edge(parent, child, there, False)
    if free(here):
        return Edge(parent, child, here, False)
    return Edge(parent, child, there if here <= there else there + 1, True)
