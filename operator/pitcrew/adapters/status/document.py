"""The status of one service as a document: the resource as declared, and beside it what was seen and decided.

It is read by anyone on the machine, so it carries no value that may be a secret: values of environment variables and of
headers are masked, every text is redacted, bounded and on one line of printable characters.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from pitcrew.core.action import describe
from pitcrew.core.asking import Terms, refusal
from pitcrew.core.conditions import Condition, Notice, ServiceStatus
from pitcrew.core.incident import (
    Attempt,
    Incident,
)
from pitcrew.core.observation import Absent, Blind, ProbeResult, RuntimeFacts, Sight
from pitcrew.core.record import Json
from pitcrew.core.report.investigated import investigation_lines
from pitcrew.core.report.timeline import advice_line
from pitcrew.core.resource import HealthyService
from pitcrew.core.untrusted import bound, printable, redact

TEXT_BYTES_MAX = 1_000
"""Bytes of one text in a status; the journal has the whole."""
NOTICES_MAX = 50
"""Events shown, the latest."""
LAST_INCIDENTS_MAX = 10
"""Earlier incidents shown, the latest."""
MASK = "[masked]"


def document(status: ServiceStatus) -> Mapping[str, Json]:
    """The document, made of nothing but cleaned text, numbers, lists and objects."""
    found = _cleaned({**declared(status.service), "status": _status(status)})
    assert isinstance(found, Mapping)
    return found


def declared(service: HealthyService) -> dict[str, Json]:
    """The resource as its author wrote it, with values that may be secrets masked."""
    spelt: dict[str, Json] = service.model_dump(mode="json", by_alias=True, exclude_unset=True)
    masked = _masked(spelt)
    assert isinstance(masked, dict)
    metadata = {"name": service.metadata.name, "namespace": service.metadata.namespace}
    return {**masked, "metadata": {**_mapping(masked.get("metadata")), **metadata}}


def comparable(found: Mapping[str, Json]) -> Json:
    """The document without what changes with every look; two that are equal say the same."""
    status = {name: value for name, value in _mapping(found.get("status")).items() if name != "observedAt"}
    probes = status.get("probes")
    if isinstance(probes, Sequence) and not isinstance(probes, str):
        status["probes"] = [
            {name: value for name, value in _mapping(probe).items() if name not in ("at", "latencyMs")}
            for probe in probes
        ]
    return {**found, "status": status}


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _masked(value: Json, key: str = "") -> Json:
    match value:
        case Mapping() if key == "env":
            return dict.fromkeys(value, MASK)
        case Mapping():
            return {
                name: MASK if key == "httpHeaders" and name == "value" else _masked(item, name)
                for name, item in value.items()
            }
        case str():
            return value
        case Sequence():
            items = [_masked(item, key) for item in value]
            return _masked_arguments(items) if key == "command" else items
        case _:
            return value


def _masked_arguments(arguments: list[Json]) -> list[Json]:
    """An argument list in which what follows an option such as `--password` is masked as well."""
    found = list(arguments)
    for place, (option, value) in enumerate(pairwise(arguments), start=1):
        takes_a_value = str(option).startswith("-") and "=" not in str(option) and not str(value).startswith("-")
        if takes_a_value and redact(f"{option} {value}") != f"{option} {value}":
            found[place] = MASK
    return found


def _cleaned(value: Json) -> Json:
    match value:
        case str():
            return bound(printable(redact(value), lines=False), TEXT_BYTES_MAX)
        case Mapping():
            return {printable(name, lines=False): _cleaned(item) for name, item in value.items()}
        case Sequence():
            return [_cleaned(item) for item in value]
        case _:
            return value


def _stamp(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def _status(status: ServiceStatus) -> dict[str, Json]:
    head = status.journal_head
    return {
        "observedAt": _stamp(status.at),
        "health": str(status.health),
        "target": _target(status.service, status.sight),
        "conditions": [_condition(condition) for condition in status.conditions],
        "probes": [_probe(result, flapping=result.probe in status.flapping) for result in status.probes],
        "deviations": [str(deviation) for deviation in status.deviations],
        "incident": _incident(status.incident, status.waits_for) if status.incident else None,
        "lastIncidents": [_past(incident) for incident in status.last_incidents[-LAST_INCIDENTS_MAX:]],
        "journalHead": {"seq": head.seq, "hash": head.hash},
        "policies": list(status.policies),
        "diagnosis": _terms(status.terms) if status.terms else None,
        "manifest": {"source": status.source, "stale": status.stale},
        "events": [_notice(notice) for notice in status.notices[-NOTICES_MAX:]],
    }


def _target(service: HealthyService, sight: Sight | None) -> dict[str, Json]:
    label: dict[str, Json] = {"name": service.spec.target.label}
    match sight:
        case RuntimeFacts():
            return {**label, "state": str(sight.state), "id": sight.target_id, "run": sight.instance}
        case Absent(detail=detail):
            return {**label, "state": "Missing", "detail": detail}
        case Blind(reason=reason, detail=detail):
            return {**label, "state": "Unknown", "detail": f"{reason}: {detail}"}
        case None:
            return {**label, "state": "Unknown", "detail": "not looked at yet"}


def _condition(condition: Condition) -> dict[str, Json]:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": _stamp(condition.since),
    }


def _probe(result: ProbeResult, *, flapping: bool) -> dict[str, Json]:
    return {
        "name": result.probe,
        "outcome": str(result.outcome),
        "reason": str(result.reason),
        "status": result.status,
        "detail": result.detail,
        "flapping": flapping,
        "latencyMs": result.latency_ms,
        "at": _stamp(result.at),
    }


def _terms(terms: Terms) -> dict[str, Json]:
    return {
        "mode": str(terms.mode),
        "modeBy": terms.mode_by,
        "egress": str(terms.egress),
        "egressBy": terms.egress_by,
        "unasked": refusal(terms) or None,
    }


def _incident(incident: Incident, waits_for: str) -> dict[str, Json]:
    diagnoses: list[Json] = [
        {"cause": str(d.cause), "confidence": d.confidence, "by": str(d.by), "summary": d.summary}
        for d in incident.diagnoses
    ]
    last = incident.attempts[-1] if incident.attempts else None
    verdict = last.verdict if last else None
    return {
        "id": incident.id,
        "phase": str(incident.phase),
        "severity": str(incident.severity),
        "openedAt": _stamp(incident.opened_at),
        "deviations": [str(deviation) for deviation in incident.deviations],
        "diagnoses": diagnoses,
        "secondOpinion": advice_line(incident.advice[-1]) if incident.advice else None,
        "investigation": "; ".join(investigation_lines(incident)) or None,
        "risk": {"level": str(last.risk.level), "score": last.risk.score} if last else None,
        "verdict": {"effect": str(verdict.effect), "reason": verdict.reason} if verdict else None,
        "waitsFor": waits_for,
        "attempts": [_attempt(attempt) for attempt in incident.attempts],
        "report": incident.report or None,
    }


def _attempt(attempt: Attempt) -> dict[str, Json]:
    return {
        "attempt": attempt.plan.attempt,
        "action": describe(attempt.plan.action),
        "runbook": attempt.proposal.runbook,
        "effect": str(attempt.seen) if attempt.seen is not None else None,
        "helped": attempt.effective,
        "undo": str(attempt.undo),
    }


def _past(incident: Incident) -> dict[str, Json]:
    return {
        "id": incident.id,
        "outcome": incident.outcome,
        "cause": str(incident.cause),
        "severity": str(incident.severity),
        "openedAt": _stamp(incident.opened_at),
        "recoveredAt": _stamp(incident.recovered_at),
        "report": incident.report or None,
    }


def _notice(notice: Notice) -> dict[str, Json]:
    return {
        "at": _stamp(notice.at),
        "type": notice.kind,
        "reason": notice.reason,
        "message": notice.message,
        "incident": notice.incident or None,
    }
