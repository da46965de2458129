"""The course's commands: `python -m autograder COMMAND …`."""
import importlib
import os
import sys
from pathlib import Path

COMMANDS = {
    "status": "autograder.learner.progress:main",
    "solution": "autograder.learner.workbench:solution",
    "fill": "autograder.learner.workbench:fill",
    "reset": "autograder.learner.workbench:reset",
    "update": "autograder.learner.update:main",
    "submit": "autograder.learner.submit:main",
    "course": "autograder.course.write:main",
    "collect": "autograder.engine.collect:main",
    "grade": "autograder.engine.grading:main",
    "capstone": "autograder.engine.grading:capstone",
    "feedback": "autograder.engine.feedback:main",
    "flags": "autograder.review.flags:main",
    "similarity": "autograder.review.similarity:main",
    "lms": "autograder.review.lms:main",
    "doctor": "autograder.engine.doctor:main",
    "leaks": "autograder.course.write:leaks_main",
    "formgrader": "autograder.course.formgrader:main",
    "strip": "autograder.strip:main",
    "fingerprints": "autograder.fingerprints.generate:main",
}


def main(argv: list[str]) -> int:
    """Run one command; print the list of them when none or an unknown one is named."""
    if not argv or argv[0] not in COMMANDS:
        print("usage: python -m autograder COMMAND …\n")
        for name, where in COMMANDS.items():
            module, function = where.split(":")
            try:
                text = (getattr(importlib.import_module(module), function).__doc__ or "").split("\n")[0]
            except ImportError:
                continue
            print(f"  {name:<13} {text}")
        return 0 if argv and argv[0] in ("-h", "--help", "help") else 2
    module, function = COMMANDS[argv[0]].split(":")
    programs = str(Path(sys.executable).parent)  # nbgrader calls alembic by name, in no activated environment too
    os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", "")])
    return getattr(importlib.import_module(module), function)(argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
