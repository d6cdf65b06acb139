"""The reading half for local processes. It starts and ends nothing; the shim's record and /proc are the truth."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pitcrew.adapters.runtime.process import inside, shim
from pitcrew.adapters.runtime.process.commands import run_command
from pitcrew.adapters.runtime.process.describing import makeup, usage
from pitcrew.adapters.runtime.process.facts import read_events, read_facts
from pitcrew.adapters.runtime.process.family import family
from pitcrew.adapters.runtime.process.home import (
    POLL_S,
    Home,
    declared,
    environment,
    home_of,
    target_id_of,
    why_unsupported,
)
from pitcrew.adapters.runtime.process.logs import last_lines
from pitcrew.adapters.runtime.process.workers import Workers
from pitcrew.core.errors import InvalidInput, Refused, TargetAbsent, Unavailable
from pitcrew.core.observation import Absent, Blind, FileFact, LogLine, RuntimeEvent, RuntimeFacts, Sight
from pitcrew.core.resource import HealthyService, ServiceKey, TargetKind
from pitcrew.ports import ExecAnswer

REPORT_WAIT_S = 0.5
"""How long a look waits for the supervisor to write down the exit of a workload that just ended."""


class ProcessRuntime:
    """`Runtime` for process targets.

    `state_dir` is PitCrew's own; `environ` is where PATH, HOME and LANG of exec probes come from; `now` gives aware
    UTC. `look_timeout_s` bounds each read of disk and /proc; `threads_max` and `per_service_max` bound how many of
    them may hang, in all and for one service.
    """

    kind = TargetKind.PROCESS

    def __init__(
        self,
        *,
        state_dir: Path,
        environ: Mapping[str, str],
        now: Callable[[], datetime],
        look_timeout_s: float = 3.0,
        threads_max: int = 16,
        per_service_max: int = 2,
    ) -> None:
        self._state_dir = state_dir.absolute()
        self._environ = dict(environ)
        self._now = now
        self._look_timeout_s = look_timeout_s
        self._workers = Workers(threads_max=threads_max, per_service_max=per_service_max)
        self._events: dict[ServiceKey, tuple[RuntimeEvent, ...]] = {}
        self._watched: dict[ServiceKey, tuple[str, int]] = {}
        self._declared: dict[ServiceKey, HealthyService] = {}
        self._ended: asyncio.Queue[ServiceKey] = asyncio.Queue()

    async def look(self, service: HealthyService) -> Sight:
        """The declared process as it is; `Absent` when nothing runs and its working directory is gone."""
        if why := why_unsupported():
            return Blind(reason="Unsupported", detail=why)
        try:
            facts, events = await self._workers.call(
                service.key, self._look_timeout_s, look_now, self._state_dir, service, self._now()
            )
        except InvalidInput as problem:
            return Blind(reason="InvalidTarget", detail=str(problem)[:512])
        except (Unavailable, OSError) as problem:
            return Blind(reason="Unreadable", detail=str(problem)[:512])
        self._events[service.key] = events
        if facts is None:
            return Absent(detail=absence(service))
        self._watch(service.key, facts)
        return facts

    async def logs(
        self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int, bytes_max: int
    ) -> Sequence[LogLine]:
        """The last lines of both streams; the files have no times of their own, so `at` is None."""
        if isinstance(await self.look(service), Absent):
            raise TargetAbsent(absence(service))
        folder = home_of(self._state_dir, service).directory / "log"
        try:
            return await self._workers.call(
                service.key, self._look_timeout_s, last_lines, folder, lines_max=lines_max, bytes_max=bytes_max
            )
        except OSError as problem:
            raise Unavailable(f"{folder}: cannot be read ({problem.strerror})") from problem

    async def processes(self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int) -> Sequence[str]:
        """The main process and all that descends from it, as `/proc` has them."""
        main = shim.living(facts.instance, shim.boot_id()) if facts.running else None
        if main is None:
            raise Unavailable(f"{service.key}: does not run, so it has no processes")
        found = await self._workers.call(service.key, self._look_timeout_s, family, main)
        return found[:lines_max]

    async def stats(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        """What the main process uses, as `/proc` has it."""
        main = shim.living(facts.instance, shim.boot_id()) if facts.running else None
        if main is None:
            raise Unavailable(f"{service.key}: does not run, so it uses nothing")
        return await self._workers.call(service.key, self._look_timeout_s, usage, main.pid)

    async def makeup(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        """How the process is declared."""
        try:
            return makeup(declared(service))
        except InvalidInput as problem:
            raise Unavailable(str(problem)) from problem

    def events(self, service: HealthyService) -> Sequence[RuntimeEvent]:
        """Starts and ends as the last look read them."""
        return self._events.get(service.key, ())

    async def run(
        self, service: HealthyService, facts: RuntimeFacts, argv: Sequence[str], *, timeout_s: float, bytes_max: int
    ) -> ExecAnswer:
        """Run a command in the working directory with the declared environment."""
        try:
            target = declared(service)
        except InvalidInput as problem:
            raise Unavailable(str(problem)) from problem
        if not facts.running or shim.living(facts.instance, shim.boot_id()) is None:
            raise Refused(f"{service.key}: does not run, so nothing can run in it")
        return await run_command(
            argv,
            cwd=target.working_dir,
            env=environment(target, self._environ),
            timeout_s=timeout_s,
            bytes_max=bytes_max,
        )

    async def wakes(self) -> AsyncIterator[ServiceKey]:
        """Services whose process just ended or that are newly declared, looked at, so that `events` is fresh."""
        while True:
            key = await self._ended.get()
            if service := self._declared.get(key):
                await self.look(service)
                yield key

    def declare(self, services: Iterable[HealthyService]) -> None:
        """Watch what is newly declared; forget, and stop watching, what is not declared any more."""
        known, self._declared = self._declared, {service.key: service for service in services}
        keys = self._declared.keys()
        for key in keys - known.keys():
            self._ended.put_nowait(key)
        for key in self._watched.keys() - keys:
            self._unwatch(key)
        for key in self._events.keys() - keys:
            del self._events[key]

    async def close(self) -> None:
        """Stop watching; processes and their supervisors go on."""
        for key in tuple(self._watched):
            self._unwatch(key)
        self._workers.close()

    def _watch(self, key: ServiceKey, facts: RuntimeFacts) -> None:
        if self._watched.get(key, ("", 0))[0] == facts.instance or not facts.running:
            return
        self._unwatch(key)
        try:
            pidfd = os.pidfd_open(int(facts.instance.split(":")[0]))
        except OSError:
            self._ended.put_nowait(key)
            return
        if shim.living(facts.instance, shim.boot_id()) is None:
            os.close(pidfd)
            self._ended.put_nowait(key)
            return
        self._watched[key] = (facts.instance, pidfd)
        asyncio.get_running_loop().add_reader(pidfd, self._has_ended, key)

    def _has_ended(self, key: ServiceKey) -> None:
        self._unwatch(key)
        self._ended.put_nowait(key)

    def _unwatch(self, key: ServiceKey) -> None:
        if watched := self._watched.pop(key, None):
            asyncio.get_running_loop().remove_reader(watched[1])
            os.close(watched[1])


def look_now(
    state_dir: Path, service: HealthyService, now: datetime
) -> tuple[RuntimeFacts | None, tuple[RuntimeEvent, ...]]:
    """Read record and /proc; blocks. No facts: the target is absent. Raises: InvalidInput, Unavailable, OSError."""
    target = declared(service)
    home = home_of(state_dir, service)
    record, main_state = _record_and_state(home)
    if main_state is None and not os.path.isdir(target.working_dir):
        return None, read_events(record)
    facts = read_facts(
        service,
        record,
        target_id=target_id_of(state_dir, service),
        main_state=main_state,
        under_way=any(entry["state"] == "running" for entry in record["ops"]) and home.is_held(),
        files=_files(service, target.working_dir),
        env_names=tuple(target.env),
        now=now,
    )
    return facts, read_events(record)


def absence(service: HealthyService) -> str:
    """Why a process target is absent."""
    return f"{service.key}: does not run, and its working directory {declared(service).working_dir} is not there"


def _record_and_state(home: Home) -> tuple[dict[str, Any], str | None]:
    """The record with the state of its last run; waits a moment for the supervisor's word on one that just ended."""
    until = time.monotonic() + REPORT_WAIT_S
    while True:
        record = home.record()
        last = record["runs"][-1] if record["runs"] else None
        if last is None or last["finished_at"] is not None:
            return record, None
        if main := shim.living(last["instance"], shim.boot_id()):
            return record, main.state
        if time.monotonic() > until or not home.is_held():
            return home.record(), None
        time.sleep(POLL_S)


def _files(service: HealthyService, working_dir: str) -> list[FileFact]:
    remove = service.spec.remediation.actions.remove_file
    return [_file(working_dir, path) for path in (remove.paths if remove else ())]


def _file(working_dir: str, path: str) -> FileFact:
    try:
        is_now = inside.status(working_dir, path)
    except (OSError, Refused):
        return FileFact(path=path, present=None)
    present = is_now is not None and stat.S_ISREG(is_now.st_mode)
    return FileFact(path=path, present=present, size=is_now.st_size if is_now and present else None)
