"""The pieces that every drawing of the family tree is made of: the opening tag, linked nodes, smooth lines."""
from collections.abc import Callable
from html import escape
from pathlib import Path

from chapters._book.lineage import Lineage, Node

STYLE = Path(__file__).with_name("lineage.css")
Href = Callable[[Node], str | None]


def style() -> str:
    """The colours and line widths, to stand once on a page."""
    return f"<style>{STYLE.read_text(encoding='utf-8')}</style>"


def head(kind: str, width: int, height: int, title: str, description: str, role: str) -> str:
    """Open an SVG that says in words what it shows."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lineage lineage-{kind}" viewBox="0 0 {width} {height}" '
        f'role="{role}" aria-labelledby="lineage-{kind}-title" aria-describedby="lineage-{kind}-words">'
        f'<title id="lineage-{kind}-title">{escape(title)}</title>'
        f'<desc id="lineage-{kind}-words">{escape(description)}</desc>'
    )


def linked(node: Node, href: str | None, inside: str) -> str:
    """Wrap a node's drawing in a link when it has a chapter; else its gist is the tooltip."""
    shape = f'class="node lane-{node.lane}{" open" if href else ""}"'
    if href:
        label = escape(f"{node.name}, {node.year}: open the chapter", quote=True)
        return f'<a href="{escape(href, quote=True)}" aria-label="{label}" {shape}>{inside}</a>\n'
    tip = f"<title>{escape(f'{node.name} ({node.year}): {node.gist}')}</title>"
    return f"<g {shape}>{tip}{inside}</g>\n"


def rounded(points: list[tuple[float, float]], radius: float = 6) -> str:
    """An SVG path through axis-parallel points with rounded corners."""
    kept = [p for i, p in enumerate(points) if i == 0 or p != points[i - 1]]
    parts = [f"M{kept[0][0]:g} {kept[0][1]:g}"]
    for before, corner, after in zip(kept, kept[1:], kept[2:], strict=False):
        r = min(radius, distance(before, corner) / 2, distance(corner, after) / 2)
        into, out = toward(corner, before, r), toward(corner, after, r)
        parts.append(f"L{into[0]:g} {into[1]:g}Q{corner[0]:g} {corner[1]:g} {out[0]:g} {out[1]:g}")
    return "".join(parts) + f"L{kept[-1][0]:g} {kept[-1][1]:g}"


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Length of an axis-parallel stretch."""
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def toward(a: tuple[float, float], b: tuple[float, float], r: float) -> tuple[float, float]:
    """The point `r` away from `a` on the way to `b`."""
    share = r / distance(a, b)
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def describe(tree: Lineage) -> str:
    """The tree in a few words for those who do not see it; the list after it says the rest."""
    nodes = list(tree.nodes.values())
    return (
        f"{len(nodes)} families of models in {len(tree.lanes)} branches ({', '.join(tree.lanes.values())}), "
        f"from {nodes[0].name} ({nodes[0].year}) to {nodes[-1].name} ({nodes[-1].year}). "
        "Time runs downwards; a line joins each family to those it builds on."
    )
