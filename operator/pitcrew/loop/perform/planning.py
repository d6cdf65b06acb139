"""Planning and judging: the proposal with its risk, what the Official says of it, and the permit."""

from dataclasses import asdict
from datetime import timedelta

from pitcrew.core.action import Irreversible
from pitcrew.core.assistant import proposer_of
from pitcrew.core.diagnosis import Diagnosis
from pitcrew.core.event import (
    ApprovalAsked,
    ApprovalGiven,
    Decided,
    Event,
    Judged,
    NothingToTry,
    Permitted,
    Planned,
    Reconsidered,
    Turned,
)
from pitcrew.core.history import summarise
from pitcrew.core.incident import Attempt
from pitcrew.core.observation import RuntimeFacts
from pitcrew.core.opinion import Weighed, confirmed, leading, trusted
from pitcrew.core.permit import PermitRefused
from pitcrew.core.policy import LOOK, Case, Effect, Tries, target_digest
from pitcrew.core.proposal import NoRemedy, Plan, Proposal, propose
from pitcrew.core.risk import assess, cautious, doubt_of
from pitcrew.core.runbook import retrieve
from pitcrew.loop.consulting import proposed_opinions, second_opinion
from pitcrew.loop.desk import Desk


def make_plan(desk: Desk) -> Planned | NothingToTry | None:
    planned = plan_with(desk, second_opinion(desk))
    return _left_by_the_rules(desk, planned) if isinstance(planned, NothingToTry) else planned


def _left_by_the_rules(desk: Desk, nothing: NothingToTry) -> Planned | NothingToTry | None:
    """Where nothing is left to try, the causes that assistants proposed, each of which asks a person."""
    rules = desk.case.diagnoses[0].cause
    for said in proposed_opinions(desk):
        lead = trusted(said.diagnosis) if said.diagnosis is not None else None
        if lead is None or lead.cause is rules:
            continue
        beside = Weighed(agrees=None, reason=f"{said.reason}, which have nothing left to try")
        planned = _planned_by(desk, lead, beside)
        if not isinstance(planned, NothingToTry):
            return planned
    return nothing


def plan_with(desk: Desk, second: Weighed | None) -> Planned | NothingToTry | None:
    """What would be planned now beside this second opinion; None where the target cannot be seen."""
    return _planned_by(desk, leading(desk.case.diagnoses, second), second)


def _planned_by(desk: Desk, lead: Diagnosis, second: Weighed | None) -> Planned | NothingToTry | None:
    incident, service, seen = desk.case, desk.service, desk.watch.seen
    if seen is None:
        return None
    matches = retrieve(desk.crew.runbooks.runbooks(), lead, incident.evidence)
    proposal = propose(service, (lead,), matches, incident.evidence, seen.sight, incident.ineffective)
    if isinstance(proposal, NoRemedy):
        return NothingToTry(reasons=proposal.reasons, ask=proposal.ask)
    if not isinstance(seen.sight, RuntimeFacts):
        return None
    attempt = len(incident.attempts) + 1
    history = summarise(desk.past, lead.cause, desk.now())
    risk = assess(service, proposal, lead, incident.severity, history, seen, attempt, second, incident.evidence)
    return Planned(
        plan=_bound(desk, seen.sight, proposal, attempt),
        proposal=proposal,
        risk=risk,
        leading=confirmed(lead, second),
        doubt=doubt_of(proposal, lead, risk, second),
    )


def _bound(desk: Desk, facts: RuntimeFacts, proposal: Proposal, attempt: int) -> Plan:
    incident, service = desk.case, desk.service
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
        policy_digest=desk.policy_digest,
    )


def _reason(proposal: Proposal) -> str:
    return proposal.undo.reason if isinstance(proposal.undo, Irreversible) else ""


