"""Feedback pages by nbgrader's own converter, from what the engine entered; no script of any page can run."""
import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import nbformat
from latex2mathml.converter import convert
from nbconvert.exporters import HTMLExporter, TemplateExporter, html
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import GetGrades

from autograder.course import command
from autograder.engine.nbgrader_steps import GetGradesAtOnce, KeptLookups, PagesOnly, configuration, swapped

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
IMAGE = re.compile(r"<img(?![^>]*\balt=)")
TAG = re.compile(r"\\tag\{([\w.]+)\}")
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
CELLS = """{{% extends "{}" %}}
{{%- block any_cell scoped -%}}{{{{ resources.once(cell, super) }}}}{{%- endblock any_cell -%}}"""  # of Jinja
KEPT = 2000  # rendered cells; a chapter has about a hundred, and learners' own come and go


class Formulas(IPythonRenderer):
    """Markdown whose formulas are MathML, which browsers show without a script."""

    def inline_math(self, body: str) -> str:
        """A formula in a line."""
        return mathml(body, "inline") or super().inline_math(body)

    def block_math(self, body: str) -> str:
        """A formula that stands alone."""
        return mathml(body, "block") or super().block_math(body)

    def latex_environment(self, name: str, body: str) -> str:
        """An environment of TeX."""
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block") or super().latex_environment(name, body)


def mathml(tex: str, display: Literal["inline", "block"]) -> str:
    """A formula as MathML, its number at the right; nothing where the converter does not know it."""
    numbers = TAG.findall(tex)
    try:
        formula = convert(TAG.sub("", tex).replace("{aligned}", "{split}"), display=display)
    except Exception:
        return ""
    return "".join(f'<span style="float: right">({number})</span>' for number in numbers) + formula


class ReadForThis(nbformat.NotebookNode):
    """A notebook that nobody else holds, so that a converter which copies it gets this one."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "ReadForThis":
        return self


class Pages(HTMLExporter):
    """nbgrader's pages. What many learners share, which is nearly all of a notebook, is rendered once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rendered: dict[str, str] = {}
        self.lexer: str | None = None
        self.raw_template = CELLS.format(self.template_file)

    def once(self, cell: Any, render: Callable[[], str]) -> str:
        """A cell as it was rendered before, or now: a page shows nothing in it but what it holds."""
        key = json.dumps(cell, sort_keys=True)
        if key not in self.rendered:
            if len(self.rendered) >= KEPT:
                self.rendered.clear()
            self.rendered[key] = render()
        return self.rendered[key]

    def from_file(  # type: ignore[override]
        self, file_stream: Any, resources: Any = None, **kwargs: Any
    ) -> tuple[str, Any]:
        """Read a notebook that nbgrader or the engine wrote, and make its page."""
        return self.from_notebook_node(ReadForThis(nbformat.v4.reads(file_stream.read())), resources, **kwargs)

    def from_notebook_node(  # type: ignore[override]
        self, nb: Any, resources: Any = None, **kwargs: Any
    ) -> tuple[str, Any]:
        """A page; nbconvert would parse it once more to give images a text, which needs no parser."""
        resources = self._init_resources(resources)
        language = nb.metadata.get("language_info", {})
        lexer = language.get("pygments_lexer", language.get("name", None))
        if self.lexer != lexer:
            self.lexer = lexer
            self.rendered.clear()
        self.register_filter("highlight_code", Highlight2HTML(pygments_lexer=lexer, parent=self))
        resources["once"] = self.once
        types = WidgetsDataTypeFilter(notebook_metadata=self._nb_metadata, parent=self, resources=resources)
        self.register_filter("filter_data_type", types)
        page, resources = TemplateExporter.from_notebook_node(self, nb, resources, **kwargs)
        page = IMAGE.sub('<img alt="No description has been provided for this image"', page)
        return page.replace("<head>", f"<head>{META}", 1), resources

    def _preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Take all steps in place: what is converted is a copy already."""
        for step in self._preprocessors:
            nb, resources = step(nb, resources)
        return nb, resources


def main(argv: list[str]) -> int:
    """Write a feedback page for everybody whose grades `grade` has entered; no script in it can run."""
    parser = command.parser("feedback", main.__doc__)
    parser.add_argument("--db", default="", help="the gradebook's address, if `grade` was given one")
    options = parser.parse_args(argv)
    course = options.course
    written = write(course, options.assignment, options.db)
    print(f"{written} pages in {course / 'feedback'}")
    return 0 if written else 1


def write(course: Path, assignment: str, db: str = "") -> int:
    """Write the pages, each with a policy against scripts."""
    config = configuration(course, db)
    coursedir = CourseDirectory(config=config)
    here = os.getcwd()
    kept = KeptLookups()
    with kept.used(), swapped(coursedir, assignment_id=assignment), swapped(html, IPythonRenderer=Formulas):
        app = PagesOnly(coursedir=coursedir, config=config)
        app.exporter_class = Pages
        app.preprocessors = [GetGradesAtOnce if step is GetGrades else step for step in app.preprocessors]
        app.force, app.log = True, logging.getLogger("autograder.engine")
        try:
            app.start()
        except SystemExit:
            pass  # nbgrader has named who has no page; the others have theirs
        finally:
            os.chdir(here)
            kept.close()
    return len(list(course.glob(f"feedback/*/{assignment}/*.html")))
