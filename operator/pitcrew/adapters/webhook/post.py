"""Posts transitions to one address: grouped for a moment, one after the other, with a bounded queue and bounded tries.

What waits for a person is sent at once, and takes along what its service had waiting. What finds no room is dropped;
messages that nobody waits for go first, and the next message that arrives says how many were lost.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from datetime import datetime

import httpx

from pitcrew.adapters.webhook.message import Transition, body, transition
from pitcrew.adapters.webhook.signed import SignedPost
from pitcrew.core.event import Event
from pitcrew.core.incident import Incident
from pitcrew.core.observation import Observation
from pitcrew.core.resource import HealthyService
from pitcrew.core.untrusted import clean
from pitcrew.ports import Pulse

_log = logging.getLogger("pitcrew.webhook")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What bounds the telling; all times in seconds."""

    group_s: float = 5.0
    """How long a transition waits for others of its service; an incident that heals at once is then one message."""
    group_max: int = 20
    """Transitions in one message."""
    queue_max: int = 100
    """Messages that wait; more than a storm of a hundred services in one message each."""
    try_s: float = 10.0
    """One try, to the head of the answer."""
    tries_max: int = 4
    """Tries for one message."""
    backoff_s: float = 1.0
    """Rest before the second try; doubled before each further one."""
    deadline_s: float = 45.0
    """All tries of one message together."""
    close_s: float = 3.0
    """What is left may take this long when PitCrew ends."""


class Webhook:
    """A Witness that tells people. With a `key` each message is signed."""

    def __init__(
        self,
        address: str,
        *,
        key: bytes | None = None,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._post = SignedPost(address, "webhook", key=key, transport=transport)
        self._limits = limits or Limits()
        self._groups: dict[str, list[Transition]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._queue: deque[list[Transition]] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._lost = 0

    def observed(self, service: HealthyService, seen: Observation) -> None:
        """Nothing: only transitions are worth a message."""

    def alive(self, pulse: Pulse) -> None:
        """Nothing: a heartbeat has an address of its own."""

    def recorded(self, event: Event, incident: Incident, at: datetime, took_s: float) -> None:
        """Note a transition worth telling; it is sent in a moment, or at once where a person is waited for."""
        moved = transition(event, incident, at)
        if moved is None:
            return
        group = self._groups.setdefault(moved.service, [])
        group.append(moved)
        if moved.urgent or len(group) >= self._limits.group_max:
            self._flush(moved.service)
        elif moved.service not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[moved.service] = loop.call_later(self._limits.group_s, self._flush, moved.service)

    async def close(self) -> None:
        """Send what is left for a moment; what is not sent by then is said in the log."""
        for service in list(self._groups):
            self._flush(service)
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=self._limits.close_s)
            unsent = len(self._queue) + (not self._sending.done())
            if unsent:
                _log.warning("webhook messages not delivered", extra={"text": f"{unsent} left when PitCrew ended"})
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._post.close()

    def _flush(self, service: str) -> None:
        if timer := self._timers.pop(service, None):
            timer.cancel()
        self._queue.append(self._groups.pop(service))
        self._make_room()
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send())

    def _make_room(self) -> None:
        while len(self._queue) > self._limits.queue_max:
            calm = (number for number, group in enumerate(self._queue) if not any(one.urgent for one in group))
            number = next(calm, 0)
            group = self._queue[number]
            del self._queue[number]
            self._lose(group, "the queue is full")

    def _lose(self, group: list[Transition], why: str) -> None:
        self._lost += 1
        text = f"{', '.join(one.id for one in group)}: {why}; {self._lost} lost since the last one delivered"
        _log.warning("webhook message lost", extra={"service": group[-1].service, "text": clean(text, 600)})

    async def _send(self) -> None:
        while self._queue:
            group, lost = self._queue.popleft(), self._lost
            failure = await self._deliver(body(group, lost))
            if failure:
                self._lose(group, failure)
            else:
                self._lost -= lost

    async def _deliver(self, message: bytes) -> str:
        """Try until it is delivered, refused for good, or too late; empty, or why it was not delivered."""
        failure = ""
        try:
            async with asyncio.timeout(self._limits.deadline_s):
                for number in range(self._limits.tries_max):
                    if number:
                        await asyncio.sleep(self._limits.backoff_s * 2 ** (number - 1))
                    failure, again = await self._post.once(message, deadline_s=self._limits.try_s)
                    if not again:
                        return failure
        except TimeoutError:
            failure = failure or f"no answer within {self._limits.deadline_s:g} s"
        return failure
