"""How an incident moves: `advance` applies one event, `replay` a journal; live running and recovery are the same."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from pitcrew.core import approval
from pitcrew.core.action import Seen, is_all_or_nothing
from pitcrew.core.approval import Decision
from pitcrew.core.assistant import Proposed
from pitcrew.core.event import (
    EVENT_TYPES,
    Abandoned,
    Acted,
    Advised,
    ApprovalAsked,
    ApprovalGiven,
    Checked,
    Decided,
    Diagnosed,
    DiagnosisProposed,
    Escalated,
    Event,
    EvidenceAdded,
    EvidenceGathered,
    Failed,
    Healed,
    Intended,
    Judged,
    Kept,
    Live,
    ModelAsked,
    NotAsked,
    NothingToTry,
    Opened,
    Permitted,
    Picked,
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
from pitcrew.core.incident.machine import TRANSITIONS, Impossible
from pitcrew.core.incident.value import UNDO_TRIES_MAX, Advice, Attempt, Incident, Recovery, Round, UndoStand
from pitcrew.core.policy import Effect
from pitcrew.core.record import Record


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
    if isinstance(event, ModelAsked | Advised | NotAsked):
        return _absorb_advice(replace(incident, events=incident.events + 1), event, at)
    if isinstance(event, DiagnosisProposed):
        return replace(incident, proposed=(*incident.proposed, _proposed(event, at)), events=incident.events + 1)
    moved = replace(incident, phase=phase, changed_at=at, events=incident.events + 1)
    return _absorb(moved, event, at)


def _proposed(event: DiagnosisProposed, at: datetime) -> Proposed:
    return Proposed(
        by=event.by,
        opinion=event.opinion,
        cited=event.cited,
        late=event.late,
        grounded=event.grounded,
        agrees=event.agrees,
        note=event.note,
        at=at,
    )


def _absorb(incident: Incident, event: Event, at: datetime) -> Incident:
    match event:
        case EvidenceGathered(evidence=evidence, deviations=found):
            present = found or incident.deviations
            considered = tuple(dict.fromkeys((*incident.considered, present)))
            return replace(incident, evidence=evidence, deviations=present, considered=considered)
        case Picked(picks=picks):
            return replace(incident, rounds=(*incident.rounds, Round(picks=picks, began_at=at)))
        case EvidenceAdded(evidence=evidence):
            return replace(incident, evidence=(*incident.evidence, *evidence), rounds=_read(incident.rounds, event, at))
        case Diagnosed(diagnoses=diagnoses):
            return replace(incident, diagnoses=diagnoses)
        case Planned(plan=plan, proposal=proposal, risk=risk):
            attempt = Attempt(
                plan=plan,
                proposal=proposal,
                risk=risk,
                planned_at=at,
                leading=event.leading,
                doubt=event.doubt,
                beside=incident.down,
            )
            return replace(incident, attempts=(*incident.attempts, attempt), nothing_left=False)
        case NothingToTry(reasons=reasons, ask=ask):
            return replace(incident, stuck_because="; ".join(reasons), ask=ask, nothing_left=True)
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
            return _without_waiting(incident)
        case Reported(report=report):
            return replace(incident, report=report, reported_events=incident.events)
        case UndoPermitted() | UndoIntended() | Undone() | UndoTurned():
            return _absorb_undo(incident, event)
        case _:
            return _absorb_attempt(incident, event, at)


def _read(rounds: Sequence[Round], event: EvidenceAdded, at: datetime) -> tuple[Round, ...]:
    """The rounds with what came of the last."""
    began_at = rounds[-1].began_at if rounds else at
    last = Round(
        picks=event.picks,
        began_at=began_at,
        ended_at=at,
        evidence=event.evidence,
        missing=event.missing,
        took_ms=event.took_ms,
        changed=event.changed,
    )
    return (*rounds[:-1], last)


def _absorb_advice(incident: Incident, event: ModelAsked | Advised | NotAsked, at: datetime) -> Incident:
    """A question is added; an answer ends the question it is to, or stands alone where nothing was sent."""
    if isinstance(event, NotAsked):
        silent = Advice(
            model="",
            prompt_digest="",
            evidence_digest=event.evidence_digest,
            asked_at=at,
            answered_at=at,
            tokens=0,
            failure=f"nobody was asked: {event.reason}",
        )
        return replace(incident, advice=(*incident.advice, silent))
    if isinstance(event, ModelAsked):
        asked = Advice(
            model=event.model,
            prompt_digest=event.prompt_digest,
            evidence_digest=event.evidence_digest,
            asked_at=at,
            tokens=event.tokens_reserved,
            microdollars=event.microdollars_reserved,
        )
        return replace(incident, advice=(*incident.advice, asked))
    last = incident.advice[-1] if incident.advice else None
    open_ = last if last and last.answered_at is None and last.prompt_digest == event.prompt_digest else None
    answered = Advice(
        model=event.model,
        prompt_digest=event.prompt_digest,
        evidence_digest=event.evidence_digest,
        asked_at=open_.asked_at if open_ else at,
        answered_at=at,
        tokens=event.tokens,
        microdollars=event.microdollars,
        usage=event.usage,
        opinion=event.opinion,
        failure=event.failure,
        late=event.late,
        agrees=event.agrees,
        note=event.note,
        way=event.way,
        repaired=event.repaired,
        unkept=event.unkept,
    )
    return replace(incident, advice=(*(incident.advice[:-1] if open_ else incident.advice), answered))


def _without_waiting(incident: Incident) -> Incident:
    """Without a plan that only ever waited, held or undecided: waiting is no try.

    It must not count against attempts, plans or risk.

    Its records stay in the journal.
    """
    last = incident.attempts[-1] if incident.attempts else None
    if last is None or last.verdict is None or last.approval is not None:
        return incident
    waited = last.verdict.effect in (Effect.HOLD, Effect.REQUIRE_APPROVAL)
    return replace(incident, attempts=incident.attempts[:-1]) if waited else incident


def _absorb_attempt(incident: Incident, event: Event, at: datetime) -> Incident:
    match event:
        case Judged(verdict=verdict):
            blocked = verdict.effect is Effect.DENY
            judged = replace(incident, stuck_because=verdict.reason, ask="") if blocked else incident
            return _with_attempt(judged, verdict=verdict)
        case ApprovalAsked(request=request):
            return _with_attempt(incident, request=request)
        case ApprovalGiven(approval=one):
            return _with_attempt(incident, given=(*incident.attempt.given, one))
        case Decided(approval=decided):
            denied = decided.decision is not Decision.APPROVE
            stuck = replace(incident, stuck_because=approval.told(decided), ask="") if denied else incident
            return _with_attempt(stuck, approval=decided)
        case Permitted(permit=permit):
            return _with_attempt(incident, permit=permit)
        case Checked(live=Live.CHANGED):
            return _with_attempt(incident, turned=event.detail)
        case Intended(trace=trace):
            return _with_attempt(incident, trace=trace, intended_at=at)
        case Turned(reason=reason):
            return _with_attempt(incident, turned=reason)
        case Acted(seen=seen):
            return _acted(incident, seen, at)
        case Failed(reason=reason):
            nothing = is_all_or_nothing(incident.attempt.plan.action)
            failed = _acted(incident, Seen.NOT_DONE if nothing else Seen.DONE, at)
            return _with_attempt(failed, effective=False, verified=reason)
        case Verified(passed=False):
            return _with_attempt(incident, effective=False, verified=event.detail)
        case Kept(reason=reason):
            return _with_attempt(incident, undo_detail=reason)
        case _:
            return incident


def _acted(incident: Incident, seen: Seen, at: datetime) -> Incident:
    undoable = incident.attempt.plan.undo is not None and seen is not Seen.NOT_DONE
    undo = UndoStand.PENDING if undoable else UndoStand.NONE
    return _with_attempt(incident, seen=seen, acted_at=at, undo=undo)


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
