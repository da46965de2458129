"""What chapters are written with besides MyST: task, answer, quiz, record, written, and numbers by {result}."""
import json
import textwrap
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.logging import getLogger

from autograder import strip, table
from chapters._book import boxes, markdown
from chapters._book.site import ROOT

log = getLogger(__name__)


class tag(nodes.General, nodes.Element):  # noqa: N801 — docutils names its nodes in lower case
    """An HTML element: its name in `tag`, its attributes in `attributes_html`."""


def visit_tag(self: Any, node: tag) -> None:
    """Open the element."""
    self.body.append(self.starttag(node, node["tag"], "", **node.get("attributes_html", {})))


def depart_tag(self: Any, node: tag) -> None:
    """Close the element."""
    self.body.append(f"</{node['tag']}>\n")


def element(name: str, *children: nodes.Node, classes: str = "", ids: str = "", **attributes: str) -> tag:
    """Return an HTML element with children; text becomes text."""
    node = tag("", *children, tag=name, attributes_html=attributes)
    node["classes"] = classes.split()
    node["ids"] = [ids] if ids else []
    return node


def words(text: str) -> nodes.Text:
    """Return plain text."""
    return nodes.Text(text)


def code(text: str) -> nodes.literal:
    """Return text in the font of code."""
    return nodes.literal(text, text)


class BookDirective(SphinxDirective):
    """What our directives share: one argument, a body, and inline markup in the argument."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def inline(self, text: str) -> list[nodes.Node]:
        """Parse one line of Markdown."""
        parsed, messages = self.state.inline_text(text, self.lineno)
        return [*parsed, *messages]

    def body(self) -> list[nodes.Node]:
        """Parse the directive's body."""
        box = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, box)
        return box.children

    def exercise(self) -> table.Exercise:
        """Look the argument up in the table of exercises."""
        self.env.note_dependency(str(table.path_of(self.arguments[0].strip().split(".")[0])))
        try:
            return table.exercise(self.arguments[0].strip())
        except LookupError as error:
            raise self.error(error.args[0]) from None


LEVELS = {1: "low", 2: "medium", 3: "high"}


def level(name: str, value: int, names: dict[int, str]) -> tag:
    """Show a level of 1 to 3 as ●●○, and say it in words to those who cannot see the dots."""
    dots = element("span", words("●" * value + "○" * (3 - value)), classes="dots", **{"aria-hidden": "true"})
    return element("li", words(f"{name} "), dots, element("span", words(names[value]), classes="visually-hidden"))


class Task(BookDirective):
    """{task} module.exercise: what to write and where; all numbers come from the table."""

    def run(self) -> list[nodes.Node]:
        """Build the box."""
        e = self.exercise()
        name = f"task-{nodes.make_id(e.name)}"
        title = element(
            "p", element("span", words("Exercise"), classes="task-kind"), words(" "),
            element("span", words(e.title), classes="task-title"), words(" "), code(e.name),
            classes="task-head", ids=f"{name}-title",
        )  # fmt: skip
        facts = element(
            "ul",
            level("difficulty", e.difficulty, {1: "easy", 2: "medium", 3: "hard"}),
            level("importance", e.importance, LEVELS),
            element("li", words(f"about {e.minutes} minutes")),
            element("li", words(f"{e.points} points: {e.visible} + {e.hidden} hidden")),
            classes="task-facts",
        )
        where = element(
            "p", words("Write "), code(e.function), words(" in "), code(f"gptlib/{e.module}.py"),
            words(", save the file, then run the check below."), classes="task-where",
        )  # fmt: skip
        box = element("div", title, facts, *self.body(), where, classes="task", ids=name, role="group",
                      **{"aria-labelledby": f"{name}-title"})  # fmt: skip
        return [box]


class Answer(BookDirective):
    """{answer} module.exercise: how to see the solution; with BOOK_SOLUTIONS=1 the solution itself."""

    def run(self) -> list[nodes.Node]:
        """Build the part that opens on a click."""
        e = self.exercise()
        source = f"solutions/{e.module}.py"
        command = f"python -m autograder solution {e.name}"
        address = self.config.html_theme_options["repository_url"].rstrip("/")
        branch = self.config.html_theme_options.get("repository_branch", "main")
        link = nodes.reference("", "", code(source), refuri=f"{address}/blob/{branch}/{source}", internal=False)
        how = nodes.paragraph(
            "", "", words("Compare with ours once yours passes, or when an hour has brought nothing new: "),
            link, words(", or in a terminal "), code(command), words("."),
        )  # fmt: skip
        parts = [*self.body(), how]
        if self.config.book_solutions:
            parts.append(self.solution(e))
        summary = element("summary", element("span", words("Solution of "), code(e.name)))
        return [element("details", summary, element("div", *parts, classes="opened"), classes="answer")]

    def solution(self, e: table.Exercise) -> nodes.Node:
        """Return the exercise's solution regions as a block of code."""
        path = ROOT / "solutions" / f"{e.module}.py"
        self.env.note_dependency(str(path))
        found = strip.regions(path.read_text(encoding="utf-8"))
        own = {name: textwrap.dedent(part) for name, part in found.items() if name.split(".")[0] == e.function}
        text = "\n".join(f"# {name}\n{part}" for name, part in own.items()).rstrip("\n")
        return nodes.literal_block(text, text, language="python")


