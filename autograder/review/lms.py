"""`python -m autograder lms COURSE ASSIGNMENT --canvas FILE | --moodle FILE`: fill grades into the LMS's own export.

The file that the LMS exported says who is who there; it is read, and a new file is written that it takes back:
Canvas's gradebook (its columns up to Section, and the assignment's), Moodle's grading worksheet of an assignment
(Identifier … Grade …) or Moodle's gradebook export. Nobody's row is invented, and an empty grade stays empty.
"""
import csv
import dataclasses
import io
import re
import unicodedata
from pathlib import Path

from autograder.course import command
from autograder.review import tables
from autograder.table import chapters

CANVAS_KEYS = ("SIS Login ID", "SIS User ID", "ID", "Integration ID")
MOODLE_KEYS = ("Email address", "Username", "ID number", "Identifier", "Full name")
SECTION, POINTS = "Section", "Points Possible"
POSTING = re.compile(r"\s*(Muted|Manual Posting.*)?\s*", re.I)  # the cells of Canvas's row of posting policies


class Unfit(ValueError):
    """The file is not what the LMS exports, or does not fit the course; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Grade:
    """What the gradebook says of one learner; no score while a person has still to grade."""

    score: float | None
    names: frozenset[str]  # under which an LMS may know them


@dataclasses.dataclass
class Sheet:
    """A CSV file: its cells, and how they were written."""

    rows: list[list[str]]
    delimiter: str


@dataclasses.dataclass
class Filled:
    """The file for the LMS and what has to be said about it."""

    rows: list[list[str]]
    delimiter: str
    given: int
    notices: list[str]


def main(argv: list[str]) -> int:
    """Fill an assignment's grades into the file that Canvas or Moodle exported, for it to import."""
    parser = command.parser("lms", main.__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--canvas", type=Path, metavar="FILE", help="the gradebook that Canvas exported")
    source.add_argument("--moodle", type=Path, metavar="FILE", help="the grading worksheet or gradebook of Moodle")
    parser.add_argument("--column", help="the heading of the assignment's column, where its title does not find it")
    parser.add_argument("--match", metavar="COLUMN", help="the column with the names that learners have in this course")
    parser.add_argument("--scale", action="store_true", help="convert points where the LMS has another maximum")
    parser.add_argument("--out", type=Path, help="where to write (default: COURSE/ASSIGNMENT-LMS.csv)")
    options = parser.parse_args(argv)
    course = options.course
    place = options.canvas or options.moodle
    try:
        command.settings(course, options.assignment)
        chapter = chapters()[options.assignment]
        grades, most = graded(course, chapter.name)
        sheet = read(place)
        titles = (options.column,) if options.column else (chapter.title, chapter.name)
        fill = canvas if options.canvas else moodle
        filled = fill(sheet, grades, most, titles, options.match, options.scale)
    except (OSError, ValueError) as error:
        print(f"Nothing was written: {error}")
        return 2
    out = options.out or course / f"{chapter.name}-{'canvas' if options.canvas else 'moodle'}.csv"
    if out.resolve() == place.resolve():
        print("Nothing was written: --out names the LMS's own file; choose another one.")
        return 2
    out.write_text(tables.write(filled.rows, filled.delimiter), "utf-8", newline="")
    for line in filled.notices:
        print(line)
    print(f"{filled.given} grades in {out}")
    return 0


def graded(course: Path, name: str) -> tuple[dict[str, Grade], float]:
    """Grades by learner, late penalties taken off as `nbgrader export` does, and the most one can get.

    Raises:
        ValueError: nothing has been graded.
    """
    from nbgrader.api import Gradebook, MissingEntry

    from autograder.engine.commit import configuration

    config = configuration(course)
    address = config.CourseDirectory.get("db_url", "") or f"sqlite:///{course / 'gradebook.db'}"
    with Gradebook(address) as book:
        try:
            most = book.find_assignment(name).max_score
            submissions = book.assignment_submissions(name)
        except MissingEntry:
            raise Unfit(f"the gradebook has no grades of {name} yet: run `python -m autograder grade` first") from None
        found = {}
        for one in submissions:
            who = one.student
            names = {plain(text) for text in (who.id, who.email, getattr(who, "lms_user_id", None)) if text}
            score = max(0.0, one.score - (one.late_submission_penalty or 0.0))
            found[who.id] = Grade(None if one.needs_manual_grade else score, frozenset(names))
        return found, most


def read(place: Path) -> Sheet:
    """Read a CSV file as Canvas and Moodle write them: UTF-8 with or without a mark; commas, semicolons or tabs."""
    try:
        text = place.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unfit(f"{place} is not UTF-8: export it again, and do not save it from a spreadsheet") from None
    if "\0" in text:
        raise Unfit(f"{place} is not a text file: export it as CSV")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(row)]
    if len(rows) < 2:
        raise Unfit(f"{place} has no rows of learners")
    width = len(rows[0])
    return Sheet([(row + [""] * width)[:width] for row in rows], delimiter)


def canvas(
    sheet: Sheet, grades: dict[str, Grade], most: float, titles: tuple[str, ...], match: str | None, scale: bool
) -> Filled:
    """Canvas's gradebook: who is who, the assignment's column and its row of points; other columns are left out.

    Canvas finds people by ID and columns by the number in the heading; columns that are not there it leaves alone.
    """
    head, *rest = sheet.rows
    if len(head) < 3 or "Student" not in head[0] or "ID" not in head[1] or SECTION not in head:
        raise Unfit("this is not a gradebook of Canvas (Student, ID, … Section): use Grades → Export")
    at = column(head, titles, head.index(SECTION) + 1)
    special = [row for row in rest if POINTS in row[0] or all(POSTING.fullmatch(cell) for cell in row)]
    learners = [row for row in rest if row not in special]
    points = next((row[at] for row in special if POINTS in row[0]), "")
    factor = ratio(points, most, scale)
    people = matched(head, learners, grades, match, CANVAS_KEYS)
    keep = [*range(head.index(SECTION) + 1), at]
    return filled(sheet, keep, at, special, learners, people, grades, factor, key=1)


