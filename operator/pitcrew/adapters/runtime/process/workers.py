"""Blocking work in bounded threads, under a deadline, so that one hung disk delays its own service only (L3)."""

import asyncio
import functools
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from pitcrew.core.errors import Unavailable
from pitcrew.core.resource import ServiceKey

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Threads for blocking calls; at most `per_service_max` of one service at a time, `threads_max` in all."""

    def __init__(self, *, threads_max: int, per_service_max: int) -> None:
        self._pool = ThreadPoolExecutor(threads_max, thread_name_prefix="process")
        self._per_service_max = per_service_max
        self._busy: Counter[ServiceKey] = Counter()

    def begin(self, key: ServiceKey, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Start blocking work of a service. Raises: Unavailable when too much of it hangs already."""
        if self._busy[key] >= self._per_service_max:
            raise Unavailable(f"{key}: {self._busy[key]} earlier looks still hang; is its disk away?")
        self._busy[key] += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, functools.partial(work, *args, **kwargs))
        future.add_done_callback(functools.partial(self._done, key))
        return future

    async def call(
        self, key: ServiceKey, timeout_s: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run blocking work of a service. Raises: Unavailable when it takes too long, or too much of it hangs."""
        future = self.begin(key, work, *args, **kwargs)
        try:
            return await asyncio.wait_for(asyncio.shield(future), timeout_s)
        except TimeoutError:
            raise Unavailable(f"{key}: the file system gave no answer within {timeout_s:g} s") from None

    def _done(self, key: ServiceKey, future: "asyncio.Future[T]") -> None:
        self._busy[key] -= 1
        if not future.cancelled():
            future.exception()

    def close(self) -> None:
        """Take no more work; what hangs is left behind."""
        self._pool.shutdown(wait=False, cancel_futures=True)
