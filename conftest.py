"""Tests see the reference as gptlib: it is built before anything imports it."""
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from autograder.strip import build_reference  # noqa: E402

REFERENCE = str(build_reference())
sys.path.insert(0, REFERENCE)
os.environ["PYTHONPATH"] = os.pathsep.join([REFERENCE, str(ROOT)])
os.environ.setdefault("OMP_NUM_THREADS", "1")
