"""A workload runtime in memory, with faults that a test scripts. It passes the same contract as the real ones.

`FakeEngine` is the world: targets, their files, logs, health and events, and what the engine does with requests. A test
changes it directly; `FakeRuntime` and `FakeActuator` are the two ports over it.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import assert_never

from pitcrew.core.action import Action, RemoveFile, Restart, RestoreFile, Seen, Start, Trace, obstacle
from pitcrew.core.errors import (
    EffectFailed,
    EngineForbidden,
    EngineUnavailable,
    OutcomeUnknown,
    Refused,
    TargetAbsent,
    TargetAmbiguous,
)
from pitcrew.core.observation import (
    Absent,
    Blind,
    EngineHealth,
    EventKind,
    FileFact,
    LogLine,
    RuntimeEvent,
    RuntimeFacts,
    RuntimeState,
    Sight,
    StoppedBy,
)
from pitcrew.core.resource import HealthyService, ServiceKey, TargetKind
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
    suspended: bool = False
    health: EngineHealth | None = None
    address: str | None = "127.0.0.1"
    networks: tuple[str, ...] = ("fake",)
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


def _declared_paths(service: HealthyService) -> tuple[str, ...]:
    remove = service.spec.remediation.actions.remove_file
    return tuple(remove.paths) if remove else ()


class FakeRuntime:
    """`Runtime` over a `FakeEngine`."""

    def __init__(self, engine: FakeEngine) -> None:
        self.kind = engine.kind
        self._engine = engine
        self._declared: dict[ServiceKey, HealthyService] = {}
        self._pending: dict[ServiceKey, None] = {}
        self._woken = asyncio.Event()
        engine.listen(self._note)

    async def look(self, service: HealthyService) -> Sight:
        try:
            return self.facts(self._engine.find(service), service)
        except TargetAbsent as error:
            return Absent(detail=str(error))
        except TargetAmbiguous as error:
            return Blind(reason="TargetAmbiguous", detail=str(error))
        except (EngineUnavailable, EngineForbidden) as error:
            return Blind(reason=str(self._engine.away), detail=str(error))

    async def logs(
        self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int, bytes_max: int
    ) -> Sequence[LogLine]:
        kept: deque[LogLine] = deque(maxlen=lines_max)
        for line in self._engine.find(service).log:
            kept.append(line)
        while sum(len(line.text.encode()) for line in kept) > bytes_max:
            kept.popleft()
        return list(kept)

    def events(self, service: HealthyService) -> Sequence[RuntimeEvent]:
        target = self._engine.targets.get(name_of(service))
        return tuple(target.events[-64:]) if target else ()

    async def run(
        self, service: HealthyService, facts: RuntimeFacts, argv: Sequence[str], *, timeout_s: float, bytes_max: int
    ) -> ExecAnswer:
        self._engine.reach()
        target = self._engine.targets.get(name_of(service))
        if target is None or target.state is not RuntimeState.RUNNING:
            raise Refused(f"{service.key}: nothing can run in it now")
        answer = await self._engine.command(target, argv, timeout_s)
        return ExecAnswer(exit_code=answer.exit_code, output=answer.output[:bytes_max])

    async def wakes(self) -> AsyncIterator[ServiceKey]:
        while True:
            while self._pending:
                key = next(iter(self._pending))
                del self._pending[key]
                yield key
            self._woken.clear()
            await self._woken.wait()

    def declare(self, services: Iterable[HealthyService]) -> None:
        self._declared = {service.key: service for service in services}
        for service in self._declared.values():
            self._note(name_of(service))

    async def close(self) -> None:
        self._declared.clear()

    def facts(self, target: FakeTarget, service: HealthyService) -> RuntimeFacts:
        """The facts of a target as it is now."""
        return RuntimeFacts(
            kind=self.kind,
            target_id=target.target_id,
            instance=target.instance,
            name=target.name,
            state=target.state,
            started_at=target.started_at if target.ever_started else None,
            finished_at=target.finished_at,
            exit_code=target.exit_code,
            error=target.error,
            oom_killed=target.oom_killed,
            stopped_by=target.stopped_by,
            ever_started=target.ever_started,
            restarts_by_itself=target.restarts_by_itself,
            deaths=target.deaths,
            suspended=target.suspended,
            engine_health=target.health,
            address=target.address if target.state is RuntimeState.RUNNING else None,
            networks=target.networks,
            image=target.image,
            env_names=target.env_names,
            files=tuple(_file_fact(target, path) for path in _declared_paths(service)),
        )

    def _note(self, name: str) -> None:
        if self._engine.away is None:
            self._pending.update({key: None for key, each in self._declared.items() if name_of(each) == name})
            self._woken.set()


def _file_fact(target: FakeTarget, path: str) -> FileFact:
    file = target.files.get(path)
    if file is None or file.is_link:
        return FileFact(path=path, present=False)
    return FileFact(path=path, present=True, size=len(file.data))


class FakeActuator:
    """`Actuator` over a `FakeEngine`; what it keeps for the undo survives in the engine's `kept`."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self._runtime = FakeRuntime(engine)

    async def prepare(self, service: HealthyService, action: Action, *, target_id: str, op: str) -> Trace:
        if isinstance(action, RemoveFile | RestoreFile) and action.path not in _declared_paths(service):
            raise Refused(f"{action.path!r} is not declared")
        target = self._engine.find(service)
        if target.target_id != target_id:
            raise Refused(f"{service.key}: the target was replaced")
        if reason := obstacle(action, self._runtime.facts(target, service)):
            raise Refused(reason)
        notes = self._notes(target, action)
        return Trace(op=op, target_id=target_id, instance=target.instance, notes=notes)

    async def apply(self, service: HealthyService, action: Action, trace: Trace) -> None:
        self._engine.reach()
        target = self._by_id(trace.target_id)
        if target is None:
            raise EffectFailed("no such target")
        mishap = self._engine.mishaps.popleft() if self._engine.mishaps else None
        if mishap is Mishap.NOT_ASKED:
            raise EngineUnavailable("fake engine: not reached")
        self._refuse_changed(target, action, trace)
        self._engine.asked.append((action.name, target.target_id))
        if mishap is Mishap.REFUSED_BY_ENGINE:
            raise EffectFailed("fake engine: it did not")
        if mishap not in (Mishap.REQUEST_LOST, Mishap.WITHOUT_EFFECT):
            self._carry_out(target, action)
        if mishap in (Mishap.ANSWER_LOST, Mishap.REQUEST_LOST):
            raise OutcomeUnknown("fake engine: the answer was lost")

    async def seen(self, service: HealthyService, action: Action, trace: Trace) -> Seen:
        target = self._by_id(trace.target_id)
        if self._engine.away is not None or target is None:
            return Seen.UNKNOWN
        match action:
            case Start():
                is_done = target.running_anew(trace.instance)
            case Restart():
                is_done = target.instance != trace.instance
            case RemoveFile(path=path):
                is_done = path not in target.files
            case RestoreFile(path=path):
                is_done = path in target.files
            case _:
                assert_never(action)
        return Seen.DONE if is_done else Seen.NOT_DONE

    def _by_id(self, target_id: str) -> FakeTarget | None:
        return next((each for each in self._engine.targets.values() if each.target_id == target_id), None)

    def _notes(self, target: FakeTarget, action: Action) -> dict[str, str]:
        if isinstance(action, RemoveFile):
            file = target.files.get(action.path)
            if file is None:
                raise Refused(f"{action.path!r} is not there")
            if file.is_link:
                raise Refused(f"{action.path!r} is not a regular file")
            if len(file.data) > FILE_BYTES_MAX:
                raise Refused(f"{action.path!r} has {len(file.data)} bytes, too many to keep")
            self._engine.kept[target.target_id, action.path] = file
            return {"written": str(file.written)}
        if isinstance(action, RestoreFile):
            if (target.target_id, action.path) not in self._engine.kept:
                raise Refused(f"{action.path!r}: nothing was kept")
            if action.path in target.files:
                raise Refused(f"{action.path!r}: something is there now")
        return {}

    def _refuse_changed(self, target: FakeTarget, action: Action, trace: Trace) -> None:
        if isinstance(action, RemoveFile):
            file = target.files.get(action.path)
            if file is None or trace.notes["written"] != str(file.written):
                raise Refused(f"{action.path!r} has changed since it was kept")

    def _carry_out(self, target: FakeTarget, action: Action) -> None:
        if self._engine.before_effect:
            self._engine.before_effect(target, action)
        match action:
            case Start() | Restart():
                self._engine.start(target.name)
            case RemoveFile(path=path):
                del target.files[path]
            case RestoreFile(path=path):
                target.files[path] = self._engine.kept[target.target_id, path]
            case _:
                assert_never(action)
        if self._engine.after_effect:
            self._engine.after_effect(target, action)