class Quiz(BookDirective):
    """{quiz} Question? with a list of choices, `- [x] words — explanation`; each opens to its explanation."""

    def run(self) -> list[nodes.Node]:
        """Build the question and its choices, which work without any script."""
        number = self.env.new_serialno("quiz") + 1
        name = f"quiz-{number}"
        question = element("p", *self.inline(self.arguments[0]), classes="quiz-question", ids=f"{name}-question")
        parts: list[nodes.Node] = []
        for node in self.body():
            if isinstance(node, nodes.bullet_list):
                parts += [self.choice(item) for item in node.children]
            else:
                parts.append(node)
        if not any("right" in part.get("classes", ()) for part in parts if isinstance(part, tag)):
            raise self.error("a {quiz} needs a list of choices, at least one of them right: - [x] words — explanation")
        box = element("div", question, *parts, classes="quiz", ids=name, role="group",
                      **{"aria-labelledby": f"{name}-question"})  # fmt: skip
        return [box]

    def choice(self, item: nodes.Node) -> tag:
        """Split one choice at its first dash."""
        first = item.children[0] if item.children else None
        mark = first.astext()[:3].lower() if isinstance(first, nodes.paragraph) else ""
        if mark not in ("[x]", "[ ]"):
            raise self.error("each choice of a {quiz} begins with [x] or [ ]")
        seen, hidden = split_at_dash(list(first.children))
        if not hidden:
            raise self.error(f"each choice of a {{quiz}} explains itself after a dash: {first.astext()!r}")
        seen[0] = words(seen[0].astext()[3:].lstrip())
        right = mark == "[x]"
        verdict = nodes.strong("", "Right:" if right else "Not quite:", classes=["verdict"])
        why = nodes.paragraph("", "", verdict, words(" "), *hidden)
        opened = element("div", why, *item.children[1:], classes="opened")
        kind = "right" if right else "wrong"
        return element("details", element("summary", element("span", *seen)), opened, classes=f"choice {kind}")


def split_at_dash(children: list[nodes.Node]) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """Split inline nodes at the first dash between spaces, which must stand in plain text."""
    for i, child in enumerate(children):
        text = child.astext().replace("\n", " ")
        left, dash, right = f"{text} ".partition(" — ")
        if isinstance(child, nodes.Text) and dash:
            return [*children[:i], words(left)], [words(right.removesuffix(" ")), *children[i + 1 :]]
    return children, []


class Record(BookDirective):
    """{record} popular claim: what the primary source says."""

    def run(self) -> list[nodes.Node]:
        """Build an admonition with the claim as its title."""
        label = element("span", words("For the record"), classes="record-kind")
        title = nodes.title("", "", label, words(" "), *self.inline(self.arguments[0]))
        return [nodes.admonition("", title, *self.body(), classes=["for-the-record"])]


class Written(BookDirective):
    """{written} name points Title: a question to answer in words, which a person grades."""

    def run(self) -> list[nodes.Node]:
        """Build the box."""
        try:
            name, points, title = boxes.written_parts(
                markdown.DirectiveText("written", self.arguments[0], {}, "", self.lineno)
            )
        except ValueError as error:
            raise self.error(str(error)) from None
        head = element(
            "p", element("span", words("Written answer"), classes="task-kind"), words(" "),
            element("span", *self.inline(title), classes="task-title"),
            classes="task-head", ids=f"{name}-title",
        )  # fmt: skip
        facts = element("ul", element("li", words(f"{points} points, given by a person")), classes="task-facts")
        return [element("div", head, facts, *self.body(), classes="task", ids=name, role="group",
                        **{"aria-labelledby": f"{name}-title"})]  # fmt: skip


class ResultRole(SphinxRole):
    """{result}`attention.logit_variance:.2f`: a number that a cell recorded in this build, or in the last kept one."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the number as text; a missing one is a warning, which fails the build."""
        name, _, form = self.text.partition(":")
        chapter, _, key = name.partition(".")
        places = [ROOT / "build" / "results" / f"{chapter}.json", ROOT / "chapters" / "results" / f"{chapter}.json"]
        for path in places:
            numbers = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            if key in numbers:
                self.env.note_dependency(str(path))
                try:
                    return [words(format(numbers[key], form))], []
                except ValueError as error:
                    log.warning("{result}`%s`: %s is %r: %s", self.text, name, numbers[key], error,
                                location=self.get_location())  # fmt: skip
                    break
        else:
            log.warning("{result}`%s`: no cell has recorded %s: call record(%r, %s=…)", self.text, name, chapter, key,
                        location=self.get_location())  # fmt: skip
        return [words(f"[{name}?]")], []


DIRECTIVES: dict[str, type[Directive]] = {
    "task": Task, "answer": Answer, "quiz": Quiz, "record": Record, "written": Written,
}  # fmt: skip
