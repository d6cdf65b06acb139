"""Investigating: the further evidence that a model picked, read by closed tools within the time of the incident."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from pitcrew.core.event import Event, EvidenceAdded
from pitcrew.core.investigation import ends_at
from pitcrew.core.observation import Observation
from pitcrew.core.pick import Pick, Reading, added, changed
from pitcrew.loop.desk import Desk
from pitcrew.loop.tools import Tools


async def investigate(desk: Desk, picks: Sequence[Pick]) -> Event | None:
    """Read the picks one after the other, so that no engine is asked for much at once. Reading changes nothing, so that
    after a crash it is begun anew, in what is left of the time that runs since they were picked."""
    began = desk.crew.clock.now()
    readings: list[Reading] = []
    for pick in picks:
        if desk.ending.is_set():
            return None
        left_s = (ends_at(desk.case) - desk.now()).total_seconds()
        readings.append(await _read(desk, pick, within_s=min(left_s, desk.crew.settings.evidence_deadline_s)))
    known = desk.case.evidence
    return EvidenceAdded(
        picks=tuple(picks),
        evidence=added(known, readings, desk.found()),
        missing=tuple(reading.pick for reading in readings if reading.trouble),
        took_ms=(desk.crew.clock.now().boottime_ns - began.boottime_ns) // 1_000_000,
        changed=changed(known, readings),
    )


async def _read(desk: Desk, pick: Pick, *, within_s: float) -> Reading:
    """What one pick gives, of the service itself or of a dependency; what a dependency declares counts as it is now."""
    if not pick.of:
        return await _tools(desk, desk.look).read(pick, desk.watch.sight, within_s=within_s)
    other = next((one for one in desk.neighbours(desk.service) if one.service.key == pick.of), None)
    if other is None:
        return Reading(pick=pick, trouble="no more of it may be shown")
    tools = _tools(other, partial(other.crew.observer.look, other.service))
    return await tools.read(pick, other.watch.sight, within_s=within_s)


def _tools(desk: Desk, look: Callable[[], Awaitable[Observation]]) -> Tools:
    settings = desk.crew.settings
    return Tools(
        service=desk.service,
        runtime=desk.crew.runtimes[desk.service.spec.target.kind],
        look=look,
        lines_max=settings.log_lines_max,
        bytes_max=settings.log_bytes_max,
    )
