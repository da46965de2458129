"""When the engine first saw a submission, by its own clock: `timestamp.txt` is what the submission says of itself."""
import datetime
import json
from pathlib import Path

from autograder.engine.verdicts import write


def stamp(course: Path, assignment: str, learner: str, receipt: str) -> str:
    """Give the time at which exactly these files were first taken in; write it down if that is now.

    Args:
        course: the course's folder.
        assignment: its name.
        learner: a plain name, as intake has checked it.
        receipt: the SHA-256 of all that was taken.
    """
    place = course / "private" / "engine" / "seen" / assignment / f"{learner}.json"
    try:
        known = json.loads(place.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    if receipt not in known:
        known[receipt] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write(place, known)
    return str(known[receipt])
