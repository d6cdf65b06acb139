"""Why PitCrew did what it did: the whole chain of one incident as a tree, for people and for tools.

Each section carries the same facts twice: as lines to read and as data. The lines are printable and bounded; a file of
JSON or YAML escapes by itself, and the data is cleaned too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pitcrew.core import approval
from pitcrew.core.action import describe, to_data
from pitcrew.core.cost import told_cost
from pitcrew.core.evidence import Evidence
from pitcrew.core.incident import (
    Attempt,
    Incident,
    UndoStand,
)
from pitcrew.core.permit import Permit
from pitcrew.core.policy import Verdict
from pitcrew.core.record import Json, Record
from pitcrew.core.report.investigated import investigation_data, investigation_lines
from pitcrew.core.report.timeline import (
    advice_line,
    evidence_line,
    grounds,
    one_line,
    proposed_line,
    rendered_span,
    spans,
    timeline,
)
from pitcrew.core.risk import SECOND_OPINION, Risk


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One part of the chain: `title` and `lines` to read, `data` for tools, and the parts of it."""

    key: str
    title: str
    lines: tuple[str, ...] = ()
    data: Json = None
    parts: tuple["Section", ...] = ()


def why(incident: Incident, records: Sequence[Record] = ()) -> Section:
    """The chain of one incident; `records` are its records of the journal and give the timeline."""
    rests_on = grounds(incident, records)
    parts = [
        _evidence(incident),
        _diagnosis(incident),
        *_advice(incident),
        *_proposed(incident),
        *_investigation(incident),
        *(_attempt(attempt, cited) for attempt, cited in zip(incident.attempts, rests_on, strict=False)),
        *_escalation(incident),
        *_recovery(incident),
        *_timeline(records),
    ]
    deviations = ", ".join(map(str, incident.deviations))
    return _section(
        "incident",
        f"{incident.id}: {incident.outcome}",
        (
            f"service {incident.service}, target {incident.target}, severity {incident.severity}",
            f"deviations: {deviations}",
            f"opened {incident.opened_at:%Y-%m-%d %H:%M:%S} UTC, phase {incident.phase}",
        ),
        {
            "id": incident.id,
            "service": incident.service,
            "target": incident.target,
            "severity": str(incident.severity),
            "outcome": incident.outcome,
            "phase": str(incident.phase),
            "deviations": [str(deviation) for deviation in incident.deviations],
            "openedAt": incident.opened_at.isoformat(),
        },
        *parts,
    )


def section_text(section: Section, indent: int = 0) -> str:
    """The tree as indented lines; it ends in a newline."""
    pad = "  " * indent
    own = [f"{pad}{section.title}", *(f"{pad}  {line}" for line in section.lines)]
    return "\n".join(own) + "\n" + "".join(section_text(part, indent + 1) for part in section.parts)


def section_data(section: Section) -> Mapping[str, Json]:
    """The tree as data; parts go by their key, attempts into one list."""
    found: dict[str, Json] = dict(section.data) if isinstance(section.data, Mapping) else {"items": section.data}
    attempts = [section_data(part) for part in section.parts if part.key == "attempts"]
    for part in section.parts:
        if part.key == "attempts":
            found["attempts"] = attempts
        else:
            found[part.key] = section_data(part) if isinstance(part.data, Mapping) else part.data
    return found


def _section(key: str, title: str, lines: Sequence[str], data: Json, *parts: Section) -> Section:
    return Section(
        key=key, title=one_line(title), lines=tuple(map(one_line, lines)), data=_cleaned(data), parts=tuple(parts)
    )


def _cleaned(data: Json) -> Json:
    match data:
        case str():
            return one_line(data)
        case Mapping():
            return {one_line(key): _cleaned(value) for key, value in data.items()}
        case list() | tuple():
            return [_cleaned(value) for value in data]
        case _:
            return data


def _evidence(incident: Incident) -> Section:
    cited = {id_ for diagnosis in incident.diagnoses[:1] for id_ in diagnosis.evidence}
    lines = [f"{'*' if item.id in cited else ' '} {evidence_line(item)}" for item in incident.evidence]
    data: list[Json] = [{**_item(item), "cited": item.id in cited} for item in incident.evidence]
    title = "Evidence, as gathered last (* is cited by the diagnosis)"
    return _section("evidence", title, lines or ["none was gathered"], data)


