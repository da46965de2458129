"""Settings of nbgrader for this course. Written by the course command; your own go to my_nbgrader_config.py."""
import os
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
COURSE = tomllib.loads((HERE / "course.toml").read_text(encoding="utf-8"))
sys.path.insert(0, str(HERE / "private"))

from grading import ExecuteGraded, MendNotebook, ReleaseFeedback  # noqa: E402
from nbconvert.preprocessors import ClearMetadataPreprocessor  # noqa: E402
from nbgrader.preprocessors import (  # noqa: E402
    AssignLatePenalties,
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)

# Kernels that grade inherit these. Without them a hidden grade cell only says that it runs when graded.
os.environ["AUTOGRADER_HIDDEN"] = str(HERE / "private" / "hidden")
os.environ["AUTOGRADER_SECRET"] = COURSE["secret"]
os.environ["AUTOGRADER_TIME_LIMIT"] = str(COURSE.get("check_seconds", CHECK_SECONDS))  # type: ignore[name-defined]  # noqa: F821
os.environ["GPTLIB_BUDGET"] = "smoke"
os.environ.setdefault("OMP_NUM_THREADS", "1")
# PYTHONPATH comes before the submission's folder: a clone of the course in it would be graded instead.
before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
os.environ["PYTHONPATH"] = os.pathsep.join(p for p in before if p and not (Path(p) / "gptlib").exists())

c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.CourseDirectory.root = str(HERE)
c.CourseDirectory.course_id = COURSE["course_id"]
if COURSE.get("exchange"):
    c.Exchange.root = str((HERE / Path(COURSE["exchange"]).expanduser()).resolve())

# The files that learners edit are graded as they come. All others are put back from source/.
c.Autograde.exclude_overwriting = EXCLUDE_OVERWRITING  # type: ignore[name-defined]  # noqa: F821

# A duplicated, deleted or altered grade cell is mended before nbgrader looks at it; see private/grading.py.
c.Autograde.sanitize_preprocessors = [
    ClearOutput, MendNotebook, DeduplicateIds, OverwriteKernelspec, OverwriteCells, CheckCellMetadata
]  # fmt: skip
c.Autograde.autograde_preprocessors = [
    ExecuteGraded, ClearMetadataPreprocessor, LimitOutput, SaveAutoGrades, AssignLatePenalties, CheckCellMetadata
]  # fmt: skip
c.ExecuteGraded.everything = COURSE.get("run", "graded") == "all"
c.ExecuteGraded.timeout = int(COURSE.get("cell_seconds", CELL_SECONDS))  # type: ignore[name-defined]  # noqa: F821
c.ExecuteGraded.shutdown_kernel = "immediate"
c.ExecuteGraded.coalesce_streams = True

c.ExchangeFactory.release_feedback = ReleaseFeedback

# Archives for `nbgrader zip_collect`: downloaded/ASSIGNMENT/archive/LEARNER.zip, as `submit` makes them.
# LEARNER-ASSIGNMENT.zip will do as well, and a folder named after the assignment is skipped.
c.FileNameCollectorPlugin.named_regexp = (
    r".*/extracted/(?:\d\d_\w+/)?(?P<student_id>[^/]+?)(?:-\d\d_\w+)?/"
    r"(?:(?!gptlib/)[^/]+/)?(?P<file_id>(?:gptlib/)?[^/]+)$"
)
c.FileNameCollectorPlugin.valid_ext = [".ipynb", ".py", ".safetensors", ".json"]

own = HERE / "my_nbgrader_config.py"
if own.exists():
    exec(compile(own.read_text(encoding="utf-8"), str(own), "exec"))
