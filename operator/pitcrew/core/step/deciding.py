"""The next step of an incident: one pure function over the incident, the situation and the time."""

from datetime import datetime, timedelta
from typing import assert_never

from pitcrew.core.asking import Counsel, waits, why_not
from pitcrew.core.dependency import Dependency, fallen
from pitcrew.core.deviation import Deviation
from pitcrew.core.incident import Incident, Phase
from pitcrew.core.investigation import followed
from pitcrew.core.observation import RuntimeFacts, Sight
from pitcrew.core.policy import HOLD_RECHECK_S, NO_GUARDRAILS, Guardrails, policy_digest
from pitcrew.core.resource import HealthyService
from pitcrew.core.step.value import (
    Act,
    AskApproval,
    AskPermit,
    AskUndo,
    BeginInvestigating,
    CheckLive,
    Close,
    Consult,
    Diagnose,
    Escalate,
    GatherEvidence,
    HearDecision,
    Investigate,
    Judge,
    JudgeAgain,
    Keep,
    LeaveUnasked,
    LookBack,
    LookBackUndo,
    MakePlan,
    NoteHealed,
    Reconsider,
    Situation,
    Step,
    TurnAway,
    Undo,
    Verify,
    Wait,
    WriteReport,
)


def situation_of(
    service: HealthyService,
    deviates: bool | None,
    found: tuple[Deviation, ...] = (),
    sight: Sight | None = None,
    guardrails: Guardrails = NO_GUARDRAILS,
    dependencies: tuple[Dependency, ...] = (),
    drift: str = "",
) -> Situation:
    """The situation of a service as declared now, under the guardrails over it."""
    run = (sight.target_id, sight.instance) if isinstance(sight, RuntimeFacts) else None
    return Situation(
        deviates=deviates,
        policy_digest=policy_digest(service, guardrails),
        found=found,
        run=run,
        drift=drift,
        dependencies=dependencies,
    )


def next_step(incident: Incident, situation: Situation, now: datetime) -> Step:
    """What to do next; total over the phases."""
    if situation.drift and incident.phase in _UNDER_WAY:
        return TurnAway(reason=f"{situation.drift}, so this plan is not the one to carry out")
    match incident.phase:
        case Phase.DETECTED:
            return _from_detected(situation)
        case Phase.INVESTIGATED:
            return Diagnose()
        case Phase.INVESTIGATING:
            return Investigate(picks=incident.reading)
        case Phase.DIAGNOSED:
            return _from_diagnosed(incident, situation, now)
        case Phase.PLANNED:
            return Judge(attempt=incident.attempt)
        case Phase.HELD:
            return _from_held(incident, situation, now)
        case Phase.ASKING:
            return AskApproval(attempt=incident.attempt)
        case Phase.AWAITING_APPROVAL:
            return _from_awaiting(incident, situation)
        case Phase.ALLOWED:
            return AskPermit(attempt=incident.attempt)
        case Phase.PERMITTED:
            return CheckLive(attempt=incident.attempt)
        case Phase.CHECKED:
            return _act(incident)
        case Phase.ACTING:
            return LookBack(attempt=incident.attempt)
        case Phase.VERIFYING:
            return Verify(attempt=incident.attempt)
        case Phase.INEFFECTIVE:
            return _from_ineffective(incident, situation)
        case Phase.STUCK:
            return _from_stuck(incident, situation)
        case Phase.UNDO_PERMITTED:
            return _undo(incident)
        case Phase.UNDOING:
            return _look_back_undo(incident)
        case Phase.ESCALATED:
            return _from_escalated(incident, situation, now)
        case Phase.RECOVERED:
            return WriteReport()
        case Phase.CLOSED:
            return Close()
        case _:
            assert_never(incident.phase)


_UNDER_WAY = (Phase.PLANNED, Phase.ASKING, Phase.ALLOWED, Phase.PERMITTED, Phase.CHECKED)
"""A plan is made, it does not wait, and the target was not touched."""


def _from_detected(situation: Situation) -> Step:
    if situation.deviates is None:
        return _blind()
    return GatherEvidence() if situation.deviates else NoteHealed()


def _from_diagnosed(incident: Incident, situation: Situation, now: datetime) -> Step:
    """Plan, once a model that is to be asked had its say about this evidence, or its time."""
    if situation.deviates is None:
        return _blind()
    counsel = situation.counsel
    if counsel is None or not situation.deviates or not incident.evidence:
        return MakePlan()
    if reason := why_not(counsel.terms, incident.diagnoses):
        return _unasked(incident, reason)
    return _asked(incident, counsel, now)


def _unasked(incident: Incident, reason: str) -> Step:
    """Said once per evidence; what a model said of it before its terms were tightened stands as it is."""
    return LeaveUnasked(reason=reason) if incident.advised is None else MakePlan()