def _item(item: Evidence) -> dict[str, Json]:
    return {
        "id": item.id,
        "source": str(item.source),
        "key": item.key,
        "value": item.value,
        "text": item.text,
        "count": item.count,
    }


def _diagnosis(incident: Incident) -> Section:
    lines = [
        f"{d.cause}, {d.confidence} of 100, by {d.by}: {d.summary}  [{' '.join(d.evidence)}]"
        for d in incident.diagnoses
    ]
    data: list[Json] = [
        {
            "cause": str(d.cause),
            "confidence": d.confidence,
            "by": str(d.by),
            "summary": d.summary,
            "evidence": list(d.evidence),
        }
        for d in incident.diagnoses
    ]
    return _section("diagnosis", "Diagnosis, the surest first", lines or ["none yet"], data)


def _advice(incident: Incident) -> tuple[Section, ...]:
    if not incident.advice:
        return ()
    data: list[Json] = [
        {
            "model": one.model or None,
            "promptDigest": one.prompt_digest,
            "answered": one.answered_at is not None,
            "late": one.late,
            "tokens": one.tokens,
            "promptTokens": one.usage.tokens_in,
            "answerTokens": one.usage.tokens_out,
            "microdollars": one.microdollars,
            "way": one.way or None,
            "repaired": one.repaired or None,
            "transcriptNotKept": one.unkept or None,
            "failure": one.failure or None,
            "cause": str(one.opinion.cause) if one.opinion else None,
            "runbook": (one.opinion.runbook or None) if one.opinion else None,
            "confidence": one.opinion.confidence if one.opinion else None,
            "evidence": list(one.opinion.evidence) if one.opinion else [],
            "quotes": list(one.opinion.quotes) if one.opinion else [],
            "misquotes": list(one.opinion.misquotes) if one.opinion else [],
            "summary": one.opinion.summary if one.opinion else None,
            "more": list(map(str, one.opinion.more)) if one.opinion else [],
            "agrees": one.agrees,
            "note": one.note,
        }
        for one in incident.advice
    ]
    title = f"Second opinion (it chooses no action); {told_cost(incident.cost, incident.usage)} in all"
    return (_section("advice", title, [advice_line(one) for one in incident.advice], data),)


def _proposed(incident: Incident) -> tuple[Section, ...]:
    if not incident.proposed:
        return ()
    data: list[Json] = [
        {
            "by": one.by.name,
            "uid": one.by.uid,
            "at": one.at.isoformat(),
            "cause": str(one.opinion.cause),
            "runbook": one.opinion.runbook or None,
            "evidence": list(one.opinion.evidence),
            "late": one.late,
            "grounded": one.grounded,
            "agrees": one.agrees,
            "note": one.note,
        }
        for one in incident.proposed
    ]
    lines = [proposed_line(one) for one in incident.proposed]
    return (_section("proposed", "Proposed by assistants (they choose no action)", lines, data),)


def _investigation(incident: Incident) -> tuple[Section, ...]:
    lines = investigation_lines(incident)
    title = "Investigation, where neither rules nor model were sure"
    return (_section("investigation", title, lines, investigation_data(incident)),) if lines else ()


def _attempt(attempt: Attempt, cited: Sequence[Evidence]) -> Section:
    plan = attempt.plan
    parts = [
        _section("evidence", "Evidence it rests on", [evidence_line(item) for item in cited], list(map(_item, cited))),
        _runbook(attempt),
        _risk(attempt.risk),
        *([_rules(attempt.verdict)] if attempt.verdict else []),
        *_approval(attempt),
        *([_permit("permit", "Permit", attempt.permit)] if attempt.permit else []),
        _effect(attempt),
        *_verification(attempt),
        _undo(attempt),
    ]
    action: dict[str, Json] = dict(to_data(plan.action))
    data: dict[str, Json] = {"attempt": plan.attempt, "action": action, "planDigest": plan.digest}
    lines = [f"plan {plan.digest}, target {plan.target_id}, run {plan.instance}"]
    asked = any(factor.name == SECOND_OPINION for factor in attempt.risk.factors)
    if asked and (lead := attempt.leading) is not None:
        data["leading"] = {"cause": str(lead.cause), "confidence": lead.confidence, "by": str(lead.by)}
        lines.append(f"for {lead.cause}, {lead.confidence} of 100 with all opinions weighed, by {lead.by}")
    return _section("attempts", f"Attempt {plan.attempt}: {describe(plan.action)}", lines, data, *parts)


