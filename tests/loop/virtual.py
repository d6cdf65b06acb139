"""An event loop whose time is virtual: nobody waits, and an hour of the loop passes in the time its work takes.

When nothing is ready, time jumps to the next timer; what comes over real sockets of this loop comes before that. Work
for threads is carried out at once, so that time never runs while a file is written. The product is unchanged: it sleeps
and times out through asyncio as always.
"""

import asyncio
import selectors
from asyncio import Future
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

GRACE_S = 0.002
"""Real seconds that a real socket has before time jumps."""
OWN_FILES = 1
"""Files that a loop watches for itself: the pipe that wakes it."""
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Jump(selectors.DefaultSelector):
    """Waits for nothing; what it was asked to wait, it adds to the loop's time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if found := super().select(0) or self._within_the_grace():
            return found
        if timeout is None:
            raise AssertionError("nothing is left that could ever happen")
        self.now_s += max(0.0, timeout)
        return []

    def _within_the_grace(self) -> Any:
        """What the machine's own sockets bring; both ends of a connection are in this loop, so that it is at once."""
        return super().select(GRACE_S) if len(self.get_map()) > OWN_FILES else []


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now_s

    def run_in_executor(self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> "Future[T]":
        done: Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # as an executor does: whatever it was goes to whoever awaits
            done.set_exception(error)
        return done


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
