"""A plugin for nbval: a cell fails when it writes to stderr or shows that an exercise is not written."""
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Look at what the cell put out once it has run."""
    result = yield
    for output in getattr(item, "test_outputs", None) or []:
        text = "".join(output.get("text", ""))
        if output.get("name") == "stderr":
            pytest.fail(f"{item.name} writes to stderr: {text.strip()!r}")
        if "NotImplementedError" in text:
            pytest.fail(f"{item.name} shows a NotImplementedError: {text.strip()!r}")
    return result