def _runbook(attempt: Attempt) -> Section:
    proposal = attempt.proposal
    data: dict[str, Json] = {
        "id": proposal.runbook,
        "digest": proposal.runbook_digest or None,
        "cause": str(proposal.cause),
        "why": proposal.why,
        "evidence": list(proposal.evidence),
    }
    lines = [f"{proposal.pin}: {proposal.why}  [{' '.join(proposal.evidence)}]"]
    return _section("runbook", "Runbook (Strategist)", lines, data)


def _risk(risk: Risk) -> Section:
    lines = [f"{factor.points:>3}  {factor.name}: {factor.evidence}" for factor in risk.factors]
    factors: list[Json] = [
        {"name": factor.name, "points": factor.points, "evidence": factor.evidence} for factor in risk.factors
    ]
    data: dict[str, Json] = {"score": risk.score, "level": str(risk.level), "factors": factors}
    return _section("risk", f"Risk (Risk Engine): {risk.level}, {risk.score} of 100", lines, data)


def _rules(verdict: Verdict) -> Section:
    lines = [
        f"{ruling.effect:<15} {ruling.rule}: {ruling.message}"
        + (f" (until {ruling.until:%H:%M:%S})" if ruling.until else "")
        for ruling in verdict.rulings
    ]
    rulings: list[Json] = [
        {
            "rule": ruling.rule,
            "effect": str(ruling.effect),
            "message": ruling.message,
            "until": ruling.until.isoformat() if ruling.until else None,
        }
        for ruling in verdict.rulings
    ]
    data: dict[str, Json] = {
        "verdict": str(verdict.effect),
        "policyDigest": verdict.policy_digest,
        "spoke": rulings,
    }
    lines = [*(lines or ["no rule spoke, so it is denied"]), f"policy {verdict.policy_digest}"]
    return _section("rules", f"Rules (Official): {verdict.effect}", lines, data)


def _approval(attempt: Attempt) -> tuple[Section, ...]:
    request, decided = attempt.request, attempt.approval
    if request is None:
        return ()
    came = approval.told(decided) if decided else "open"
    so_far = approval.progress(request, attempt.people) if decided is None else ""
    people: list[Json] = [_person(one) for one in attempt.people]
    data: dict[str, Json] = {
        "asked": request.of_whom,
        "askedAt": request.asked_at.isoformat(),
        "expiresAt": request.expires_at.isoformat(),
        "planDigest": request.plan_digest,
        "decision": str(decided.decision) if decided else None,
        "by": decided.by if decided else None,
        "uid": decided.uid if decided else None,
        "reason": decided.reason if decided else None,
        "decidedAt": decided.at.isoformat() if decided else None,
        "people": people,
    }
    lines = [
        f"asked {request.asked_at:%H:%M:%S}: {request.of_whom}; open until {request.expires_at:%Y-%m-%d %H:%M:%S}",
        *(f"{approval.told(one)} ({one.at:%H:%M:%S})" for one in attempt.given),
        f"{so_far or came}{f' ({decided.at:%H:%M:%S})' if decided else ''}, for plan {request.plan_digest}",
    ]
    return (_section("approval", "Approval (people)", lines, data),)


def _person(one: approval.Approval) -> Json:
    signer = one.signed.signer if one.signed else None
    return {
        "decision": str(one.decision),
        "by": one.by,
        "reason": one.reason,
        "at": one.at.isoformat(),
        "signedWith": signer.fingerprint if signer else None,
        "carriedBy": one.carried_by or None,
    }


