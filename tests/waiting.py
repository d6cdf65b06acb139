"""Waiting in tests: for a fact, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE_S = 0.05


def eventually(condition: Callable[[], T], *, timeout_s: float = 15.0, what: str = "it") -> T:
    """The condition's first truthy answer. Raises: AssertionError with its last answer at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (seen := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not become so within {timeout_s:g} s; last seen: {seen!r}")
        time.sleep(PAUSE_S)
    return seen
