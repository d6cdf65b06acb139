"""The ledger of spent permits: what was used, and how it ended.

A permit is spent before the effect and settled after it. One (plan digest, direction) takes effect at most once (S2):
another permit for it counts only when each spent one is known to have done nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from pitcrew.core.action import Trace
from pitcrew.core.errors import JournalDamaged
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Entry, Json, Record

SPENT = "Spent"
SETTLED = "Settled"


class End(StrEnum):
    """How a permit ended."""

    NOT_DONE = "NotDone"
    FAILED = "Failed"
    DONE = "Done"


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """A permit that is used up. `trace` is None when it was burnt unspent, `end` is None until it is known."""

    serial: str
    plan: str
    direction: Direction
    trace: Trace | None
    end: End | None


@dataclass(kw_only=True, slots=True)
class Uses:
    """Every permit ever used, by serial; about 1 kB each, of which budgets allow a few a day."""

    by_serial: dict[str, Use] = field(default_factory=dict)

    def of(self, plan: str, direction: Direction) -> Iterable[Use]:
        """The spent permits of one digest in one direction."""
        uses = self.by_serial.values()
        return [use for use in uses if use.trace and use.plan == plan and use.direction is direction]

    def objection(self, permit: Permit) -> str | None:
        """Why this permit may not be spent, or None."""
        if permit.serial in self.by_serial:
            return "the permit was used already"
        if any(use.end is not End.NOT_DONE for use in self.of(permit.plan_digest, permit.direction)):
            return f"this plan was carried out once ({permit.direction}), or may have been; it is not repeated"
        done = self.of(permit.plan_digest, Direction.DO)
        if permit.direction is Direction.UNDO and all(use.end is End.NOT_DONE for use in done):
            return "this plan was never carried out here, so there is nothing to undo"
        return None

    def add(self, record: Record) -> None:
        """Apply one record of the ledger.

        Raises:
            JournalDamaged: it is not a record of this ledger.
        """
        try:
            use = self._use(record)
        except (KeyError, ValueError):
            raise JournalDamaged(f"ledger record {record.seq} is no use of a permit; restore the file") from None
        self.by_serial[use.serial] = use

    def _use(self, record: Record) -> Use:
        serial, plan = _text(record.data["serial"]), _text(record.data["plan"])
        direction = Direction(_text(record.data["direction"]))
        before = self.by_serial.get(serial)
        if record.type == SPENT and before is None:
            return Use(serial=serial, plan=plan, direction=direction, trace=_trace(record.data["trace"]), end=None)
        if record.type == SETTLED and (before is None or (before.plan, before.direction) == (plan, direction)):
            end = End(_text(record.data["end"]))
            return Use(serial=serial, plan=plan, direction=direction, trace=before.trace if before else None, end=end)
        raise ValueError(record.type)


def spent(permit: Permit, plan: Plan, trace: Trace) -> Entry:
    """The record that a permit is used up; written before the effect."""
    kept: Json = {
        "op": trace.op,
        "target_id": trace.target_id,
        "instance": trace.instance,
        "notes": dict(trace.notes),
    }
    return Entry(type=SPENT, data={**_about(permit), "trace": kept}, service=plan.service, incident=plan.incident)


def settled(permit: Permit, plan: Plan, end: End) -> Entry:
    """The record of how it ended; for a permit that was never spent, that it cannot be any more."""
    return Entry(type=SETTLED, data={**_about(permit), "end": str(end)}, service=plan.service, incident=plan.incident)


def _about(permit: Permit) -> dict[str, Json]:
    return {"serial": permit.serial, "plan": permit.plan_digest, "direction": str(permit.direction)}


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("not text")
    return value


def _trace(value: Json) -> Trace:
    if not isinstance(value, dict) or not isinstance(value["notes"], dict):
        raise ValueError("not a trace")
    notes = {name: _text(note) for name, note in value["notes"].items()}
    op, target_id, instance = (_text(value[name]) for name in ("op", "target_id", "instance"))
    return Trace(op=op, target_id=target_id, instance=instance, notes=notes)
