"""Events: all that can happen to an incident, a closed union; what the journal holds and `incident.advance` absorbs.

Each event is one frozen value; its fields are data that can be written as JSON without floats and read back the same.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, assert_never

from pydantic import Field, TypeAdapter

from pitcrew.core import approval
from pitcrew.core.action import Seen, Trace, describe
from pitcrew.core.approval import Approval, ApprovalRequest
from pitcrew.core.cost import NO_USAGE, Cost, Usage, told_cost
from pitcrew.core.deviation import Deviation
from pitcrew.core.diagnosis import Diagnosis
from pitcrew.core.evidence import Evidence
from pitcrew.core.opinion import Opinion
from pitcrew.core.permit import Permit
from pitcrew.core.policy import Verdict
from pitcrew.core.proposal import Plan, Proposal
from pitcrew.core.record import Entry, Json, Record
from pitcrew.core.resource import Level
from pitcrew.core.risk import Risk


class Live(StrEnum):
    """What the look right before acting showed (S4)."""

    DEVIATES = "Deviates"
    HEALTHY = "Healthy"
    CHANGED = "Changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A deviation was seen for long enough to be an incident."""

    type: Literal["Opened"] = "Opened"
    id: str
    service: str
    target: str
    severity: Level
    deviations: tuple[Deviation, ...]
    detected_from: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceGathered:
    """Evidence was saved, before anything acts."""

    type: Literal["EvidenceGathered"] = "EvidenceGathered"
    evidence: tuple[Evidence, ...]
    deviations: tuple[Deviation, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosed:
    """Causes, the surest first."""

    type: Literal["Diagnosed"] = "Diagnosed"
    diagnoses: tuple[Diagnosis, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A plan, where it comes from, and its risk."""

    type: Literal["Planned"] = "Planned"
    plan: Plan
    proposal: Proposal
    risk: Risk
    leading: Diagnosis | None = None
    """What it was planned by; None in records of before a model could lead."""
    doubt: str = ""
    """Why a person must decide, whatever the ladder says; empty where there is no such doubt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NothingToTry:
    """No remedy is left, and what a person is asked."""

    type: Literal["NothingToTry"] = "NothingToTry"
    reasons: tuple[str, ...]
    ask: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The Official's verdict on the plan."""

    type: Literal["Judged"] = "Judged"
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalAsked:
    """People were asked to decide on the plan."""

    type: Literal["ApprovalAsked"] = "ApprovalAsked"
    request: ApprovalRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """A person decided on the plan, or time did."""

    type: Literal["Decided"] = "Decided"
    approval: Approval


@dataclass(frozen=True, kw_only=True, slots=True)
class Permitted:
    """A permit for the plan, to do."""

    type: Literal["Permitted"] = "Permitted"
    permit: Permit


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """The live look right before acting."""

    type: Literal["Checked"] = "Checked"
    live: Live
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Intended:
    """The intent, durable before the effect."""

    type: Literal["Intended"] = "Intended"
    trace: Trace


@dataclass(frozen=True, kw_only=True, slots=True)
class Turned:
    """A guard turned the attempt away before anything was touched; the attempt counts, and may be made anew."""

    type: Literal["Turned"] = "Turned"
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Acted:
    """The outcome of the effect, as answered or, after a crash, as read off the target."""

    type: Literal["Acted"] = "Acted"
    seen: Seen
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The target was asked and answered that it did not; the remedy is not repeated."""

    type: Literal["Failed"] = "Failed"
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What the sustained window showed."""

    type: Literal["Verified"] = "Verified"
    passed: bool
    looks: int
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """An ineffective remedy stays in place for now, and why. `builds` says that the next remedy of the same runbook
    builds on it, so that the diagnosis stands; otherwise all is looked at anew."""

    type: Literal["Kept"] = "Kept"
    reason: str
    builds: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoPermitted:
    """A permit to undo the attempt with this plan."""

    type: Literal["UndoPermitted"] = "UndoPermitted"
    permit: Permit


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoIntended:
    """The intent to undo, durable before the effect."""

    type: Literal["UndoIntended"] = "UndoIntended"
    trace: Trace


@dataclass(frozen=True, kw_only=True, slots=True)
class Undone:
    """The outcome of the undo."""

    type: Literal["Undone"] = "Undone"
    seen: Seen
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoTurned:
    """The undo was turned away or failed; a person must look."""

    type: Literal["UndoTurned"] = "UndoTurned"
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Escalated:
    """It waits for a person: why, what is asked, and the policy it was decided under."""

    type: Literal["Escalated"] = "Escalated"
    reason: str
    ask: str
    policy_digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconsidered:
    """What it waited on changed (the declaration, the time, a refusal); it is looked at anew."""

    type: Literal["Reconsidered"] = "Reconsidered"
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Healed:
    """The deviation is gone without, or before, an effect of PitCrew."""

    type: Literal["Healed"] = "Healed"
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Abandoned:
    """The declaration of the service was withdrawn; its record stays."""

    type: Literal["Abandoned"] = "Abandoned"
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """The postmortem was written."""

    type: Literal["Reported"] = "Reported"
    report: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelAsked:
    """A model is about to be asked: durable before the call, so that its tokens are spent whatever becomes of it."""

    type: Literal["ModelAsked"] = "ModelAsked"
    model: str
    prompt_digest: str
    evidence_digest: str
    tokens_reserved: int
    microdollars_reserved: int = 0

    @property
    def reserved(self) -> Cost:
        """What is set aside for it."""
        return Cost(tokens=self.tokens_reserved, microdollars=self.microdollars_reserved)


@dataclass(frozen=True, kw_only=True, slots=True)
class Advised:
    """What came of asking a model: an opinion, or why there is none. It changes no plan.

    `tokens` and `microdollars` are what it cost as far as is known, `usage` the tokens of prompts and answers apart
    (nothing in older records), `late` whether it came after planning began, `agrees` whether it is the cause that the
    rules lead with (None: it has no weight), `note` why. `way` is how structured output was asked for, `repaired` why a
    first answer was refused so that it was asked again, `unkept` why its transcript could not be kept.
    """

    type: Literal["Advised"] = "Advised"
    model: str
    prompt_digest: str
    evidence_digest: str
    opinion: Opinion | None
    failure: str
    tokens: int
    late: bool
    agrees: bool | None
    note: str
    usage: Usage = NO_USAGE
    microdollars: int = 0
    way: str = ""
    repaired: str = ""
    unkept: str = ""

    @property
    def cost(self) -> Cost:
        """What it cost."""
        return Cost(tokens=self.tokens, microdollars=self.microdollars)


@dataclass(frozen=True, kw_only=True, slots=True)
class NotAsked:
    """No model is asked about this evidence, and why. Only recorded where one is configured."""

    type: Literal["NotAsked"] = "NotAsked"
    reason: str
    evidence_digest: str


Event = (
    Opened
    | EvidenceGathered
    | Diagnosed
    | Planned
    | NothingToTry
    | Judged
    | ApprovalAsked
    | Decided
    | Permitted
    | Checked
    | Intended
    | Turned
    | Acted
    | Failed
    | Verified
    | Kept
    | UndoPermitted
    | UndoIntended
    | Undone
    | UndoTurned
    | Escalated
    | Reconsidered
    | Healed
    | Abandoned
    | Reported
    | ModelAsked
    | Advised
    | NotAsked
)


def signature(event: Event) -> str:
    """The event as a key of the table."""
    match event:
        case Judged(verdict=verdict):
            return f"Judged/{verdict.effect}"
        case Decided(approval=decided):
            return f"Decided/{decided.decision}"
        case Checked(live=live):
            return f"Checked/{live}"
        case Acted(seen=seen) | Undone(seen=seen):
            return f"{event.type}/{seen}"
        case Verified(passed=passed):
            return f"Verified/{passed}"
        case Kept(builds=builds):
            return f"Kept/{builds}"
        case _:
            return event.type


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
        case NotAsked(reason=reason):
            return f"no model is asked: {reason}"
        case UndoPermitted() | UndoIntended() | Undone() | UndoTurned() | Kept():
            return _told_of_undo(event)
        case _:
            return _told_of_attempt(event)


def _told_of_attempt(
    event: Planned
    | Judged
    | ApprovalAsked
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
        case Decided(approval=decided):
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


AGREEMENT = {True: "it agrees with the rules", False: "it disagrees with the rules", None: "it has no weight"}
"""What an opinion is beside the rules, in words."""
_LIVE = {Live.DEVIATES: "still deviates", Live.HEALTHY: "healthy, so left alone", Live.CHANGED: "the target changed"}
_SEEN = {Seen.DONE: "done", Seen.NOT_DONE: "not done", Seen.UNKNOWN: "outcome unknown"}


_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
EVENT_TYPES: frozenset[str] = frozenset(kind.__dataclass_fields__["type"].default for kind in Event.__args__)


def to_entry(incident_id: str, service: str, event: Event) -> Entry:
    """The event as an entry for the journal."""
    data: dict[str, Json] = _EVENT.dump_python(event, mode="json")
    del data["type"]
    return Entry(type=event.type, data=data, service=service, incident=incident_id)


def from_record(record: Record) -> Event:
    """The event that `to_entry` wrote.

    Raises:
        ValueError: the record holds no event of an incident.
    """
    return _EVENT.validate_python({"type": record.type, **record.data})
