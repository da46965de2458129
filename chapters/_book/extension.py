"""The book's Sphinx extension: its directives, its style, and repairs of what the theme gets wrong."""
import functools
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pybtex.plugin
from docutils import nodes
from sphinx.application import Sphinx

from chapters._book import directives, incremental, setup_cell, tree
from chapters._book.site import ROOT, Site

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
    incremental.setup(app)
    # sphinxcontrib-bibtex looks for the same plug-in at every citation, among all packages that are installed.
    pybtex.plugin.find_plugin = functools.cache(pybtex.plugin.find_plugin)
    app.connect("config-inited", add_static_files)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", note_written)
    app.connect("build-finished", offer_notebooks)
    app.connect("build-finished", repair_pages)
    app.add_css_file("course.css", priority=900)
    app.add_js_file("course.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def add_static_files(app: Sphinx, config: Any) -> None:
    """Serve chapters/_static; Jupyter Book looks for such a folder at the root only."""
    config.html_static_path.append(str(STATIC))


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Leave out the scripts for live code, which the book does not use: one is emitted twice and fails."""
    if "script_files" in context:
        context["script_files"] = [
            script for script in context["script_files"]
            if "thebe" not in str(getattr(script, "filename", "")).lower()
            and "THEBE" not in getattr(script, "attributes", {}).get("body", "")
        ]  # fmt: skip


def offer_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """Let the download buttons give the notebook that reads well in Jupyter, and the source with its set-up cell."""
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        notebook = Path(app.outdir) / "_sources" / "chapters" / path.name
        source = notebook.with_suffix(".md")
        if exception is None and notebook.exists():
            shutil.copyfile(path, notebook)
        if exception is None and source.exists():
            source.write_text(setup_cell.written_out(Site(), source.read_text(encoding="utf-8")), encoding="utf-8")


written: list[str] = []


def note_written(app: Sphinx, page: str, *_: object) -> None:
    """Keep the names of the pages that are written, for `repair_pages`."""
    written.append(page)


def repair_pages(app: Sphinx, exception: Exception | None) -> None:
    """Mend what keeps the theme's pages from being accessible to all; an axe-core test watches over it."""
    for path in (Path(app.outdir) / f"{page}.html" for page in written) if exception is None else ():
        text = mended = path.read_text(encoding="utf-8")
        for pattern, better in REPAIRS:
            mended = re.sub(pattern, better, mended)
        if mended != text:
            path.write_text(mended, encoding="utf-8")
