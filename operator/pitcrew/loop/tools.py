"""The read-only tools that further evidence is read with: one for each pick, without parameters.

They hold the reading half of a runtime and the probes, and nothing that changes a target, so that whoever is given them
can look and do no more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import assert_never

from pitcrew.core.errors import Refused, TargetAbsent, Unavailable
from pitcrew.core.evidence import PROCESSES_MAX
from pitcrew.core.observation import Blind, LogLine, Observation, RuntimeFacts, Sight
from pitcrew.core.pick import Pick, Reading, Tool, earlier, told
from pitcrew.core.resource import HealthyService
from pitcrew.core.untrusted import clean
from pitcrew.ports import Runtime

_TROUBLE_BYTES_MAX = 200


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The tools for one service. `look` takes a fresh look with every probe; `lines_max` and `bytes_max` bound what was
    read of the log at first."""

    service: HealthyService
    runtime: Runtime
    look: Callable[[], Awaitable[Observation]]
    lines_max: int
    bytes_max: int

    async def read(self, pick: Pick, sight: Sight | None, *, within_s: float) -> Reading:
        """What one pick gives, within so many seconds; `sight` is the target as it was seen last. Never raises for the
        world's sake."""
        if within_s <= 0:
            return Reading(pick=pick, trouble="the time for reading more is over")
        try:
            return await asyncio.wait_for(self._read(pick, sight), within_s)
        except (Unavailable, TargetAbsent, Refused, TimeoutError) as error:
            return Reading(pick=pick, trouble=clean(str(error) or "not in time", _TROUBLE_BYTES_MAX))

    async def _read(self, pick: Pick, sight: Sight | None) -> Reading:
        match pick.tool:
            case Tool.EVENTS:
                return Reading(pick=pick, events=tuple(self.runtime.events(self.service)))
            case Tool.PROBE_AGAIN:
                return await self._look(pick)
            case Tool.LOGS:
                return Reading(pick=pick, logs=await self._logs(sight, times=1))
            case Tool.EARLIER_LOGS:
                lines = await self._logs(sight, times=2)
                return Reading(pick=pick, logs=earlier(lines, lines_max=self.lines_max, bytes_max=self.bytes_max))
            case Tool.STATS:
                return told(pick, "stats", await self.runtime.stats(self.service, _there(sight)))
            case Tool.PROCESSES:
                reading = self.runtime.processes(self.service, _there(sight), lines_max=PROCESSES_MAX)
                return told(pick, "process", await reading)
            case Tool.MAKEUP:
                return told(pick, "makeup", await self.runtime.makeup(self.service, _there(sight)))
            case _:
                assert_never(pick.tool)

    async def _look(self, pick: Pick) -> Reading:
        seen = await self.look()
        if isinstance(seen.sight, Blind):
            raise Unavailable(f"{seen.sight.reason}: {seen.sight.detail}")
        return Reading(pick=pick, seen=seen)

    async def _logs(self, sight: Sight | None, *, times: int) -> tuple[LogLine, ...]:
        """So many times as much of the log as is read at first."""
        lines_max, bytes_max = times * self.lines_max, times * self.bytes_max
        reading = self.runtime.logs(self.service, _there(sight), lines_max=lines_max, bytes_max=bytes_max)
        return tuple(await reading)


def _there(sight: Sight | None) -> RuntimeFacts:
    """Raises Unavailable where the target was not seen."""
    if not isinstance(sight, RuntimeFacts):
        raise Unavailable("the target cannot be seen")
    return sight
