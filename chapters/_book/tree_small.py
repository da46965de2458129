"""Draw the family tree where the page is narrow: as a list with rails (phones) and as a map of dots with one lit."""
import textwrap
from html import escape

from chapters._book.lineage import Lineage, Node
from chapters._book.tree_layout import layout
from chapters._book.tree_svg import Href, describe, head, linked

RAIL, LINE, TOP, TEXT, NARROW, WORDS = 13, 34, 24, 96, 340, 38
STEP, LANE, MARGIN, BETWEEN_YEARS = 30, 17, 26, 56


def narrow(tree: Lineage, href: Href) -> str:
    """The whole tree for a phone: one row a node, its lane as a rail, its parents in words."""
    lanes = list(tree.lanes)
    place, bottom = {}, TOP
    for node in tree.nodes.values():
        place[node.id] = (10 + RAIL * lanes.index(node.lane), bottom)
        bottom += LINE + 15 * len(origin(tree, node))
    parts = [head("narrow", NARROW, bottom, "The family tree of GPT", describe(tree), "group")]
    for node in tree.nodes.values():
        for parent in node.parents:
            d = bend(place[parent], place[node.id])
            parts.append(f'<path class="halo" d="{d}"/>')
            parts.append(f'<path class="edge lane-{tree.nodes[parent].lane}" d="{d}"/>\n')
    for node in tree.nodes.values():
        parts.append(linked(node, href(node), line(tree, node, *place[node.id])))
    return "".join(parts) + "</svg>"


def origin(tree: Lineage, node: Node) -> list[str]:
    """The parents of a node in words, wrapped; nothing for a root."""
    parents = ", ".join(tree.nodes[p].name for p in node.parents)
    return textwrap.wrap(f"from {parents}", WORDS) if parents else []


def line(tree: Lineage, node: Node, cx: float, cy: float) -> str:
    """A dot on its rail, the name and year beside it, the parents below."""
    words = origin(tree, node)
    below = " ".join(
        f'<text class="from" x="{TEXT}" y="{cy + 20 + 15 * i:g}">{escape(w)}</text>' for i, w in enumerate(words)
    )
    height = LINE - 4 + 15 * len(words)
    touch = f'<rect class="touch" x="{TEXT - 8}" y="{cy - 15:g}" width="{NARROW - TEXT + 7}" height="{height}" rx="6"/>'
    name = f'<text class="name" x="{TEXT}" y="{cy + 4:g}">{escape(node.name)}</text>'
    year = f'<text class="year" x="{NARROW - 8}" y="{cy + 4:g}" text-anchor="end">{node.year}</text>'
    return f'{touch}<circle cx="{cx:g}" cy="{cy:g}" r="6"/>{name} {year} {below}'


def bend(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Leave the parent for the child's rail at once and run down it; on one rail, bow out past what lies between."""
    (x0, y0), (x1, y1) = start, end
    if x0 == x1 and y1 - y0 > LINE:
        return f"M{x0:g} {y0:g}C{x0 + 11:g} {y0 + 16:g} {x0 + 11:g} {y1 - 16:g} {x1:g} {y1:g}"
    turn = min(LINE, y1 - y0)
    return f"M{x0:g} {y0:g}C{x0:g} {y0 + turn * 0.6:g} {x1:g} {y0 + turn * 0.4:g} {x1:g} {y0 + turn:g}V{y1:g}"


def small(tree: Lineage, lit: str) -> str:
    """A map of dots, time to the right, with one node lit and the lines that lead to it strong."""
    node, plan = tree.node(lit), layout(tree)
    past = {lit, *tree.ancestors(lit)}
    place = {n: (MARGIN + STEP * plan.row[n], MARGIN + LANE * plan.column[n]) for n in plan.row}
    width, height = 2 * MARGIN + STEP * (plan.n_rows - 1), MARGIN + LANE * len(tree.lanes) + 14
    title = f"{node.name} in the family tree of GPT"
    ancestors = ", ".join(n.name for n in tree.nodes.values() if n.id in past - {lit}) or "none in this tree"
    parts = [head("small", width, height, title, f"{node.name} ({node.year}). Ancestors: {ancestors}.", "img")]
    edges = [(p, n.id, n.id in past) for n in tree.nodes.values() for p in n.parents]
    for parent, child, strong in sorted(edges, key=lambda e: e[2]):
        shape = f"edge lane-{tree.nodes[parent].lane}{' past' if strong else ''}"
        parts.append(f'<path class="{shape}" d="{slide(place[parent], place[child])}"/>')
    for other in tree.nodes.values():
        cx, cy = place[other.id]
        kind = " lit" if other.id == lit else " past" if other.id in past else ""
        tip = f"<title>{escape(f'{other.name} ({other.year})')}</title>"
        radius = 8 if kind == " lit" else 5
        parts.append(f'<g class="node lane-{other.lane}{kind}">{tip}<circle cx="{cx}" cy="{cy}" r="{radius}"/></g>')
    parts += ticks(tree, {n: x for n, (x, _) in place.items()}, height)
    return "".join(parts) + label(node.name, *place[lit], width) + "</svg>"


def ticks(tree: Lineage, x: dict[str, int], height: int) -> list[str]:
    """Years below the map, as many as stand clear of each other."""
    parts, last = [], -BETWEEN_YEARS
    for node in tree.nodes.values():
        if x[node.id] - last >= BETWEEN_YEARS:
            last = x[node.id]
            parts.append(f'<text class="year" text-anchor="middle" x="{last}" y="{height - 2}">{node.year}</text>')
    return parts


def slide(start: tuple[float, float], end: tuple[float, float]) -> str:
    """A smooth line to the right: change lanes within one step, then run straight."""
    (x0, y0), (x1, y1) = start, end
    turn = min(STEP, x1 - x0) if y0 != y1 else 0
    return f"M{x0} {y0}C{x0 + turn * 0.6:g} {y0} {x0 + turn * 0.4:g} {y1} {x0 + turn:g} {y1}H{x1}"


def label(name: str, cx: float, cy: float, width: float) -> str:
    """The lit node's name above its dot; near an edge of the picture it grows inwards."""
    anchor, x = "middle", cx
    if cx < width / 3:
        anchor, x = "start", cx - 8
    elif cx > 2 * width / 3:
        anchor, x = "end", cx + 8
    return f'<text class="label" text-anchor="{anchor}" x="{x:g}" y="{cy - 13:g}">{escape(name)}</text>'
