"""Carrying out one step: the only place where the loop touches the world.

Each function takes the step and gives the event that came of it, or None when nothing could be told and the step has
to be taken again later. An effect is preceded by its durable intent, which is written here.
"""

from typing import assert_never

from pitcrew.core.diagnosis import diagnose
from pitcrew.core.event import (
    Diagnosed,
    Escalated,
    Event,
    Healed,
    Kept,
    NotAsked,
    Picked,
    Reconsidered,
    Reported,
    Turned,
)
from pitcrew.core.prompt import evidence_digest
from pitcrew.core.step import (
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
    Step,
    TurnAway,
    Undo,
    Verify,
    Wait,
    WriteReport,
)
from pitcrew.loop.consulting import consult
from pitcrew.loop.desk import Desk
from pitcrew.loop.perform.acting import act, check_live, look_back, verify
from pitcrew.loop.perform.gathering import gather_evidence
from pitcrew.loop.perform.investigating import investigate
from pitcrew.loop.perform.planning import ask_approval, ask_permit, hear_decision, judge, judge_again, make_plan
from pitcrew.loop.perform.undoing import ask_undo, look_back_undo, undo
from pitcrew.loop.reporting import write_report

__all__ = ["perform"]


async def perform(step: Step, desk: Desk) -> Event | None:
    """Carry out one step and give its event; None when it must be taken again later."""
    match step:
        case GatherEvidence():
            return await gather_evidence(desk)
        case Diagnose():
            return Diagnosed(diagnoses=diagnose(desk.case.evidence))
        case Consult():
            return await consult(desk)
        case LeaveUnasked(reason=reason):
            return NotAsked(reason=reason, evidence_digest=evidence_digest(desk.case.evidence))
        case BeginInvestigating(picks=picks):
            return Picked(picks=picks)
        case Investigate(picks=picks):
            return await investigate(desk, picks)
        case MakePlan():
            return make_plan(desk)
        case Judge(attempt=attempt):
            return await judge(desk, attempt)
        case AskApproval(attempt=attempt):
            return await ask_approval(desk, attempt)
        case HearDecision(attempt=attempt):
            return await hear_decision(desk, attempt)
        case AskPermit(attempt=attempt):
            return await ask_permit(desk, attempt)
        case TurnAway(reason=reason):
            return Turned(reason=reason)
        case CheckLive(attempt=attempt):
            return await check_live(desk, attempt)
        case Act(attempt=attempt, permit=permit):
            return await act(desk, attempt.plan, permit)
        case LookBack(attempt=attempt):
            return await look_back(desk, attempt)
        case Verify(attempt=attempt):
            return await verify(desk, attempt)
        case Keep(reason=reason, builds=builds):
            return Kept(reason=reason, builds=builds)
        case AskUndo(attempt=attempt):
            return await ask_undo(desk, attempt)
        case Undo(attempt=attempt, permit=permit):
            return await undo(desk, attempt, permit)
        case LookBackUndo(attempt=attempt):
            return await look_back_undo(desk, attempt)
        case Escalate(reason=reason, ask=ask):
            return Escalated(reason=reason, ask=ask, policy_digest=desk.policy_digest)
        case Reconsider(reason=reason):
            return Reconsidered(reason=reason)
        case JudgeAgain(attempt=attempt):
            return await judge_again(desk, attempt)
        case NoteHealed():
            return Healed(detail="the deviation is gone, and no effect of PitCrew is needed any more")
        case WriteReport():
            return Reported(report=await write_report(desk.crew, desk.case))
        case Wait() | Close():
            return None
        case _:
            assert_never(step)
