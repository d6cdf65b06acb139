"""Gathering: evidence, before anything can destroy it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from pitcrew.core.context import changes, former, probe_history
from pitcrew.core.deviation import deviating_since, still_deviates
from pitcrew.core.errors import TargetAbsent, Unavailable
from pitcrew.core.event import (
    Event,
    EvidenceGathered,
)
from pitcrew.core.evidence import PROCESSES_MAX, Fact, gather
from pitcrew.core.observation import LogLine, Observation, ProbeReason, RuntimeFacts
from pitcrew.core.suspicion import suspicion
from pitcrew.loop.desk import Desk

AROUND_S = 10
"""Seconds that evidence waits for a certain look at what the service depends on: long enough for a failing probe to be
confirmed, so that a service is not remedied for the fault of another; short, since nobody waits for a hung one (L3)."""


async def gather_evidence(desk: Desk) -> Event | None:
    if not _looked_around(desk):
        return None
    seen = await desk.look()
    if not _telling(desk, seen):
        return None
    runtime = desk.crew.runtimes[desk.service.spec.target.kind]
    logs, no_logs = await _logs(desk, seen)
    processes, no_processes = await _processes(desk, seen)
    events, missing = runtime.events(desk.service), (*no_logs, *no_processes)
    evidence = gather(
        seen,
        desk.found(),
        logs,
        events,
        missing,
        processes,
        asked=desk.service.probes,
        changes=changes(seen, desk.healthy, desk.unchanged),
        history=_history(desk),
        former=former(desk.past),
        dependencies=desk.dependencies,
        began_at=deviating_since(desk.watch, desk.now()),
        suspicion=suspicion(seen, logs, events, processes, missing),
    )
    return EvidenceGathered(evidence=evidence, deviations=desk.found())


def _history(desk: Desk) -> tuple[Fact, ...]:
    """How long the probes have failed; a rehearsal, which takes one look for many, has no history to tell."""
    return probe_history(desk.watch, desk.now()) if desk.hired_at is not None else ()


def _looked_around(desk: Desk) -> bool:
    since = desk.case.changed_at
    return desk.looked_around(desk.service, since) or desk.now() - since >= timedelta(seconds=AROUND_S)


def _telling(desk: Desk, seen: Observation) -> bool:
    """Whether a look shows the deviation. What was gathered while our side could not see would end in an unknown cause,
    and so with a person, for an outage of a moment (S5). A broken check is something to tell."""
    live = still_deviates(desk.service, desk.case.deviations, seen)
    broken = any(result.reason is ProbeReason.CHECK_BROKEN for result in seen.probes)
    return desk.deviates() is True and (live is not None or broken)


async def _logs(desk: Desk, seen: Observation) -> tuple[Sequence[LogLine], tuple[str, ...]]:
    if not isinstance(seen.sight, RuntimeFacts):
        return (), ()
    runtime, settings = desk.crew.runtimes[desk.service.spec.target.kind], desk.crew.settings
    lines_max, bytes_max = settings.log_lines_max, settings.log_bytes_max
    reading = runtime.logs(desk.service, seen.sight, lines_max=lines_max, bytes_max=bytes_max)
    try:
        return await asyncio.wait_for(reading, settings.evidence_deadline_s), ()
    except (Unavailable, TargetAbsent, TimeoutError) as error:
        return (), (f"logs: {error or 'not in time'}",)


async def _processes(desk: Desk, seen: Observation) -> tuple[Sequence[str], tuple[str, ...]]:
    """The process list, before a restart can destroy it."""
    if not isinstance(seen.sight, RuntimeFacts) or not seen.sight.running:
        return (), ()
    runtime = desk.crew.runtimes[desk.service.spec.target.kind]
    reading = runtime.processes(desk.service, seen.sight, lines_max=PROCESSES_MAX)
    try:
        return await asyncio.wait_for(reading, desk.crew.settings.evidence_deadline_s), ()
    except (Unavailable, TargetAbsent, TimeoutError) as error:
        return (), (f"processes: {error or 'not in time'}",)
