"""Beats by HTTP GET while the loop turns, every service is looked at, and the journal can be written.

A beat follows from a pulse of the loop, so that a hung loop stops the beats without anybody deciding so.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx

from pitcrew.adapters.outgoing import Caller, checked_address
from pitcrew.core.errors import Unavailable
from pitcrew.core.event import Event
from pitcrew.core.incident import Incident
from pitcrew.core.observation import Observation
from pitcrew.core.resource import HealthyService
from pitcrew.core.untrusted import clean
from pitcrew.ports import Pulse

DEADLINE_S = 10.0
"""Seconds for one beat, and for the look whether the journal has room."""
QUIET_MAX_S = 900.0
"""Seconds a service may go without a look. The longest honest silences are a restart's grace of at most 300 s and the
timeout of a probe of at most 300 s; whoever is silent for longer hangs."""
LAG_MAX_S = 30.0
"""Seconds a record may wait for the disk; an fsync takes milliseconds."""

_log = logging.getLogger("pitcrew.heartbeat")


class Heartbeat:
    """A Witness that tells an address outside that PitCrew can work.

    `trouble` says why nothing could be recorded now, or nothing; it may block, and is asked in a thread.
    """

    def __init__(
        self,
        address: str,
        *,
        every_s: float,
        trouble: Callable[[], str],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._caller = Caller(checked_address(address, "heartbeat_url"), transport=transport)
        self._every = timedelta(seconds=every_s)
        self._trouble = trouble
        self._due_at: datetime | None = None
        self._beating: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[str] | None = None
        self._said = ""

    def observed(self, service: HealthyService, seen: Observation) -> None:
        """Nothing: the pulse tells how long ago services were seen."""

    def recorded(self, event: Event, incident: Incident, at: datetime, took_s: float) -> None:
        """Nothing: the pulse tells whether records are kept."""

    def alive(self, pulse: Pulse) -> None:
        """Beat when it is time, one beat at a time."""
        beating = self._beating is not None and not self._beating.done()
        if beating or (self._due_at is not None and pulse.at < self._due_at):
            return
        self._due_at = pulse.at + self._every
        self._beating = asyncio.get_running_loop().create_task(self._beat(pulse))

    async def close(self) -> None:
        """Beat no more."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        await self._caller.close()

    async def _beat(self, pulse: Pulse) -> None:
        unable = why_unable(pulse) or await self._no_room()
        if unable:
            self._say("no heartbeat, since PitCrew cannot work", unable)
            return
        try:
            status = await self._caller.call("GET", deadline_s=DEADLINE_S)
        except Unavailable as error:
            self._say("heartbeat not delivered", str(error))
            return
        good = 200 <= status < 300
        self._say("" if good else "heartbeat not delivered", "" if good else f"{self._caller.place}: status {status}")

    async def _no_room(self) -> str:
        """What the disk says; a look that hangs is waited for again, and none is added to it."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(asyncio.to_thread(self._trouble))
        done, _ = await asyncio.wait([self._looking], timeout=DEADLINE_S)
        return self._looking.result() if done else f"the journal's disk did not answer within {DEADLINE_S:g} s"

    def _say(self, message: str, text: str) -> None:
        """Log a trouble once, and that it is over; not again with every beat."""
        if message and message != self._said:
            _log.warning(message, extra={"text": clean(text, 300)})
        if self._said and not message:
            _log.info("heartbeat delivered again")
        self._said = message


def why_unable(pulse: Pulse) -> str:
    """Why a loop with this pulse is not able to work; empty when it is."""
    if pulse.unwritten:
        return f"a record cannot be kept: {pulse.unwritten}"
    if pulse.journal_lag_s > LAG_MAX_S:
        return f"a record waits for the disk since {pulse.journal_lag_s:.0f} s"
    if pulse.quiet_s > QUIET_MAX_S:
        return f"a service was not looked at for {pulse.quiet_s:.0f} s"
    return ""
