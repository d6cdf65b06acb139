"""Each target has its Mechanic, by name. One that is not configured is unknown, and never replaced by another."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pitcrew.core.action import Seen, Trace
from pitcrew.core.errors import Unavailable
from pitcrew.core.observation import (
    Blind,
    LogLine,
    Observation,
    Outcome,
    ProbeReason,
    ProbeResult,
    RuntimeEvent,
    RuntimeFacts,
    Sight,
)
from pitcrew.core.permit import Permit
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import DEFAULT_MECHANIC, HealthyService, ServiceKey, TargetKind
from pitcrew.ports import Clock, ExecAnswer, Mechanic, Observer, Runtime

NO_MECHANIC = "NoMechanic"
"""The reason of a look at a target whose Mechanic is not configured."""


def nobody(name: str, configured: Iterable[str]) -> str:
    """That a Mechanic is not configured, for people."""
    there = ", ".join(sorted(configured)) or "none"
    return f"no Mechanic named {name} is configured, only {there}; name it with --mechanic {name}=URL"


@dataclass(kw_only=True)
class RoutedRuntime:
    """The reading half of a runtime, at the Mechanic that the target names (port `Runtime`)."""

    kind: TargetKind
    runtimes: Mapping[str, Runtime]

    async def look(self, service: HealthyService) -> Sight:
        """See `Runtime.look`."""
        found = self.runtimes.get(service.spec.target.mechanic)
        if found is None:
            return Blind(reason=NO_MECHANIC, detail=nobody(service.spec.target.mechanic, self.runtimes))
        return await found.look(service)

    async def logs(
        self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int, bytes_max: int
    ) -> Sequence[LogLine]:
        """See `Runtime.logs`."""
        return await self._of(service).logs(service, facts, lines_max=lines_max, bytes_max=bytes_max)

    async def processes(self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int) -> Sequence[str]:
        """See `Runtime.processes`."""
        return await self._of(service).processes(service, facts, lines_max=lines_max)

    async def stats(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        """See `Runtime.stats`."""
        return await self._of(service).stats(service, facts)

    async def makeup(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        """See `Runtime.makeup`."""
        return await self._of(service).makeup(service, facts)

    def events(self, service: HealthyService) -> Sequence[RuntimeEvent]:
        """See `Runtime.events`."""
        found = self.runtimes.get(service.spec.target.mechanic)
        return found.events(service) if found else ()

    async def run(
        self, service: HealthyService, facts: RuntimeFacts, argv: Sequence[str], *, timeout_s: float, bytes_max: int
    ) -> ExecAnswer:
        """See `Runtime.run`."""
        return await self._of(service).run(service, facts, argv, timeout_s=timeout_s, bytes_max=bytes_max)

    async def wakes(self) -> AsyncIterator[ServiceKey]:
        """See `Runtime.wakes`; those of every Mechanic."""
        if len(self.runtimes) == 1:
            async for key in next(iter(self.runtimes.values())).wakes():
                yield key
            return
        streams = [runtime.wakes() for runtime in self.runtimes.values()]
        following = {asyncio.ensure_future(anext(stream)): stream for stream in streams}
        try:
            while True:
                done, _ = await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    stream = following.pop(task)
                    following[asyncio.ensure_future(anext(stream))] = stream
                    yield task.result()
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)

    def declare(self, services: Iterable[HealthyService]) -> None:
        """See `Runtime.declare`."""
        declared = list(services)
        for name, runtime in self.runtimes.items():
            runtime.declare([service for service in declared if service.spec.target.mechanic == name])

    async def close(self) -> None:
        """See `Runtime.close`."""
        for runtime in self.runtimes.values():
            await runtime.close()

    def _of(self, service: HealthyService) -> Runtime:
        found = self.runtimes.get(service.spec.target.mechanic)
        if found is None:
            raise Unavailable(nobody(service.spec.target.mechanic, self.runtimes))
        return found


@dataclass(frozen=True, kw_only=True)
class RoutedObserver:
    """Looks through the Mechanic that the target names (port `Observer`)."""

    observers: Mapping[str, Observer]
    clock: Clock

    async def look(self, service: HealthyService, due: Collection[str] | None = None) -> Observation:
        """See `Observer.look`."""
        found = self.observers.get(service.spec.target.mechanic)
        if found is None:
            detail = nobody(service.spec.target.mechanic, self.observers)
            return unseen(service, due, self.clock, NO_MECHANIC, detail)
        return await found.look(service, due)


def unseen(service: HealthyService, due: Collection[str] | None, clock: Clock, reason: str, detail: str) -> Observation:
    """The look of one who cannot look: nothing is known of the target, and no probe was carried out (S5)."""
    at = clock.now().at
    probes = tuple(
        ProbeResult(probe=name, at=at, outcome=Outcome.UNKNOWN, reason=ProbeReason.ENGINE_AWAY, detail=reason)
        for name, _ in service.probes
        if due is None or name in due
    )
    return Observation(service=service.key, at=at, sight=Blind(reason=reason, detail=detail), probes=probes)


@dataclass(frozen=True, kw_only=True)
class RoutedMechanic:
    """Acts through the Mechanic that the target names (port `Mechanic`)."""

    mechanics: Mapping[str, Mechanic]

    async def prepare(self, permit: Permit, plan: Plan, service: HealthyService) -> Trace:
        """See `Mechanic.prepare`."""
        return await self._of(service).prepare(permit, plan, service)

    async def execute(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> None:
        """See `Mechanic.execute`."""
        await self._of(service).execute(permit, plan, service, trace)

    async def look_back(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> Seen:
        """See `Mechanic.look_back`."""
        return await self._of(service).look_back(permit, plan, service, trace)

    def _of(self, service: HealthyService) -> Mechanic:
        found = self.mechanics.get(service.spec.target.mechanic)
        if found is None:
            raise Unavailable(nobody(service.spec.target.mechanic, self.mechanics))
        return found


def in_one_process(
    runtimes: Mapping[TargetKind, Runtime], observer: Observer, clock: Clock
) -> tuple[Mapping[TargetKind, Runtime], Observer]:
    """The eyes of a process that is its own Mechanic, under the name of the default one."""
    return (
        {kind: RoutedRuntime(kind=kind, runtimes={DEFAULT_MECHANIC: one}) for kind, one in runtimes.items()},
        RoutedObserver(observers={DEFAULT_MECHANIC: observer}, clock=clock),
    )
