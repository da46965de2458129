"""The family tree: data that agrees with papers and chapters, drawings without overlaps, links that lead somewhere."""
import re
import xml.etree.ElementTree as ET

import pytest
from pybtex.database import parse_file

from chapters._book import lineage, tree, tree_draw, tree_layout, tree_small
from tests.conftest import ROOT

TREE = lineage.lineage()
PLAN = tree_layout.layout(TREE)
SVG = "{http://www.w3.org/2000/svg}"
SMALL = """
lanes = [{id = "a", title = "A"}, {id = "b", title = "B"}]
[nodes.old]
name = "Old"
date = "1990"
lane = "a"
parents = []
papers = ["p"]
gist = "First."
[nodes.new]
name = "New & <newer>"
date = "1991-05"
lane = "b"
parents = ["old"]
papers = ["p"]
gist = "Second."
"""


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)


def words(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def test_every_paper_is_in_the_bibliography_and_no_younger_than_two_years_after_the_node():
    """A conference follows its preprint; a later work on the same idea may be named beside the first."""
    entries = parse_file(ROOT / "chapters" / "references.bib", "bibtex").entries
    for node in TREE.nodes.values():
        years = [int(entries[key].fields["year"]) for key in node.papers]
        assert min(abs(year - node.year) for year in years) <= 1, (node.id, years)


def test_a_chapter_named_in_the_tree_exists_and_every_chapter_lights_a_node():
    named = {n.chapter: n.id for n in TREE.nodes.values() if n.chapter}
    for chapter in named:
        assert (ROOT / "chapters" / f"{chapter}.md").exists(), chapter
    for path in sorted((ROOT / "chapters").glob("[0-9]*.md")):
        lit = re.findall(r"^[`:]{3,}\{lineage\} *(.*)$", path.read_text(encoding="utf-8"), re.M)
        if not path.stem.startswith("00"):
            assert len(lit) == 1 and lit[0].strip() in TREE.nodes, path.name


def test_every_chapter_has_its_number_for_good():
    stems = [path.stem for path in (ROOT / "chapters").glob("[0-9]*.md")]
    assert [stem for stem in stems if TREE.owner(stem) != stem] == []
    assert [name[:2] for name in TREE.chapters] == [f"{number:02}" for number in range(37)]
    assert (TREE.owner("27_x"), TREE.owner("90_x")) == ("27_vit", "90_x")
    with pytest.raises(ValueError, match="must differ, got 01_a, 01_b"):
        lineage.read('chapters = ["01_a", "01_b"]\n' + SMALL)


@pytest.mark.parametrize(("old", "new", "message"), [
    ('lane = "b"', 'lane = "c"', "lane must be one of a, b"),
    ('parents = ["old"]', 'parents = ["gone"]', "'gone' is no node"),
    ('date = "1991-05"', 'date = "1989"', "cannot descend from old"),
    ('date = "1991-05"', 'date = "1991-13"', "date must be a year"),
    ('id = "b"', 'id = "a"', "lane ids must differ"),
    ('papers = ["p"]\ngist = "F', 'papers = []\ngist = "F', "at least one key"),
    ('date = "1990"\nlane = "a"\nparents = []', 'date = "1991-05"\nlane = "a"\nparents = ["new"]', "descend from each"),
])
def test_wrong_data_is_refused(old, new, message):
    assert old in SMALL
    with pytest.raises(ValueError, match=message):
        lineage.read(SMALL.replace(old, new))


def test_rows_follow_dates_and_lines_run_down():
    order = list(TREE.nodes.values())
    assert [n.date for n in order] == sorted(n.date for n in order)
    assert [PLAN.row[n.id] for n in order] == sorted(PLAN.row[n.id] for n in order)
    assert len({(PLAN.row[n], PLAN.column[n]) for n in PLAN.row}) == len(PLAN.row), "two boxes in one place"
    by_row: dict[int, set[int]] = {}
    for node in order:
        by_row.setdefault(PLAN.row[node.id], set()).add(node.year)
    assert all(len(years) == 1 for years in by_row.values())
    for edge in PLAN.edges:
        assert PLAN.row[edge.parent] < PLAN.row[edge.child]
    assert {(e.parent, e.child) for e in PLAN.edges} == {(p, n.id) for n in order for p in n.parents}


def stretches(d: str) -> list[tuple[float, float, float, float]]:
    """The corner points of a path, joined pairwise (a rounded corner counts as its control point)."""
    points = [tuple(map(float, p)) for p in re.findall(r"(?:M|Q|L(?=[^LQ]*$))([\d.]+) ([\d.]+)", d)]
    return [(*a, *b) for a, b in zip(points, points[1:], strict=False)]


def test_no_line_runs_through_a_box_and_lines_of_different_parents_do_not_lie_on_each_other():
    runs = []
    for edge in PLAN.edges:
        for x0, y0, x1, y1 in stretches(tree_draw.path(edge, PLAN)):
            assert x0 == x1 or y0 == y1, "lines are upright or level"
            runs.append((edge, min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
            for node in PLAN.row:
                left, top = tree_draw.x(PLAN.column[node]) - tree_draw.BOX / 2, tree_draw.y(PLAN.row[node])
                inside = (max(x0, x1) > left and min(x0, x1) < left + tree_draw.BOX
                          and max(y0, y1) > top and min(y0, y1) < top + tree_draw.HEIGHT)
                assert not inside, (edge, node)
    for i, (one, *a) in enumerate(runs):
        for other, *b in runs[:i]:
            if one.parent != other.parent:
                level = a[1] == a[3] == b[1] == b[3] and min(a[2], b[2]) > max(a[0], b[0])
                upright = a[0] == a[2] == b[0] == b[2] and min(a[3], b[3]) > max(a[1], b[1])
                assert not level and not upright, (one, other)


@pytest.mark.parametrize("draw", [tree_draw.wide, tree_small.narrow])
def test_a_drawing_has_every_node_once_and_links_exactly_those_with_a_chapter(draw):
    svg = parsed(draw(TREE, lambda n: f"{n.id}.html" if n.id in ("ngram", "attention") else None))
    links = {a.get("href"): a for a in svg.iter(f"{SVG}a")}
    assert set(links) == {"ngram.html", "attention.html"}
    assert links["attention.html"].get("aria-label") == "Attention, 2014: open the chapter"
    nodes = [e for e in svg.iter() if (e.get("class") or "").startswith("node")]
    assert len(nodes) == len(TREE.nodes)
    for element, node in zip(nodes, TREE.nodes.values(), strict=True):
        assert node.name in words(element)
        assert element.get("href") or node.gist in words(element), "its gist is the tooltip of what is no link"
    assert svg.get("aria-labelledby") == svg.find(f"{SVG}title").get("id")
    assert svg.get("aria-describedby") == svg.find(f"{SVG}desc").get("id")
    assert not list(svg.iter(f"{SVG}script")) and "http" not in ET.tostring(svg, "unicode").replace(SVG[1:-1], "")


@pytest.mark.parametrize("name", list(TREE.nodes))
def test_the_small_tree_lights_one_node_and_its_ancestors(name):
    svg = parsed(tree_small.small(TREE, name))
    assert svg.get("role") == "img" and not list(svg.iter(f"{SVG}a"))
    kinds = [e.get("class").split()[-1] for e in svg.iter(f"{SVG}g")]
    assert kinds.count("lit") == 1 and kinds.count("past") == len(TREE.ancestors(name))
    edges = sum(len(TREE.nodes[n].parents) for n in TREE.ancestors(name) | {name})
    assert sum((e.get("class") or "").endswith("past") for e in svg.iter(f"{SVG}path")) == edges


def test_names_are_escaped():
    made = lineage.read(SMALL)
    for text in (tree_draw.wide(made, lambda n: "x"), tree_small.narrow(made, lambda n: "x"),
                 tree_small.small(made, "new"), f"<p>{tree.relatives('old', made, lambda n: 'x')}</p>"):
        assert "New & <newer>" in words(parsed(text))


def test_the_line_for_notebooks():
    assert tree.text("attention") == (
        "RNN and LSTM (1997) → seq2seq (2014) → **Attention (2014)** → Transformer (2017)"
    )
    with pytest.raises(ValueError, match="there are ngram, "):
        tree.text("atention")


def test_the_list_names_every_node_once_with_its_papers():
    lines = tree.listing(TREE).splitlines()
    assert len(lines) == len(TREE.nodes)
    for line, node in zip(lines, TREE.nodes.values(), strict=True):
        assert node.name in line and node.gist in line and f"{{cite:p}}`{','.join(node.papers)}`" in line
        assert ("{doc}`" in line) == (tree.page(node) is not None)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 640, 760, 1200])
def test_names_fit_their_boxes_and_the_page_never_scrolls_sideways(tmp_path, browser, theme, width):
    """In Chromium, with its own default font: no word leaves its box, and one of the two drawings is shown."""
    figure = tree.svg(href=lambda n: "x.html" if n.id == "attention" else None) + tree.svg("dalle2")
    page_file = tmp_path / "tree.html"
    page_file.write_text(
        f'<!doctype html><html data-theme="{theme}"><meta charset="utf-8"><body style="margin:16px">'
        f'<figure class="lineage-figure">{figure}</figure>', encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(page_file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = [page.locator(f".lineage-{kind}").is_visible() for kind in ("wide", "narrow", "small")]
    assert shown in ([True, False, True], [False, True, True])
    outside = page.evaluate(OUTSIDE)
    page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.close()
    assert outside == []
    assert focused == "Attention, 2014: open the chapter"


OUTSIDE = """
[...document.querySelectorAll('.lineage-wide .node, .lineage-narrow .node')].flatMap(node => {
  const box = node.querySelector('rect').getBoundingClientRect();
  return box.width ? [...node.querySelectorAll('text')].filter(text => {
    const t = text.getBoundingClientRect();
    return t.left < box.left - 1 || t.right > box.right + 1 || t.top < box.top - 3 || t.bottom > box.bottom + 3;
  }).map(text => text.textContent) : [];
})
"""
