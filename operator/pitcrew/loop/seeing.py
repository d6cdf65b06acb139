"""Seeing: one observation of one service, the runtime first and then the probes that are due."""

import asyncio
from collections.abc import Collection
from datetime import datetime

from pitcrew.core.errors import Refused, Unavailable
from pitcrew.core.healthcheck import engine_verdict
from pitcrew.core.observation import Observation, Outcome, ProbeReason, ProbeResult, RuntimeFacts, Sight
from pitcrew.core.resource import HealthyService, Probe
from pitcrew.core.untrusted import clean
from pitcrew.loop.crew import Crew

_EXEC_BYTES_MAX = 4096
_DETAIL_BYTES_MAX = 256


async def see(crew: Crew, service: HealthyService, due: Collection[str] | None = None) -> Observation:
    """Look at the runtime, then ask the probes named in `due` (all when None), side by side. Never raises for the
    world's sake."""
    sight = await crew.runtimes[service.spec.target.kind].look(service)
    asked = [(name, probe) for name, probe in service.probes if due is None or name in due]
    results = await asyncio.gather(*(_probe(crew, service, name, probe, sight) for name, probe in asked))
    return Observation(service=service.key, at=crew.clock.now().at, sight=sight, probes=tuple(results))


async def _probe(crew: Crew, service: HealthyService, name: str, probe: Probe, sight: Sight) -> ProbeResult:
    now = crew.clock.now().at
    if not isinstance(sight, RuntimeFacts):
        return _ours(name, now, ProbeReason.ENGINE_AWAY, "the target cannot be seen")
    if not sight.running:
        return _ours(name, now, ProbeReason.NOT_RUNNING, f"the target is {sight.state}")
    if probe.http_get:
        timeout_s = float(probe.timeout_seconds)
        return await crew.prober.get(name, probe.http_get, address=sight.address, timeout_s=timeout_s)
    if probe.tcp_socket:
        timeout_s = float(probe.timeout_seconds)
        return await crew.prober.connect(name, probe.tcp_socket, address=sight.address, timeout_s=timeout_s)
    if probe.exec:
        return await _exec(crew, service, name, probe, sight)
    return engine_verdict(name, sight, now)


async def _exec(crew: Crew, service: HealthyService, name: str, probe: Probe, facts: RuntimeFacts) -> ProbeResult:
    assert probe.exec is not None
    runtime = crew.runtimes[service.spec.target.kind]
    timeout_s = float(probe.timeout_seconds)
    try:
        answer = await runtime.run(service, facts, probe.exec.command, timeout_s=timeout_s, bytes_max=_EXEC_BYTES_MAX)
    except (Unavailable, Refused) as error:
        return _ours(name, crew.clock.now().at, ProbeReason.ENGINE_AWAY, str(error))
    now, detail = crew.clock.now().at, clean(answer.output, _DETAIL_BYTES_MAX)
    if answer.exit_code is None:
        return ProbeResult(probe=name, at=now, outcome=Outcome.FAILURE, reason=ProbeReason.TIMEOUT, detail=detail)
    if answer.exit_code in (126, 127):
        return _ours(name, now, ProbeReason.CHECK_BROKEN, f"exit code {answer.exit_code}: {detail}")
    good = answer.exit_code == 0
    return ProbeResult(
        probe=name,
        at=now,
        outcome=Outcome.SUCCESS if good else Outcome.FAILURE,
        reason=ProbeReason.OK if good else ProbeReason.EXIT_CODE,
        detail=detail,
        status=answer.exit_code,
    )


def _ours(name: str, at: datetime, reason: ProbeReason, detail: str) -> ProbeResult:
    cleaned = clean(detail, _DETAIL_BYTES_MAX)
    return ProbeResult(probe=name, at=at, outcome=Outcome.UNKNOWN, reason=reason, detail=cleaned)
