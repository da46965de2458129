"""A written answer as HTML that can do nothing: instructors read it in their browsers, next to their gradebook.

nbgrader's pages show all HTML that Markdown contains, and links of every kind. So an answer is made HTML here, and
what nh3 does not know to be harmless is taken out. It then stands in the notebook as one line, which Markdown takes
for a block of HTML and leaves alone.
"""
import html
import re

import nh3
from nbconvert.filters.markdown import markdown2html

from autograder.limits import TimeUp, time_limit

LONGEST, RENDERING = 20_000, 3.0  # characters; seconds
TAGS = {
    *"p br hr h1 h2 h3 h4 h5 h6 blockquote pre ul ol li dl dt dd table thead tbody tfoot tr th td div".split(),
    *"a b i u s strong em del ins sub sup code kbd samp var q small mark span img".split(),
}
ATTRIBUTES = {"a": {"href", "title"}, "img": {"src", "alt", "title"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}}
PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,")
# what TeX can do to a page besides a formula: links, styles, extensions
TEX = re.compile(r"\\(?=(?:href|style|class|cssId|data|bbox|mmlToken|require|unicode|html\w*)(?![A-Za-z]))")


def harmless(text: str) -> str:
    """Markdown as clean HTML in one line; as plain text where it is too long, or takes too long to convert."""
    if not text.strip():
        return text
    try:
        with time_limit(RENDERING):
            page = markdown2html(text) if len(text) <= LONGEST else plain(text)
    except (Exception, TimeUp):
        page = plain(text)
    clean = nh3.clean(
        page, tags=TAGS, attributes=ATTRIBUTES, attribute_filter=kept,
        url_schemes={"http", "https", "mailto", "data"},
    )  # fmt: skip
    one_line = "&#10;".join(TEX.sub("∖", clean).strip().splitlines())
    return f"<div>{one_line}</div>"


def plain(text: str) -> str:
    """A text as it is."""
    more = "\n…" if len(text) > 5 * LONGEST else ""
    return f"<pre>{html.escape(text[: 5 * LONGEST])}{more}</pre>"


def kept(tag: str, name: str, value: str) -> str | None:
    """An attribute that is kept: pictures only where they come along, so that nobody learns who looks at them."""
    if (tag, name) == ("img", "src"):
        return value if PICTURE.match(value) else None
    return None if name == "href" and value.strip().lower().startswith("data:") else value