def case_of(desk: Desk, attempt: Attempt) -> Case:
    """What the Official may know of the incident beside the plan; a model's word never makes it look safer."""
    incident, risk = desk.case, cautious(attempt.risk)
    lead = attempt.leading or incident.diagnoses[0]
    history = summarise(desk.past, lead.cause, desk.now())
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
                "cause": str(lead.cause),
                "confidence": min(one.confidence for one in (lead, *incident.diagnoses[:1]) if one.cause is lead.cause),
                "by": str(lead.by),
                "summary": lead.summary,
            },
            "risk": {
                "level": str(risk.level),
                "score": risk.score,
                "factors": {factor.name: factor.points for factor in risk.factors},
            },
            "history": asdict(history),
        },
        doubt=attempt.doubt,
        proposer=proposer_of(lead, proposed_opinions(desk)),
        seen=desk.watch.seen,
    )


LOOK_FRESH_S = 10
"""Seconds after which the Official is shown a new look; where it must be sealed, it takes none of over a minute."""


async def look_if_old(desk: Desk) -> None:
    """Look anew where the newest look is old, or one at some of the probes only: what is judged is what is so now."""
    seen, asked = desk.watch.seen, {name for name, _ in desk.service.probes}
    if (
        seen is None
        or desk.now() - seen.at > timedelta(seconds=LOOK_FRESH_S)
        or not asked <= {result.probe for result in seen.probes}
    ):
        await desk.look()


def _other_run(desk: Desk, plan: Plan) -> str:
    """Which other run of the target the newest look is at; empty where it is the plan's, or cannot be seen."""
    sight = desk.watch.sight
    same = not isinstance(sight, RuntimeFacts) or (sight.target_id, sight.instance) == (plan.target_id, plan.instance)
    return "" if same or not isinstance(sight, RuntimeFacts) else f"another run of the target: {sight.instance}"


async def judge(desk: Desk, attempt: Attempt) -> Event:
    await look_if_old(desk)
    if other := _other_run(desk, attempt.plan):
        return Turned(reason=other)
    return Judged(verdict=await desk.crew.official.judge(desk.service, attempt.plan, case_of(desk, attempt)))


async def judge_again(desk: Desk, attempt: Attempt) -> Event | None:
    """A hold that goes on is nothing new, and leaves no record; once it is over, all is looked at anew."""
    await look_if_old(desk)
    verdict = await desk.crew.official.judge(desk.service, attempt.plan, case_of(desk, attempt))
    held_by = {ruling.rule for ruling in verdict.rulings if ruling.effect is Effect.HOLD}
    if held_by == {LOOK} and (other := _other_run(desk, attempt.plan)):
        return Reconsidered(reason=other)
    if verdict.effect is Effect.HOLD:
        return None
    return Reconsidered(reason=f"no longer held: {verdict.reason}")


async def ask_approval(desk: Desk, attempt: Attempt) -> Event:
    await look_if_old(desk)
    answer = await desk.crew.official.ask(desk.service, attempt.plan, case_of(desk, attempt))
    if isinstance(answer, PermitRefused):
        return Turned(reason=f"nobody was asked: {answer.reason}")
    return ApprovalAsked(request=answer)


async def hear_decision(desk: Desk, attempt: Attempt) -> Event | None:
    """A request that is still open is nothing new, and leaves no record; each approval on the way leaves one."""
    hearing = await desk.crew.official.decision(attempt.plan.digest)
    on_the_way = [one for one in hearing.given if one != hearing.final]
    if len(on_the_way) > len(attempt.given):
        return ApprovalGiven(approval=on_the_way[len(attempt.given)])
    return Decided(approval=hearing.final) if hearing.final else None


async def ask_permit(desk: Desk, attempt: Attempt) -> Event:
    await look_if_old(desk)
    answer = await desk.crew.official.permit(desk.service, attempt.plan, case_of(desk, attempt))
    if isinstance(answer, PermitRefused):
        return Turned(reason=f"no permit: {answer.reason}")
    return Permitted(permit=answer)
