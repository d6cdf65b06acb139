"""Carrying out one step: the only place where the loop touches the world.

Each function takes the step and gives the event that came of it, or None when nothing could be told and the step has
to be taken again later. An effect is preceded by its durable intent, which is written here.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import assert_never

from pitcrew.core.action import Irreversible, Seen, Trace, describe
from pitcrew.core.deviation import still_deviates
from pitcrew.core.diagnosis import diagnose
from pitcrew.core.errors import EffectFailed, OutcomeUnknown, Refused, TargetAbsent, TargetAmbiguous, Unavailable
from pitcrew.core.event import (
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
)
from pitcrew.core.evidence import PROCESSES_MAX, gather
from pitcrew.core.history import summarise
from pitcrew.core.incident import Attempt, Incident
from pitcrew.core.observation import LogLine, Observation, ProbeReason, RuntimeFacts
from pitcrew.core.permit import Permit, PermitRefused
from pitcrew.core.policy import Case, Effect, Tries, policy_digest, target_digest
from pitcrew.core.proposal import NoRemedy, Plan, Proposal, propose
from pitcrew.core.report import postmortem
from pitcrew.core.resource import HealthyService
from pitcrew.core.risk import assess
from pitcrew.core.runbook import retrieve
from pitcrew.core.step import (
    Act,
    AskPermit,
    AskUndo,
    CheckLive,
    Close,
    Diagnose,
    Escalate,
    GatherEvidence,
    Judge,
    JudgeAgain,
    Keep,
    LookBack,
    LookBackUndo,
    MakePlan,
    NoteHealed,
    Reconsider,
    Step,
    Undo,
    Verify,
    Wait,
    WriteReport,
)
from pitcrew.core.untrusted import clean
from pitcrew.core.verification import PROBE_INTERVAL_S, Stand, Verification, look, settle_s
from pitcrew.loop.desk import Desk

CHECK_FRESH_S = 10
"""Seconds after which a live look is too old to act on; a crash may lie between the look and the act."""
_TEXT_BYTES_MAX = 400
_NOT_NOW = (Refused, TargetAbsent, TargetAmbiguous, Unavailable)


async def perform(step: Step, desk: Desk) -> Event | None:
    """Carry out one step and give its event; None when it must be taken again later."""
    match step:
        case GatherEvidence():
            return await _gather(desk)
        case Diagnose():
            return Diagnosed(diagnoses=diagnose(desk.case.evidence))
        case MakePlan():
            return _plan(desk)
        case Judge(attempt=attempt):
            verdict = await desk.crew.official.judge(desk.service, attempt.plan, _case(desk, attempt))
            return Judged(verdict=verdict)
        case AskPermit(attempt=attempt):
            return await _ask_permit(desk, attempt)
        case CheckLive(attempt=attempt):
            return await _check(desk, attempt)
        case Act(attempt=attempt, permit=permit):
            return await _act(desk, attempt.plan, permit)
        case LookBack(attempt=attempt):
            return await _look_back(desk, attempt)
        case Verify(attempt=attempt):
            return await _verify(desk, attempt)
        case Keep(reason=reason, builds=builds):
            return Kept(reason=reason, builds=builds)
        case AskUndo(attempt=attempt):
            return await _ask_undo(desk, attempt)
        case Undo(attempt=attempt, permit=permit):
            return await _undo(desk, attempt, permit)
        case LookBackUndo(attempt=attempt):
            return await _look_back_undo(desk, attempt)
        case Escalate(reason=reason, ask=ask):
            return Escalated(reason=reason, ask=ask, policy_digest=policy_digest(desk.service))
        case Reconsider(reason=reason):
            return Reconsidered(reason=reason)
        case JudgeAgain(attempt=attempt):
            return await _judge_again(desk, attempt)
        case NoteHealed():
            return Healed(detail="the deviation is gone, and no effect of PitCrew is needed any more")
        case WriteReport():
            return await _report(desk)
        case Wait() | Close():
            return None
        case _:
            assert_never(step)


async def _gather(desk: Desk) -> Event | None:
    seen = await desk.look()
    if not _telling(desk, seen):
        return None
    runtime = desk.crew.runtimes[desk.service.spec.target.kind]
    logs, no_logs = await _logs(desk, seen)
    processes, no_processes = await _processes(desk, seen)
    missing = (*no_logs, *no_processes)
    evidence = gather(seen, desk.found(), logs, runtime.events(desk.service), missing, processes)
    return EvidenceGathered(evidence=evidence, deviations=desk.found())


def _telling(desk: Desk, seen: Observation) -> bool:
    """Whether a look shows the deviation. What was gathered while our side could not see would end in an unknown cause,
    and so with a person, for an outage of a moment (S5). A broken check is something to tell."""
    live = still_deviates(desk.service, desk.case.deviations, seen)
    broken = any(result.reason is ProbeReason.CHECK_BROKEN for result in seen.probes)
    return desk.deviates() is True and (live is not None or broken)


async def _logs(desk: Desk, seen: Observation) -> tuple[Sequence[LogLine], tuple[str, ...]]:
    if not isinstance(seen.sight, RuntimeFacts):
        return (), ()
    runtime, settings = desk.crew.runtimes[desk.service.spec.target.kind], desk.crew.settings
    lines_max, bytes_max = settings.log_lines_max, settings.log_bytes_max
    reading = runtime.logs(desk.service, seen.sight, lines_max=lines_max, bytes_max=bytes_max)
    try:
        return await asyncio.wait_for(reading, settings.evidence_deadline_s), ()
    except (Unavailable, TargetAbsent, TimeoutError) as error:
        return (), (f"logs: {error or 'not in time'}",)


async def _processes(desk: Desk, seen: Observation) -> tuple[Sequence[str], tuple[str, ...]]:
    """The process list, before a restart can destroy it."""
    if not isinstance(seen.sight, RuntimeFacts) or not seen.sight.running:
        return (), ()
    runtime = desk.crew.runtimes[desk.service.spec.target.kind]
    reading = runtime.processes(desk.service, seen.sight, lines_max=PROCESSES_MAX)
    try:
        return await asyncio.wait_for(reading, desk.crew.settings.evidence_deadline_s), ()
    except (Unavailable, TargetAbsent, TimeoutError) as error:
        return (), (f"processes: {error or 'not in time'}",)


def _plan(desk: Desk) -> Event | None:
    incident, service, seen = desk.case, desk.service, desk.watch.seen
    if seen is None:
        return None
    leading = incident.diagnoses[0]
    matches = retrieve(desk.crew.runbooks.runbooks(), leading, incident.evidence)
    proposal = propose(service, incident.diagnoses, matches, incident.evidence, seen.sight, incident.ineffective)
    if isinstance(proposal, NoRemedy):
        return NothingToTry(reasons=proposal.reasons, ask=proposal.ask)
    if not isinstance(seen.sight, RuntimeFacts):
        return None
    attempt = len(incident.attempts) + 1
    history = summarise(desk.past, leading.cause, desk.now())
    risk = assess(service, proposal, leading, incident.severity, history, seen, attempt)
    return Planned(plan=_bound(incident, service, seen.sight, proposal, attempt), proposal=proposal, risk=risk)


def _bound(incident: Incident, service: HealthyService, facts: RuntimeFacts, proposal: Proposal, attempt: int) -> Plan:
    reversible = not isinstance(proposal.undo, Irreversible)
    return Plan(
        service=service.key,
        incident=incident.id,
        attempt=attempt,
        target=service.spec.target.label,
        target_id=facts.target_id,
        target_digest=target_digest(service),
        instance=facts.instance,
        action=proposal.action,
        undo=None if isinstance(proposal.undo, Irreversible) else proposal.undo,
        irreversible="" if reversible else _reason(proposal),
        verify_for_s=service.spec.remediation.verify_for,
        deviations=tuple(str(deviation) for deviation in incident.deviations),
        policy_digest=policy_digest(service),
    )


def _reason(proposal: Proposal) -> str:
    return proposal.undo.reason if isinstance(proposal.undo, Irreversible) else ""


def _case(desk: Desk, attempt: Attempt) -> Case:
    """What the Official may know of the incident beside the plan."""
    incident = desk.case
    leading = incident.diagnoses[0]
    history = summarise(desk.past, leading.cause, desk.now())
    return Case(
        level=attempt.risk.level,
        tries=Tries(effects=incident.effects, plans=len(incident.attempts)),
        facts={
            "incident": {
                "id": incident.id,
                "severity": str(incident.severity),
                "deviations": [str(deviation) for deviation in incident.deviations],
                "attempt": attempt.plan.attempt,
                "opened_at": incident.opened_at,
            },
            "diagnosis": {
                "cause": str(leading.cause),
                "confidence": leading.confidence,
                "by": str(leading.by),
                "summary": leading.summary,
            },
            "risk": {
                "level": str(attempt.risk.level),
                "score": attempt.risk.score,
                "factors": {factor.name: factor.points for factor in attempt.risk.factors},
            },
            "history": asdict(history),
        },
    )


async def _judge_again(desk: Desk, attempt: Attempt) -> Event | None:
    """A hold that goes on is nothing new, and leaves no record; once it is over, all is looked at anew."""
    verdict = await desk.crew.official.judge(desk.service, attempt.plan, _case(desk, attempt))
    if verdict.effect is Effect.HOLD:
        return None
    return Reconsidered(reason=f"no longer held: {verdict.reason}")


async def _ask_permit(desk: Desk, attempt: Attempt) -> Event:
    answer = await desk.crew.official.permit(desk.service, attempt.plan, _case(desk, attempt))
    if isinstance(answer, PermitRefused):
        return Turned(reason=f"no permit: {answer.reason}")
    return Permitted(permit=answer)


async def _check(desk: Desk, attempt: Attempt) -> Event | None:
    """The live look right before acting (S4)."""
    plan, permit = attempt.plan, attempt.permit
    if permit is None or desk.now() >= permit.expires_at:
        return Turned(reason="the permit expired before the target could be seen")
    seen = await desk.look()
    sight = seen.sight
    if isinstance(sight, RuntimeFacts) and (sight.target_id, sight.instance) != (plan.target_id, plan.instance):
        return Checked(live=Live.CHANGED, detail=f"another run of the target: {sight.instance}")
    live = still_deviates(desk.service, desk.case.deviations, seen)
    if live is None:
        return None
    return Checked(live=Live.DEVIATES if live else Live.HEALTHY, detail=_probes(seen))


async def _act(desk: Desk, plan: Plan, permit: Permit) -> Event | None:
    async with desk.acting:
        if desk.now() - desk.case.changed_at > timedelta(seconds=CHECK_FRESH_S):
            return Turned(reason=f"the live look was more than {CHECK_FRESH_S} s ago")
        try:
            trace = await desk.crew.mechanic.prepare(permit, plan, desk.service)
        except _NOT_NOW as error:
            return Turned(reason=_text(error))
        await desk.record(Intended(trace=trace))
        try:
            await _to_the_end(desk.crew.mechanic.execute(permit, plan, desk.service, trace))
        except _NOT_NOW as error:
            return Turned(reason=_text(error))
        except EffectFailed as error:
            return Failed(reason=_text(error))
        except OutcomeUnknown:
            return await _look_back(desk, desk.case.attempt)
    return Acted(seen=Seen.DONE, detail=describe(plan.action))


async def _to_the_end(effect: Coroutine[object, object, None]) -> None:
    """An effect that began is never cancelled halfway; who is cancelled waits for its end first."""
    task = asyncio.ensure_future(effect)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _look_back(desk: Desk, attempt: Attempt) -> Event | None:
    if attempt.permit is None or attempt.trace is None:
        return Turned(reason="the journal shows an effect without a permit or an intent")
    outcome = await _outcome(desk, attempt.permit, attempt.plan, attempt.trace)
    return Acted(seen=outcome[0], detail=outcome[1]) if outcome else None


async def _outcome(desk: Desk, permit: Permit, plan: Plan, trace: Trace) -> tuple[Seen, str] | None:
    """The outcome of an intended effect as read off the target; None while it cannot be told."""
    try:
        seen = await desk.crew.mechanic.look_back(permit, plan, desk.service, trace)
    except Unavailable:
        return None
    except (TargetAbsent, TargetAmbiguous, Refused) as error:
        return Seen.UNKNOWN, _text(error)
    return seen, "read off the target, since no answer was recorded"


async def _verify(desk: Desk, attempt: Attempt) -> Event | None:
    """Watch the target until the window says passed or failed; None when PitCrew ends before that."""
    window = Verification(
        began_at=desk.now(),
        verify_for_s=attempt.plan.verify_for_s,
        settle_s=settle_s(attempt.plan.action, desk.service),
    )
    while True:
        seen = await desk.look()
        window = look(window, still_deviates(desk.service, desk.case.deviations, seen), desk.now())
        if window.stand is not Stand.PENDING:
            break
        await desk.show(f"verifying {describe(attempt.plan.action)}")
        if not await desk.pause(PROBE_INTERVAL_S):
            return None
    passed = window.stand is Stand.PASSED
    held = f"the deviation stayed away for {attempt.plan.verify_for_s} s"
    detail = held if passed else f"the deviation is still there: {_probes(seen)}"
    return Verified(passed=passed, looks=window.looks, detail=detail)


def _probes(seen: Observation) -> str:
    return "; ".join(f"{result.probe} {result.reason}" for result in seen.probes) or "by runtime facts"


async def _ask_undo(desk: Desk, attempt: Attempt) -> Event:
    answer = await desk.crew.official.permit_undo(desk.service, attempt.plan)
    if isinstance(answer, PermitRefused):
        return UndoTurned(reason=f"no permit to undo: {answer.reason}")
    return UndoPermitted(permit=answer)


async def _undo(desk: Desk, attempt: Attempt, permit: Permit) -> Event | None:
    seen = await desk.look()
    live = still_deviates(desk.service, desk.case.deviations, seen)
    if live is None and desk.now() < permit.expires_at:
        return None
    if not live:
        return UndoTurned(reason="the service is healthy or cannot be seen; what was done stays")
    try:
        trace = await desk.crew.mechanic.prepare(permit, attempt.plan, desk.service)
    except _NOT_NOW as error:
        return UndoTurned(reason=_text(error))
    async with desk.acting:
        await desk.record(UndoIntended(trace=trace))
        try:
            await _to_the_end(desk.crew.mechanic.execute(permit, attempt.plan, desk.service, trace))
        except (*_NOT_NOW, EffectFailed) as error:
            return UndoTurned(reason=_text(error))
        except OutcomeUnknown:
            return await _look_back_undo(desk, _undo_under_way(desk))
    return Undone(seen=Seen.DONE, detail=f"undone: {_undo_text(attempt)}")


def _undo_under_way(desk: Desk) -> Attempt:
    attempt = desk.case.to_undo
    assert attempt is not None
    return attempt


def _undo_text(attempt: Attempt) -> str:
    return describe(attempt.plan.undo) if attempt.plan.undo else attempt.plan.irreversible


async def _look_back_undo(desk: Desk, attempt: Attempt) -> Event | None:
    if attempt.undo_permit is None or attempt.undo_trace is None:
        return UndoTurned(reason="the journal shows an undo without a permit or an intent")
    outcome = await _outcome(desk, attempt.undo_permit, attempt.plan, attempt.undo_trace)
    return Undone(seen=outcome[0], detail=outcome[1]) if outcome else None


async def _report(desk: Desk) -> Event:
    incident = desk.case
    text = postmortem(incident, tuple(desk.crew.journal.read(incident.id)))
    place = await desk.crew.reports.write(incident.id, text)
    return Reported(report=place)


def _text(error: Exception) -> str:
    return clean(str(error) or type(error).__name__, _TEXT_BYTES_MAX)
