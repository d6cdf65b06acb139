"""The situation of one desk, as `next_step` reads it."""

from dataclasses import replace

from pitcrew.core.asking import Counsel
from pitcrew.core.incident import Phase
from pitcrew.core.opinion import CONTRADICTION
from pitcrew.core.runbook import drift
from pitcrew.core.step import Situation, situation_of
from pitcrew.loop.consulting import model_opinion
from pitcrew.loop.desk import Desk
from pitcrew.loop.perform.planning import plan_with


def situation_at(desk: Desk) -> Situation:
    """What the loop sees now of the service with an open incident, and of the model beside the rules."""
    found = situation_of(
        desk.service,
        desk.deviates(),
        desk.found(),
        desk.watch.sight,
        desk.guardrails,
        desk.dependencies,
        _drift(desk),
    )
    return replace(found, counsel=_counsel(desk)) if desk.case.phase is Phase.DIAGNOSED else found


def _drift(desk: Desk) -> str:
    last = desk.case.attempts[-1].proposal if desk.case.attempts else None
    return drift(desk.crew.runbooks.runbooks(), last.runbook, last.runbook_digest) if last else ""


def _counsel(desk: Desk) -> Counsel | None:
    if desk.crew.consultant is None:
        return None
    advice = desk.case.advised
    answered = advice is not None and advice.answered_at is not None
    return Counsel(
        terms=desk.terms,
        patience_s=desk.crew.settings.model_patience_s,
        asking=desk.consultation.asks_about(desk.case.id),
        contradicted=plan_with(desk, CONTRADICTION),
        weighed=model_opinion(desk) if answered else None,
        neighbours=tuple(one.service.key for one in desk.neighbours(desk.service)),
    )
