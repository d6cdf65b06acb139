"""What people are asked about, rendered from the ledger: what they are shown is what a permit would be for."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import TypeAdapter

from pitcrew.core.action import describe, from_data
from pitcrew.core.approval import progress, told
from pitcrew.core.record import Json, Record
from pitcrew.core.review import Matter
from pitcrew.core.risk import Risk
from pitcrew.official.issued import Lately

UNKNOWN = "not kept: the ledger's line is of an earlier release"
_RISK: TypeAdapter[Risk] = TypeAdapter(Risk)


def matters_of(lately: Lately, now: datetime) -> tuple[Matter, ...]:
    """One for each request of the ledger, in the order in which they were asked."""
    return tuple(_matter(record, lately, now) for record in lately.asked.values())


def _matter(record: Record, lately: Lately, now: datetime) -> Matter:
    request = lately.questions.requests[str(record.data["plan_digest"])]
    heard = lately.questions.hearing(request.plan_digest, now)
    plan, rules = _mapping(record.data.get("plan_data")), record.data.get("rules")
    if heard.final is not None:
        decided = told(heard.final)
    elif not lately.questions.is_newest(request):
        decided = "the plan changed since, and the new one is asked about anew"
    else:
        decided = progress(request, heard.given)
    return Matter(
        id=request.plan_digest,
        request=request,
        service=record.service,
        does=_described(plan.get("action")),
        undo=_described(plan["undo"]) if plan.get("undo") else f"none: {plan.get('irreversible', UNKNOWN)}",
        plan=plan,
        risk=_risk(record.data.get("risk")),
        rules=tuple(map(str, rules)) if isinstance(rules, list | tuple) else (),
        asked=request.of_whom,
        given=heard.given,
        final=heard.final,
        decided=decided,
        open=heard.final is None and lately.questions.is_newest(request),
    )


def _described(action: Json) -> str:
    return describe(from_data(action)) if isinstance(action, Mapping) else UNKNOWN


def _risk(data: Json) -> Risk | None:
    return _RISK.validate_python(data) if data else None


def _mapping(data: Json) -> Mapping[str, Json]:
    return data if isinstance(data, Mapping) else {}
