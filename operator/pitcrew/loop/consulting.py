"""Second opinions: one question per evidence to a model, asked in the background, heard whenever the answer comes.

Whether one is asked, and whether the loop waits for the answer, is decided in `core.asking`; what comes later than
`model_patience_s`, or after a plan that did not wait, is recorded and changes no plan. A
model that hangs holds up nobody: its question is a task of one service, and ends with it.
"""

import asyncio
import secrets
from collections.abc import Sequence

from pitcrew.core.event import Advised, Event, ModelAsked
from pitcrew.core.evidence import Evidence
from pitcrew.core.incident import Phase
from pitcrew.core.opinion import Weighed, weigh
from pitcrew.core.prompt import Question, ask_about, evidence_digest
from pitcrew.core.runbook import Runbook
from pitcrew.core.shortlist import asked_of, offered, shortlist
from pitcrew.loop.consultation import Said
from pitcrew.loop.crew import Crew
from pitcrew.loop.desk import Desk


async def consult(desk: Desk) -> Event | None:
    """Ask about the evidence as it is now; that it is asked is durable first. What cannot be asked is an answer."""
    consultant = desk.crew.consultant
    assert consultant is not None
    incident, asked = desk.case, evidence_digest(desk.case.evidence)
    question = await _question(desk)
    refused = "there is no evidence to cite" if question is None else _over_budget(desk, question)
    if question is None or refused:
        said = Said(failure=refused, tokens=0)
        return _advised(desk, consultant.model, question.digest if question else "", asked, said)
    await desk.record(
        ModelAsked(
            model=consultant.model,
            prompt_digest=question.digest,
            evidence_digest=asked,
            tokens_reserved=question.tokens_reserved,
        )
    )
    desk.consultation.begin(consultant, question, incident.id, asked, desk.terms.egress)
    desk.consultation.tighten(desk.terms)
    return None


async def _question(desk: Desk) -> Question | None:
    """The question about the evidence as it is now, between lines that nobody who wrote it can know."""
    settings, incident = desk.crew.settings, desk.case
    runbooks = await asyncio.to_thread(_worth_offering, desk.crew, incident.evidence)
    return ask_about(
        incident.service,
        incident.evidence,
        runbooks,
        boundary=secrets.token_hex(8),
        evidence_tokens_max=settings.model_evidence_tokens_max,
        answer_tokens_max=settings.model_answer_tokens_max,
    )


def _worth_offering(crew: Crew, evidence: Sequence[Evidence]) -> Sequence[Runbook]:
    """What a model may choose from. Over hundreds of long runbooks this takes a tenth of a second."""
    hits = crew.search.search(asked_of(evidence)) if crew.search else ()
    return offered(shortlist(crew.runbooks.runbooks(), evidence, hits))


def _over_budget(desk: Desk, question: Question) -> str:
    """Which budget of tokens this question would exceed; empty where none."""
    settings, wanted = desk.crew.settings, question.tokens_reserved
    spent, lately = desk.case.tokens, desk.crew.tokens.lately(desk.now())
    if spent + wanted > settings.model_tokens_per_incident_max:
        return f"over budget: {spent} + {wanted} of {settings.model_tokens_per_incident_max} tokens of this incident"
    if lately + wanted > settings.model_tokens_per_day_max:
        return f"over budget: {lately} + {wanted} of {settings.model_tokens_per_day_max} tokens in 24 hours"
    return ""


async def hear(desk: Desk) -> Event | None:
    """The answer to the open incident's question, where it came."""
    consultant, incident = desk.crew.consultant, desk.incident
    heard = await desk.consultation.heard(incident.id if incident else "")
    if heard is None or consultant is None:
        return None
    asked, said = heard
    return _advised(desk, consultant.model, asked.question.digest, asked.evidence_digest, said)


def _advised(desk: Desk, model: str, prompt: str, evidence: str, said: Said) -> Advised:
    incident = desk.case
    current = evidence == evidence_digest(incident.evidence)
    weighed = weigh(said.opinion, said.failure, incident.diagnoses, desk.crew.runbooks.runbooks(), incident.evidence)
    if not current:
        weighed = Weighed(agrees=None, reason="it is about evidence that was gathered anew since")
    return Advised(
        model=model,
        prompt_digest=prompt,
        evidence_digest=evidence,
        opinion=said.opinion,
        failure=said.failure,
        tokens=said.tokens,
        late=incident.phase is not Phase.DIAGNOSED or not current,
        agrees=weighed.agrees,
        note=weighed.reason,
    )


def second_opinion(desk: Desk) -> Weighed | None:
    """What a model said of the evidence as it is now, for a plan that is about to be made; None without a model."""
    incident, advice = desk.case, desk.case.advised
    if advice is None:
        configured = desk.crew.consultant is not None
        return Weighed(agrees=None, reason="no second opinion: nobody was asked") if configured else None
    if advice.answered_at is None:
        return Weighed(agrees=None, reason="no second opinion: none came before the plan")
    return weigh(advice.opinion, advice.failure, incident.diagnoses, desk.crew.runbooks.runbooks(), incident.evidence)
