"""The postmortem of one incident, in Markdown: what a person reads afterwards, complete without the journal.

Text from outside stands in fenced blocks or is escaped inline, so that it renders as itself and as nothing else.
"""

from collections.abc import Sequence

from pitcrew.core import approval
from pitcrew.core.action import Seen, describe
from pitcrew.core.cost import told_cost
from pitcrew.core.evidence import Evidence
from pitcrew.core.incident import (
    Attempt,
    Incident,
    Recovery,
    UndoStand,
)
from pitcrew.core.record import Record
from pitcrew.core.report.investigated import investigation_lines
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
from pitcrew.core.untrusted import markdown, markdown_block


def postmortem(incident: Incident, records: Sequence[Record] = ()) -> str:
    """The postmortem; `records` are the incident's records of the journal and give the timeline."""
    parts = [
        f"# Postmortem {_plain(incident.id)}\n",
        _summary(incident),
        _durations(incident),
        _timeline(records),
        _evidence(incident),
        _diagnosis(incident),
        *(
            _attempt(attempt, cited)
            for attempt, cited in zip(incident.attempts, grounds(incident, records), strict=False)
        ),
        _done_and_undone(incident),
        _to_do(incident),
    ]
    return "\n".join(part for part in parts if part)


def _said(text: str) -> str:
    """Text as one inline run that renders as itself."""
    return markdown(one_line(text))


