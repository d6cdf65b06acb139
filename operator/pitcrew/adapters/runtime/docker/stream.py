"""The one event stream of an engine: followed in a thread, opened again with `since` when it ends, for ever.

A cut stream ends as if nothing had happened, and a hung one is silent; so it is opened again after some silence, and
after each opening every declared service is looked at.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from threading import Event, Thread

import requests
from docker import errors

from pitcrew.adapters.runtime.docker.engine import Engine, Session, checked, url
from pitcrew.adapters.runtime.docker.events import (
    CONTAINERS_MAX,
    FILTERS,
    EngineEvent,
    EventMemory,
    ending_at,
    parse_event,
)
from pitcrew.adapters.runtime.docker.facts import Inspected
from pitcrew.adapters.runtime.docker.targets import target_of
from pitcrew.adapters.runtime.docker.wire import READ_S, Call
from pitcrew.core.errors import Unavailable
from pitcrew.core.observation import RuntimeState
from pitcrew.core.resource import HealthyService, ServiceKey, TargetKind

BEFORE_A_DEATH_S = 900.0
"""How far before an end a kill of the same run is looked for; longer than the longest grace."""
LATE_EVENT_S = 10.0
"""How long after an end its event may still be on its way."""


class EventStream:
    """Follows the engine's events into a memory and wakes the services they are about.

    `history_s` is how far back the first opening asks; the engine itself keeps the last 256 events of all kinds.
    `idle_s` is the silence after which the stream is opened again; `backoff_max_s` bounds the wait between attempts.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        now: Callable[[], datetime],
        history_s: float,
        idle_s: float,
        backoff_max_s: float,
    ) -> None:
        self.memory = EventMemory()
        self._engine = engine
        self._now = now
        self._history_s = history_s
        self._idle_s = idle_s
        self._backoff_max_s = backoff_max_s
        self._declared: dict[ServiceKey, HealthyService] = {}
        self._pending: dict[ServiceKey, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._completed: dict[str, tuple[str, str]] = {}
        self._closing = Event()
        self._call = Call()
        self._thread: Thread | None = None

    def declare(self, services: Iterable[HealthyService]) -> None:
        """Replace what is declared; the first time, begin to follow."""
        self._declared = {each.key: each for each in services if each.spec.target.kind is TargetKind.DOCKER}
        self._loop = asyncio.get_running_loop()
        if self._thread is None and not self._closing.is_set():
            self._thread = Thread(target=self._follow, name="docker-events", daemon=True)
            self._thread.start()

    async def wakes(self) -> AsyncIterator[ServiceKey]:
        """Services with something to look at, each once however much happened meanwhile."""
        while True:
            while self._pending:
                key = next(iter(self._pending))
                del self._pending[key]
                yield key
            self._woken.clear()
            await self._woken.wait()

    def complete(self, session: Session, seen: Inspected) -> None:
        """Ask for the events of a run or of an end that `inspect` shows for the first time; in a worker.

        The stream may be late or not followed, and what the facts say of deaths must not depend on that.
        """
        stamp = (seen.instance, seen.text("State", "FinishedAt"))
        if self._completed.get(seen.container_id) == stamp:
            return
        now_s, finished_at = self._now().timestamp(), seen.finished_at
        end_s = finished_at.timestamp() if finished_at is not None else now_s
        self.replay(session, seen.container_id, since_s=min(now_s - self._history_s, end_s - BEFORE_A_DEATH_S))
        is_told = ending_at(self.memory.of_container(seen.container_id), finished_at) is not None
        if seen.state is not RuntimeState.EXITED or is_told or now_s - end_s > LATE_EVENT_S:
            self._completed[seen.container_id] = stamp
        while len(self._completed) > CONTAINERS_MAX:
            self._completed.pop(next(iter(self._completed)), None)

    def replay(self, session: Session, container_id: str, *, since_s: float) -> None:
        """Remember what the engine still knows of a container since an instant; in a worker."""
        filters = {**FILTERS, "container": [container_id]}
        params = {"since": f"{since_s:.9f}", "until": f"{self._now().timestamp():.9f}", "filters": json.dumps(filters)}
        response = session.client.get(url(session.client, "events"), params=params, stream=True, timeout=READ_S)
        with checked(response):
            for line in response.iter_lines():
                self._remember(line)

    async def close(self) -> None:
        """Stop following and end the thread."""
        self._closing.set()
        self._call.cut()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _follow(self) -> None:
        backoff_s = 0.0
        while not self._closing.wait(backoff_s):
            self._call = call = Call()
            if self._closing.is_set():
                return
            heard = self.memory.last_ns
            try:
                self._engine.work(call, self._listen)
                opened = True
            except (Unavailable, errors.APIError):
                opened = self.memory.last_ns != heard
            backoff_s = 0.05 if opened else min(self._backoff_max_s, max(0.1, backoff_s * 2))

    def _listen(self, session: Session) -> None:
        since_s = self.memory.last_ns / 1e9 or self._now().timestamp() - self._history_s
        params = {"since": f"{since_s:.9f}", "filters": json.dumps(FILTERS)}
        response = session.client.get(url(session.client, "events"), params=params, stream=True, timeout=self._idle_s)
        with checked(response):
            self._engine.answered()
            self._wake(lambda _: True)
            try:
                for line in response.iter_lines():
                    self._pass_on(self._remember(line))
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                return  # cut or silent: the next opening asks for what was missed

    def _remember(self, line: bytes) -> EngineEvent | None:
        try:
            event = parse_event(json.loads(line)) if line else None
        except ValueError:
            return None
        return self.memory.remember(event) if event is not None and event.container_id else None

    def _pass_on(self, event: EngineEvent | None) -> None:
        if event is not None:
            self._wake(lambda service: event.belongs_to(target_of(service)))

    def _wake(self, concerned: Callable[[HealthyService], bool]) -> None:
        keys = [key for key, service in self._declared.items() if concerned(service)]
        loop = self._loop
        if not keys or loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._note, keys)
        except RuntimeError:
            self._closing.set()  # the loop is gone, and with it whoever listened

    def _note(self, keys: Iterable[ServiceKey]) -> None:
        self._pending.update(dict.fromkeys(keys))
        self._woken.set()
