"""Events: all that can happen to an incident, a closed union; what the journal holds and `incident.advance` absorbs.

Each event is one frozen value; its fields are data that can be written as JSON without floats and read back the same.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from pitcrew.core.action import Seen, Trace
from pitcrew.core.deviation import Deviation
from pitcrew.core.diagnosis import Diagnosis
from pitcrew.core.evidence import Evidence
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


Event = (
    Opened
    | EvidenceGathered
    | Diagnosed
    | Planned
    | NothingToTry
    | Judged
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
)


def signature(event: Event) -> str:
    """The event as a key of the table."""
    match event:
        case Judged(verdict=verdict):
            return f"Judged/{verdict.effect}"
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
