"""The trusted clock of one machine: the wall is asked once, at the start, and the boot-time clock carries on."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pitcrew.core.record import Instant, Record

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_wall() -> datetime:
    return datetime.now(UTC)


def read_boottime_ns() -> int:
    """CLOCK_BOOTTIME: goes on during sleep, is never set; see clock_gettime(2)."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def read_boot_id() -> str:
    return BOOT_ID.read_text(encoding="ascii").strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class BootClock:
    """Time as the boot-time clock tells it, from one anchor on; steps of the wall clock change nothing."""

    anchor_at: datetime
    anchor_ns: int
    boot: str
    boottime_ns: Callable[[], int] = read_boottime_ns

    @classmethod
    def after(
        cls,
        last: Record | None,
        *,
        wall: Callable[[], datetime] = read_wall,
        boottime_ns: Callable[[], int] = read_boottime_ns,
        boot_id: Callable[[], str] = read_boot_id,
    ) -> "BootClock":
        """The clock that goes on from the last record.

        In the same boot it is that record's time plus the boot time since. In another boot nobody knows how long the
        machine was off but the wall, which is believed unless it runs behind the record.
        """
        boot = boot_id()
        if last is not None and last.boot == boot:
            return cls(anchor_at=last.at, anchor_ns=last.boottime_ns, boot=boot, boottime_ns=boottime_ns)
        at = wall() if last is None else max(wall(), last.at)
        return cls(anchor_at=at, anchor_ns=boottime_ns(), boot=boot, boottime_ns=boottime_ns)

    def now(self) -> Instant:
        boottime_ns = self.boottime_ns()
        elapsed = timedelta(microseconds=max(0, boottime_ns - self.anchor_ns) // 1000)
        return Instant(at=self.anchor_at + elapsed, boot=self.boot, boottime_ns=boottime_ns)
