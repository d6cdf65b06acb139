"""The changing half for local processes. Starts and ends are the shim's, commands the runner's; files are changed
here."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import assert_never

from pitcrew.adapters.runtime.process import inside, runs
from pitcrew.adapters.runtime.process.home import (
    Launch,
    Order,
    boot_time_s,
    declared,
    environment,
    home_of,
    why_unsupported,
)
from pitcrew.adapters.runtime.process.runtime import absence, look_now
from pitcrew.adapters.runtime.process.workers import Workers
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
    takes_s,
)
from pitcrew.core.errors import EffectFailed, InvalidInput, OutcomeUnknown, Refused, TargetAbsent, Unavailable
from pitcrew.core.resource import HealthyService

KILL_SLACK_S = 15.0
"""Beyond the grace: the shim's own wait after a kill, and the start itself."""


_COMMANDS = "spec.remediation.actions.runCommand.commands"
_NOT_FOR_PROCESSES = "a local process has neither networks nor a pause; declare what fits a process"


class ProcessActuator:
    """`Actuator` for process targets.

    `state_dir` is PitCrew's own; `python` runs the shim; `environ` is where PATH, HOME and LANG of the workload come
    from. `log_bytes_max` bounds each log file and its older half, `keep_bytes_max` what a removed file may hold;
    `effect_wait_s` is how long, beyond a grace, an effect may take; `seen_wait_s` how long `seen` waits for one.
    """

    def __init__(
        self,
        *,
        state_dir: Path,
        python: str,
        environ: Mapping[str, str],
        now: Callable[[], datetime],
        log_bytes_max: int = 4 * 1024 * 1024,
        keep_bytes_max: int = 1024 * 1024,
        look_timeout_s: float = 3.0,
        effect_wait_s: float = KILL_SLACK_S,
        seen_wait_s: float = KILL_SLACK_S,
        threads_max: int = 16,
        per_service_max: int = 4,
    ) -> None:
        self._state_dir = state_dir.absolute()
        self._launch = Launch(python=python, environ=dict(environ))
        self._now = now
        self._log_bytes_max = log_bytes_max
        self._keep_bytes_max = keep_bytes_max
        self._look_timeout_s = look_timeout_s
        self._effect_wait_s = effect_wait_s
        self._seen_wait_s = seen_wait_s
        self._workers = Workers(threads_max=threads_max, per_service_max=per_service_max)
        self._under_way: dict[str, asyncio.Future[None]] = {}

    async def prepare(self, service: HealthyService, action: Action, *, target_id: str, op: str) -> Trace:
        """Check the precondition at the live process, and keep a file that is to be removed."""
        if why := why_unsupported():
            raise Unavailable(why)
        try:
            return await self._workers.call(
                service.key, self._look_timeout_s, self._prepare, service, action, target_id, op
            )
        except InvalidInput as problem:
            raise Refused(str(problem)) from problem
        except OSError as problem:
            raise Unavailable(f"{service.key}: could not be looked at ({problem})") from problem

    def _prepare(self, service: HealthyService, action: Action, target_id: str, op: str) -> Trace:
        facts, _ = look_now(self._state_dir, service, self._now())
        if facts is None:
            raise TargetAbsent(absence(service))
        if facts.target_id != target_id:
            raise Refused(f"{service.key}: the target is {facts.target_id} by now, not {target_id}")
        if reason := obstacle(action, facts):
            raise Refused(f"{service.key}: {reason}")
        notes = self._notes(service, action, op)
        return Trace(op=op, target_id=target_id, instance=facts.instance, notes=notes)

    def _notes(self, service: HealthyService, action: Action, op: str) -> dict[str, str]:
        match action:
            case Start() | Restart():
                return {}
            case RemoveFile(path=path):
                _require_declared(service, path)
                kept, content = inside.read(_working_dir(service), path, bytes_max=self._keep_bytes_max)
                inside.keep(self._undo_folder(service), kept, content)
                return {
                    "inode": str(kept.inode),
                    "device": str(kept.device),
                    "size": str(kept.size),
                    "mtime_ns": str(kept.mtime_ns),
                    "sha256": kept.sha256,
                }
            case RestoreFile(path=path):
                _require_declared(service, path)
                kept, _ = inside.recall(self._undo_folder(service), path)
                if inside.status(_working_dir(service), path) is not None:
                    raise Refused(f"{path}: is there; what was kept of it never replaces anything")
                return {"sha256": kept.sha256}
            case RunCommand():
                if declared_command(service.spec.remediation.actions, action.command) != action:
                    raise Refused(f"{service.key}: {action.command} is not declared like this under {_COMMANDS}")
                runs.lay_out(self._run_of(service, op))
                return {}
            case Unpause() | ConnectNetwork() | DisconnectNetwork():
                raise Refused(_NOT_FOR_PROCESSES)
            case _:
                assert_never(action)

    async def apply(self, service: HealthyService, action: Action, trace: Trace) -> None:
        """Carry out a prepared action; goes on to its end when the caller is cancelled."""
        if trace.op in self._under_way:
            raise OutcomeUnknown(f"{trace.op}: is under way already")
        work, budget_s = self._work(service, action, trace)
        outcome = self._workers.begin(service.key, work)
        self._under_way[trace.op] = outcome
        outcome.add_done_callback(lambda _: self._under_way.pop(trace.op))
        try:
            await asyncio.wait_for(asyncio.shield(outcome), budget_s)
        except TimeoutError:
            raise OutcomeUnknown(f"{service.key}: {action.name} gave no answer within {budget_s:g} s") from None
        except InvalidInput as problem:
            raise Refused(str(problem)) from problem

    def _work(self, service: HealthyService, action: Action, trace: Trace) -> tuple[Callable[[], None], float]:
        """The blocking work of an action, and the seconds it may take."""
        match action:
            case Start():
                return (lambda: self._order(service, trace, "start", 0)), 2 * self._effect_wait_s
            case Restart(grace_s=grace_s):
                work = lambda: self._order(service, trace, "restart", grace_s)  # noqa: E731
                return work, grace_s + 2 * self._effect_wait_s
            case RemoveFile(path=path):
                return (lambda: self._remove(service, path, trace)), self._effect_wait_s
            case RestoreFile(path=path):
                return (lambda: self._restore(service, path, trace)), self._effect_wait_s
            case RunCommand(timeout_s=timeout_s):
                work = lambda: self._run(service, action, trace)  # noqa: E731
                return work, timeout_s + 2 * self._effect_wait_s
            case Unpause() | ConnectNetwork() | DisconnectNetwork():
                raise Refused(_NOT_FOR_PROCESSES)
            case _:
                assert_never(action)

    def _order(self, service: HealthyService, trace: Trace, verb: str, grace_s: int) -> None:
        home = home_of(self._state_dir, service)
        home.submit(
            Order(
                op=trace.op,
                verb=verb,
                instance=trace.instance,
                grace_s=grace_s,
                expires_at=boot_time_s() + self._effect_wait_s,
                spec=self._spec(service),
            ),
            self._launch,
        )
        seen, detail = home.await_end(
            trace.op, instance=trace.instance, until=boot_time_s() + grace_s + self._effect_wait_s
        )
        match seen:
            case Seen.DONE:
                return
            case Seen.NOT_DONE:
                raise EffectFailed(f"{service.key}: {verb}: {detail}")
            case Seen.UNKNOWN:
                raise OutcomeUnknown(f"{service.key}: {verb}: {detail}")
            case _:
                assert_never(seen)

    def _spec(self, service: HealthyService) -> dict[str, object]:
        target = declared(service)
        return {
            "argv": list(target.command),
            "cwd": target.working_dir,
            "env": environment(target, self._launch.environ),
            "pid_file": target.pid_file,
            "log_bytes_max": self._log_bytes_max,
        }

    def _remove(self, service: HealthyService, path: str, trace: Trace) -> None:
        inside.remove(_working_dir(service), path, **_fingerprint(trace))

    def _restore(self, service: HealthyService, path: str, trace: Trace) -> None:
        kept, content = inside.recall(self._undo_folder(service), path)
        if kept.sha256 != trace.notes.get("sha256"):
            raise Refused(f"{path}: what is kept of it is not what was kept then; nothing was put back")
        inside.restore(_working_dir(service), kept, content)

    def _run(self, service: HealthyService, action: RunCommand, trace: Trace) -> None:
        facts, _ = look_now(self._state_dir, service, self._now())
        if facts is None or facts.instance != trace.instance or not facts.running:
            raise Refused(f"{service.key}: the run that {action.command} was prepared for has ended; it was not run")
        target = declared(service)
        order = runs.Order(
            argv=action.argv,
            cwd=target.working_dir,
            env=environment(target, self._launch.environ),
            timeout_s=action.timeout_s,
        )
        runs.begin(self._run_of(service, trace.op), order, self._launch)
        end = runs.await_end(self._run_of(service, trace.op), until=self._end_of(action))
        match end.seen:
            case Seen.DONE:
                if failure := failure_of(action, end.code, end.detail):
                    raise EffectFailed(failure)
            case Seen.NOT_DONE:
                raise Unavailable(f"{service.key}: {action.command} was not begun: {end.detail}")
            case Seen.UNKNOWN:
                raise OutcomeUnknown(f"{service.key}: {action.command}: {end.detail}")
            case _:
                assert_never(end.seen)

    def _end_of(self, action: RunCommand) -> float:
        """When its supervisor must have ended it, on the boot-time clock."""
        return boot_time_s() + action.timeout_s + self._effect_wait_s

    def _run_of(self, service: HealthyService, op: str) -> Path:
        return runs.folder_of(home_of(self._state_dir, service), op)

    async def seen(self, service: HealthyService, action: Action, trace: Trace) -> Seen:
        """Read the effect off the shim's record, the record of a command, or the file."""
        wait_s = self._seen_wait_s + takes_s(action)
        if (running := self._under_way.get(trace.op)) is not None:
            await asyncio.wait({running}, timeout=wait_s)
            if not running.done():
                return Seen.UNKNOWN
        try:
            return await self._workers.call(
                service.key, wait_s + self._look_timeout_s, self._seen, service, action, trace
            )
        except (Unavailable, OSError, Refused, InvalidInput):
            return Seen.UNKNOWN

    def _seen(self, service: HealthyService, action: Action, trace: Trace) -> Seen:
        if look_now(self._state_dir, service, self._now())[0] is None:
            return Seen.UNKNOWN
        match action:
            case Start() | Restart():
                home = home_of(self._state_dir, service)
                until = boot_time_s() + self._seen_wait_s
                return home.await_end(trace.op, instance=trace.instance, until=until)[0]
            case RemoveFile(path=path):
                is_now = inside.status(_working_dir(service), path)
                if is_now is None:
                    return Seen.DONE
                return Seen.NOT_DONE if inside.same(is_now, **_fingerprint(trace)) else Seen.UNKNOWN
            case RestoreFile(path=path):
                if inside.status(_working_dir(service), path) is None:
                    return Seen.NOT_DONE
                kept, _ = inside.read(_working_dir(service), path, bytes_max=self._keep_bytes_max)
                return Seen.DONE if kept.sha256 == trace.notes.get("sha256") else Seen.UNKNOWN
            case RunCommand():
                return runs.await_end(self._run_of(service, trace.op), until=self._end_of(action)).seen
            case Unpause() | ConnectNetwork() | DisconnectNetwork():
                return Seen.NOT_DONE
            case _:
                assert_never(action)

    def _undo_folder(self, service: HealthyService) -> Path:
        return self._state_dir / "undo" / f"process.{service.metadata.namespace}.{service.metadata.name}"

    async def close(self) -> None:
        """Take no more work; effects under way are the shim's and the runner's, and end by themselves."""
        self._workers.close()


def _working_dir(service: HealthyService) -> str:
    return declared(service).working_dir


def _fingerprint(trace: Trace) -> dict[str, int]:
    return {name: int(trace.notes[name]) for name in ("inode", "device", "size", "mtime_ns")}


def _require_declared(service: HealthyService, path: str) -> None:
    remove = service.spec.remediation.actions.remove_file
    if remove is None or path not in remove.paths:
        raise Refused(f"{service.key}: {path} is not declared under spec.remediation.actions.removeFile.paths")
