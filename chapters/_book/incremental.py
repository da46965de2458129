"""What Sphinx must be told so that it reads and writes again the pages that an edit concerns, and no others."""
from typing import Any

from sphinx.application import Sphinx

from chapters._book import execute, setup_cell
from chapters._book.site import Site


def setup(app: Sphinx) -> None:
    """Register with Sphinx; numbers are assigned in between, at 500."""
    app.connect("source-read", load_setup_cell)
    app.connect("env-get-updated", number_through_the_book, priority=100)
    app.connect("env-get-updated", number_by_page, priority=900)
    app.connect("env-get-updated", write_all_if_others_see_it, priority=950)


def load_setup_cell(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the set-up cell in the place of `{setup}`, before myst-nb splits the page into cells; note what they use."""
    text = setup_cell.loaded(source[0])
    if text != source[0]:
        setup_cell.write(Site())
        app.env.note_dependency(str(setup_cell.FILE))
        source[0] = text
    ran = execute.KEPT / page.rpartition("/")[2] / "key"
    if ran.exists():
        app.env.note_dependency(str(ran))


def number_through_the_book(app: Sphinx, env: Any) -> list[str]:
    """Give Sphinx back its own numbers of figures and tables, else it takes those of each page for a change."""
    env.toc_fignumbers = getattr(env, "book_fignumbers", env.toc_fignumbers)
    return []


def number_by_page(app: Sphinx, env: Any) -> list[str]:
    """Number figures and tables anew on each page, as its notebook does."""
    env.book_fignumbers = env.toc_fignumbers
    env.toc_fignumbers = {
        page: {kind: {name: (i,) for i, name in enumerate(sorted(numbers, key=numbers.__getitem__), 1)}
               for kind, numbers in kinds.items()}
        for page, kinds in env.book_fignumbers.items()
    }  # fmt: skip
    return []


def write_all_if_others_see_it(app: Sphinx, env: Any) -> list[str]:
    """Write every page anew if an edit changed what pages show of each other: titles, labels, numbers, citations."""
    before, env.book_seen = getattr(env, "book_seen", None), seen(env)
    return list(env.found_docs) if before != env.book_seen else []


def seen(env: Any) -> list[list[str]]:
    """What pages show of each other."""
    std, cite = env.get_domain("std"), env.get_domain("cite")
    tables = [std.labels, std.anonlabels, std.objects, env.get_domain("math").equations, env.toc_fignumbers]
    titles = {page: title.astext() for page, title in env.titles.items()}
    cited = sorted({key for reference in cite.citation_refs for key in reference.targets})
    return [*(sorted(map(repr, table.items())) for table in [*tables, titles]), cited]
