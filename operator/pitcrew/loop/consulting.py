"""Second opinions: one question per evidence to a model, asked in the background, heard whenever the answer comes.

Whether one is asked, and whether the loop waits for the answer, is decided in `core.asking`; what comes later than
`model_patience_s`, or after a plan that did not wait, is recorded and changes no plan. A
model that hangs holds up nobody: its question is a task of one service, and ends with it.
"""

import asyncio
import secrets
from collections.abc import Sequence

from pitcrew.core.cost import Budget, Price, Usage, exceeded
from pitcrew.core.event import Advised, Event, ModelAsked
from pitcrew.core.evidence import Evidence
from pitcrew.core.incident import Phase
from pitcrew.core.opinion import Weighed, weigh
from pitcrew.core.prompt import Question, ask_about, evidence_digest
from pitcrew.core.runbook import Runbook
from pitcrew.core.shortlist import asked_of, offered, shortlist
from pitcrew.core.transcript import Transcript
from pitcrew.loop.consultation import Inquiry, Said
from pitcrew.loop.crew import Crew
from pitcrew.loop.desk import Desk
from pitcrew.loop.expenses import DAY, HOUR
from pitcrew.settings import Settings


async def consult(desk: Desk) -> Event | None:
    """Ask about the evidence as it is now; that it is asked is durable first. What cannot be asked is an answer too, to
    no prompt, so that it settles the cost of none."""
    consultant, incident = desk.crew.consultant, desk.case
    assert consultant is not None
    asked, question = evidence_digest(incident.evidence), await _question(desk)
    if question is None:
        return _advised(desk, "", asked, Said(failure="there is no evidence to cite"))
    async with desk.crew.expenses.spending:
        inquiry = _inquiry(desk, question, twice=True)
        if _over_budget(desk, inquiry.reserve):
            inquiry = _inquiry(desk, question, twice=False)
        if refused := _over_budget(desk, inquiry.reserve):
            return _advised(desk, "", asked, Said(failure=refused))
        reserved = price(desk.crew.settings).of(inquiry.reserve)
        await desk.record(
            ModelAsked(
                model=consultant.model,
                prompt_digest=question.digest,
                evidence_digest=asked,
                tokens_reserved=reserved.tokens,
                microdollars_reserved=reserved.microdollars,
            )
        )
    desk.consultation.begin(consultant, desk.crew.transcripts, incident.id, inquiry)
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


def _inquiry(desk: Desk, question: Question, *, twice: bool) -> Inquiry:
    incident, settings = desk.case, desk.crew.settings
    assert desk.crew.consultant is not None
    transcript = Transcript(
        incident=incident.id,
        model=desk.crew.consultant.model,
        prompt_digest=question.digest,
        asked_at=desk.now(),
        turns=(),
        left_out=question.left_out,
    )
    return Inquiry(
        question=question,
        evidence_digest=evidence_digest(incident.evidence),
        deadline_s=settings.model_deadline_s,
        twice=twice,
        egress=desk.terms.egress,
        transcript=transcript if settings.model_transcripts_days else None,
    )


def price(settings: Settings) -> Price:
    """What the tokens of the model cost."""
    return Price(
        in_per_million=settings.model_price_in_per_million, out_per_million=settings.model_price_out_per_million
    )


def _over_budget(desk: Desk, wanted: Usage) -> str:
    """Which budget this would exceed; empty where none."""
    set_, lately, now = desk.crew.settings, desk.crew.expenses.lately, desk.now()
    bounds = (
        ("in this incident", set_.model_tokens_per_incident_max, set_.model_money_per_incident_max, desk.case.cost),
        ("in one hour", set_.model_tokens_per_hour_max, set_.model_money_per_hour_max, lately(now, HOUR)),
        ("in 24 hours", set_.model_tokens_per_day_max, set_.model_money_per_day_max, lately(now, DAY)),
    )
    budgets = (Budget(of=of, tokens_max=tokens, microdollars_max=money, spent=s) for of, tokens, money, s in bounds)
    return exceeded(budgets, price(set_).of(wanted))


async def hear(desk: Desk) -> Event | None:
    """The answer to the open incident's question, where it came."""
    consultant, incident = desk.crew.consultant, desk.incident
    heard = await desk.consultation.heard(incident.id if incident else "")
    if heard is None or consultant is None:
        return None
    inquiry, said = heard
    return _advised(desk, inquiry.question.digest, inquiry.evidence_digest, said)


def _advised(desk: Desk, prompt: str, evidence: str, said: Said) -> Advised:
    incident, consultant = desk.case, desk.crew.consultant
    assert consultant is not None
    current = evidence == evidence_digest(incident.evidence)
    weighed = weigh(said.opinion, said.failure, incident.diagnoses, desk.crew.runbooks.runbooks(), incident.evidence)
    if not current:
        weighed = Weighed(agrees=None, reason="it is about evidence that was gathered anew since")
    cost = price(desk.crew.settings).of(said.usage)
    return Advised(
        model=consultant.model,
        prompt_digest=prompt,
        evidence_digest=evidence,
        opinion=said.opinion,
        failure=said.failure,
        tokens=cost.tokens,
        microdollars=cost.microdollars,
        usage=said.usage,
        late=incident.phase is not Phase.DIAGNOSED or not current,
        agrees=weighed.agrees,
        note=weighed.reason,
        way=said.way,
        repaired=said.repaired,
        unkept=said.unkept,
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
