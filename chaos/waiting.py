"""Waiting for something to become so, up to a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.05


def became(condition: Callable[[], T], *, within_s: float) -> T:
    """What the condition gives once it is truthy, or its last answer at the deadline."""
    deadline = time.monotonic() + within_s
    while not (seen := condition()) and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
    return seen
