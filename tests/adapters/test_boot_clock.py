"""The trusted clock never runs behind the last record and does not follow steps of the wall clock."""

from datetime import UTC, datetime, timedelta

from pitcrew.adapters.clock.boot import BootClock
from pitcrew.core.record import GENESIS, Record

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SECOND_NS = 1_000_000_000


class Machine:
    """A machine whose clocks a test sets."""

    def __init__(self, wall: datetime, boottime_ns: int, boot: str) -> None:
        self.wall_at, self.ns, self.boot = wall, boottime_ns, boot

    def clock(self, last: Record | None) -> BootClock:
        return BootClock.after(last, wall=lambda: self.wall_at, boottime_ns=lambda: self.ns, boot_id=lambda: self.boot)


def last_record(boot: str) -> Record:
    return Record(
        seq=1, at=NOON, boot=boot, boottime_ns=50 * SECOND_NS, service="", incident="", type="T", data={},
        prev=GENESIS, hash=GENESIS,
    )  # fmt: skip


def test_the_first_reading_is_the_wall_and_boot_time_carries_on() -> None:
    machine = Machine(NOON, 5 * SECOND_NS, "b1")
    clock = machine.clock(None)
    machine.ns += 1_500_000_000
    machine.wall_at = NOON - timedelta(days=400)
    now = clock.now()
    assert (now.at, now.boot, now.boottime_ns) == (NOON + timedelta(seconds=1.5), "b1", 6_500_000_000)


def test_in_the_same_boot_time_goes_on_from_the_last_record_whatever_the_wall_says() -> None:
    for wall in (NOON - timedelta(days=1), NOON + timedelta(days=1)):
        assert Machine(wall, 60 * SECOND_NS, "b1").clock(last_record("b1")).now().at == NOON + timedelta(seconds=10)


def test_in_another_boot_the_wall_is_believed_unless_it_runs_behind_the_record() -> None:
    later = NOON + timedelta(hours=1)
    assert Machine(later, SECOND_NS, "b2").clock(last_record("b1")).now().at == later
    machine = Machine(NOON - timedelta(hours=1), SECOND_NS, "b2")
    clock = machine.clock(last_record("b1"))
    assert clock.now().at == NOON
    machine.ns += SECOND_NS
    assert clock.now().at == NOON + timedelta(seconds=1)


def test_this_machine_has_such_clocks() -> None:
    clock = BootClock.after(None)
    first, second = clock.now(), clock.now()
    assert first.at <= second.at
    assert first.boottime_ns <= second.boottime_ns
    assert first.boot == second.boot != ""
