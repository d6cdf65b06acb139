"""Second opinions: one question per evidence to a model, asked in the background, heard whenever the answer comes.

Whether one is asked, and whether the loop waits for the answer, is decided in `core.asking`; what comes later than
`model_patience_s`, or after a plan that did not wait, is recorded and changes no plan; that goes for an answer after
the end of its incident, too. A model that hangs holds up nobody: its question is a task of one service, and is given up
at its deadline, with its service, or where another incident of the service is to be asked about.
"""

import asyncio
import secrets
from collections.abc import Sequence

from pitcrew.core.assistant import latest, together, weigh_proposed
from pitcrew.core.cost import Budget, Price, Usage, exceeded
from pitcrew.core.event import Advised, Event, ModelAsked
from pitcrew.core.evidence import Evidence
from pitcrew.core.incident import Incident, Phase
from pitcrew.core.investigation import offered as pickable
from pitcrew.core.opinion import Weighed, weigh
from pitcrew.core.prompt import Question, ask_about, evidence_digest
from pitcrew.core.runbook import Runbook
from pitcrew.core.shortlist import asked_of, offered, shortlist
from pitcrew.core.transcript import Transcript
from pitcrew.loop.consultation import Inquiry, Said
from pitcrew.loop.crew import Crew
from pitcrew.loop.desk import Desk
from pitcrew.loop.expenses import DAY, HOUR
from pitcrew.loop.reporting import renew_report
from pitcrew.settings import Settings


async def consult(desk: Desk) -> Event | None:
    """Ask about the evidence as it is now; that it is asked is durable first. What cannot be asked is an answer too, to
    no prompt, so that it settles the cost of none."""
    consultant, incident = desk.crew.consultant, desk.case
    assert consultant is not None
    asked, question = evidence_digest(incident.evidence), await _question(desk)
    if question is None:
        return _advised(desk, incident, "", asked, Said(failure="there is no evidence to cite"))
    async with desk.crew.expenses.spending:
        inquiry = _inquiry(desk, question, twice=True)
        if _over_budget(desk, inquiry.reserve):
            inquiry = _inquiry(desk, question, twice=False)
        if refused := _over_budget(desk, inquiry.reserve):
            return _advised(desk, incident, "", asked, Said(failure=refused))
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
    await desk.consultation.begin(consultant, desk.crew.transcripts, incident.id, inquiry)
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
        picks=pickable(incident, desk.now(), [one.service.key for one in desk.neighbours(desk.service)]),
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


async def hear(desk: Desk) -> bool:
    """Record what came of the question under way, for its incident, whether that is open or has ended; whether anything
    came.

    Raises:
        JournalError: it could not be kept; it is heard again.
    """
    heard = desk.consultation.heard()
    if heard is None:
        return False
    asked, said = heard
    inquiry = asked.inquiry
    known = [*desk.ended, *([desk.incident] if desk.incident else [])]
    incident = next((one for one in known if one.id == asked.incident), None)
    if incident is None:
        desk.consultation.settle()
        return False
    advised = _advised(desk, incident, inquiry.question.digest, inquiry.evidence_digest, said)
    if incident.open:
        await desk.record(advised)
        desk.consultation.settle()
    else:
        ended = await desk.record_late(incident, advised)
        desk.consultation.settle()
        await renew_report(desk.crew, ended)
    return True


def _advised(desk: Desk, incident: Incident, prompt: str, evidence: str, said: Said) -> Advised:
    consultant = desk.crew.consultant
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


def model_opinion(desk: Desk) -> Weighed | None:
    """What a model said of the evidence as it is now, for a plan that is about to be made; None without a model."""
    incident, advice = desk.case, desk.case.advised
    if advice is None:
        configured = desk.crew.consultant is not None
        return Weighed(agrees=None, reason="no second opinion: nobody was asked") if configured else None
    if advice.answered_at is None:
        return Weighed(agrees=None, reason="no second opinion: none came before the plan")
    return weigh(advice.opinion, advice.failure, incident.diagnoses, desk.crew.runbooks.runbooks(), incident.evidence)


def proposed_opinions(desk: Desk) -> tuple[Weighed, ...]:
    """What assistants proposed, each beside the rules' diagnoses of the evidence as it is now."""
    incident, runbooks = desk.case, desk.crew.runbooks.runbooks()
    return tuple(
        weigh_proposed(one, incident.diagnoses, runbooks, incident.evidence) for one in latest(incident.proposed)
    )


def second_opinion(desk: Desk) -> Weighed | None:
    """What a model and assistants come to beside the rules, for a plan that is about to be made; None without any."""
    return together(model_opinion(desk), proposed_opinions(desk))
