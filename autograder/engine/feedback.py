"""Feedback pages by nbgrader's own converter, from what the engine entered; no script of any page can run."""
import argparse
import logging
import os
from pathlib import Path

from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import temp_attrs

from autograder.engine.commit import configuration

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'


def main(argv: list[str]) -> int:
    """Write a feedback page for everybody whose grades `grade` has entered; no script in it can run."""
    parser = argparse.ArgumentParser(prog="python -m autograder feedback", description=main.__doc__)
    parser.add_argument("course", type=Path, help="the course's folder")
    parser.add_argument("assignment", help="for example 05_attention")
    options = parser.parse_args(argv)
    course = options.course.expanduser().resolve()
    written = write(course, options.assignment)
    print(f"{written} pages in {course / 'feedback'}")
    return 0 if written else 1


def write(course: Path, assignment: str) -> int:
    """Write the pages, and put a policy against scripts into each before a browser may see it."""
    config = configuration(course)
    coursedir = CourseDirectory(config=config)
    here = os.getcwd()
    with temp_attrs(coursedir, assignment_id=assignment):
        app = GenerateFeedback(coursedir=coursedir, config=config)
        app.force, app.log = True, logging.getLogger("autograder.engine")
        try:
            app.start()
        except SystemExit:
            pass  # nbgrader has named who has no page; the others have theirs
        finally:
            os.chdir(here)
    pages = sorted(course.glob(f"feedback/*/{assignment}/*.html"))
    for page in pages:
        text = page.read_text("utf-8")
        if META not in text:
            page.chmod(0o644)
            page.write_text(text.replace("<head>", f"<head>{META}", 1), "utf-8")
    return len(pages)
