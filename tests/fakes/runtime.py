"""The two runtime ports over a `FakeEngine`, in memory. They pass the same contracts as the real ones."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import assert_never

from pitcrew.core.action import (
    Action,
    ConnectNetwork,
    DisconnectNetwork,
    RemoveFile,
    Restart,
    RestoreFile,
    RunCommand,
    Seen,
    Start,
    Trace,
    Unpause,
    declared_command,
    failure_of,
    obstacle,
)
from pitcrew.core.errors import (
    EffectFailed,
    EngineForbidden,
    EngineUnavailable,
    OutcomeUnknown,
    Refused,
    TargetAbsent,
    TargetAmbiguous,
    Unavailable,
)
from pitcrew.core.observation import (
    Absent,
    Blind,
    FileFact,
    LogLine,
    NetworkFact,
    RuntimeEvent,
    RuntimeFacts,
    RuntimeState,
    Sight,
)
from pitcrew.core.resource import Actions, DesiredNetwork, HealthyService, ServiceKey
from pitcrew.ports import ExecAnswer
from tests.fakes.engine import FILE_BYTES_MAX, FakeEngine, FakeTarget, Mishap, declared_paths, name_of


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

    async def processes(self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int) -> Sequence[str]:
        now = self.facts(self._engine.find(service), service)
        if not now.running:
            raise Unavailable(f"{service.key}: does not run")
        return [f"1 {'T' if now.suspended else 'S'} - workload"][:lines_max]

    async def stats(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        if not self.facts(self._engine.find(service), service).running:
            raise Unavailable(f"{service.key}: does not run")
        return ["memory 20 MiB of 64 MiB"]

    async def makeup(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        target = self._engine.find(service)
        return [f"image {target.image}", *(f"environment {name}=(hidden)" for name in target.env_names)]

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
            ooms=target.ooms,
            suspended=target.suspended,
            engine_health=target.health,
            address=target.address if target.state is RuntimeState.RUNNING else None,
            networks=target.networks,
            image=target.image,
            env_names=target.env_names,
            desired=tuple(_network_fact(target, network) for network in service.spec.desired.networks),
            files=tuple(_file_fact(target, path) for path in declared_paths(service)),
        )

    def _note(self, name: str) -> None:
        if self._engine.away is None:
            self._pending.update({key: None for key, each in self._declared.items() if name_of(each) == name})
            self._woken.set()


def _actions(service: HealthyService) -> Actions:
    return service.spec.remediation.actions


def _network_fact(target: FakeTarget, desired: DesiredNetwork) -> NetworkFact:
    aliases = target.attached.get(desired.name)
    named = aliases is not None and set(aliases) >= set(desired.aliases)
    return NetworkFact(name=desired.name, attached=aliases is not None, named=named)


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
        if isinstance(action, RemoveFile | RestoreFile) and action.path not in declared_paths(service):
            raise Refused(f"{action.path!r} is not declared")
        if isinstance(action, RunCommand) and declared_command(_actions(service), action.command) != action:
            raise Refused(f"{action.command} is not declared like this")
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
            await self._carry_out(target, action, trace)
        if mishap in (Mishap.ANSWER_LOST, Mishap.REQUEST_LOST):
            raise OutcomeUnknown("fake engine: the answer was lost")

    async def seen(self, service: HealthyService, action: Action, trace: Trace) -> Seen:
        target = self._by_id(trace.target_id)
        if self._engine.away is not None or target is None:
            return Seen.UNKNOWN
        match action:
            case Start():
                is_done = target.running_anew(trace.instance)
            case Unpause():
                is_done = target.state is not RuntimeState.PAUSED
            case ConnectNetwork(network=network):
                is_done = network in target.attached
            case DisconnectNetwork(network=network):
                is_done = network not in target.attached
            case RunCommand():
                if target.instance != trace.instance:
                    return Seen.UNKNOWN
                is_done = trace.op in self._engine.begun
            case Restart():
                is_done = target.instance != trace.instance
            case RemoveFile(path=path):
                is_done = path not in target.files
            case RestoreFile(path=path):
                is_done = path in target.files
            case _:
                assert_never(action)
        return Seen.DONE if is_done else Seen.NOT_DONE

    async def close(self) -> None:
        """Nothing is held."""

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
        if isinstance(action, RunCommand) and target.instance != trace.instance:
            raise Refused(f"{target.name}: the run it was prepared for has ended")

    async def _carry_out(self, target: FakeTarget, action: Action, trace: Trace) -> None:
        if self._engine.before_effect:
            self._engine.before_effect(target, action)
        match action:
            case Start() | Restart():
                self._engine.start(target.name)
            case Unpause():
                target.state = RuntimeState.RUNNING
            case ConnectNetwork(network=network, aliases=aliases):
                target.attached[network] = aliases
            case DisconnectNetwork(network=network):
                del target.attached[network]
            case RemoveFile(path=path):
                del target.files[path]
            case RestoreFile(path=path):
                target.files[path] = self._engine.kept[target.target_id, path]
            case RunCommand():
                self._engine.begun.add(trace.op)
                await self._run(target, action)
            case _:
                assert_never(action)
        if self._engine.after_effect:
            self._engine.after_effect(target, action)

    async def _run(self, target: FakeTarget, action: RunCommand) -> None:
        answer = await self._engine.command(target, action.argv, action.timeout_s)
        if failure := failure_of(action, answer.exit_code, answer.output):
            raise EffectFailed(failure)
