"""Feedback pages by nbgrader's own converter, from what the engine entered; no script of any page can run."""
import functools
import logging
import os
import re
from pathlib import Path
from typing import Any, Literal

from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert.exporters import HTMLExporter, TemplateExporter, html
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbgrader.coursedir import CourseDirectory

from autograder.course import command
from autograder.engine.commit import configuration
from autograder.engine.nbgrader_steps import KeptLookups, PagesOnly, swapped

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
IMAGE = re.compile(r"<img(?![^>]*\balt=)")
TAG = re.compile(r"\\tag\{([\w.]+)\}")
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
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


class Pages(HTMLExporter):
    """nbgrader's pages. What many learners share, which is nearly all of a notebook, is rendered once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rendered: dict[tuple, str] = {}

    def once(self, key: tuple, render: Any) -> str:
        """What was rendered before for this key, or now."""
        if key not in self.rendered:
            if len(self.rendered) >= KEPT:
                self.rendered.clear()
            self.rendered[key] = render()
        return self.rendered[key]

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """Markdown as HTML."""
        render = functools.partial(super().markdown2html, context, source)
        attached = context.get("cell", {}).get("attachments")
        return render() if attached else self.once(("markdown", source), render)

    def from_notebook_node(  # type: ignore[override]
        self, nb: Any, resources: Any = None, **kwargs: Any
    ) -> tuple[str, Any]:
        """A page; nbconvert would parse it once more to give images a text, which needs no parser."""
        resources = self._init_resources(resources)
        language = nb.metadata.get("language_info", {})
        highlight = Highlight2HTML(
            pygments_lexer=language.get("pygments_lexer", language.get("name", None)), parent=self
        )

        def highlighted(source: str, language: str | None = None, metadata: Any = None) -> str:
            key = ("code", highlight.pygments_lexer, source, language, repr(metadata))
            return self.once(key, lambda: highlight(source, language, metadata))

        self.register_filter("highlight_code", highlighted)
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
        app.force, app.log = True, logging.getLogger("autograder.engine")
        try:
            app.start()
        except SystemExit:
            pass  # nbgrader has named who has no page; the others have theirs
        finally:
            os.chdir(here)
            kept.close()
    return len(list(course.glob(f"feedback/*/{assignment}/*.html")))
