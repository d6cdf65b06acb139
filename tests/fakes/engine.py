"""The world behind the fake runtime: targets, their files, logs, health and events, and what goes wrong.

A test changes it directly; `FakeRuntime` and `FakeActuator` in `tests/fakes/runtime.py` are the two ports over it.
"""

import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import assert_never

from pitcrew.core.action import Action
from pitcrew.core.errors import (
    EngineForbidden,
    EngineUnavailable,
    TargetAbsent,
    TargetAmbiguous,
)
from pitcrew.core.observation import (
    EngineHealth,
    EventKind,
    LogLine,
    RuntimeEvent,
    RuntimeState,
    StoppedBy,
)
from pitcrew.core.resource import HealthyService, TargetKind
from pitcrew.ports import ExecAnswer

FILE_BYTES_MAX = 1 << 20


class Away(StrEnum):
    """How an engine does not answer."""

    GONE = "EngineUnavailable"
    FORBIDDEN = "EngineForbidden"
    HUNG = "Deadline"


class Mishap(StrEnum):
    """What goes wrong with the next effect."""

    NOT_ASKED = "NotAsked"
    """The engine is not reached."""
    REFUSED_BY_ENGINE = "RefusedByEngine"
    """The engine answers that it did not do it."""
    ANSWER_LOST = "AnswerLost"
    """It is done, and the answer is lost."""
    REQUEST_LOST = "RequestLost"
    """It is not done, and nobody can tell from the answer."""
    WITHOUT_EFFECT = "WithoutEffect"
    """The engine says done, and nothing has changed."""


@dataclass(kw_only=True)
class FakeFile:
    """A file inside a target."""

    data: bytes
    mode: int = 0o640
    is_link: bool = False
    written: int = 0


@dataclass(kw_only=True)
class FakeTarget:
    """One target; every field may be set by a test. `run` counts starts."""

    name: str
    target_id: str
    state: RuntimeState = RuntimeState.RUNNING
    run: int = 1
    started_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    finished_at: datetime | None = None
    exit_code: int | None = None
    error: str = ""
    oom_killed: bool = False
    stopped_by: StoppedBy = StoppedBy.UNKNOWN
    ever_started: bool = True
    restarts_by_itself: bool = False
    deaths: int = 0
    ooms: int = 0
    suspended: bool = False
    health: EngineHealth | None = None
    address: str | None = "127.0.0.1"
    networks: tuple[str, ...] = ("fake",)
    attached: dict[str, tuple[str, ...]] = field(default_factory=dict)
    image: str = "sha256:fake"
    env_names: tuple[str, ...] = ()
    files: dict[str, FakeFile] = field(default_factory=dict)
    log: list[LogLine] = field(default_factory=list)
    events: list[RuntimeEvent] = field(default_factory=list)

    @property
    def instance(self) -> str:
        """Name of its present run."""
        return f"{self.target_id}#{self.run}"

    def running_anew(self, instance: str) -> bool:
        """Whether it runs, or has run since that run."""
        return self.state is RuntimeState.RUNNING or self.instance != instance


Command = Callable[[FakeTarget, Sequence[str], float], Awaitable[ExecAnswer]]


async def _succeeds(target: FakeTarget, argv: Sequence[str], timeout_s: float) -> ExecAnswer:
    return ExecAnswer(exit_code=0, output="")


