"""The incident: one stretch of deviation of one service, as a pure machine over recorded events.

`TRANSITIONS` is the whole machine as data; an absent key is the refusal. `advance` applies one event; `replay` applies
a journal; live running and recovery are therefore the same function. The diagram in `docs/` is drawn from this table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from pitcrew.core.action import Action, Seen, Trace
from pitcrew.core.deviation import Deviation
from pitcrew.core.diagnosis import Cause, Diagnosis
from pitcrew.core.errors import PitCrewError
from pitcrew.core.event import (
    EVENT_TYPES,
    Abandoned,
    Acted,
    Checked,
    Diagnosed,
    Escalated,
    Event,
    EvidenceGathered,
    Failed,
    Healed,
    Intended,
    Judged,
    Kept,
    Live,
    NothingToTry,
    Opened,
    Permitted,
    Planned,
    Reconsidered,
    Reported,
    Turned,
    UndoIntended,
    Undone,
    UndoPermitted,
    UndoTurned,
    Verified,
    from_record,
    signature,
)
from pitcrew.core.evidence import Evidence
from pitcrew.core.permit import Permit
from pitcrew.core.policy import Effect, Verdict
from pitcrew.core.proposal import Plan, Proposal
from pitcrew.core.record import Record
from pitcrew.core.resource import Level
from pitcrew.core.risk import Risk


class Phase(StrEnum):
    """Where an incident stands."""

    DETECTED = "Detected"
    INVESTIGATED = "Investigated"
    DIAGNOSED = "Diagnosed"
    PLANNED = "Planned"
    HELD = "Held"
    ALLOWED = "Allowed"
    PERMITTED = "Permitted"
    CHECKED = "Checked"
    ACTING = "Acting"
    VERIFYING = "Verifying"
    INEFFECTIVE = "Ineffective"
    STUCK = "Stuck"
    UNDO_PERMITTED = "UndoPermitted"
    UNDOING = "Undoing"
    ESCALATED = "Escalated"
    RECOVERED = "Recovered"
    CLOSED = "Closed"


class Recovery(StrEnum):
    """How a service came back."""

    REMEDY = "Remedy"
    ITSELF = "Itself"


P = Phase
_WITHDRAWN: Mapping[tuple[Phase | None, str], Phase] = {
    (phase, "Abandoned"): P.CLOSED for phase in P if phase not in (P.CLOSED, P.RECOVERED)
}
_HEALED: Mapping[tuple[Phase | None, str], Phase] = {
    (phase, "Healed"): P.RECOVERED for phase in (P.DETECTED, P.HELD, P.STUCK, P.ESCALATED, P.INEFFECTIVE)
}
TRANSITIONS: Mapping[tuple[Phase | None, str], Phase] = {
    (None, "Opened"): P.DETECTED,
    (P.DETECTED, "EvidenceGathered"): P.INVESTIGATED,
    (P.INVESTIGATED, "Diagnosed"): P.DIAGNOSED,
    (P.DIAGNOSED, "Planned"): P.PLANNED,
    (P.DIAGNOSED, "NothingToTry"): P.STUCK,
    (P.PLANNED, "Judged/Allow"): P.ALLOWED,
    (P.PLANNED, "Judged/Hold"): P.HELD,
    (P.PLANNED, "Judged/RequireApproval"): P.STUCK,
    (P.PLANNED, "Judged/Deny"): P.STUCK,
    (P.HELD, "Reconsidered"): P.DETECTED,
    (P.ALLOWED, "Permitted"): P.PERMITTED,
    (P.ALLOWED, "Turned"): P.DETECTED,
    (P.PERMITTED, "Checked/Deviates"): P.CHECKED,
    (P.PERMITTED, "Checked/Healthy"): P.RECOVERED,
    (P.PERMITTED, "Checked/Changed"): P.DETECTED,
    (P.PERMITTED, "Turned"): P.DETECTED,
    (P.CHECKED, "Intended"): P.ACTING,
    (P.CHECKED, "Turned"): P.DETECTED,
    (P.CHECKED, "Escalated"): P.ESCALATED,
    (P.ACTING, "Acted/Done"): P.VERIFYING,
    (P.ACTING, "Acted/Unknown"): P.VERIFYING,
    (P.ACTING, "Acted/NotDone"): P.DETECTED,
    (P.ACTING, "Turned"): P.DETECTED,
    (P.ACTING, "Failed"): P.INEFFECTIVE,
    (P.VERIFYING, "Verified/True"): P.RECOVERED,
    (P.VERIFYING, "Verified/False"): P.INEFFECTIVE,
    (P.INEFFECTIVE, "Kept/False"): P.DETECTED,
    (P.INEFFECTIVE, "Kept/True"): P.DIAGNOSED,
    (P.INEFFECTIVE, "UndoPermitted"): P.UNDO_PERMITTED,
    (P.INEFFECTIVE, "UndoTurned"): P.DETECTED,
    (P.STUCK, "UndoPermitted"): P.UNDO_PERMITTED,
    (P.STUCK, "UndoTurned"): P.STUCK,
    (P.STUCK, "Escalated"): P.ESCALATED,
    (P.UNDO_PERMITTED, "UndoIntended"): P.UNDOING,
    (P.UNDO_PERMITTED, "UndoTurned"): P.DETECTED,
    (P.UNDO_PERMITTED, "Escalated"): P.ESCALATED,
    (P.UNDOING, "Undone/Done"): P.DETECTED,
    (P.UNDOING, "Undone/Unknown"): P.DETECTED,
    (P.UNDOING, "Undone/NotDone"): P.DETECTED,
    (P.UNDOING, "UndoTurned"): P.DETECTED,
    (P.UNDOING, "Escalated"): P.ESCALATED,
    (P.ESCALATED, "Reconsidered"): P.DETECTED,
    (P.ESCALATED, "Reported"): P.ESCALATED,
    (P.RECOVERED, "Reported"): P.CLOSED,
    **_HEALED,
    **_WITHDRAWN,
}
"""The machine. A key is a phase and an event, with what it says where that decides."""


class Impossible(PitCrewError):
    """An event that the machine does not know in this phase: the refusal."""


UNDO_TRIES_MAX = 2
"""Undos of one attempt that may be found not done; after that a person looks (S10)."""


class UndoStand(StrEnum):
    """Where the undo of an attempt stands."""

    NONE = "None"
    PENDING = "Pending"
    UNDER_WAY = "UnderWay"
    DONE = "Done"
    UNCERTAIN = "Uncertain"
    TURNED = "Turned"


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One plan and all that came of it. `effective` is None until a verification or a failure said so."""

    plan: Plan
    proposal: Proposal
    risk: Risk
    planned_at: datetime
    verdict: Verdict | None = None
    permit: Permit | None = None
    trace: Trace | None = None
    intended_at: datetime | None = None
    seen: Seen | None = None
    acted_at: datetime | None = None
    turned: str = ""
    effective: bool | None = None
    verified: str = ""
    undo: UndoStand = UndoStand.NONE
    undo_permit: Permit | None = None
    undo_trace: Trace | None = None
    undo_detail: str = ""
    undo_tries: int = 0

    @property
    def touched(self) -> bool:
        """Whether the target may have been changed."""
        return self.seen in (Seen.DONE, Seen.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """Everything that is known of one incident, by its events alone."""

    id: str
    service: str
    target: str
    severity: Level
    deviations: tuple[Deviation, ...]
    detected_from: datetime
    opened_at: datetime
    phase: Phase
    changed_at: datetime
    evidence: tuple[Evidence, ...] = ()
    considered: tuple[tuple[Deviation, ...], ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    stuck_because: str = ""
    ask: str = ""
    escalated_at: datetime | None = None
    escalated_under: str = ""
    recovery: Recovery | None = None
    recovered_at: datetime | None = None
    abandoned: str = ""
    report: str = ""
    reported_events: int = 0
    events: int = 0

    @property
    def attempt(self) -> Attempt:
        """The attempt under way, or the last one."""
        return self.attempts[-1]

    @property
    def cause(self) -> Cause:
        """The leading cause so far."""
        return self.diagnoses[0].cause if self.diagnoses else Cause.UNKNOWN

    @property
    def ineffective(self) -> tuple[Action, ...]:
        """Actions that were tried here and did not help."""
        return tuple(attempt.plan.action for attempt in self.attempts if attempt.effective is False)

    @property
    def effects(self) -> int:
        """Attempts that may have changed the target."""
        return sum(attempt.trace is not None and attempt.seen is not Seen.NOT_DONE for attempt in self.attempts)

    @property
    def to_undo(self) -> Attempt | None:
        """The latest attempt whose undo is still to come."""
        return next((a for a in reversed(self.attempts) if a.undo in (UndoStand.PENDING, UndoStand.UNDER_WAY)), None)

    @property
    def open(self) -> bool:
        """Whether it still needs the loop."""
        return self.phase is not Phase.CLOSED

    @property
    def outcome(self) -> str:
        """How it ended, or that it has not."""
        if self.abandoned:
            return "Abandoned"
        if self.recovery is Recovery.REMEDY:
            return "Recovered"
        if self.recovery is Recovery.ITSELF:
            return "SelfRecovered"
        return "Escalated" if self.phase is Phase.ESCALATED else "Open"


def advance(incident: Incident | None, event: Event, at: datetime) -> Incident:
    """The incident after one event.

    Raises:
        Impossible: the machine does not know this event in this phase.
    """
    phase = TRANSITIONS.get((incident.phase if incident else None, signature(event)))
    if phase is None:
        raise Impossible(f"{signature(event)} cannot follow {incident.phase if incident else 'nothing'}")
    if incident is None:
        assert isinstance(event, Opened)
        return Incident(
            id=event.id,
            service=event.service,
            target=event.target,
            severity=event.severity,
            deviations=event.deviations,
            detected_from=event.detected_from,
            opened_at=at,
            phase=phase,
            changed_at=at,
            events=1,
        )
    moved = replace(incident, phase=phase, changed_at=at, events=incident.events + 1)
    return _absorb(moved, event, at)


def _absorb(incident: Incident, event: Event, at: datetime) -> Incident:
    match event:
        case EvidenceGathered(evidence=evidence, deviations=found):
            present = found or incident.deviations
            considered = tuple(dict.fromkeys((*incident.considered, present)))
            return replace(incident, evidence=evidence, deviations=present, considered=considered)
        case Diagnosed(diagnoses=diagnoses):
            return replace(incident, diagnoses=diagnoses)
        case Planned(plan=plan, proposal=proposal, risk=risk):
            attempt = Attempt(plan=plan, proposal=proposal, risk=risk, planned_at=at)
            return replace(incident, attempts=(*incident.attempts, attempt))
        case NothingToTry(reasons=reasons, ask=ask):
            return replace(incident, stuck_because="; ".join(reasons), ask=ask)
        case Escalated():
            escalated = replace(incident, stuck_because=event.reason, ask=event.ask, escalated_at=at)
            return replace(escalated, escalated_under=event.policy_digest)
        case Healed():
            return replace(incident, recovery=Recovery.ITSELF, recovered_at=at)
        case Checked(live=Live.HEALTHY):
            healed = replace(incident, recovery=Recovery.ITSELF, recovered_at=at)
            return _with_attempt(healed, turned=event.detail)
        case Verified(passed=True):
            healed = replace(incident, recovery=Recovery.REMEDY, recovered_at=at)
            return _with_attempt(healed, effective=True, verified=event.detail)
        case Abandoned(reason=reason):
            return replace(incident, abandoned=reason)
        case Reconsidered():
            return _without_held(incident)
        case Reported(report=report):
            return replace(incident, report=report, reported_events=incident.events)
        case UndoPermitted() | UndoIntended() | Undone() | UndoTurned():
            return _absorb_undo(incident, event)
        case _:
            return _absorb_attempt(incident, event, at)


def _without_held(incident: Incident) -> Incident:
    """Without a plan that was only ever held: waiting is no try, and must not count against attempts, plans or risk.

    Its records stay in the journal.
    """
    last = incident.attempts[-1] if incident.attempts else None
    held = last is not None and last.verdict is not None and last.verdict.effect is Effect.HOLD
    return replace(incident, attempts=incident.attempts[:-1]) if held else incident


def _absorb_attempt(incident: Incident, event: Event, at: datetime) -> Incident:
    match event:
        case Judged(verdict=verdict):
            blocked = verdict.effect in (Effect.DENY, Effect.REQUIRE_APPROVAL)
            judged = replace(incident, stuck_because=verdict.reason, ask="") if blocked else incident
            return _with_attempt(judged, verdict=verdict)
        case Permitted(permit=permit):
            return _with_attempt(incident, permit=permit)
        case Checked(live=Live.CHANGED):
            return _with_attempt(incident, turned=event.detail)
        case Intended(trace=trace):
            return _with_attempt(incident, trace=trace, intended_at=at)
        case Turned(reason=reason):
            return _with_attempt(incident, turned=reason)
        case Acted(seen=seen):
            undoable = incident.attempt.plan.undo is not None and seen is not Seen.NOT_DONE
            undo = UndoStand.PENDING if undoable else UndoStand.NONE
            return _with_attempt(incident, seen=seen, acted_at=at, undo=undo)
        case Failed(reason=reason):
            return _with_attempt(incident, seen=Seen.NOT_DONE, acted_at=at, effective=False, verified=reason)
        case Verified(passed=False):
            return _with_attempt(incident, effective=False, verified=event.detail)
        case Kept(reason=reason):
            return _with_attempt(incident, undo_detail=reason)
        case _:
            return incident


def _absorb_undo(incident: Incident, event: UndoPermitted | UndoIntended | Undone | UndoTurned) -> Incident:
    target = incident.to_undo
    if target is None:
        return incident
    match event:
        case UndoPermitted(permit=permit):
            changed = replace(target, undo_permit=permit)
        case UndoIntended(trace=trace):
            changed = replace(target, undo_trace=trace, undo=UndoStand.UNDER_WAY)
        case Undone(seen=seen, detail=detail):
            tries = target.undo_tries + 1
            spent = seen is Seen.NOT_DONE and tries >= UNDO_TRIES_MAX
            stand = UndoStand.TURNED if spent else _UNDO_OF_SEEN[seen]
            changed = replace(target, undo=stand, undo_detail=detail, undo_tries=tries)
        case UndoTurned(reason=reason):
            changed = replace(target, undo=UndoStand.TURNED, undo_detail=reason)
    attempts = tuple(changed if attempt is target else attempt for attempt in incident.attempts)
    return replace(incident, attempts=attempts)


_UNDO_OF_SEEN = {Seen.DONE: UndoStand.DONE, Seen.UNKNOWN: UndoStand.UNCERTAIN, Seen.NOT_DONE: UndoStand.PENDING}


def _with_attempt(incident: Incident, **changes: object) -> Incident:
    if not incident.attempts:
        return incident
    changed = replace(incident.attempt, **changes)  # type: ignore[arg-type]
    return replace(incident, attempts=(*incident.attempts[:-1], changed))


def replay(records: Iterable[Record]) -> Incident | None:
    """The incident that these records, in order, add up to; None when there are none."""
    incident: Incident | None = None
    for record in records:
        incident = advance(incident, from_record(record), record.at)
    return incident


def replay_all(records: Iterable[Record]) -> Sequence[Incident]:
    """Every incident in the records, in order of opening."""
    found: dict[str, Incident] = {}
    for record in records:
        if record.incident and record.type in EVENT_TYPES:
            found[record.incident] = advance(found.get(record.incident), from_record(record), record.at)
    return tuple(found.values())
