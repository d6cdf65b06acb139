"""Status and conditions: a projection of what is known of one service, for people and tools.

Conditions follow the Kubernetes conventions (kstatus): `Ready`, and abnormal-true ones that are only present when they
say something. Everything here can be lost and rebuilt from the journal and the live world.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pitcrew.core import storm as storms
from pitcrew.core.asking import Terms
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import Deviation, Health, Watch, deviations, good, health, respected
from pitcrew.core.event import (
    ApprovalAsked,
    Escalated,
    Event,
    Failed,
    Opened,
    UndoTurned,
    told,
)
from pitcrew.core.incident import (
    Incident,
    Phase,
)
from pitcrew.core.observation import Absent, Blind, ProbeResult, RuntimeFacts, Sight
from pitcrew.core.order import Suspension
from pitcrew.core.policy import NO_GUARDRAILS, Guardrails
from pitcrew.core.record import Head, Record
from pitcrew.core.resource import HealthyService, Mode
from pitcrew.core.untrusted import bound

MESSAGE_BYTES_MAX = 1024
"""Bytes of one message for people, as Kubernetes bounds those of Events."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One condition; `since` is when `status` last changed."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One event for people: when, a one-word reason out of the glossary, and a sentence."""

    at: datetime
    kind: str
    reason: str
    message: str
    incident: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceStatus:
    """Everything that is written back about one service. `waits_for` says what an open incident waits for."""

    service: HealthyService
    at: datetime
    health: Health
    conditions: tuple[Condition, ...]
    deviations: tuple[Deviation, ...]
    probes: tuple[ProbeResult, ...]
    flapping: tuple[str, ...]
    sight: Sight | None
    incident: Incident | None
    waits_for: str
    last_incidents: tuple[Incident, ...]
    notices: tuple[Notice, ...]
    journal_head: Head
    source: str
    stale: str
    policies: tuple[str, ...] = ()
    """Names of the policies of the platform that bind it."""
    terms: Terms | None = None
    """On which terms a model is asked about it; None where none is configured."""


def notice(event: Event, incident: Incident, at: datetime) -> Notice:
    """An event of an incident as a sentence for people; every value in it was cleaned when it was recorded."""
    grave = isinstance(event, Opened | ApprovalAsked | Escalated | Failed | UndoTurned)
    kind = "Warning" if grave else "Normal"
    return Notice(
        at=at, kind=kind, reason=event.type, message=_one_line(told(event)) or event.type, incident=incident.id
    )


def storm_notice(record: Record) -> Notice:
    """The record of a storm as a sentence for people. Raises ValueError where it holds none."""
    kind = "Warning" if record.type == storms.STORM_BEGAN else "Normal"
    message = _one_line(storms.told(record.type, storms.from_record(record)))
    return Notice(at=record.at, kind=kind, reason=record.type, message=message)


def _one_line(text: str) -> str:
    return bound(" ".join(text.split()), MESSAGE_BYTES_MAX)


def conditions(
    service: HealthyService,
    watch: Watch,
    incident: Incident | None,
    waits_for: str,
    stale: str,
    halted: str,
    held: Suspension | None,
    before: Sequence[Condition],
    now: datetime,
    guardrails: Guardrails = NO_GUARDRAILS,
    storm: str = "",
    dependencies: Sequence[Dependency] = (),
) -> tuple[Condition, ...]:
    """The conditions now; `before` keeps the times of those whose status did not change.

    `guardrails` are those that bind the service, `storm` is what is told of a mass failure that lasts, `dependencies`
    are all that it is declared to depend on.
    """
    past = {condition.type: condition for condition in before}
    found = [_ready(watch, now), *_incident(incident, waits_for), *_abnormal(service, stale, halted, held)]
    found += [*_guarded(service, guardrails), *_depending(dependencies)]
    if storm:
        found.append(("Storm", "True", "MassFailure", storm))
    return tuple(
        Condition(
            type=kind,
            status=status,
            reason=reason,
            message=_one_line(message),
            since=past[kind].since if kind in past and past[kind].status == status else now,
        )
        for kind, status, reason, message in found
    )


_Line = tuple[str, str, str, str]


def _ready(watch: Watch, now: datetime) -> _Line:
    state, sight = health(watch, now), watch.sight
    match state, sight:
        case _, Blind(reason=reason, detail=detail):
            return ("Ready", "Unknown", reason, detail)
        case _, Absent(detail=detail):
            return ("Ready", "False", "Missing", detail)
        case Health.STOPPED, RuntimeFacts():
            reason = respected(sight, now) or "Stopped"
            how = "completed its work" if reason == "Completed" else "was stopped"
            return ("Ready", "False", reason, f"{sight.name} {how} and is left alone; start it to go on")
        case Health.HEALTHY, _:
            return ("Ready", "True", "Healthy", "every probe is good")
        case Health.STARTING, _:
            return ("Ready", "False", "Starting", "its engine is bringing it back; left to it")
        case _:
            return ("Ready", _READY.get(state, "Unknown"), str(state), _failing(watch, now))


_READY: Mapping[Health, str] = {Health.UNHEALTHY: "False", Health.STOPPED: "False"}


def _failing(watch: Watch, now: datetime) -> str:
    found = [str(d.kind) for d in deviations(watch, now) if not d.probe]
    last = [track.last for track in watch.tracks.values() if track.last and not good(track)]
    told = [*found, *(f"{r.probe}: {r.reason} {r.detail}".rstrip() for r in last)]
    return "; ".join(told) or "not seen yet"


def _incident(incident: Incident | None, waits_for: str) -> list[_Line]:
    if incident is None:
        return [("IncidentActive", "False", "NoIncident", "no incident is open")]
    found = [("IncidentActive", "True", str(incident.phase), f"{incident.id}: {waits_for or incident.phase}")]
    if incident.phase is Phase.AWAITING_APPROVAL:
        found.append(("AwaitingApproval", "True", "AskedPeople", f"{incident.id}: {waits_for}"))
    if incident.phase is Phase.ESCALATED:
        found.append(("Stalled", "True", "WaitsForPerson", f"{incident.id}: {incident.ask}"))
    return found


def _abnormal(service: HealthyService, stale: str, halted: str, held: Suspension | None) -> list[_Line]:
    found = []
    if stale:
        found.append(("ManifestStale", "True", "LastGoodVersionInUse", stale))
    if held is not None:
        found.append(("Suspended", "True", "ByPerson", str(held)))
    if halted:
        found.append(("EffectsHalted", "True", "Halted", halted))
    if service.spec.policy.mode is not Mode.ENFORCE:
        found.append(("NotEnforcing", "True", str(service.spec.policy.mode), "decides, and does not act"))
    return found


def _depending(dependencies: Sequence[Dependency]) -> list[_Line]:
    down = [str(one) for one in dependencies if one.down]
    circular = [str(one) for one in dependencies if one.circular]
    strange = [str(one.service) for one in dependencies if one.health is None]
    found = []
    if down:
        found.append(("DependencyDown", "True", "WaitsForDependency", "; ".join(down)))
    if strange:
        text = f"{', '.join(strange)}: not declared here, so its health is Unknown; declare it, or mend spec.dependsOn"
        found.append(("DependencyUnknown", "True", "NotDeclared", text))
    if circular:
        text = f"{'; '.join(circular)}: which of them failed first cannot be told, so neither waits for the other"
        found.append(("DependencyCircle", "True", "DependsInTurn", text))
    return found


def _guarded(service: HealthyService, guardrails: Guardrails) -> list[_Line]:
    found = []
    if guardrails.unread:
        places = "; ".join(one.place for one in guardrails.unread)
        found.append(("PolicyUnread", "True", "NoGoodVersion", f"nothing is done until this is mended: {places}"))
    if guardrails.stale:
        text = "; ".join(f"policy {name}: {why}" for name, why in guardrails.stale)
        found.append(("PolicyStale", "True", "LastGoodVersionInUse", text))
    lax = [one for one in guardrails.policies if one.spec.mode not in (None, Mode.ENFORCE)]
    if lax and service.spec.policy.mode is Mode.ENFORCE:
        text = f"decides, and does not act: policy {lax[0].name} says so"
        found.append(("NotEnforcing", "True", str(lax[0].spec.mode), text))
    return found