def _permit(key: str, title: str, permit: Permit) -> Section:
    data: dict[str, Json] = {
        "serial": permit.serial,
        "planDigest": permit.plan_digest,
        "direction": str(permit.direction),
        "mechanic": permit.mechanic,
        "issuedAt": permit.issued_at.isoformat(),
        "expiresAt": permit.expires_at.isoformat(),
    }
    lines = [
        f"{permit.serial} to {permit.direction} plan {permit.plan_digest}, for mechanic {permit.mechanic}",
        f"issued {permit.issued_at:%H:%M:%S}, expires {permit.expires_at:%H:%M:%S}",
    ]
    return _section(key, title, lines, data)


def _effect(attempt: Attempt) -> Section:
    seen = str(attempt.seen) if attempt.seen is not None else ""
    lines = []
    if attempt.turned:
        lines.append(f"turned away: {attempt.turned}")
    if attempt.intended_at and attempt.trace:
        lines.append(f"intended {attempt.intended_at:%H:%M:%S}, op {attempt.trace.op}")
    if attempt.acted_at:
        lines.append(f"{seen} {attempt.acted_at:%H:%M:%S}")
    data: dict[str, Json] = {
        "seen": seen or None,
        "turned": attempt.turned or None,
        "intendedAt": attempt.intended_at.isoformat() if attempt.intended_at else None,
        "actedAt": attempt.acted_at.isoformat() if attempt.acted_at else None,
    }
    return _section("effect", "Effect (Mechanic)", lines or ["none: the target was not touched"], data)


def _verification(attempt: Attempt) -> tuple[Section, ...]:
    if attempt.effective is None:
        return ()
    data: dict[str, Json] = {"helped": attempt.effective, "detail": attempt.verified}
    line = f"{'helped' if attempt.effective else 'did not help'}: {attempt.verified}"
    return (_section("verification", "Verification", [line], data),)


def _undo(attempt: Attempt) -> Section:
    plan = attempt.plan
    way = describe(plan.undo) if plan.undo else f"none: {plan.irreversible}"
    lines = [way, *_undo_came_to(attempt)]
    data: dict[str, Json] = {
        "action": dict(to_data(plan.undo)) if plan.undo else None,
        "irreversible": plan.irreversible or None,
        "stand": str(attempt.undo),
        "detail": attempt.undo_detail or None,
    }
    parts = [_permit("permit", "Permit", attempt.undo_permit)] if attempt.undo_permit else []
    return _section("undo", "Undo", lines, data, *parts)


def _undo_came_to(attempt: Attempt) -> list[str]:
    """What became of the undo; nothing where none was needed."""
    if attempt.effective or attempt.undo is UndoStand.NONE:
        return []
    return [f"{attempt.undo}: {attempt.undo_detail}".rstrip(": ")]


def _escalation(incident: Incident) -> tuple[Section, ...]:
    if incident.escalated_at is None:
        return ()
    data: dict[str, Json] = {
        "at": incident.escalated_at.isoformat(),
        "reason": incident.stuck_because,
        "ask": incident.ask,
        "policyDigest": incident.escalated_under,
    }
    lines = [
        f"{incident.escalated_at:%H:%M:%S} because {incident.stuck_because}",
        f"asked: {incident.ask}",
        f"decided anew when policy {incident.escalated_under} changes",
    ]
    return (_section("escalation", "Escalation", lines, data),)


def _recovery(incident: Incident) -> tuple[Section, ...]:
    if incident.recovered_at is None or incident.recovery is None:
        return ()
    data: dict[str, Json] = {"by": str(incident.recovery), "at": incident.recovered_at.isoformat()}
    took = rendered_span(spans(incident).whole)
    line = f"by {incident.recovery} at {incident.recovered_at:%H:%M:%S}, {took} after the first sign"
    return (_section("recovery", "Recovery", [line], data),)


def _timeline(records: Sequence[Record]) -> tuple[Section, ...]:
    moments = timeline(records)
    if not moments:
        return ()
    lines = [f"{m.at:%H:%M:%S.%f}"[:-3] + f"  {m.seq:>5}  {m.text}" for m in moments]
    data: list[Json] = [{"at": m.at.isoformat(), "seq": m.seq, "type": m.type, "text": m.text} for m in moments]
    return (_section("timeline", "Timeline (UTC, number in the journal)", lines, data),)
