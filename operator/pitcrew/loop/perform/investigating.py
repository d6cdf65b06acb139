"""Investigating: the further evidence that a model picked, read by closed tools within the time of the incident."""

from collections.abc import Sequence

from pitcrew.core.event import Event, EvidenceAdded
from pitcrew.core.investigation import ends_at
from pitcrew.core.pick import Pick, added, changed
from pitcrew.loop.desk import Desk
from pitcrew.loop.tools import Tools


async def investigate(desk: Desk, picks: Sequence[Pick]) -> Event | None:
    """Read the picks one after the other, so that no engine is asked for much at once. Reading changes nothing, so that
    after a crash it is begun anew, in what is left of the time that runs since they were picked."""
    began = desk.crew.clock.now()
    tools, readings = _tools(desk), []
    for pick in picks:
        if desk.ending.is_set():
            return None
        left_s = (ends_at(desk.case) - desk.now()).total_seconds()
        within_s = min(left_s, desk.crew.settings.evidence_deadline_s)
        readings.append(await tools.read(pick, desk.watch.sight, within_s=within_s))
    known = desk.case.evidence
    return EvidenceAdded(
        picks=tuple(picks),
        evidence=added(known, readings, desk.found()),
        missing=tuple(reading.pick for reading in readings if reading.trouble),
        took_ms=(desk.crew.clock.now().boottime_ns - began.boottime_ns) // 1_000_000,
        changed=changed(known, readings),
    )


def _tools(desk: Desk) -> Tools:
    settings = desk.crew.settings
    return Tools(
        service=desk.service,
        runtime=desk.crew.runtimes[desk.service.spec.target.kind],
        look=desk.look,
        lines_max=settings.log_lines_max,
        bytes_max=settings.log_bytes_max,
    )
