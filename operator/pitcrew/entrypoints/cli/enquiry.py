"""A person's question about one incident, answered by the configured model out of the record.

Needs no operator. Nothing is written, kept, counted or acted on; what may be sent, and where, is what is declared for
the service, and no more than its status says was in force.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pitcrew.adapters.diagnoser.configured import configured
from pitcrew.adapters.diagnoser.openai import OpenAIConsultant, Way
from pitcrew.adapters.status.text import read_status
from pitcrew.core.asking import Terms, refusal, strictest, terms_for
from pitcrew.core.cost import Cost, Usage, settled, told_cost
from pitcrew.core.enquiry import Reply, enquire, read_reply
from pitcrew.core.errors import InvalidInput, Refused, Unavailable
from pitcrew.core.prompt import Question
from pitcrew.core.record import Json
from pitcrew.core.report import evidence_line
from pitcrew.core.resource import DiagnosisMode, Egress
from pitcrew.entrypoints.cli.declared import declared
from pitcrew.entrypoints.cli.names import service_name
from pitcrew.entrypoints.cli.output import Output, mapping, say, say_data, shown
from pitcrew.entrypoints.cli.state import one_incident, told_by
from pitcrew.loop.consulting import price
from pitcrew.ports import Answer
from pitcrew.settings import Settings
from pitcrew.settings import load as load_settings


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answered:
    """One question and what came of it."""

    incident: str
    model: str
    asked: str
    reply: Reply
    usage: Usage
    cost: Cost


def answer(state: Path, incident: str, asked: str, manifests: tuple[Path, ...], output: Output) -> None:
    """Print what the model says.

    Raises:
        InvalidInput: no model is configured, or the incident, its service or the question cannot be used.
        Refused: the terms of the service, or what is not known of them, forbid it.
        Unavailable: the model gave no answer.
    """
    settings = load_settings({"state": state.absolute()})
    model = _model(settings)
    told = told_by(state)
    found, _ = one_incident(told, incident)
    question = enquire(
        found,
        asked,
        boundary=secrets.token_hex(8),
        evidence_tokens_max=settings.model_evidence_tokens_max,
        answer_tokens_max=settings.model_answer_tokens_max,
    )
    terms, doubts = _terms(state, found.service, manifests)
    for doubt in (*doubts, *([f"the journal does not hold: {told.doubt}"] if told.doubt else [])):
        say(f"warning: {shown(doubt)}", error=True)
    if reason := refusal(terms):
        raise Refused(f"no model may be asked about {found.service}: {reason}")
    said = asyncio.run(_asked(model, question, terms.egress))
    reply = read_reply(said.text, found.evidence)
    if not reply.lines:
        raise Unavailable(f"model {model.model} said nothing to that; ask in other words")
    usage = settled(said.usage, question.reserve)
    cost = price(settings).of(usage)
    _show(
        _Answered(incident=found.id, model=model.model, asked=asked, reply=reply, usage=usage, cost=cost),
        output,
    )


def _model(settings: Settings) -> OpenAIConsultant:
    model = configured(settings)
    if model is None:
        raise InvalidInput("no model is configured; set PITCREW_MODEL and OPENAI_BASE_URL (docs/how-to/model.md)")
    if model.fault:
        raise InvalidInput(f"model {model.model} cannot be asked: {model.fault} (docs/how-to/model.md)")
    return model


async def _asked(model: OpenAIConsultant, question: Question, egress: Egress) -> Answer:
    try:
        return await model.ask(replace(question, way=str(Way.TEXT)), egress)
    except Unavailable as error:
        raise Unavailable(f"model {model.model} gave no answer: {error}") from None
    finally:
        await model.close()


# The terms


def _terms(state: Path, service: str, manifests: tuple[Path, ...]) -> tuple[Terms, tuple[str, ...]]:
    """The terms as declared, under every policy that bound the service when an operator looked last; and doubts."""
    found, guardrails, doubts = declared(state, service, manifests)
    documents = [one for one in read_status(state / "status") if service_name(one) == service]
    seen = mapping(documents[0].get("status")) if documents else {}
    known, bound = {policy.name for policy in guardrails.policies}, seen.get("policies")
    missing = [str(name) for name in (bound if isinstance(bound, list) else ()) if name not in known]
    if missing:
        raise Refused(f"policy {missing[0]} binds {service} and is not in these manifests; name its file: --manifests")
    own, last = terms_for(found, guardrails), _seen(mapping(seen.get("diagnosis")))
    return (strictest(own, last) if last else own), doubts


def _seen(diagnosis: Mapping[str, Json]) -> Terms | None:
    """The terms in a status; None where no model was configured then."""
    if not diagnosis:
        return None
    try:
        mode, egress = DiagnosisMode(str(diagnosis.get("mode"))), Egress(str(diagnosis.get("egress")))
    except ValueError:
        raise InvalidInput(
            "the status does not say on which terms a model may be asked; the operator writes it anew"
        ) from None
    by = [f"{diagnosis.get(key)}, as the operator saw it last," for key in ("modeBy", "egressBy")]
    return Terms(mode=mode, egress=egress, mode_by=by[0], egress_by=by[1])


# Showing it


def _show(found: _Answered, output: Output) -> None:
    if output.for_tools:
        say_data(_data(found), output)
        return
    say(f"model {shown(found.model)} says (it may be wrong; the record is `{_record(found)}`):")
    for line in found.reply.lines:
        say(f"  {shown(line) if line else ''}".rstrip())
    say("cited evidence" if found.reply.cited else "it cites no evidence")
    for item in found.reply.cited:
        say(f"  {shown(evidence_line(item))}")
    if found.reply.unknown:
        say(f"no such evidence: {', '.join(found.reply.unknown)}")
    say(f"{told_cost(found.cost, found.usage)}; neither recorded nor counted in a budget")


def _record(found: _Answered) -> str:
    return f"pitcrew why {found.incident}"


def _data(found: _Answered) -> dict[str, Json]:
    reply = found.reply
    return {
        "incident": found.incident,
        "model": shown(found.model),
        "question": shown(found.asked),
        "answer": list(reply.lines),
        "mayBeWrong": True,
        "record": _record(found),
        "cited": [{"id": one.id, "source": str(one.source), "text": shown(one.text)} for one in reply.cited],
        "unknownEvidence": list(reply.unknown),
        "promptTokens": found.usage.tokens_in,
        "answerTokens": found.usage.tokens_out,
        "microdollars": found.cost.microdollars,
    }
