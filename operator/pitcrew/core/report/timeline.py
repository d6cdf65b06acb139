"""What happened in one incident, event by event, in words and with times."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pitcrew.core.assistant import Proposed, speaker
from pitcrew.core.cost import told_cost
from pitcrew.core.event import (
    AGREEMENT,
    EVENT_TYPES,
    EvidenceAdded,
    EvidenceGathered,
    from_record,
    told,
)
from pitcrew.core.evidence import Evidence
from pitcrew.core.incident import (
    Advice,
    Incident,
)
from pitcrew.core.opinion import Opinion
from pitcrew.core.record import Record
from pitcrew.core.untrusted import bound, printable, redact

LINE_BYTES_MAX = 600
"""Bytes of one line of a report; the journal has the whole text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One event of an incident: its number in the journal, when, its type, and what it says; one printable line."""

    seq: int
    at: datetime
    type: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Spans:
    """How long each part took; together they are the whole. None where an incident did not get that far.

    Detect: from the first sign to the opening. Decide: to the first permit, or to the hand-over where there was none.
    Act: from the first permit to the last effect. Recover: from there to the recovery.
    """

    detect: timedelta
    decide: timedelta | None
    act: timedelta | None
    recover: timedelta | None
    whole: timedelta | None


def one_line(text: str) -> str:
    """Text from anywhere as one bounded, redacted line without control characters."""
    return bound(printable(redact(text), lines=False), LINE_BYTES_MAX)


def timeline(records: Iterable[Record]) -> tuple[Moment, ...]:
    """The events among the records of one incident, in order.

    Raises:
        ValueError: a record does not hold the event that its type names.
    """
    return tuple(
        Moment(seq=record.seq, at=record.at, type=record.type, text=one_line(told(from_record(record))))
        for record in records
        if record.type in EVENT_TYPES
    )


def grounds(incident: Incident, records: Iterable[Record]) -> tuple[tuple[Evidence, ...], ...]:
    """The evidence that each attempt rests on: what it cites, out of what was gathered last before it and added since.

    Every gathering numbers its items anew. Without records only the last attempt's can be told.
    """
    found: list[tuple[Evidence, ...]] = []
    gathered: tuple[Evidence, ...] = ()
    for record in records:
        if record.type in ("EvidenceGathered", "EvidenceAdded"):
            match from_record(record):
                case EvidenceGathered(evidence=evidence):
                    gathered = evidence
                case EvidenceAdded(evidence=evidence):
                    gathered = (*gathered, *evidence)
                case _:
                    pass
        elif record.type == "Planned":
            found.append(gathered)
    last = incident.evidence if not found and incident.attempts else None
    whole = found if last is None else [*((),) * (len(incident.attempts) - 1), last]
    return tuple(
        tuple(item for item in evidence if item.id in attempt.proposal.evidence)
        for evidence, attempt in zip(whole, incident.attempts, strict=False)
    )


def advice_line(advice: Advice) -> str:
    """What came of asking a model, beside the rules, as a line of a list."""
    if not advice.model:
        return advice.failure
    if advice.answered_at is None:
        return f"model {advice.model}: no answer so far; {told_cost(advice.cost, advice.usage)} set aside"
    late = ", too late for the plan then under way" if advice.late else ""
    cost = f"{told_cost(advice.cost, advice.usage)}{_repaired(advice)}"
    if advice.opinion is None:
        return f"model {advice.model}: no opinion{late}: {advice.failure}; {cost}"
    said = advice.opinion
    return (
        f"model {advice.model}: {said.cause}, {said.confidence} of 100, runbook {said.runbook or 'none'}{late}: "
        f"{said.summary}  [{' '.join(said.evidence)}]; {AGREEMENT[advice.agrees]}: {advice.note}{_wants(said)}; {cost}"
    )


def proposed_line(proposed: Proposed) -> str:
    """What an assistant proposed, beside the rules, as a line of a list."""
    said, late = proposed.opinion, ", after a plan was made" if proposed.late else ""
    return (
        f"{speaker(proposed.by)}: {said.cause}, runbook {said.runbook or 'none'}{late}  [{' '.join(said.evidence)}]; "
        f"{AGREEMENT[proposed.agrees]}: {proposed.note}"
    )


def _wants(said: Opinion) -> str:
    return f"; it wants to see {', '.join(map(str, said.more))}" if said.more else ""


def _repaired(advice: Advice) -> str:
    return f"; asked twice, since its first answer was refused: {advice.repaired}" if advice.repaired else ""


def evidence_line(item: Evidence) -> str:
    """One item as a line of a list."""
    return f"{item.id:<4} {item.source:<8} {item.text}" + (f"  (x{item.count})" if item.count > 1 else "")


def spans(incident: Incident) -> Spans:
    """The durations of an incident."""
    opened, recovered = incident.opened_at, incident.recovered_at
    permitted = next((a.permit.issued_at for a in incident.attempts if a.permit is not None), None)
    acted = max((a.acted_at for a in incident.attempts if a.acted_at is not None), default=None)
    decided = permitted or incident.escalated_at
    return Spans(
        detect=opened - incident.detected_from,
        decide=decided - opened if decided else None,
        act=acted - permitted if acted and permitted else None,
        recover=recovered - (acted or decided or opened) if recovered else None,
        whole=recovered - incident.detected_from if recovered else None,
    )


def rendered_span(span: timedelta | None) -> str:
    """A duration for people: `0.8 s`, `2 min 05 s`, `1 h 02 min`; a dash for none."""
    if span is None:
        return "-"
    seconds = max(0.0, span.total_seconds())
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
