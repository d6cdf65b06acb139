"""The ports of the Mechanic over MCP.

One that is away, slow or speaks nonsense is Blind, Unknown or Unavailable, and an effect whose answer was lost is
OutcomeUnknown; never a statement about a target.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pitcrew.adapters.mechanic.client import Lost, MechanicClient
from pitcrew.adapters.mechanic.routed import unseen
from pitcrew.adapters.mechanic.wire import (
    WAIT_MAX_S,
    Heard,
    Inspected,
    Lines,
    Logs,
    LookedBack,
    Prepared,
    parse,
    spell,
    value_of,
)
from pitcrew.core.action import Seen, Trace, takes_s
from pitcrew.core.errors import (
    EffectFailed,
    InvalidInput,
    OutcomeUnknown,
    PitCrewError,
    Refused,
    TargetAbsent,
    TargetAmbiguous,
    Unavailable,
)
from pitcrew.core.observation import Blind, LogLine, Observation, RuntimeEvent, RuntimeFacts, Sight
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import HealthyService, ServiceKey, TargetKind
from pitcrew.core.seal import from_data
from pitcrew.ports import Clock, ExecAnswer

AWAY = "MechanicUnavailable"
"""The reason of a look that a Mechanic did not give."""
READ_S = 12.0
"""Seconds that a reading may take; the Mechanic looks first, and gives an engine 5 seconds for either."""
PREPARE_S, ACT_S, LOOK_BACK_S = 70.0, 130.0, 130.0
"""As the Mechanic's own deadlines, and ten seconds for the way."""
AGAIN_S = 2.0
"""Seconds until a Mechanic that could not be listened to is listened to again."""


