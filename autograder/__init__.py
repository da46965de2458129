"""Checks, progress and grading for the exercises of The GPT Lineage."""
from autograder.runner import check

__all__ = ["check"]
