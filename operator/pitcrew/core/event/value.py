"""Events: all that can happen to an incident, a closed union; what the journal holds and `incident.advance` absorbs.

Each event is one frozen value; its fields are data that can be written as JSON without floats and read back the same.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pitcrew.core.action import Seen, Trace
from pitcrew.core.approval import Approval, ApprovalRequest
from pitcrew.core.cost import NO_USAGE, Cost, Usage
from pitcrew.core.deviation import Deviation
from pitcrew.core.diagnosis import Diagnosis
from pitcrew.core.evidence import Evidence
from pitcrew.core.opinion import Opinion
from pitcrew.core.order import Person
from pitcrew.core.permit import Permit
from pitcrew.core.pick import Pick
from pitcrew.core.policy import Verdict
from pitcrew.core.proposal import Plan, Proposal
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
class ApprovalGiven:
    """One of several people approved the plan; it waits for another."""

    type: Literal["ApprovalGiven"] = "ApprovalGiven"
    approval: Approval


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
class DiagnosisProposed:
    """An assistant proposed a diagnosis, in the name of a person. It moves nothing; plans that are made later weigh it.

    The fields are as of `assistant.Proposed`; `evidence_digest` is of the evidence it was about.
    """

    type: Literal["DiagnosisProposed"] = "DiagnosisProposed"
    by: Person
    opinion: Opinion
    evidence_digest: str
    cited: tuple[Evidence, ...]
    late: bool
    grounded: bool
    agrees: bool | None
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NotAsked:
    """No model is asked about this evidence, and why. Only recorded where one is configured."""

    type: Literal["NotAsked"] = "NotAsked"
    reason: str
    evidence_digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Picked:
    """Further evidence that a model picked is about to be read: durable first, so that none is picked twice and the
    time for it runs on, whatever becomes of PitCrew."""

    type: Literal["Picked"] = "Picked"
    picks: tuple[Pick, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceAdded:
    """What reading the picks added to the evidence, numbered on.

    `missing` are the picks that could not be read, and `took_ms` the milliseconds of all. `changed` says how a fresh
    look contradicts what is known, so that all is gathered anew; empty where it does not.
    """

    type: Literal["EvidenceAdded"] = "EvidenceAdded"
    picks: tuple[Pick, ...]
    evidence: tuple[Evidence, ...]
    missing: tuple[Pick, ...]
    took_ms: int
    changed: str = ""


Event = (
    Opened
    | EvidenceGathered
    | Diagnosed
    | Planned
    | NothingToTry
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
    | DiagnosisProposed
    | NotAsked
    | Picked
    | EvidenceAdded
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
        case EvidenceAdded(changed=changed):
            return f"EvidenceAdded/{'Changed' if changed else 'Same'}"
        case _:
            return event.type
