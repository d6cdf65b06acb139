"""Acting: the live look, the intent, the effect, the look back after a crash, and the watch afterwards."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta

from pitcrew.core.action import Seen, Trace, describe
from pitcrew.core.dependency import fallen
from pitcrew.core.deviation import still_deviates
from pitcrew.core.errors import EffectFailed, OutcomeUnknown, Refused, TargetAbsent, TargetAmbiguous, Unavailable
from pitcrew.core.event import (
    Acted,
    Checked,
    Event,
    Failed,
    Intended,
    Live,
    Turned,
    Verified,
)
from pitcrew.core.incident import Attempt
from pitcrew.core.observation import RuntimeFacts
from pitcrew.core.permit import Permit
from pitcrew.core.proposal import Plan
from pitcrew.core.verification import PROBE_INTERVAL_S, Stand, Verification, look, settle_s
from pitcrew.loop.desk import Desk
from pitcrew.loop.perform.wording import NOT_NOW, plain_text, told_by_probes

CHECK_FRESH_S = 10
"""Seconds after which a live look is too old to act on; a crash may lie between the look and the act."""


async def check_live(desk: Desk, attempt: Attempt) -> Event | None:
    """The live look right before acting (S4)."""
    plan, permit = attempt.plan, attempt.permit
    if permit is None or desk.now() >= permit.expires_at:
        return Turned(reason="the permit expired before the target could be seen")
    seen = await desk.look()
    sight = seen.sight
    if isinstance(sight, RuntimeFacts) and (sight.target_id, sight.instance) != (plan.target_id, plan.instance):
        return Checked(live=Live.CHANGED, detail=f"another run of the target: {sight.instance}")
    if fell := fallen(desk.dependencies, desk.case.down):
        return Checked(live=Live.CHANGED, detail=fell)
    live = still_deviates(desk.service, desk.case.deviations, seen)
    if live is None:
        return None
    return Checked(live=Live.DEVIATES if live else Live.HEALTHY, detail=told_by_probes(seen))


async def act(desk: Desk, plan: Plan, permit: Permit) -> Event | None:
    async with desk.acting:
        if desk.now() - desk.case.changed_at > timedelta(seconds=CHECK_FRESH_S):
            return Turned(reason=f"the live look was more than {CHECK_FRESH_S} s ago")
        try:
            trace = await desk.crew.mechanic.prepare(permit, plan, desk.service)
        except NOT_NOW as error:
            return Turned(reason=plain_text(error))
        await desk.record(Intended(trace=trace))
        try:
            await to_the_end(desk.crew.mechanic.execute(permit, plan, desk.service, trace))
        except NOT_NOW as error:
            return Turned(reason=plain_text(error))
        except EffectFailed as error:
            return Failed(reason=plain_text(error))
        except OutcomeUnknown:
            return await look_back(desk, desk.case.attempt)
    return Acted(seen=Seen.DONE, detail=describe(plan.action))


async def to_the_end(effect: Coroutine[object, object, None]) -> None:
    """An effect that began is never cancelled halfway; who is cancelled waits for its end first."""
    task = asyncio.ensure_future(effect)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def look_back(desk: Desk, attempt: Attempt) -> Event | None:
    if attempt.permit is None or attempt.trace is None:
        return Turned(reason="the journal shows an effect without a permit or an intent")
    outcome = await outcome_of(desk, attempt.permit, attempt.plan, attempt.trace)
    return Acted(seen=outcome[0], detail=outcome[1]) if outcome else None


async def outcome_of(desk: Desk, permit: Permit, plan: Plan, trace: Trace) -> tuple[Seen, str] | None:
    """The outcome of an intended effect as read off the target; None while it cannot be told."""
    try:
        seen = await desk.crew.mechanic.look_back(permit, plan, desk.service, trace)
    except Unavailable:
        return None
    except (TargetAbsent, TargetAmbiguous, Refused) as error:
        return Seen.UNKNOWN, plain_text(error)
    return seen, "read off the target, since no answer was recorded"


async def verify(desk: Desk, attempt: Attempt) -> Event | None:
    """Watch the target until the window says passed or failed; None when PitCrew ends before that."""
    window = Verification(
        began_at=desk.now(),
        verify_for_s=attempt.plan.verify_for_s,
        settle_s=settle_s(attempt.plan.action, desk.service),
    )
    while True:
        seen = await desk.look()
        window = look(window, still_deviates(desk.service, desk.case.deviations, seen), desk.now())
        if window.stand is not Stand.PENDING:
            break
        await desk.show(f"verifying {describe(attempt.plan.action)}")
        if not await desk.pause(PROBE_INTERVAL_S):
            return None
    passed = window.stand is Stand.PASSED
    held = f"the deviation stayed away for {attempt.plan.verify_for_s} s"
    detail = held if passed else f"the deviation is still there: {told_by_probes(seen)}"
    return Verified(passed=passed, looks=window.looks, detail=detail)
