"""The book's Sphinx extension: its directives, its style, and repairs of what the theme gets wrong."""
import os
import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from chapters._book import directives, tree
from chapters._book.site import ROOT

STATIC = ROOT / "chapters" / "_static"
# What the theme writes, what it should have written: names that contain what one sees, roles that exist.
REPAIRS = (
    (r'(<button class="btn search-button-field[^>]*?) title="[^"]*" aria-label="[^"]*"', r"\1"),
    (r'(<i class="theme-switch[^>]*?) title="[^"]*"', r'\1 aria-hidden="true"'),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    (r'(<img [^>]*class="logo__image[^>]*?) alt="[^"]*"', r'\1 alt=""'),
    (r'<div id="pst-primary-sidebar" class', '<div id="pst-primary-sidebar" role="navigation" aria-label="Book" class'),
    (r'<th class="head[^"]*">(?:<p></p>)?</th>', "<td></td>"),
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
    (r'(<div class="citation"[^>]*?) role="doc-biblioentry"', r"\1"),
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    app.add_config_value("book_solutions", os.environ.get("BOOK_SOLUTIONS", "") == "1", "env", [bool])
    app.add_node(directives.tag, html=(directives.visit_tag, directives.depart_tag))
    app.add_role("result", directives.ResultRole())
    for name, directive in directives.DIRECTIVES.items():
        app.add_directive(name, directive)
    tree.setup(app)
    app.connect("config-inited", add_static_files)
    app.connect("env-get-updated", number_by_page, priority=900)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("build-finished", offer_notebooks)
    app.connect("build-finished", repair_pages)
    app.add_css_file("course.css", priority=900)
    app.add_js_file("course.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def add_static_files(app: Sphinx, config: Any) -> None:
    """Serve chapters/_static; Jupyter Book looks for such a folder at the root only."""
    config.html_static_path.append(str(STATIC))


def number_by_page(app: Sphinx, env: Any) -> list[str]:
    """Number figures and tables anew on each page, as its notebook does."""
    for kinds in env.toc_fignumbers.values():
        for numbers in kinds.values():
            ordered = sorted(numbers, key=numbers.__getitem__)
            numbers.update({name: (i,) for i, name in enumerate(ordered, 1)})
    return []


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Leave out the scripts for live code, which the book does not use: one is emitted twice and fails."""
    if "script_files" in context:
        context["script_files"] = [
            script for script in context["script_files"]
            if "thebe" not in str(getattr(script, "filename", "")).lower()
            and "THEBE" not in getattr(script, "attributes", {}).get("body", "")
        ]  # fmt: skip


def offer_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """Let the download button give the notebook that reads well in Jupyter, not the page's source in a notebook."""
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        target = Path(app.outdir) / "_sources" / "chapters" / path.name
        if exception is None and target.exists():
            shutil.copyfile(path, target)


def repair_pages(app: Sphinx, exception: Exception | None) -> None:
    """Mend what keeps the theme's pages from being accessible to all; an axe-core test watches over it."""
    for path in Path(app.outdir).rglob("*.html") if exception is None else ():
        text = mended = path.read_text(encoding="utf-8")
        for pattern, better in REPAIRS:
            mended = re.sub(pattern, better, mended)
        if mended != text:
            path.write_text(mended, encoding="utf-8")
