"""Assistants' diagnoses: read, weighed beside the rules, and recorded, by the worker of the service (0017).

One that comes before a plan is weighed by it like a model's answer. One that comes after is recorded and changes
nothing that is under way; where a person was asked because no rule knows the cause, it is planned anew with it.
"""

from pitcrew.core.assistant import PROPOSALS_MAX, Proposed, read_proposal, weigh_proposed
from pitcrew.core.errors import JournalError, Refused
from pitcrew.core.event import DiagnosisProposed
from pitcrew.core.incident import Incident, Phase
from pitcrew.core.opinion import Opinion, Unusable
from pitcrew.core.prompt import evidence_digest
from pitcrew.loop.desk import Desk
from pitcrew.loop.inbox import Handed

BEFORE_PLAN = (
    Phase.DETECTED,
    Phase.INVESTIGATED,
    Phase.INVESTIGATING,
    Phase.DIAGNOSED,
    Phase.STUCK,
    Phase.ESCALATED,
)
"""No plan is made yet, or none is left."""


async def hear_proposal(desk: Desk) -> bool:
    """Record the next proposal that was handed in, or say why not; whether there was one.

    Raises:
        JournalError: it could not be kept; its sender is told.
    """
    handed = desk.inbox.take()
    if handed is None:
        return False
    try:
        event = _event(desk, handed)
        await desk.record(event)
    except Refused as refused:
        _answer(handed, refused)
        return True
    except JournalError as error:
        _answer(handed, Refused(f"it could not be kept, so it has no weight: {error}"))
        raise
    _answer(handed, event)
    return True


def _answer(handed: Handed, answer: DiagnosisProposed | Refused) -> None:
    if handed.answer.done():
        return
    if isinstance(answer, Refused):
        handed.answer.set_exception(answer)
    else:
        handed.answer.set_result(answer)


def _event(desk: Desk, handed: Handed) -> DiagnosisProposed:
    """The proposal as it is recorded. Raises Refused where it is not."""
    incident = _open(desk, handed.incident)
    runbooks = desk.crew.runbooks.runbooks()
    opinion = read_proposal(handed.cause, handed.runbook, handed.evidence, incident.evidence, runbooks)
    if isinstance(opinion, Unusable):
        raise Refused(f"not out of the closed lists, so not recorded: {opinion.reason}")
    _bounded(incident, handed, opinion)
    proposed = Proposed(
        by=handed.by,
        opinion=opinion,
        cited=tuple(item for item in incident.evidence if item.id in opinion.evidence),
        late=incident.phase not in BEFORE_PLAN,
        grounded=False,
        agrees=None,
        note="",
        at=desk.now(),
    )
    weighed = weigh_proposed(proposed, incident.diagnoses, runbooks, incident.evidence)
    return DiagnosisProposed(
        by=proposed.by,
        opinion=opinion,
        evidence_digest=evidence_digest(incident.evidence),
        cited=proposed.cited,
        late=proposed.late,
        grounded=weighed.diagnosis is not None,
        agrees=weighed.agrees,
        note=weighed.reason,
    )


def _open(desk: Desk, name: str) -> Incident:
    incident = desk.incident
    if incident is None or incident.id != name or incident.phase is Phase.RECOVERED:
        raise Refused(f"{name} has ended, so nothing is planned for it any more; not recorded")
    if not incident.evidence:
        raise Refused(f"{name} has no evidence yet that could be cited; read it again, then propose")
    return incident


def _bounded(incident: Incident, handed: Handed, opinion: Opinion) -> None:
    """Raises Refused where enough was proposed, or exactly this by the same person about the same evidence."""
    if len(incident.proposed) >= PROPOSALS_MAX:
        raise Refused(f"{incident.id} has {PROPOSALS_MAX} proposals, and that is all; a person must look")
    cited = {item for item in incident.evidence if item.id in opinion.evidence}
    for one in incident.proposed:
        if one.by.uid == handed.by.uid and one.opinion.cause is opinion.cause and set(one.cited) == cited:
            raise Refused(f"{incident.id}: {one.by} proposed {opinion.cause} out of this evidence already")
