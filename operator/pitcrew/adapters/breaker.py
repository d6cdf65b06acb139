"""A circuit breaker: after failures in a row nobody is asked for a while, then one call tries."""

from collections.abc import Callable
from enum import StrEnum
from threading import Lock


class BreakerState(StrEnum):
    """Where a breaker stands, as doctor and status show it."""

    CLOSED = "Closed"
    HALF_OPEN = "HalfOpen"
    OPEN = "Open"


class Breaker:
    """Counts failures in a row; safe to use from several threads.

    `failures_max` failures in a row open it; after `open_s` seconds of the given monotonic clock one call is let
    through, and its outcome closes or opens it again. Whoever was called may ask for a rest, which opens it at once.
    """

    def __init__(self, *, failures_max: int, open_s: float, monotonic: Callable[[], float]) -> None:
        self._failures_max = failures_max
        self._open_s = open_s
        self._monotonic = monotonic
        self._lock = Lock()
        self._failures = 0
        self._opened_at: float | None = None
        self._rest_s = open_s
        self._trial_at: float | None = None

    @property
    def state(self) -> BreakerState:
        """Where it stands now."""
        with self._lock:
            return self._state()

    def admits(self) -> bool:
        """Whether a call may be made now; in the half-open state only one caller at a time is told yes."""
        with self._lock:
            state = self._state()
            if state is BreakerState.HALF_OPEN:
                self._trial_at = self._monotonic()
            return state is not BreakerState.OPEN

    def succeeded(self) -> None:
        """A call was answered: whatever was counted is forgotten."""
        with self._lock:
            self._failures, self._opened_at, self._trial_at = 0, None, None

    def failed(self, *, rest_s: float = 0.0) -> None:
        """A call was not answered; `rest_s` is how many seconds whoever was called wants to be left alone."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._failures_max or rest_s > 0:
                now = self._monotonic()
                left_s = 0.0 if self._opened_at is None else self._opened_at + self._rest_s - now
                self._rest_s = max(self._open_s, rest_s, left_s)
                self._opened_at, self._trial_at = now, None

    def _state(self) -> BreakerState:
        if self._opened_at is None:
            return BreakerState.CLOSED
        since = self._opened_at if self._trial_at is None else self._trial_at
        return BreakerState.OPEN if self._monotonic() - since < self._rest_s else BreakerState.HALF_OPEN
