"""nbgrader's converters as the engine uses them: the same steps, without what they do again for every learner."""
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, BaseConverter, GenerateFeedback
from sqlalchemy.orm import scoped_session, sessionmaker


@contextlib.contextmanager
def swapped(owner: Any, **news: Any) -> Iterator[None]:
    """Give an object other attributes for a while, whatever happens meanwhile."""
    before = {name: getattr(owner, name) for name in news}
    try:
        for name, new in news.items():
            setattr(owner, name, new)
        yield
    finally:
        for name, old in before.items():
            setattr(owner, name, old)


class KeptLookups:
    """What nbgrader looks up again for every learner, kept for the length of a command.

    It opens the gradebook about ten times a learner: every `Gradebook` still has a session of its own, but the database
    engine and its connections stay, and that the tables and the course are there is seen at the first opening. The
    files of an assignment's source folder are listed once.
    """

    def __init__(self) -> None:
        self.engines: dict[tuple, Any] = {}
        self.files: dict[str, list[str]] = {}

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Let nbgrader use what is kept."""
        first, look = Gradebook.__init__, utils.find_all_files

        def opened(book: Any, db_url: str, course_id: str = "default_course", authenticator: Any = None) -> None:
            engine = self.engines.get((db_url, course_id))
            if engine is None:
                first(book, db_url, course_id, authenticator)
                self.engines[db_url, course_id] = book.engine
                return
            book.engine, book.course_id, book.authenticator = engine, course_id, authenticator
            book.db = scoped_session(sessionmaker(autoflush=True, bind=engine, future=True))

        def listed(path: str, exclude: list[str] | None = None) -> list[str]:
            if path not in self.files:
                self.files[path] = look(path, exclude)
            return self.files[path]

        with (
            swapped(Gradebook, __init__=opened, close=lambda book: book.db.remove()),
            swapped(utils, find_all_files=listed),  # which `Autograde` calls for the source folder alone
        ):
            yield

    def close(self) -> None:
        """Close all connections; the next opening looks at the database anew."""
        for engine in self.engines.values():
            engine.dispose()
        self.engines.clear()


class Entered(NotebookExporter):
    """Writes the notebook of a graded submission: read for this alone, so that no step needs a copy of it."""

    def from_file(  # type: ignore[override]
        self, file_stream: Any, resources: Any = None, **kwargs: Any
    ) -> tuple[str, Any]:
        """Read a notebook and convert it."""
        return self.from_notebook_node(nbformat.v4.reads(file_stream.read()), resources, **kwargs)

    def from_notebook_node(  # type: ignore[override]
        self, nb: Any, resources: Any = None, **kwargs: Any
    ) -> tuple[str, Any]:
        """Convert a notebook, in place."""
        resources = self._init_resources(resources)
        for step in self._preprocessors:
            nb, resources = step(nb, resources)
        nbformat.validate(nb, relax_add_props=True)
        resources["output_suffix"] = ".nbconvert"
        return json.dumps(nb, ensure_ascii=False, sort_keys=True) + "\n", resources


class OnePass(Autograde):
    """nbgrader's converter without its second pass, in which a kernel would run the notebook."""

    def convert_single_notebook(self, notebook_filename: str) -> None:
        """Convert a notebook."""
        self._init_preprocessors()
        BaseConverter.convert_single_notebook(self, notebook_filename)


class PagesOnly(GenerateFeedback):
    """Feedback is a page for each notebook; the learner has the other files, and nbgrader releases none of them."""

    def init_assignment(self, assignment_id: str, student_id: str) -> None:
        """Copy nothing."""