def _asked(incident: Incident, counsel: Counsel, now: datetime) -> Step:
    """A question that a crash left open may be asked again, and one that was not asked under stricter terms is."""
    advice = incident.advised
    if advice is None or not advice.model or (advice.answered_at is None and not counsel.asking):
        return Consult()
    until = advice.asked_at + timedelta(seconds=counsel.patience_s)
    if advice.answered_at is None and now < until and waits(counsel, incident.diagnoses):
        return Wait(reason=f"a second opinion by model {advice.model}", until=until)
    picks = followed(incident, counsel.weighed, now, counsel.neighbours)
    return BeginInvestigating(picks=picks) if picks else MakePlan()


def _from_held(incident: Incident, situation: Situation, now: datetime) -> Step:
    if situation.deviates is False:
        return NoteHealed()
    verdict = incident.attempt.verdict
    if verdict is None or verdict.policy_digest != situation.policy_digest:
        return Reconsider(reason="the policy changed")
    if situation.drift:
        return Reconsider(reason=situation.drift)
    if fell := fallen(situation.dependencies, incident.down):
        return Reconsider(reason=fell)
    until = verdict.until or incident.changed_at + timedelta(seconds=HOLD_RECHECK_S)
    if now >= until:
        return JudgeAgain(attempt=incident.attempt)
    return Wait(reason=verdict.reason, until=until)


def _from_awaiting(incident: Incident, situation: Situation) -> Step:
    plan = incident.attempt.plan
    if situation.deviates is False:
        return NoteHealed()
    if plan.policy_digest != situation.policy_digest:
        return Reconsider(reason="the policy changed, so this plan is not the one to decide on")
    if situation.drift:
        return Reconsider(reason=f"{situation.drift}, so this plan is not the one to decide on")
    if situation.run is not None and situation.run != (plan.target_id, plan.instance):
        return Reconsider(reason="another run of the target, so this plan is not the one to decide on")
    if fell := fallen(situation.dependencies, incident.down):
        return Reconsider(reason=f"{fell}, so this plan is not the one to decide on")
    return HearDecision(attempt=incident.attempt)


def _act(incident: Incident) -> Step:
    permit = incident.attempt.permit
    if permit is None:
        return Escalate(reason="the journal shows no permit for a checked plan", ask="look into the journal")
    return Act(attempt=incident.attempt, permit=permit)


def _from_ineffective(incident: Incident, situation: Situation) -> Step:
    attempt = incident.attempt
    if situation.deviates is False:
        return NoteHealed()
    if incident.to_undo is not attempt:
        return Keep(reason=f"nothing to undo: {attempt.plan.irreversible or 'the target was not changed'}")
    if not situation.deviates:
        return _blind()
    if not attempt.proposal.undo_at_end:
        return AskUndo(attempt=attempt)
    if situation.drift:
        return Keep(reason=f"{situation.drift}, so nothing builds on it; it is undone if the incident cannot be healed")
    return Keep(reason="the next remedy builds on it; it is undone only if the incident cannot be healed", builds=True)


def _blind() -> Wait:
    return Wait(reason="the target cannot be seen; unknown is never a reason to act")


def _from_stuck(incident: Incident, situation: Situation) -> Step:
    if situation.deviates is False:
        return NoteHealed()
    if incident.to_undo is not None:
        return AskUndo(attempt=incident.to_undo) if situation.deviates else _blind()
    return Escalate(reason=incident.stuck_because, ask=incident.ask or "decide what to do; `pitcrew why` has the chain")


def _undo(incident: Incident) -> Step:
    attempt = incident.to_undo
    if attempt is None or attempt.undo_permit is None:
        return Escalate(reason="the journal shows no permit for an undo", ask="look into the journal")
    return Undo(attempt=attempt, permit=attempt.undo_permit)


def _look_back_undo(incident: Incident) -> Step:
    attempt = incident.to_undo
    if attempt is None:
        return Escalate(reason="the journal shows no undo under way", ask="look into the journal")
    return LookBackUndo(attempt=attempt)


def _from_escalated(incident: Incident, situation: Situation, now: datetime) -> Step:
    if incident.reported_events < incident.events:
        return WriteReport()
    if situation.deviates is False:
        return NoteHealed()
    if situation.deviates and incident.escalated_under != situation.policy_digest:
        return Reconsider(reason="the declaration changed")
    if situation.deviates and situation.found and situation.found not in incident.considered:
        return Reconsider(reason=f"it deviates in another way now: {', '.join(map(str, situation.found))}")
    if situation.deviates and incident.proposed_since:
        return Reconsider(reason=incident.proposed_since)
    awaited = [one for one in situation.dependencies if one.service in incident.waits_on and not one.settled(now)]
    if awaited:
        return Wait(reason=f"waits for what it depends on: {', '.join(map(str, awaited))}")
    if situation.deviates and incident.waits_on:
        return Reconsider(reason=f"what it depends on is down no longer: {', '.join(incident.waits_on)}")
    return Wait(reason=f"waits for a person: {incident.stuck_because}")