def moodle(
    sheet: Sheet, grades: dict[str, Grade], most: float, titles: tuple[str, ...], match: str | None, scale: bool
) -> Filled:
    """Moodle's grading worksheet (column Grade), or its gradebook export (the assignment's column)."""
    head, *learners = sheet.rows
    worksheet = "Identifier" in head and "Grade" in head
    if worksheet:
        at, key = head.index("Grade"), head.index("Identifier")
        if "Last modified (grade)" not in head:
            raise Unfit("the worksheet lacks the column 'Last modified (grade)', without which Moodle refuses it")
        limit = head.index("Maximum Grade") if "Maximum Grade" in head else None
        maxima = {row[limit] for row in learners} if limit is not None else set()
        factor = ratio(maxima.pop() if len(maxima) == 1 else "", most, scale)
        keep = list(range(len(head)))
    else:
        keys = [name for name in ("Email address", "ID number", "Username") if name in head]
        if not keys:
            raise Unfit("this is no grading worksheet and no gradebook of Moodle (no Identifier, no Email address)")
        at, key, factor = column(head, titles, 0), head.index(keys[0]), 1.0
        names = {"First name", "Last name", "Surname", *MOODLE_KEYS, "Last downloaded from this course"}
        keep = [i for i, name in enumerate(head) if name in names or i == at]
    people = matched(head, learners, grades, match, MOODLE_KEYS)
    return filled(sheet, keep, at, [], learners, people, grades, factor, key=key)


def column(head: list[str], titles: tuple[str, ...], start: int) -> int:
    """The index of the assignment's column: by its heading, with or without what the LMS adds to a title."""
    wanted = {plain(title) for title in titles}

    def bare(text: str) -> str:
        text = re.sub(r"^Assignment:\s*", "", text)
        return plain(re.sub(r"\s*\((\d+|Real|Percentage|Letter)\)$", "", text))

    found = [i for i, text in enumerate(head) if i >= start and (plain(text) in wanted or bare(text) in wanted)]
    if len(found) != 1:
        shown = ", ".join(repr(text) for text in head[start:]) or "none"
        many = "no" if not found else "more than one"
        raise Unfit(f"{many} column is the assignment's; name it with --column: {shown}")
    return found[0]


def ratio(points: str, most: float, scale: bool) -> float:
    """What to multiply points with, so that they fit the LMS's maximum."""
    try:
        theirs = float(points.replace(",", "."))
    except ValueError:
        return 1.0  # Canvas writes (read only) or nothing
    if theirs == most:
        return 1.0
    if not scale or not most:
        raise Unfit(f"the LMS gives at most {theirs:g} points, this course {most:g}: change one, or say --scale")
    return theirs / most


def matched(
    head: list[str], learners: list[list[str]], grades: dict[str, Grade], match: str | None, keys: tuple[str, ...]
) -> dict[int, str]:
    """Which row is which learner: by the first column that names most of them; nobody is guessed.

    Raises:
        Unfit: a name stands in two rows.
    """
    if match and match not in head:
        raise Unfit(f"there is no column {match!r}; there are {', '.join(head)}")
    owners: dict[str, set[str]] = {}
    for learner, grade in grades.items():
        for name in grade.names:
            owners.setdefault(name, set()).add(learner)
    best: dict[int, str] = {}
    for key in (match,) if match else [name for name in keys if name in head]:
        at, found = head.index(str(key)), {}
        for i, row in enumerate(learners):
            text = plain(row[at])
            who = owners.get(text) or owners.get(text.split("@")[0]) or set()
            if text and len(who) == 1:
                found[i] = next(iter(who))
        if len(set(found.values())) == len(found) > len(best):
            best = found
    if not best and grades:
        raise Unfit("no row of the file is a learner of the gradebook; name the column of their names with --match")
    return best


def filled(
    sheet: Sheet, keep: list[int], at: int, special: list[list[str]], learners: list[list[str]],
    people: dict[int, str], grades: dict[str, Grade], factor: float, key: int,
) -> Filled:
    """The file to import: the LMS's own rows, with grades in one column."""
    rows, notices, given = [[sheet.rows[0][i] for i in keep], *([row[i] for i in keep] for row in special)], [], 0
    for number, row in enumerate(learners):
        score = grades[people[number]].score if number in people else None
        if number in people and score is None:
            notices.append(f"left empty, a person has still to grade: {people[number]}")
        if tables.risky(row[key]):
            notices.append(f"left out, its key would be a formula in a spreadsheet: {row[key]!r:.60}")
            continue
        new = list(row)
        if score is not None:
            new[at] = f"{round(score * factor, 4):.10g}"
            given += 1
        rows.append([new[i] for i in keep])
    left = sorted(grades.keys() - set(people.values()))
    if left:
        notices.append(f"graded, but not in the file: {', '.join(left)}")
    if nameless := len(learners) - len(people):
        notices.append(f"in the file, but without a submission that was graded (left as they are): {nameless}")
    return Filled(rows, sheet.delimiter, given, notices)


def plain(text: str) -> str:
    """A name without case, Unicode form and spaces around it."""
    return unicodedata.normalize("NFKC", str(text)).casefold().strip()
