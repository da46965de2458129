"""Draw the whole family tree: time runs down, one column a branch, a box for every node, a link for every chapter."""
import textwrap
from html import escape

from chapters._book.lineage import Lineage, Node
from chapters._book.tree_layout import Edge, Layout, layout
from chapters._book.tree_svg import Href, describe, head, linked, rounded

LEFT, TOP, PITCH, BOX, HEIGHT, GAP = 42, 34, 124, 108, 36, 26


def wide(tree: Lineage, href: Href) -> str:
    """The whole tree: time runs down, one column a branch, a box for every node."""
    plan = layout(tree)
    width = LEFT + PITCH * len(tree.lanes)
    height = TOP + plan.n_rows * (HEIGHT + GAP)
    parts = [head("wide", width, height, "The family tree of GPT", describe(tree), "group")]
    parts += [
        f'<text class="lane-title lane-{lane}" x="{x(i):g}" y="16">{escape(title)}</text>\n'
        for i, (lane, title) in enumerate(tree.lanes.items())
    ]
    parts += years(tree, plan, width)
    for parent in tree.nodes.values():
        lines = [path(edge, plan) for edge in plan.edges if edge.parent == parent.id]
        parts += [f'<path class="halo" d="{d}"/>' for d in lines]
        parts += [f'<path class="edge lane-{parent.lane}" d="{d}"/>\n' for d in lines]
    parts += [linked(n, href(n), box(n, plan)) for n in tree.nodes.values()]
    return "".join(parts) + "</svg>"


def x(column: int) -> float:
    """The middle of a column of the wide tree."""
    return LEFT + PITCH * column + PITCH / 2


def y(row: int) -> float:
    """The top of a row's boxes in the wide tree."""
    return TOP + row * (HEIGHT + GAP)


def years(tree: Lineage, plan: Layout, width: int) -> list[str]:
    """A faint rule and the year in the margin, where a new year begins."""
    first: dict[int, int] = {}
    for node in tree.nodes.values():
        first.setdefault(node.year, plan.row[node.id])
    return [
        f'<path class="rule" d="M0 {y(row) + HEIGHT / 2:g}H{width}"/>'
        f'<text class="year" x="0" y="{y(row) + HEIGHT / 2 - 5:g}">{year}</text>\n'
        for year, row in first.items()
    ]


def box(node: Node, plan: Layout) -> str:
    """A node's rectangle and its name on one or two lines."""
    left, top = x(plan.column[node.id]) - BOX / 2, y(plan.row[node.id])
    lines = textwrap.wrap(node.name, 14)
    first = top + HEIGHT / 2 + 4.5 - 7.5 * (len(lines) - 1)
    spans = " ".join(
        f'<tspan x="{left + BOX / 2:g}" y="{first + 15 * i:g}">{escape(line)}</tspan>' for i, line in enumerate(lines)
    )
    return f'<rect x="{left:g}" y="{top:g}" width="{BOX}" height="{HEIGHT}" rx="7"/><text>{spans}</text>'


def path(edge: Edge, plan: Layout) -> str:
    """The line of an edge: down, along a channel, down, along, down; corners rounded."""
    above, below = plan.row[edge.parent], plan.row[edge.child]
    start, end = x(plan.column[edge.parent]), x(plan.column[edge.child]) + port(edge, plan)
    if edge.gutter:
        run = x(edge.column) - PITCH / 2 + spread(plan.gutters[edge.column], edge.parent, 6)
    else:
        run = end if edge.column == plan.column[edge.child] else start
    points = [(start, y(above) + HEIGHT)]
    if run != start:
        along = y(above + 1) - GAP / 2 + spread(plan.channels.get(above, []), edge.parent, 6)
        points += [(start, along), (run, along)]
    if run != end:
        along = y(below) - GAP / 2 + spread(plan.channels.get(below - 1, []), edge.parent, 6)
        points += [(run, along), (end, along)]
    return rounded([*points, (end, y(below))])


def port(edge: Edge, plan: Layout) -> float:
    """Where on the child's upper side the line arrives: straight down in the middle, others from their side."""
    mine = [e for e in plan.edges if e.child == edge.child]
    sides = {e.parent: side(e, plan) for e in mine}
    where = sides[edge.parent]
    if len(mine) == 1 and not plan.crowded(edge):
        return 0
    if list(sides.values()).count(where) == 1:
        return where * 26
    return where * 26 + spread([p for p, s in sides.items() if s == where], edge.parent, 14)


def side(edge: Edge, plan: Layout) -> int:
    """From where a line reaches its child: -1 left, 0 above, 1 right."""
    there = plan.column[edge.child]
    if edge.gutter:
        return -1 if edge.column <= there else 1
    here = plan.column[edge.parent]
    return (here > there) - (here < there)


def spread(names: list[str], name: str, step: float) -> float:
    """An offset for one of several parallel lines, symmetric about 0."""
    return (names.index(name) - (len(names) - 1) / 2) * step if name in names else 0
