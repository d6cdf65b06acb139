"""What was permitted lately, as the ledger tells it: the source of budgets and cooldowns.

A target is known by three names at once (its place in the declaration, the runtime's own id, and the service); an entry
that shares one of them counts, so that renaming or making anew the service or the container resets nothing (S10).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pitcrew.core.action import to_data
from pitcrew.core.diagnosis import Cause
from pitcrew.core.errors import JournalDamaged
from pitcrew.core.history import WINDOW_S, History
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.policy import Spending
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Entry, Json, Record, digest
from pitcrew.core.resource import Budget, HealthyService
from pitcrew.core.risk import Risk
from pitcrew.official.asked import ASKED, TYPES, Questions

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
    """One permit that was given. `action` is the digest of what it was for, empty in lines of before that was kept;
    `found` are the causes that the rules found themselves in the look that it was given on, with their confidence."""

    at: datetime
    plan: str
    direction: Direction
    incident: str
    names: Names
    action: str = ""
    found: Mapping[Cause, int] = field(default_factory=dict)


def names_of(service: HealthyService, plan: Plan) -> Names:
    """The names of the target of a plan. A process has no name of its own but where and what it runs."""
    target = service.spec.target
    place = target.label
    if target.process is not None:
        place = f"process/{digest([target.process.working_dir, *target.process.command])}"
    return Names(service=service.key, target=place, target_id=plan.target_id)


def to_entry(
    permit: Permit, plan: Plan, names: Names, risk: Risk | None = None, found: Mapping[Cause, int] | None = None
) -> Entry:
    """The ledger's line for a permit; the plan is in it whole, so that it can be held against other records."""
    data: dict[str, Json] = {
        "serial": permit.serial,
        "plan": permit.plan_digest,
        "direction": str(permit.direction),
        "mechanic": permit.mechanic,
        "target": names.target,
        "target_id": names.target_id,
        "expires_at": permit.expires_at.isoformat(),
        "plan_data": plan.data,
        "risk": risk_data(risk),
        "found": {str(cause): confidence for cause, confidence in (found or {}).items()},
    }
    return Entry(type=TYPE, data=data, service=names.service, incident=plan.incident)


def risk_data(risk: Risk | None) -> Json:
    """A risk as JSON data."""
    if risk is None:
        return None
    factors: list[Json] = [{"name": one.name, "points": one.points, "evidence": one.evidence} for one in risk.factors]
    return {"score": risk.score, "level": str(risk.level), "factors": factors}


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
    return Issued(
        at=record.at,
        plan=plan,
        direction=direction,
        incident=record.incident,
        names=names,
        action=_action(record.data.get("plan_data")),
        found=_found(record.data.get("found")),
    )


def _action(plan: Json) -> str:
    return digest(plan["action"]) if isinstance(plan, Mapping) and "action" in plan else ""


def _found(told: Json) -> Mapping[Cause, int]:
    found = told if isinstance(told, Mapping) else {}
    return {cause: value for cause in Cause if isinstance(value := found.get(str(cause)), int)}


@dataclass(kw_only=True, slots=True)
class Lately:
    """The permits of the last `WINDOW_MAX_S` seconds, oldest first."""

    permits: list[Issued]
    questions: Questions = field(default_factory=Questions)
    asked: dict[str, Record] = field(default_factory=dict)
    """The line of each request, by plan digest: what people are shown is rendered from it."""

    def take(self, record: Record) -> None:
        """Note one durable line of the ledger. Raises JournalDamaged where it is none."""
        if record.type in TYPES:
            self.questions.add(record)
            if record.type == ASKED:
                self.asked.setdefault(str(record.data["plan_digest"]), record)
        else:
            self.add(from_record(record))

    def add(self, issued: Issued) -> None:
        """Note one more, and let go of what no longer counts; called only when the ledger holds it durably."""
        oldest = issued.at - timedelta(seconds=WINDOW_MAX_S)
        self.permits = [*(one for one in self.permits if one.at > oldest), issued]

    def count(self, plan: str, direction: Direction) -> int:
        """How many permits one digest has had in one direction."""
        return sum(one.plan == plan and one.direction is direction for one in self.permits)

    def _others(self, service: HealthyService, plan: Plan) -> list[Issued]:
        """The permits to act on the same target, but for those of this plan, which is in nobody's way."""
        names, digest_ = names_of(service, plan), plan.digest
        acting = [one for one in self.permits if one.direction is Direction.DO and one.plan != digest_]
        return [one for one in acting if one.names.same(names)]

    def last_other(self, service: HealthyService, plan: Plan) -> datetime | None:
        """When another plan for this target was last permitted, to act or to be undone."""
        names, digest_ = names_of(service, plan), plan.digest
        return max((one.at for one in self.permits if one.plan != digest_ and one.names.same(names)), default=None)

    def history(self, service: HealthyService, plan: Plan, now: datetime) -> History:
        """The last hour of this target: `same_cause` counts the earlier incidents for which this same action was
        permitted, whatever they and their causes were called."""
        since, asked_for = now - timedelta(seconds=WINDOW_S), digest(to_data(plan.action))
        lately = [one for one in self._others(service, plan) if one.at >= since]
        earlier = [one for one in lately if one.incident != plan.incident]
        return History(
            incidents=len({one.incident for one in earlier}),
            same_cause=len({one.incident for one in earlier if one.action in ("", asked_for)}),
            effects=len({one.plan for one in earlier}),
        )

    def effects(self, service: HealthyService, plan: Plan) -> int:
        """How many other plans of this incident were permitted for this target; each may have had its effect."""
        return len({one.plan for one in self._others(service, plan) if one.incident == plan.incident})

    def found(self, service: HealthyService, plan: Plan, now: datetime) -> Mapping[Cause, int]:
        """The causes that the rules found earlier in this incident, within the last hour; a first remedy may have taken
        away what showed them."""
        since = now - timedelta(seconds=WINDOW_S)
        found: dict[Cause, int] = {}
        for one in self._others(service, plan):
            if one.at >= since and (one.incident, one.names.target_id) == (plan.incident, plan.target_id):
                found |= one.found
        return found

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