class FakeEngine:
    """The world behind both fakes. `now` gives instants; `kind` is what the ports say they are."""

    def __init__(self, *, now: Callable[[], datetime], kind: TargetKind = TargetKind.DOCKER) -> None:
        self.now = now
        self.kind = kind
        self.away: Away | None = None
        self.targets: dict[str, FakeTarget] = {}
        self.ambiguous: set[str] = set()
        self.mishaps: deque[Mishap] = deque()
        self.asked: list[tuple[str, str]] = []
        """Effects that reached the engine: (action, target id); the witness."""
        self.before_effect: Callable[[FakeTarget, Action], None] | None = None
        self.after_effect: Callable[[FakeTarget, Action], None] | None = None
        self.command: Command = _succeeds
        self.kept: dict[tuple[str, str], FakeFile] = {}
        self.begun: set[str] = set()
        """Operations of commands that were begun."""
        self._made = 0
        self._listeners: list[Callable[[str], None]] = []

    def add(self, name: str) -> FakeTarget:
        """A running target under a name; one that was there is replaced."""
        self._made += 1
        target_id = hashlib.sha256(f"{name} {self._made}".encode()).hexdigest()
        target = FakeTarget(name=name, target_id=target_id, started_at=self.now())
        self.targets[name] = target
        return target

    def of(self, service: HealthyService) -> FakeTarget:
        """The target of a service, for tests that change it."""
        return self.targets[name_of(service)]

    def die(self, name: str, *, exit_code: int = 137, by: StoppedBy = StoppedBy.ITSELF) -> None:
        """End a target's run."""
        target = self.targets[name]
        target.state, target.exit_code, target.stopped_by = RuntimeState.EXITED, exit_code, by
        target.suspended, target.finished_at = False, self.now()
        if by is StoppedBy.ITSELF:
            target.deaths += 1
        self.emit(name, EventKind.DIED, exit_code=exit_code)
        if by is StoppedBy.PERSON:
            self.emit(name, EventKind.STOPPED)

    def start(self, name: str) -> None:
        """Begin a new run of a target."""
        target = self.targets[name]
        target.run += 1
        target.state, target.exit_code, target.stopped_by = RuntimeState.RUNNING, None, StoppedBy.UNKNOWN
        target.suspended, target.ever_started = False, True
        target.started_at = max(self.now(), target.started_at + timedelta(microseconds=1))
        self.emit(name, EventKind.STARTED)

    def emit(self, name: str, kind: EventKind, *, detail: str = "", exit_code: int | None = None) -> None:
        """Report an event of a target and wake whoever listens."""
        self.targets[name].events.append(RuntimeEvent(at=self.now(), kind=kind, detail=detail, exit_code=exit_code))
        self.wake(name)

    def wake(self, name: str) -> None:
        """Let the runtimes look at a target."""
        for listener in self._listeners:
            listener(name)

    def write(self, name: str, path: str, data: bytes, *, mode: int = 0o640) -> None:
        """Write a file inside a target."""
        self._made += 1
        self.targets[name].files[path] = FakeFile(data=data, mode=mode, written=self._made)

    def say(self, name: str, *lines: str, stream: str = "stdout") -> None:
        """Add lines to a target's log."""
        self.targets[name].log += [LogLine(at=self.now(), stream=stream, text=line) for line in lines]

    def listen(self, listener: Callable[[str], None]) -> None:
        """Be told of names with something to look at."""
        self._listeners.append(listener)

    def reach(self) -> None:
        """Raises as an engine that does not answer."""
        match self.away:
            case None:
                return
            case Away.FORBIDDEN:
                raise EngineForbidden("fake engine: permission denied")
            case Away.GONE | Away.HUNG:
                raise EngineUnavailable(f"fake engine: {self.away}")
            case _:
                assert_never(self.away)

    def find(self, service: HealthyService) -> FakeTarget:
        """The target of a service as the engine tells it; raises as the ports do."""
        self.reach()
        name = name_of(service)
        if name in self.ambiguous:
            raise TargetAmbiguous(f"{name}: 2 targets, expected exactly one")
        if name not in self.targets:
            raise TargetAbsent(f"{name}: no such target")
        return self.targets[name]


def name_of(service: HealthyService) -> str:
    """What names a target in the fake."""
    docker = service.spec.target.docker
    return (docker.container or f"{docker.compose_project}.{docker.compose_service}") if docker else service.key


def declared_paths(service: HealthyService) -> tuple[str, ...]:
    remove = service.spec.remediation.actions.remove_file
    return tuple(remove.paths) if remove else ()