@dataclass(kw_only=True)
class RemoteRuntime:
    """The reading half of a runtime at one Mechanic (port `Runtime`); exec probes run there, and nothing else does."""

    kind: TargetKind
    client: MechanicClient
    _declared: set[ServiceKey] = field(default_factory=set)
    _events: dict[ServiceKey, Sequence[RuntimeEvent]] = field(default_factory=dict)

    async def look(self, service: HealthyService) -> Sight:
        """See `Runtime.look`."""
        try:
            answer = await self.client.call("inspect", {"service": service.key}, within_s=READ_S)
            return value_of(Inspected, answer).sight
        except PitCrewError as error:
            return Blind(reason=_reason(error), detail=str(error))

    async def logs(
        self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int, bytes_max: int
    ) -> Sequence[LogLine]:
        """See `Runtime.logs`."""
        asked = {"service": service.key, "lines_max": lines_max, "bytes_max": bytes_max}
        return value_of(Logs, await self._read("logs", asked)).lines

    async def processes(self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int) -> Sequence[str]:
        """See `Runtime.processes`."""
        asked = {"service": service.key, "lines_max": lines_max}
        return value_of(Lines, await self._read("processes", asked)).lines

    async def stats(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        """See `Runtime.stats`."""
        return value_of(Lines, await self._read("stats", {"service": service.key})).lines

    async def makeup(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        """See `Runtime.makeup`."""
        return value_of(Lines, await self._read("makeup", {"service": service.key})).lines

    def events(self, service: HealthyService) -> Sequence[RuntimeEvent]:
        """See `Runtime.events`; as they were when the service was woken last."""
        return self._events.get(service.key, ())

    async def run(
        self, service: HealthyService, facts: RuntimeFacts, argv: Sequence[str], *, timeout_s: float, bytes_max: int
    ) -> ExecAnswer:
        """Never: a command runs at the Mechanic, where it is declared. Raises Refused."""
        raise Refused(
            "no command runs over the network; exec probes run at the Mechanic, as its manifests declare them"
        )

    async def wakes(self) -> AsyncIterator[ServiceKey]:
        """See `Runtime.wakes`."""
        cursor = ""
        while True:
            heard = await self._listen(cursor)
            if heard is None:
                await asyncio.sleep(AGAIN_S)
                continue
            cursor = heard.cursor
            for one in heard.woken:
                key = ServiceKey(one.service)
                if key in self._declared:
                    self._events[key] = one.events
                    yield key

    async def _listen(self, cursor: str) -> Heard | None:
        """What was heard since, or None where it could not be heard, or came so soon that there must be a pause."""
        began = asyncio.get_running_loop().time()
        asked = {"after": cursor, "wait_s": WAIT_MAX_S}
        try:
            heard = value_of(Heard, await self.client.call("events", asked, within_s=WAIT_MAX_S + READ_S))
        except PitCrewError:
            return None
        is_busy = not heard.woken and asyncio.get_running_loop().time() - began < AGAIN_S
        return None if is_busy else heard

    def declare(self, services: Iterable[HealthyService]) -> None:
        """See `Runtime.declare`; the Mechanic has declarations of its own."""
        self._declared = {service.key for service in services}
        self._events = {key: events for key, events in self._events.items() if key in self._declared}

    async def close(self) -> None:
        """See `Runtime.close`."""
        await self.client.close()

    async def _read(self, tool: str, asked: Mapping[str, object]) -> Mapping[str, Any]:
        try:
            return await self.client.call(tool, asked, within_s=READ_S)
        except (Unavailable, TargetAbsent):
            raise
        except PitCrewError as error:
            raise Unavailable(str(error)) from None


@dataclass(frozen=True, kw_only=True)
class RemoteObserver:
    """Whole looks, sealed by the Mechanic (port `Observer`)."""

    client: MechanicClient
    clock: Clock

    async def look(self, service: HealthyService, due: Collection[str] | None = None) -> Observation:
        """See `Observer.look`."""
        asked: dict[str, object] = {"service": service.key}
        if due is not None:
            asked["probes"] = sorted(due)
        try:
            return self._seen(service, await self.client.call("probe", asked, within_s=_look_s(service, due)))
        except PitCrewError as error:
            return unseen(service, due, self.clock, _reason(error), str(error))

    def _seen(self, service: HealthyService, answer: Mapping[str, Any]) -> Observation:
        try:
            seen = from_data(dict(answer))
        except (ValueError, RecursionError):
            raise Unavailable("the Mechanic's answer is no look") from None
        if seen.service != service.key:
            raise Unavailable("the Mechanic's look is at another service")
        return seen


def _look_s(service: HealthyService, due: Collection[str] | None) -> float:
    """Seconds that a look may take: the runtime, then the slowest probe."""
    timeouts = [float(probe.timeout_seconds) for name, probe in service.probes if due is None or name in due]
    return READ_S + max(timeouts, default=0.0)


def _reason(error: PitCrewError) -> str:
    return AWAY if isinstance(error, Unavailable) else type(error).__name__


@dataclass(frozen=True, kw_only=True)
class RemoteMechanic:
    """Acts through a Mechanic in another process (port `Mechanic`)."""

    client: MechanicClient

    async def prepare(self, permit: Permit, plan: Plan, service: HealthyService) -> Trace:
        """See `Mechanic.prepare`."""
        asked = {"permit": spell(permit), "plan": spell(plan)}
        try:
            answer = await self.client.call("prepare", asked, within_s=PREPARE_S)
            return parse(Trace, value_of(Prepared, answer).trace, "trace")
        except (Refused, TargetAbsent, TargetAmbiguous, Unavailable):
            raise
        except PitCrewError as error:
            raise Refused(str(error)) from None

    async def execute(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> None:
        """See `Mechanic.execute`."""
        asked = {"permit": spell(permit), "plan": spell(plan), "trace": spell(trace)}
        try:
            await self.client.call("execute", asked, within_s=ACT_S + _takes_s(permit, plan))
        except Lost as error:
            raise OutcomeUnknown(str(error)) from None
        except (Refused, Unavailable, EffectFailed, OutcomeUnknown):
            raise
        except (InvalidInput, TargetAbsent, TargetAmbiguous) as error:
            raise Refused(str(error)) from None

    async def look_back(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> Seen:
        """See `Mechanic.look_back`."""
        asked = {"permit": spell(permit), "plan": spell(plan)}
        within_s = LOOK_BACK_S + _takes_s(permit, plan)
        try:
            return value_of(LookedBack, await self.client.call("look_back", asked, within_s=within_s)).seen
        except (Refused, Unavailable, TargetAbsent):
            raise
        except PitCrewError as error:
            raise Unavailable(str(error)) from None


def _takes_s(permit: Permit, plan: Plan) -> float:
    action = plan.action if permit.direction is Direction.DO else plan.undo
    return float(takes_s(action)) if action is not None else 0.0
