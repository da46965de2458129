"""The judge of the bug hunts: does a learner's test tell a right function from a broken one?"""
from collections.abc import Callable
from typing import Any


def hunt(test: Callable[[Any], object], right: Any, broken: Any) -> str:
    """Say whether a test tells a right function from a broken one.

    Args:
        test: takes a function, and raises AssertionError if that is wrong.
        right: a function that is right.
        broken: the function of the hunt.

    Raises:
        NotImplementedError: what they call is an exercise that has not been written yet.
    """
    try:
        test(right)
    except NotImplementedError:
        raise
    except Exception as error:
        return f"Too strict: your test fails on a right function as well ({error!r})."
    try:
        test(broken)
    except AssertionError:
        return "Caught! Your test passes on the right one and fails on the broken one."
    except Exception as error:
        return f"Compare values with assert; the broken function raised {error!r}."
    return "The bug is at large: your test passes on the broken function, too."
