"""What a webhook tells: which transitions, in which words, as which JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pitcrew.core.event import Event, told
from pitcrew.core.incident import Incident
from pitcrew.core.record import Json
from pitcrew.core.untrusted import clean

SCHEMA = 1
TEXT_BYTES_MAX = 1000
"""Bytes of one sentence; the journal has the whole."""

URGENT: Mapping[str, bool] = {
    "Opened": False,
    "Escalated": True,
    "ApprovalAsked": True,
    "ApprovalGiven": True,
    "Verified": False,
    "Checked": False,
    "Healed": False,
    "Abandoned": False,
}
"""The types of events worth telling, and whether they are told at once, since a person is waited for. Those in
`_ENDING` are told only where they end the incident, under the name of its outcome."""
_ENDING = ("Verified", "Checked", "Healed", "Abandoned")


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """One transition worth telling; `id` is the same whenever it is told, so that a receiver can tell doubles."""

    id: str
    what: str
    urgent: bool
    service: str
    incident: str
    at: datetime
    text: str
    severity: str
    cause: str
    phase: str
    asked: str


def transition(event: Event, incident: Incident, at: datetime) -> Transition | None:
    """The transition that an event made, or None where it is not worth telling."""
    kind = str(event.type)
    if kind not in URGENT or (kind in _ENDING and incident.outcome == "Open"):
        return None
    return Transition(
        id=f"{incident.id}/{incident.events}",
        what=incident.outcome if kind in _ENDING else kind,
        urgent=URGENT[kind],
        service=incident.service,
        incident=incident.id,
        at=at,
        text=_line(told(event)),
        severity=str(incident.severity),
        cause=str(incident.cause),
        phase=str(incident.phase),
        asked=_asked(kind, incident),
    )


def _asked(kind: str, incident: Incident) -> str:
    """What a person is asked for, where one is."""
    if kind in ("ApprovalAsked", "ApprovalGiven"):
        return f"decide: `pitcrew approve {incident.id} --reason ...`, or `pitcrew deny`"
    return _line(incident.ask) if URGENT[kind] else ""


def _line(text: str) -> str:
    return clean(" ".join(text.split()), TEXT_BYTES_MAX)


def body(group: Sequence[Transition], dropped: int) -> bytes:
    """Transitions of one service as a JSON document; `dropped` messages before it were never sent.

    `text` is a line for people, as chat services expect it.
    """
    last = group[-1]
    sentences = "; ".join(f"{one.incident} {one.what}: {one.text}" for one in group)
    document: dict[str, Json] = {
        "schema": SCHEMA,
        "service": last.service,
        "event": last.what,
        "urgent": any(one.urgent for one in group),
        "text": clean(f"PitCrew, {last.service}: {sentences}", 4 * TEXT_BYTES_MAX),
        "transitions": [_data(one) for one in group],
        "dropped": dropped,
    }
    return json.dumps(document, ensure_ascii=True).encode()


def _data(one: Transition) -> Mapping[str, Json]:
    return {
        "id": one.id,
        "event": one.what,
        "incident": one.incident,
        "at": one.at.isoformat(),
        "text": one.text,
        "severity": one.severity,
        "cause": one.cause,
        "phase": one.phase,
        "asked": one.asked,
    }
