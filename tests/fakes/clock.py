"""A clock that a test moves."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pitcrew.core.record import Instant


@dataclass(kw_only=True)
class FakeClock:
    """The trusted clock, standing still until it is moved."""

    at: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    boot: str = "boot-1"
    boottime_ns: int = 1_000_000_000

    def now(self) -> Instant:
        return Instant(at=self.at, boot=self.boot, boottime_ns=self.boottime_ns)

    def move(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)
        self.boottime_ns += seconds * 1_000_000_000
