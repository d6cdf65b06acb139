"""Undoing: as acting, in the other direction."""

from pitcrew.core.action import Seen, describe
from pitcrew.core.deviation import still_deviates
from pitcrew.core.errors import EffectFailed, OutcomeUnknown
from pitcrew.core.event import (
    Event,
    UndoIntended,
    Undone,
    UndoPermitted,
    UndoTurned,
)
from pitcrew.core.incident import Attempt
from pitcrew.core.permit import Permit, PermitRefused
from pitcrew.loop.desk import Desk
from pitcrew.loop.perform.acting import outcome_of, to_the_end
from pitcrew.loop.perform.wording import NOT_NOW, plain_text


async def ask_undo(desk: Desk, attempt: Attempt) -> Event:
    answer = await desk.crew.official.permit_undo(desk.service, attempt.plan)
    if isinstance(answer, PermitRefused):
        return UndoTurned(reason=f"no permit to undo: {answer.reason}")
    return UndoPermitted(permit=answer)


async def undo(desk: Desk, attempt: Attempt, permit: Permit) -> Event | None:
    seen = await desk.look()
    live = still_deviates(desk.service, desk.case.deviations, seen)
    if live is None and desk.now() < permit.expires_at:
        return None
    if not live:
        return UndoTurned(reason="the service is healthy or cannot be seen; what was done stays")
    try:
        trace = await desk.crew.mechanic.prepare(permit, attempt.plan, desk.service)
    except NOT_NOW as error:
        return UndoTurned(reason=plain_text(error))
    async with desk.acting:
        await desk.record(UndoIntended(trace=trace))
        try:
            await to_the_end(desk.crew.mechanic.execute(permit, attempt.plan, desk.service, trace))
        except (*NOT_NOW, EffectFailed) as error:
            return UndoTurned(reason=plain_text(error))
        except OutcomeUnknown:
            return await look_back_undo(desk, _undo_under_way(desk))
    return Undone(seen=Seen.DONE, detail=f"undone: {_undo_text(attempt)}")


def _undo_under_way(desk: Desk) -> Attempt:
    attempt = desk.case.to_undo
    assert attempt is not None
    return attempt


def _undo_text(attempt: Attempt) -> str:
    return describe(attempt.plan.undo) if attempt.plan.undo else attempt.plan.irreversible


async def look_back_undo(desk: Desk, attempt: Attempt) -> Event | None:
    if attempt.undo_permit is None or attempt.undo_trace is None:
        return UndoTurned(reason="the journal shows an undo without a permit or an intent")
    outcome = await outcome_of(desk, attempt.undo_permit, attempt.plan, attempt.undo_trace)
    return Undone(seen=outcome[0], detail=outcome[1]) if outcome else None