def _bullets(lines: Sequence[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _block(lines: Sequence[str]) -> str:
    return markdown_block("\n".join(map(one_line, lines)))


def _summary(incident: Incident) -> str:
    deviations = ", ".join(map(str, incident.deviations))
    lines = [
        f"**Outcome**: {incident.outcome}. {_outcome(incident)}",
        f"**Service**: {_said(incident.service)}, target {_said(incident.target)}",
        f"**Severity**: {incident.severity}",
        f"**Deviations**: {_said(deviations)}",
        f"**Opened**: {incident.opened_at:%Y-%m-%d %H:%M:%S} UTC",
    ]
    return f"## Summary\n\n{_bullets(lines)}"


def _outcome(incident: Incident) -> str:
    if incident.abandoned:
        return f"Its declaration was withdrawn: {_said(incident.abandoned)}"
    if incident.recovery is Recovery.REMEDY:
        return f"{_said(_capital(describe(incident.attempt.plan.action)))} brought it back, and it was verified."
    if incident.recovery is Recovery.ITSELF:
        return "It came back by itself or by another hand; no remedy of PitCrew was verified to be why."
    if incident.escalated_at is not None:
        return f"A person is asked: {_said(incident.ask)}"
    return f"It is in phase {incident.phase}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _durations(incident: Incident) -> str:
    took = spans(incident)
    rows = (
        ("Detect", took.detect, "first sign to incident"),
        ("Decide", took.decide, "incident to permit, or to the hand-over"),
        ("Act", took.act, "permit to the last effect"),
        ("Recover", took.recover, "last effect to a verified recovery"),
        ("Whole", took.whole, "first sign to recovery"),
    )
    table = "".join(f"| {name} | {rendered_span(span)} | {meaning} |\n" for name, span, meaning in rows)
    return f"## Durations\n\n| Part | Took | Meaning |\n| --- | --- | --- |\n{table}"


def _timeline(records: Sequence[Record]) -> str:
    moments = timeline(records)
    if not moments:
        return ""
    lines = [f"{m.at:%H:%M:%S.%f}"[:-3] + f"  {m.text}" for m in moments]
    first, last = moments[0].seq, moments[-1].seq
    return f"## Timeline\n\nTimes are UTC; records {first} to {last} of the journal.\n\n{_block(lines)}"


def _evidence(incident: Incident) -> str:
    cited = {id_ for diagnosis in incident.diagnoses[:1] for id_ in diagnosis.evidence}
    shown = [item for item in incident.evidence if item.id in cited]
    rest = len(incident.evidence) - len(shown)
    more = f"`pitcrew why {_plain(incident.id)}` has {rest} more"
    told = f"As gathered last. The diagnosis cites {len(shown)} items; {more}."
    return f"## Evidence\n\n{told}\n" + (f"\n{_block(list(map(evidence_line, shown)))}" if shown else "")


def _plain(word: str) -> str:
    """An id inside a code span, where nothing but letters, digits, dots, dashes and the sign of a pin may stand."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "-.@") else "?" for char in word)


def _diagnosis(incident: Incident) -> str:
    lines = [
        f"**{d.cause}**, {d.confidence} of 100, by {d.by}: {_said(d.summary)} "
        f"({_said(', '.join(d.evidence)) or 'no evidence'})"
        for d in incident.diagnoses
    ]
    lines += [f"Second opinion, {_said(advice_line(advice))}" for advice in incident.advice]
    lines += [f"Proposed, {_said(proposed_line(one))}" for one in incident.proposed]
    lines += [f"Investigation, {_said(line)}" for line in investigation_lines(incident)]
    if incident.advice:
        lines.append(f"Asking models cost {_said(told_cost(incident.cost, incident.usage))}")
    return f"## Diagnosis\n\n{_bullets(lines) if lines else 'None was reached.' + chr(10)}"


def _attempt(attempt: Attempt, cited: Sequence[Evidence]) -> str:
    plan, proposal = attempt.plan, attempt.proposal
    lines = [
        f"**Proposed** (Driver): {_said(describe(plan.action))}; undo: {_said(_undo_way(attempt))}",
        f"**Runbook** (Strategist): `{_plain(proposal.pin)}`: {_said(proposal.why)}",
        f"**Risk** (Risk Engine): {attempt.risk.level}, {attempt.risk.score} of 100: {_factors(attempt)}",
        *_verdict(attempt),
        *_approval(attempt),
        *_permit(attempt),
        f"**Effect** (Mechanic): {_effect(attempt)}",
        *([f"**Verification**: {_verified(attempt)}"] if attempt.effective is not None else []),
    ]
    rests_on = f"\nIt rests on this, as it was then:\n\n{_block(list(map(evidence_line, cited)))}" if cited else ""
    return f"## Decision {plan.attempt}: {_said(describe(plan.action))}\n\n{_bullets(lines)}{rests_on}"


def _undo_way(attempt: Attempt) -> str:
    return describe(attempt.plan.undo) if attempt.plan.undo else f"none, {attempt.plan.irreversible}"


def _factors(attempt: Attempt) -> str:
    return ", ".join(f"{f.name} {f.points} ({_said(f.evidence)})" for f in attempt.risk.factors if f.points)


def _verdict(attempt: Attempt) -> list[str]:
    verdict = attempt.verdict
    if verdict is None:
        return []
    rulings = "; ".join(f"{r.effect} by {_said(r.rule)} ({_said(r.message)})" for r in verdict.rulings)
    digest = _said(verdict.policy_digest)
    return [f"**Verdict** (Official): {verdict.effect}, under policy {digest}: {rulings or 'no rule allowed it'}"]


def _approval(attempt: Attempt) -> list[str]:
    if attempt.request is None:
        return []
    came = "; ".join(map(approval.told, attempt.people)) or "open"
    return [f"**Approval** (people): asked {_said(attempt.request.of_whom)}; {_said(came)}"]


def _permit(attempt: Attempt) -> list[str]:
    if attempt.permit is None:
        return []
    return [
        f"**Permit** (Official): {_said(attempt.permit.serial)} for plan {_said(attempt.plan.digest)}, mechanic "
        f"{_said(attempt.permit.mechanic)}, {attempt.permit.issued_at:%H:%M:%S} to {attempt.permit.expires_at:%H:%M:%S}"
    ]


def _effect(attempt: Attempt) -> str:
    if attempt.turned:
        return f"none, turned away: {_said(attempt.turned)}"
    match attempt.seen:
        case Seen.DONE:
            return "done"
        case Seen.NOT_DONE:
            return "not done; the target answered that it did not"
        case Seen.UNKNOWN:
            return "asked for, and the outcome could not be told"
        case None:
            return "none, it was not permitted" if attempt.permit is None else "none"


def _verified(attempt: Attempt) -> str:
    return f"{'it helped' if attempt.effective else 'it did not help'}: {_said(attempt.verified)}"


def _done_and_undone(incident: Incident) -> str:
    lines = [
        f"{_said(_capital(describe(attempt.plan.action)))}: {_stands(attempt)}"
        for attempt in incident.attempts
        if attempt.touched
    ]
    if not lines:
        return "## What was done and undone\n\nNothing: no target was touched.\n"
    return f"## What was done and undone\n\n{_bullets(lines)}"


def _stands(attempt: Attempt) -> str:
    """What became of an effect."""
    if attempt.effective:
        return "it helped, and stays"
    match attempt.undo:
        case UndoStand.DONE:
            return f"it was undone: {_said(attempt.undo_detail)}"
        case UndoStand.UNCERTAIN:
            return f"whether it was undone cannot be told: {_said(attempt.undo_detail)}"
        case UndoStand.TURNED:
            return f"it is not undone: {_said(attempt.undo_detail)}"
        case UndoStand.PENDING | UndoStand.UNDER_WAY:
            return f"it is still in place: {_said(attempt.undo_detail) or 'its undo is to come'}"
        case UndoStand.NONE:
            return f"nothing to undo: {_said(attempt.plan.irreversible)}"


def _to_do(incident: Incident) -> str:
    lines = [
        f"Look at the target by hand: {_said(describe(attempt.plan.action))}: {_stands(attempt)}"
        for attempt in incident.attempts
        if not attempt.effective and attempt.touched and attempt.undo not in (UndoStand.DONE, UndoStand.NONE)
    ]
    return f"## What a person must still do\n\n{_bullets([*_duty(incident), *lines])}"


def _duty(incident: Incident) -> list[str]:
    if incident.abandoned:
        return ["Nothing for PitCrew's sake: the service is no longer declared. Whether it runs is yours to look at."]
    if incident.recovery is Recovery.REMEDY:
        return [f"Nothing to keep it running. Find out what brought it there: {_said(_first_summary(incident))}"]
    if incident.recovery is Recovery.ITSELF:
        return ["Nothing to keep it running. If it repeats, find out why it went and what brought it back."]
    if incident.escalated_at is not None:
        return [f"{_said(_capital(incident.ask))}", f"Why it waits: {_said(incident.stuck_because)}"]
    return ["Nothing yet; the incident is under way."]


def _first_summary(incident: Incident) -> str:
    return incident.diagnoses[0].summary if incident.diagnoses else "no cause was diagnosed"
