"""The pulse: a sign of life that comes out of the loop itself, so that a loop that hangs gives none."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime

from pitcrew.loop.crew import Crew
from pitcrew.loop.desk import Desk
from pitcrew.loop.telling import tell
from pitcrew.ports import Pulse

PULSE_S = 1.0
"""Seconds between two pulses; those who listen choose what they make of them."""


async def beat(crew: Crew, desks: Callable[[], Collection[Desk]]) -> None:
    """Give a pulse every second, for ever."""
    while True:
        pulse = pulse_of(desks(), crew.clock.now().at)
        tell(crew, lambda witness, pulse=pulse: witness.alive(pulse))  # type: ignore[misc]
        await asyncio.sleep(PULSE_S)


def pulse_of(desks: Collection[Desk], now: datetime) -> Pulse:
    """What the desks of all services say of the loop now."""
    seen = [desk.watch.seen.at if desk.watch.seen else desk.hired_at or now for desk in desks]
    writing = [desk.writing_since for desk in desks if desk.writing_since is not None]
    return Pulse(
        at=now,
        services=len(desks),
        quiet_s=max(0.0, (now - min(seen, default=now)).total_seconds()),
        journal_lag_s=max(0.0, (now - min(writing, default=now)).total_seconds()),
        unwritten=next((desk.unwritten for desk in desks if desk.unwritten), ""),
        phases=Counter(str(desk.incident.phase) for desk in desks if desk.incident is not None),
    )
