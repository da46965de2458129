"""What all tests share: `import gptlib` is the complete library; how a missing system tool is treated."""
import importlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from autograder.strip import build_reference

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(build_reference()))
importlib.import_module("gptlib")  # now: for each test module pytest puts the root, with the stubs, first


def needs_tool(name: str) -> str:
    """The path of a system tool; without it the test fails under CI=true and is skipped elsewhere."""
    path = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))  # node comes with pip
    if path is None:
        message = f"{name} is not installed (on Debian: apt-get install {name})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
