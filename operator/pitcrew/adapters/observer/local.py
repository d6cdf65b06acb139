"""The observer of one process: the runtime first and then the probes that are due, side by side."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from pitcrew.core.errors import Refused, Unavailable
from pitcrew.core.healthcheck import engine_verdict
from pitcrew.core.observation import Observation, Outcome, ProbeReason, ProbeResult, RuntimeFacts, Sight
from pitcrew.core.resource import HealthyService, Probe, TargetKind
from pitcrew.core.untrusted import clean
from pitcrew.ports import Clock, HttpProber, Runtime

_EXEC_BYTES_MAX = 4096
_DETAIL_BYTES_MAX = 256


@dataclass(frozen=True, kw_only=True)
class LocalObserver:
    """Looks with runtimes and a prober of this process (port `Observer`).

    `runs_commands` says whether exec probes are carried out; where they are not, they say Unknown.
    """

    runtimes: Mapping[TargetKind, Runtime]
    prober: HttpProber
    clock: Clock
    runs_commands: bool = True

    async def look(self, service: HealthyService, due: Collection[str] | None = None) -> Observation:
        """One look; every probe where `due` is None."""
        sight = await self.runtimes[service.spec.target.kind].look(service)
        asked = [(name, probe) for name, probe in service.probes if due is None or name in due]
        results = await asyncio.gather(*(self._probe(service, name, probe, sight) for name, probe in asked))
        return Observation(service=service.key, at=self._now, sight=sight, probes=tuple(results))

    @property
    def _now(self) -> datetime:
        return self.clock.now().at

    async def _probe(self, service: HealthyService, name: str, probe: Probe, sight: Sight) -> ProbeResult:
        if not isinstance(sight, RuntimeFacts):
            return _ours(name, self._now, ProbeReason.ENGINE_AWAY, "the target cannot be seen")
        if not sight.running:
            return _ours(name, self._now, ProbeReason.NOT_RUNNING, f"the target is {sight.state}")
        timeout_s = float(probe.timeout_seconds)
        if probe.http_get:
            return await self.prober.get(name, probe.http_get, address=sight.address, timeout_s=timeout_s)
        if probe.tcp_socket:
            return await self.prober.connect(name, probe.tcp_socket, address=sight.address, timeout_s=timeout_s)
        if probe.exec:
            return await self._exec(service, name, probe, sight)
        return engine_verdict(name, sight, self._now)

    async def _exec(self, service: HealthyService, name: str, probe: Probe, facts: RuntimeFacts) -> ProbeResult:
        assert probe.exec is not None
        if not self.runs_commands:
            return _ours(name, self._now, ProbeReason.ENGINE_AWAY, "no command is run inside a target here")
        runtime, timeout_s = self.runtimes[service.spec.target.kind], float(probe.timeout_seconds)
        try:
            answer = await runtime.run(
                service, facts, probe.exec.command, timeout_s=timeout_s, bytes_max=_EXEC_BYTES_MAX
            )
        except (Unavailable, Refused) as error:
            return _ours(name, self._now, ProbeReason.ENGINE_AWAY, str(error))
        now, detail = self._now, clean(answer.output, _DETAIL_BYTES_MAX)
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
