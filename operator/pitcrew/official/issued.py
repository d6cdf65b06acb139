"""What was permitted lately, as the ledger tells it: the source of budgets and cooldowns.

A target is known by three names at once (its place in the declaration, the runtime's own id, and the service); an entry
that shares one of them counts, so that renaming or making anew the service or the container resets nothing (S10).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pitcrew.core.errors import JournalDamaged
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.policy import Spending
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Entry, Record, digest
from pitcrew.core.resource import Budget, HealthyService
from pitcrew.official.asked import TYPES, Questions

TYPE = "Permit"
WINDOW_MAX_S = 7 * 86400
"""The longest window a budget may have; older permits no longer count, and are no longer held in memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """By what a target is known."""

    service: str
    target: str
    target_id: str

    def same(self, other: "Names") -> bool:
        """Whether one of the names is shared."""
        return self.service == other.service or self.target == other.target or self.target_id == other.target_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """One permit that was given."""

    at: datetime
    plan: str
    direction: Direction
    incident: str
    names: Names


def names_of(service: HealthyService, plan: Plan) -> Names:
    """The names of the target of a plan. A process has no name of its own but where and what it runs."""
    target = service.spec.target
    place = target.label
    if target.process is not None:
        place = f"process/{digest([target.process.working_dir, *target.process.command])}"
    return Names(service=service.key, target=place, target_id=plan.target_id)


def to_entry(permit: Permit, plan: Plan, names: Names) -> Entry:
    """The ledger's line for a permit."""
    data = {
        "serial": permit.serial,
        "plan": permit.plan_digest,
        "direction": str(permit.direction),
        "mechanic": permit.mechanic,
        "target": names.target,
        "target_id": names.target_id,
        "expires_at": permit.expires_at.isoformat(),
    }
    return Entry(type=TYPE, data=data, service=names.service, incident=plan.incident)


def from_record(record: Record) -> Issued:
    """The permit that `to_entry` wrote down.

    Raises:
        JournalDamaged: it is the record of something else.
    """
    try:
        plan, target, target_id = (record.data[name] for name in ("plan", "target", "target_id"))
        direction = Direction(str(record.data["direction"]))
    except (KeyError, ValueError):
        raise JournalDamaged(f"ledger record {record.seq} is no permit; restore the file") from None
    if (
        record.type != TYPE
        or not isinstance(plan, str)
        or not isinstance(target, str)
        or not isinstance(target_id, str)
    ):
        raise JournalDamaged(f"ledger record {record.seq} is no permit; restore the file")
    names = Names(service=record.service, target=target, target_id=target_id)
    return Issued(at=record.at, plan=plan, direction=direction, incident=record.incident, names=names)


@dataclass(kw_only=True, slots=True)
class Lately:
    """The permits of the last `WINDOW_MAX_S` seconds, oldest first."""

    permits: list[Issued]
    questions: Questions = field(default_factory=Questions)

    def take(self, record: Record) -> None:
        """Note one durable line of the ledger. Raises JournalDamaged where it is none."""
        if record.type in TYPES:
            self.questions.add(record)
        else:
            self.add(from_record(record))

    def add(self, issued: Issued) -> None:
        """Note one more, and let go of what no longer counts; called only when the ledger holds it durably."""
        oldest = issued.at - timedelta(seconds=WINDOW_MAX_S)
        self.permits = [*(one for one in self.permits if one.at > oldest), issued]

    def count(self, plan: str, direction: Direction) -> int:
        """How many permits one digest has had in one direction."""
        return sum(one.plan == plan and one.direction is direction for one in self.permits)

    def spending(
        self, service: HealthyService, plan: Plan, now: datetime, *, everywhere_max: int, everywhere_window_s: int
    ) -> Spending:
        """What other plans have spent. A plan's own earlier permit is not in its way: one digest counts once."""
        names, digest_ = names_of(service, plan), plan.digest
        budget = service.spec.policy.budget
        others = [one for one in self.permits if one.plan != digest_]
        here = [one for one in others if one.names.same(names)]
        spent = _instants(here, now - timedelta(seconds=budget.window))
        everywhere = _instants(others, now - timedelta(seconds=everywhere_window_s))
        return Spending(
            target=len(spent),
            target_free_at=_free_at(spent, budget.actions, budget.window),
            everywhere=len(everywhere),
            everywhere_max=everywhere_max,
            everywhere_free_at=_free_at(everywhere, everywhere_max, everywhere_window_s),
            last_at=max((one.at for one in here if one.incident != plan.incident), default=None),
            stopped=False,
        )

    def spent(self, service: HealthyService, plan: Plan, budget: Budget, now: datetime) -> tuple[int, datetime | None]:
        """What other plans for this target have spent of one budget, and when it has room again."""
        names, digest_ = names_of(service, plan), plan.digest
        here = [one for one in self.permits if one.plan != digest_ and one.names.same(names)]
        spent = _instants(here, now - timedelta(seconds=budget.window))
        return len(spent), _free_at(spent, budget.actions, budget.window)


def _instants(permits: Iterable[Issued], since: datetime) -> list[datetime]:
    """When each distinct plan was last permitted to act, within a window, oldest first."""
    latest: dict[str, datetime] = {}
    for one in permits:
        if one.direction is Direction.DO and one.at > since:
            latest[one.plan] = max(one.at, latest.get(one.plan, one.at))
    return sorted(latest.values())


def _free_at(spent: list[datetime], most: int, window_s: int) -> datetime | None:
    """When enough has fallen out of the window for one more; None when there is room, or never will be."""
    if most == 0 or len(spent) < most:
        return None
    return spent[len(spent) - most] + timedelta(seconds=window_s)
