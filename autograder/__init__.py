"""Checks, progress and grading for the exercises of The GPT Lineage."""


def check(name: str, suite: str = "visible") -> None:
    """Check what gptlib's file says now of an exercise, e.g. "attention.attend"; see `autograder.runner.check`."""
    from autograder import runner  # here, so that commands which check nothing need not wait for PyTorch

    runner.check(name, suite)


__all__ = ["check"]
