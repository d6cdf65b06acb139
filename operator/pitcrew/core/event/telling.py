"""What an event says, in a sentence for people; the record has the rest."""

from typing import assert_never

from pitcrew.core import approval
from pitcrew.core.action import Seen, describe
from pitcrew.core.assistant import speaker
from pitcrew.core.cost import NO_USAGE, told_cost
from pitcrew.core.event.value import (
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
)


def told(event: Event) -> str:
    """One event in a sentence; it holds text from outside as it is, for the caller to escape."""
    match event:
        case Opened(severity=severity, deviations=deviations):
            return f"opened, {severity}: {', '.join(map(str, deviations))}"
        case EvidenceGathered(evidence=evidence):
            return f"saved {len(evidence)} items of evidence"
        case Diagnosed(diagnoses=(first, *_)):
            return f"diagnosed {first.cause}, {first.confidence} of 100, by {first.by}: {first.summary}"
        case Diagnosed():
            return "no diagnosis"
        case NothingToTry(reasons=reasons):
            return f"nothing left to try: {'; '.join(reasons)}"
        case Healed(detail=detail):
            return f"back without an effect of PitCrew: {detail}"
        case Escalated(reason=reason, ask=ask):
            return f"handed over to a person: {reason}; asked: {ask}"
        case Reconsidered(reason=reason):
            return f"looked at anew: {reason}"
        case Abandoned(reason=reason):
            return f"abandoned: {reason}"
        case Reported(report=report):
            return f"postmortem written: {report}"
        case ModelAsked(model=model):
            return f"asks model {model} for a second opinion; {told_cost(event.reserved, NO_USAGE)} set aside"
        case Advised():
            return _told_of_advice(event)
        case DiagnosisProposed(by=by, opinion=said, note=note):
            when = ", too late for the plan under way" if event.late else ""
            chose = f"{said.cause}, runbook {said.runbook or 'none'}, out of {' '.join(said.evidence)}"
            return f"{speaker(by)} proposes{when}: {chose}; {AGREEMENT[event.agrees]}: {note}"
        case NotAsked(reason=reason):
            return f"no model is asked: {reason}"
        case Picked(picks=picks):
            return f"neither rules nor model are sure; reads what the model picked: {', '.join(map(str, picks))}"
        case EvidenceAdded():
            return _told_of_more(event)
        case UndoPermitted() | UndoIntended() | Undone() | UndoTurned() | Kept():
            return _told_of_undo(event)
        case _:
            return _told_of_attempt(event)


def _told_of_attempt(
    event: Planned
    | Judged
    | ApprovalAsked
    | ApprovalGiven
    | Decided
    | Permitted
    | Checked
    | Intended
    | Turned
    | Acted
    | Failed
    | Verified,
) -> str:
    match event:
        case Planned(plan=plan, proposal=proposal, risk=risk):
            act = describe(plan.action)
            return f"attempt {plan.attempt}: {act}, by runbook {proposal.pin}, risk {risk.level} ({risk.score})"
        case Judged(verdict=verdict):
            return f"the Official says {verdict.effect}: {verdict.reason}"
        case ApprovalAsked(request=request):
            return f"asks a person: {request.of_whom}; open until {request.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        case ApprovalGiven(approval=decided) | Decided(approval=decided):
            return approval.told(decided)
        case Permitted(permit=permit):
            return f"permit {permit.serial} to {permit.direction}, until {permit.expires_at:%H:%M:%S}"
        case Checked(live=live, detail=detail):
            return f"looked right before acting: {_LIVE[live]}: {detail}"
        case Intended():
            return "the intent is durable"
        case Turned(reason=reason):
            return f"turned away, nothing was touched: {reason}"
        case Acted(seen=seen, detail=detail):
            return f"the Mechanic: {_SEEN[seen]}: {detail}"
        case Failed(reason=reason):
            return f"the Mechanic: refused by the target: {reason}"
        case Verified(passed=passed, looks=looks, detail=detail):
            return f"{'verified' if passed else 'did not help'}, {looks} looks: {detail}"
        case _:
            assert_never(event)


def _told_of_undo(event: UndoPermitted | UndoIntended | Undone | UndoTurned | Kept) -> str:
    match event:
        case UndoPermitted(permit=permit):
            return f"permit {permit.serial} to {permit.direction}, until {permit.expires_at:%H:%M:%S}"
        case UndoIntended():
            return "the intent to undo is durable"
        case Undone(seen=seen, detail=detail):
            return f"undo: {_SEEN[seen]}: {detail}"
        case UndoTurned(reason=reason):
            return f"the undo was turned away: {reason}"
        case Kept(reason=reason):
            return f"left in place: {reason}"
        case _:
            assert_never(event)


def _told_of_advice(event: Advised) -> str:
    who = f"model {event.model}{', asked twice' if event.repaired else ''}"
    when = ", too late for the plan under way" if event.late else ""
    cost = told_cost(event.cost, event.usage)
    if event.opinion is None:
        return f"{who} gave no opinion{when}: {event.failure}; {cost}"
    said = f"{event.opinion.cause}, {event.opinion.confidence} of 100, runbook {event.opinion.runbook or 'none'}"
    return f"{who}{when}: {said}: {event.opinion.summary}; {AGREEMENT[event.agrees]}; {cost}"


def _told_of_more(event: EvidenceAdded) -> str:
    lacking = f", without {', '.join(map(str, event.missing))}" if event.missing else ""
    then = f"; gathered anew, since {event.changed}" if event.changed else ""
    took = f"in {event.took_ms / 1000:.1f} s"
    return (
        f"read {', '.join(map(str, event.picks))} {took}: {len(event.evidence)} more items of evidence{lacking}{then}"
    )


AGREEMENT = {True: "it agrees with the rules", False: "it disagrees with the rules", None: "it has no weight"}
"""What an opinion is beside the rules, in words."""
_LIVE = {Live.DEVIATES: "still deviates", Live.HEALTHY: "healthy, so left alone", Live.CHANGED: "the target changed"}
_SEEN = {Seen.DONE: "done", Seen.NOT_DONE: "not done", Seen.UNKNOWN: "outcome unknown"}
