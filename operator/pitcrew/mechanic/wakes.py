"""Which services had an event, kept for whoever asks later: events that nobody waited for are not lost."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pitcrew.core.resource import ServiceKey
from pitcrew.ports import Runtime

AT_ONCE_MAX = 32
"""Services told of in one answer; the rest follow in the next."""


@dataclass(kw_only=True, slots=True)
class Wakes:
    """A numbered line of wakes, of which each service keeps its last. `epoch` names this life of the Mechanic: a cursor
    of an earlier one tells that everything may have happened meanwhile."""

    epoch: str
    _last: dict[ServiceKey, int] = field(default_factory=dict)
    _number: int = 0
    _rung: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self, runtime: Runtime) -> None:
        """Take the wakes of a runtime, for ever."""
        async for key in runtime.wakes():
            await self.note([key])

    async def declare(self, services: Collection[ServiceKey]) -> None:
        """Forget who is not declared any more; whoever is new has just had an event."""
        for gone in self._last.keys() - set(services):
            del self._last[gone]
        await self.note([key for key in services if key not in self._last])

    async def note(self, services: Collection[ServiceKey]) -> None:
        """These had an event."""
        async with self._rung:
            for key in services:
                self._number += 1
                self._last.pop(key, None)
                self._last[key] = self._number
            self._rung.notify_all()

    async def after(self, cursor: str, service: ServiceKey | None, wait_s: float) -> tuple[Sequence[ServiceKey], str]:
        """Who had an event after a cursor, the longest ago first, and the cursor to go on with; waits for one of them,
        or of `service` alone, so many seconds at most."""
        since = self._since(cursor)
        try:
            async with asyncio.timeout(wait_s), self._rung:
                await self._rung.wait_for(lambda: self._due(since, service))
        except TimeoutError:
            pass
        due = self._due(since, service)[:AT_ONCE_MAX]
        number = max((self._last[key] for key in due), default=max(since, 0))
        return due, f"{self.epoch}-{number}"

    def _due(self, since: int, service: ServiceKey | None) -> list[ServiceKey]:
        return [key for key, number in self._last.items() if number > since and service in (None, key)]

    def _since(self, cursor: str) -> int:
        epoch, _, number = cursor.rpartition("-")
        known = epoch == self.epoch and number.isascii() and number.isdigit() and len(number) < 16
        return int(number) if known else 0
