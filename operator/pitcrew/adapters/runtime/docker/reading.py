"""The reading half of the Docker runtime. Changes nothing."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from docker import errors

from pitcrew.adapters.breaker import BreakerState
from pitcrew.adapters.runtime.docker.commands import Commands
from pitcrew.adapters.runtime.docker.describing import makeup, usage
from pitcrew.adapters.runtime.docker.engine import CallFailed, Engine, Session, checked, explanation, url
from pitcrew.adapters.runtime.docker.facts import facts_of
from pitcrew.adapters.runtime.docker.frames import last_lines, split_frames, split_lines
from pitcrew.adapters.runtime.docker.host import is_suspended
from pitcrew.adapters.runtime.docker.stream import EventStream
from pitcrew.adapters.runtime.docker.targets import file_facts, find, inspect, removable_paths
from pitcrew.adapters.runtime.docker.text import printable
from pitcrew.adapters.runtime.docker.wire import READ_S
from pitcrew.core.errors import (
    EngineForbidden,
    EngineUnavailable,
    TargetAbsent,
    TargetAmbiguous,
)
from pitcrew.core.observation import Absent, Blind, LogLine, RuntimeEvent, RuntimeFacts, Sight
from pitcrew.core.resource import HealthyService, ServiceKey, TargetKind
from pitcrew.ports import ExecAnswer

T = TypeVar("T")
_DETAIL_CHARS_MAX = 512
_CHUNK_BYTES = 64 * 1024


class DockerRuntime:
    """Reads targets of one engine; see `Runtime` for the contract.

    `now` gives aware UTC. `history_s`, `idle_s` and `backoff_max_s` are those of the event stream; `may_signal_host`
    says whether commands past their timeout may be killed from this machine (None: when running as root).
    """

    kind = TargetKind.DOCKER

    def __init__(
        self,
        engine: Engine,
        *,
        now: Callable[[], datetime],
        history_s: float = 3600.0,
        idle_s: float = 60.0,
        backoff_max_s: float = 5.0,
        may_signal_host: bool | None = None,
    ) -> None:
        self._engine = engine
        self._now = now
        self._commands = Commands(engine, may_signal_host=may_signal_host)
        self._stream = EventStream(engine, now=now, history_s=history_s, idle_s=idle_s, backoff_max_s=backoff_max_s)

    @property
    def breaker_state(self) -> BreakerState:
        """Where the engine's breaker stands."""
        return self._engine.breaker_state

    async def look(self, service: HealthyService) -> Sight:
        """See `Runtime.look`."""
        try:
            return await self._engine.call(lambda session: self._facts(session, service), about=service.key)
        except TargetAbsent as error:
            return Absent(detail=printable(str(error), chars_max=_DETAIL_CHARS_MAX))
        except TargetAmbiguous as error:
            return _blind("TargetAmbiguous", error)
        except EngineForbidden as error:
            return _blind("EngineForbidden", error)
        except EngineUnavailable as error:
            return _blind("Deadline" if isinstance(error, CallFailed) and error.late else "EngineUnavailable", error)
        except errors.NotFound as error:
            return Absent(detail=f"gone while it was looked at: {explanation(error)}")
        except errors.APIError as error:
            return _blind("EngineUnavailable", EngineUnavailable(f"the engine answered: {explanation(error)}"))

    async def logs(
        self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int, bytes_max: int
    ) -> Sequence[LogLine]:
        """See `Runtime.logs`."""
        work = lambda session: _tail(session, facts.target_id, lines_max, bytes_max)  # noqa: E731
        return await self._read(service, work, "gives no log")

    async def processes(self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int) -> Sequence[str]:
        """See `Runtime.processes`. The engine runs `ps` beside the container, so that a hung one can be listed too."""
        work = lambda session: _processes(session, facts.target_id, lines_max)  # noqa: E731
        return await self._read(service, work, "lists no processes")

    async def stats(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        """See `Runtime.stats`. One reading of the counters, since the engine needs a second for a rate."""
        if not facts.running:
            raise EngineUnavailable(f"{service.key}: does not run, so it uses nothing")
        return await self._read(service, lambda session: _usage(session, facts.target_id), "gives no stats")

    async def makeup(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        """See `Runtime.makeup`."""
        return await self._read(service, lambda session: makeup(inspect(session, facts.target_id)), "does not tell it")

    async def _read(self, service: HealthyService, work: Callable[[Session], T], what: str) -> T:
        try:
            return await self._engine.call(work, about=service.key)
        except errors.NotFound as error:
            raise TargetAbsent(f"{service.key}: {explanation(error)}") from error
        except errors.APIError as error:
            raise EngineUnavailable(f"{service.key}: the engine {what}: {explanation(error)}") from error

    def events(self, service: HealthyService) -> Sequence[RuntimeEvent]:
        """See `Runtime.events`."""
        target = service.spec.target.docker
        return self._stream.memory.of_target(target) if target else ()

    async def run(
        self, service: HealthyService, facts: RuntimeFacts, argv: Sequence[str], *, timeout_s: float, bytes_max: int
    ) -> ExecAnswer:
        """See `Runtime.run`."""
        return await self._commands.run(facts, argv, timeout_s=timeout_s, bytes_max=bytes_max)

    def wakes(self) -> AsyncIterator[ServiceKey]:
        """See `Runtime.wakes`."""
        return self._stream.wakes()

    def declare(self, services: Iterable[HealthyService]) -> None:
        """See `Runtime.declare`. Called inside the running event loop."""
        self._stream.declare(services)

    async def close(self) -> None:
        """See `Runtime.close`."""
        await self._stream.close()
        await self._engine.close()

    def _facts(self, session: Session, service: HealthyService) -> RuntimeFacts:
        seen = find(session, service)
        self._stream.complete(session, seen)
        is_here = session.engine.is_here
        return facts_of(
            seen,
            events=self._stream.memory.of_container(seen.container_id),
            now=self._now(),
            files=file_facts(session, seen, removable_paths(service)),
            desired=service.spec.desired.networks,
            suspended=is_here and is_suspended(seen.number("State", "Pid"), seen.container_id),
            is_here=is_here,
        )


def _blind(reason: str, error: Exception) -> Blind:
    return Blind(reason=reason, detail=printable(str(error), chars_max=_DETAIL_CHARS_MAX))


def _processes(session: Session, container_id: str, lines_max: int) -> list[str]:
    listed = session.client.top(container_id, ps_args="-eo pid,stat,wchan:24,comm")
    return [printable(" ".join(row), chars_max=_DETAIL_CHARS_MAX) for row in listed["Processes"][:lines_max]]


def _usage(session: Session, container_id: str) -> Sequence[str]:
    return usage(session.client.stats(container_id, stream=False, one_shot=True))


def _tail(session: Session, container_id: str, lines_max: int, bytes_max: int) -> list[LogLine]:
    tty = inspect(session, container_id).part("Config").get("Tty") is True
    params: dict[str, str | int] = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": lines_max}
    response = session.client.get(
        url(session.client, "containers", container_id, "logs"), params=params, stream=True, timeout=READ_S
    )
    with checked(response):
        pieces = split_frames(response.iter_content(_CHUNK_BYTES), tty=tty)
        return last_lines(split_lines(pieces), lines_max=lines_max, bytes_max=bytes_max)
