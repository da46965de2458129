"""Every page loads whole, from this machine alone, fits a phone, and is accessible in light and dark."""
import functools

import pytest

from chapters._book import vendor
from tests.browser.conftest import Visit, toc

pytestmark = pytest.mark.parametrize("visit", [*toc(), "genindex", "search"], indirect=True)


def test_nothing_comes_from_elsewhere(visit: Visit):
    assert visit.foreign == []


def test_everything_arrives(visit: Visit):
    assert visit.failed == []


def test_no_script_complains(visit: Visit):
    assert visit.console == []


def test_formulas_are_set(visit: Visit):
    formulas = visit.page.locator(".bd-article .math")
    assert visit.page.locator(".bd-article .math mjx-container").count() >= formulas.count()
    assert visit.page.locator("mjx-merror").count() == 0


def test_fits_a_phone(visit: Visit):
    before = visit.page.viewport_size
    visit.page.set_viewport_size({"width": 360, "height": 740})
    visit.page.wait_for_timeout(150)
    too_wide = visit.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    visit.page.set_viewport_size(before)
    assert too_wide <= 0, f"{too_wide} px wider than a phone"


@functools.cache
def axe() -> str:
    return vendor.axe().read_text(encoding="utf-8")


# axe takes a formula in the head of a table for nothing; screen readers read its MathML.
VIOLATIONS = """async () => {
  const formula = (node) => document.querySelector(node.target[0])?.querySelector("mjx-assistive-mml math");
  const found = await axe.run(document, { resultTypes: ["violations"], preload: false });
  return found.violations.flatMap((rule) => rule.nodes
    .filter((node) => !(rule.id === "empty-table-header" && formula(node)))
    .map((node) => `${rule.id}: ${rule.help}: ${node.html.slice(0, 160)} ${node.failureSummary}`));
}"""


# axe takes longest over the colours of words in code. Of words that stand alike, with the same classes all the way up
# and hence the same colours in either theme, one is enough; what is hidden axe passes over.
ALIKE = """() => {
  const looks = new Set();
  const look = (node) => (node ? `${look(node.parentElement)} ${node.localName}.${node.className}` : "");
  const words = [...document.querySelectorAll(".highlight pre span:not(:has(*))")];
  const again = words.filter((word) => word.checkVisibility() && looks.size === looks.add(look(word)).size);
  for (const word of again) word.replaceWith(word.textContent);
  document.body.normalize();
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible(visit: Visit, theme: str):
    visit.page.add_style_tag(content="* { transition: none !important }")  # colours would fade for a while
    visit.page.wait_for_timeout(500)  # 0.3 s after a window has another size, the theme makes focusable what scrolls
    visit.page.evaluate(
        "theme => { document.documentElement.dataset.theme = theme; document.documentElement.dataset.mode = theme }",
        theme,
    )
    visit.page.evaluate(ALIKE)
    visit.page.evaluate(axe())
    found = visit.page.evaluate(VIOLATIONS)
    assert found == []
