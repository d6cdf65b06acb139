"""The changing half of the Docker runtime: runs, files, networks, pauses, commands. Only the Mechanic holds one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, assert_never

from docker import errors

from pitcrew.adapters.runtime.docker import archive, commands, networks
from pitcrew.adapters.runtime.docker.declared import DeclaredCommands, refuse_undeclared_command
from pitcrew.adapters.runtime.docker.engine import CallFailed, Engine, Session, checked, explanation, url
from pitcrew.adapters.runtime.docker.facts import Inspected, facts_of
from pitcrew.adapters.runtime.docker.frames import head_of
from pitcrew.adapters.runtime.docker.hindsight import Hindsight
from pitcrew.adapters.runtime.docker.targets import find, inspect, removable_paths, stat
from pitcrew.adapters.runtime.docker.text import printable
from pitcrew.adapters.runtime.docker.undo import Keepsakes, Kept
from pitcrew.adapters.runtime.docker.wire import READ_S
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
    obstacle,
)
from pitcrew.core.errors import EffectFailed, EngineForbidden, EngineUnavailable, OutcomeUnknown, Refused
from pitcrew.core.observation import RuntimeFacts
from pitcrew.core.resource import HealthyService
from pitcrew.ports import TargetLock

T = TypeVar("T")
_OUTPUT_BYTES_MAX = 1024
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class DockerActuator:
    """Acts on targets of one engine; see `Actuator` for the contract.

    `kill_allowance_s` is what a restart may take beyond its grace: the engine waits up to ten seconds for the kill.
    `settle_s` is how long a request whose answer was lost may still be under way in the engine, when nothing in the
    engine shows that it is; `poll_s` lies between two looks. `deadline_s` bounds a start and the work on files;
    `may_signal_host` says whether commands past their timeout may be killed from this machine (None: when running as
    root).
    """

    def __init__(
        self,
        engine: Engine,
        *,
        state_dir: Path,
        locks: TargetLock,
        deadline_s: float = 20.0,
        kill_allowance_s: float = 15.0,
        settle_s: float = 5.0,
        poll_s: float = 0.1,
        may_signal_host: bool | None = None,
    ) -> None:
        self._engine = engine
        self._locks = locks
        self._keepsakes = Keepsakes(state_dir)
        self._deadline_s = deadline_s
        self._kill_allowance_s = kill_allowance_s
        self._declared = DeclaredCommands(engine, may_signal_host=may_signal_host, settle_s=settle_s, poll_s=poll_s)
        self._hindsight = Hindsight(engine, kill_allowance_s=kill_allowance_s, settle_s=settle_s, poll_s=poll_s)

    async def prepare(self, service: HealthyService, action: Action, *, target_id: str, op: str) -> Trace:
        """See `Actuator.prepare`. The lock of the target is taken here and kept (S3)."""
        _refuse_undeclared(service, action)
        self._lock((await self._engine.identity()).engine_id, target_id)
        try:
            facts, trace = await self._engine.call(
                lambda session: self._prepared(session, service, action, target_id, op), about=service.key
            )
            if isinstance(action, RunCommand):
                return replace(trace, notes=await self._declared.make_known(action, facts))
            return trace
        except errors.NotFound as error:
            raise Refused(f"{service.key}: gone while it was looked at: {explanation(error)}") from error
        except errors.APIError as error:
            raise EngineUnavailable(f"{service.key}: the engine answered: {explanation(error)}") from error

    async def apply(self, service: HealthyService, action: Action, trace: Trace) -> None:
        """See `Actuator.apply`."""
        match action:
            case Start():
                await self._effect(service, lambda session: _post(session, trace.target_id, "start", {}))
            case Restart(grace_s=grace_s):
                await self._effect(
                    service,
                    lambda session: _post(session, trace.target_id, "restart", {"t": grace_s}),
                    deadline_s=grace_s + self._kill_allowance_s,
                )
            case Unpause():
                await self._effect(service, lambda session: _post(session, trace.target_id, "unpause", {}))
            case ConnectNetwork(aliases=aliases):
                network_id = trace.notes["network"]
                await self._effect(
                    service, lambda session: networks.connect(session, network_id, trace.target_id, aliases)
                )
            case DisconnectNetwork():
                network_id = trace.notes["network"]
                await self._effect(service, lambda session: networks.disconnect(session, network_id, trace.target_id))
            case RemoveFile(path=path):
                await self._remove(service, path, trace)
            case RunCommand():
                await self._declared.run(service, action, trace)
            case RestoreFile(path=path):
                kept = self._kept(trace.target_id, path)
                await self._look(service, lambda session: _refuse_occupied(session, trace.target_id, path))
                await self._effect(service, lambda session: archive.put(session, trace.target_id, kept))
            case _:
                assert_never(action)

    async def seen(self, service: HealthyService, action: Action, trace: Trace) -> Seen:
        """See `Actuator.seen`."""
        if isinstance(action, RunCommand):
            return await self._declared.seen(service, trace)
        return await self._hindsight.seen(service, action, trace)

    def release_locks(self) -> None:
        """Let go of the locks of all targets, as the end of this process would."""
        self._locks.close()

    async def close(self) -> None:
        """Let go of the locks and of the engine."""
        self._locks.close()
        await self._engine.close()

    def _lock(self, engine_id: str, target_id: str) -> None:
        if not self._locks.acquire(engine_id, target_id):
            raise Refused(
                f"{target_id[:12]}: another operator acts on this target ({self._locks.holder(engine_id, target_id)}); "
                "declare the service in one of them only"
            )

    def _prepared(
        self, session: Session, service: HealthyService, action: Action, target_id: str, op: str
    ) -> tuple[RuntimeFacts, Trace]:
        seen = find(session, service)
        if seen.container_id != target_id:
            raise Refused(f"{service.key}: {target_id[:12]} was replaced by {seen.container_id[:12]}")
        facts = facts_of(seen, events=(), now=_LONG_AGO, files=(), suspended=False, is_here=False)
        if reason := obstacle(action, facts):
            raise Refused(f"{service.key}: {reason}")
        notes = self._notes(session, seen, action)
        return facts, Trace(op=op, target_id=target_id, instance=seen.instance, notes=notes)

    def _notes(self, session: Session, seen: Inspected, action: Action) -> Mapping[str, str]:
        match action:
            case ConnectNetwork() | DisconnectNetwork():
                return networks.notes_of(session, seen, action)
            case RunCommand():
                return {}
            case Start() | Restart() | Unpause():
                return {"state": seen.state.value}
            case RemoveFile(path=path):
                return self._keep(session, seen.container_id, path)
            case RestoreFile(path=path):
                kept = self._kept(seen.container_id, path)
                _refuse_occupied(session, seen.container_id, path)
                return {"size": str(len(kept.data)), "mode": str(kept.mode & 0o777)}
            case _:
                assert_never(action)

    def _keep(self, session: Session, container_id: str, path: str) -> Mapping[str, str]:
        before = _notes_of_file(session, container_id, path)
        kept = archive.take(session, container_id, path)
        if before != _notes_of_file(session, container_id, path) or str(len(kept.data)) != before["size"]:
            raise Refused(f"{path!r} changes while it is read; nothing was removed")
        self._keepsakes.keep(container_id, kept)
        return before

    def _kept(self, target_id: str, path: str) -> Kept:
        kept = self._keepsakes.find(target_id, path)
        if kept is None:
            raise Refused(f"{path!r}: nothing was kept of it for this target")
        return kept

    async def _remove(self, service: HealthyService, path: str, trace: Trace) -> None:
        exec_id = await self._look(service, lambda session: _removal(session, path, trace))
        pieces: list[tuple[str, bytes]] = []
        await self._effect(
            service, lambda session: commands.start(session, exec_id, pieces, bytes_max=_OUTPUT_BYTES_MAX)
        )
        exit_code = await self._hindsight.exit_code(service, exec_id)
        if exit_code is None:
            raise OutcomeUnknown(f"{path!r}: `rm` was started and the engine does not say how it ended")
        if exit_code != 0:
            said = printable(head_of(pieces, bytes_max=_OUTPUT_BYTES_MAX), chars_max=256)
            raise EffectFailed(f"{path!r}: `rm` ended with {exit_code}: {said}")

    async def _look(self, service: HealthyService, work: Callable[[Session], T]) -> T:
        """A read right before an effect; whatever goes wrong, the effect was not asked for."""
        try:
            return await self._engine.call(work, about=service.key)
        except errors.NotFound as error:
            raise Refused(f"{service.key}: {explanation(error)}") from error
        except errors.APIError as error:
            refused = error.status_code == 409
            text = f"{service.key}: the engine answered: {explanation(error)}"
            raise (Refused(text) if refused else EngineUnavailable(text)) from error

    async def _effect(
        self, service: HealthyService, work: Callable[[Session], T], *, deadline_s: float | None = None
    ) -> T:
        """One changing request, told apart: carried out, refused by the engine, answer lost, certainly not asked."""
        limit_s = self._deadline_s if deadline_s is None else deadline_s
        try:
            return await self._engine.call(work, about=service.key, deadline_s=limit_s)
        except errors.APIError as error:
            raise EffectFailed(f"{service.key}: the engine answered: {explanation(error)}") from error
        except CallFailed as error:
            if error.sent:
                raise OutcomeUnknown(f"{service.key}: asked, and the answer was lost: {error}") from error
            raise
        except EngineForbidden as error:
            raise EngineForbidden(f"{service.key}: not asked: {error}") from error


def _refuse_undeclared(service: HealthyService, action: Action) -> None:
    if isinstance(action, RemoveFile | RestoreFile) and action.path not in removable_paths(service):
        raise Refused(f"{service.key}: {action.path!r} is not declared in spec.remediation.actions.removeFile.paths")
    if isinstance(action, RunCommand):
        refuse_undeclared_command(service, action)
    desired = {network.name for network in service.spec.desired.networks}
    if isinstance(action, ConnectNetwork | DisconnectNetwork) and action.network not in desired:
        raise Refused(f"{service.key}: {action.network!r} is not declared in spec.desired.networks")


def _post(session: Session, container_id: str, verb: str, params: Mapping[str, int]) -> None:
    response = session.client.post(
        url(session.client, "containers", container_id, verb), params=dict(params), timeout=READ_S
    )
    checked(response)  # 304 from start: it runs already, which is what was wanted


def _notes_of_file(session: Session, container_id: str, path: str) -> dict[str, str]:
    found = stat(session, container_id, path)
    if found is None:
        raise Refused(f"{path!r} is not there")
    if not found.is_regular:
        raise Refused(f"{path!r} is not a regular file")
    if found.size > archive.FILE_BYTES_MAX:
        raise Refused(f"{path!r} has {found.size} bytes, more than the {archive.FILE_BYTES_MAX} that can be kept")
    return {"size": str(found.size), "mtime": found.mtime, "mode": str(found.mode)}


def _refuse_occupied(session: Session, container_id: str, path: str) -> None:
    if stat(session, container_id, path) is not None:
        raise Refused(f"{path!r}: something is there now; it is not written over")


def _removal(session: Session, path: str, trace: Trace) -> str:
    """Make the removal known to the engine, once the file is sure to be the one that was kept; starts nothing."""
    if inspect(session, trace.target_id).instance != trace.instance:
        raise Refused(f"{trace.target_id[:12]}: it was started anew since the removal was prepared")
    if _notes_of_file(session, trace.target_id, path) != dict(trace.notes):
        raise Refused(f"{path!r} has changed since it was kept; nothing was removed")
    return commands.create(session, trace.target_id, commands.removal(path), user="0")
