"""What all tests share: how a missing system tool is treated."""
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def needs_tool(name: str) -> str:
    """The path of a system tool; without it the test fails under CI=true and is skipped elsewhere."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed (on Debian: apt-get install {name})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
