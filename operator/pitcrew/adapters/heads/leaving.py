"""When a head leaves: at the start, after every so many records, and at the end; to each place in its own time.

A place that does not take one is tried again with a growing rest, and has the newest `QUEUE_MAX` waiting. What finds no
room, or is left at the end, is counted and said in the log.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from pitcrew.adapters.heads.file import HeadFile
from pitcrew.adapters.heads.syslog import Syslog
from pitcrew.adapters.heads.webhook import HeadWebhook
from pitcrew.core.errors import Unavailable
from pitcrew.core.event import Event
from pitcrew.core.heads import spell
from pitcrew.core.incident import Incident
from pitcrew.core.observation import Observation
from pitcrew.core.record import Head
from pitcrew.core.resource import HealthyService
from pitcrew.core.untrusted import clean
from pitcrew.ports import Pulse

QUEUE_MAX = 100
"""Heads that wait for one place; the newest prove the most, so that the oldest is dropped."""
TRY_S = 10.0
"""Seconds for one try."""
REST_S, REST_S_MAX = 1.0, 60.0
"""Seconds of rest before the second try, doubled before each further one up to the most."""
CLOSE_S = 3.0
"""Seconds that what is left may take when PitCrew ends."""

Place = Syslog | HeadWebhook | HeadFile
_log = logging.getLogger("pitcrew.heads")


class LeavingHeads:
    """A Witness that passes the journal's head on. `head` gives it as it is now, and `now` trusted time."""

    def __init__(
        self,
        places: Sequence[Place],
        *,
        head: Callable[[], Head],
        now: Callable[[], datetime],
        state: str,
        every_records: int,
    ) -> None:
        self._couriers = [_Courier(place) for place in places]
        self._head = head
        self._now = now
        self._state = state
        self._every = every_records
        self._passed: Head | None = None

    def observed(self, service: HealthyService, seen: Observation) -> None:
        """Nothing: a look leaves no record."""

    def recorded(self, event: Event, incident: Incident, at: datetime, took_s: float) -> None:
        """Pass the head on where it is time."""
        self._pass_on(self._every)

    def alive(self, pulse: Pulse) -> None:
        """The same, at once at the start, and for records that are no event of an incident."""
        self._pass_on(self._every)

    async def close(self) -> None:
        """Pass on the last head, and what is left, for a moment."""
        self._pass_on(1)
        await asyncio.gather(*(courier.close() for courier in self._couriers))

    def _pass_on(self, records: int) -> None:
        head = self._head()
        if self._passed is not None and head.seq - self._passed.seq < records:
            return
        self._passed = head
        line = spell(head, self._now(), self._state)
        for courier in self._couriers:
            courier.take(line)


class _Courier:
    """Brings heads to one place, one after the other."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._queue: deque[str] = deque()
        self._going: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._lost = 0
        self._trouble = ""

    def take(self, line: str) -> None:
        self._queue.append(line)
        if len(self._queue) > QUEUE_MAX:
            self._queue.popleft()
            self._lose(1, "too many wait")
        if self._going is None or self._going.done():
            self._going = asyncio.get_running_loop().create_task(self._go())

    async def close(self) -> None:
        self._ending.set()
        if self._going is not None:
            await asyncio.wait([self._going], timeout=CLOSE_S)
            unsent = len(self._queue) + (not self._going.done())
            self._going.cancel()
            await asyncio.gather(self._going, return_exceptions=True)
            if unsent:
                self._lose(unsent, self._trouble or "left when PitCrew ended")
            self._queue.clear()
        await self._place.close()

    async def _go(self) -> None:
        rest_s = REST_S
        while self._queue:
            line = self._queue.popleft()
            trouble = await self._brought(line)
            self._say(trouble)
            if not trouble:
                rest_s = REST_S
                continue
            if len(self._queue) < QUEUE_MAX:
                self._queue.appendleft(line)
            else:
                self._lose(1, trouble)
            if self._ending.is_set():
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), rest_s)
            rest_s = min(REST_S_MAX, 2 * rest_s)

    async def _brought(self, line: str) -> str:
        """Why a head could not be brought there; empty when it was."""
        try:
            async with asyncio.timeout(TRY_S):
                await self._place.send(line)
        except Unavailable as error:
            return str(error)
        except TimeoutError:
            return f"{self._place.name}: not taken within {TRY_S:g} s"
        return ""

    def _say(self, trouble: str) -> None:
        """Log a trouble once, and that it is over."""
        if trouble and trouble != self._trouble:
            _log.warning("journal head not passed on", extra={"text": clean(f"{trouble}; it is tried again", 400)})
        if self._trouble and not trouble:
            text = f"{self._place.name}: {self._lost} were lost meanwhile"
            _log.info("journal heads are passed on again", extra={"text": clean(text, 400)})
            self._lost = 0
        self._trouble = trouble

    def _lose(self, count: int, why: str) -> None:
        self._lost += count
        text = f"{self._place.name}: {why}; {self._lost} lost since the last one that was passed on"
        _log.warning("journal head lost", extra={"text": clean(text, 600)})
