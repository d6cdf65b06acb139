"""The driver of the contract suites for the fake runtime."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pitcrew.core.observation import RuntimeState, StoppedBy
from pitcrew.core.resource import HealthyService
from pitcrew.ports import ExecAnswer
from tests.fakes.engine import Away, FakeEngine, FakeFile, FakeTarget, Mishap, name_of
from tests.fakes.runtime import FakeActuator, FakeRuntime
from tests.ports.world import commands


class FakeWorld:
    """Targets in memory; commands run as processes of this machine, and what they write is in `disk`."""

    flag = "/srv/broken.flag"
    undeclared = "/srv/data.bin"
    leaves_its_exit_code = True

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self.engine = FakeEngine(now=lambda: datetime.now(UTC))
        self.engine.command = _runs_here
        self.runtime = FakeRuntime(self.engine)
        self.actuator = FakeActuator(self.engine)

    def beside(self, name: str) -> str:
        return str(self._disk / name)

    def declared(self, name: str) -> HealthyService:
        actions = {
            "start": {},
            "restart": {"gracePeriodSeconds": 1},
            "removeFile": {"paths": [self.flag]},
            "runCommand": commands(f"{self._disk}/"),
        }
        return HealthyService.model_validate(
            {
                "apiVersion": "pitcrew.dev/v1alpha1",
                "kind": "HealthyService",
                "metadata": {"name": name},
                "spec": {"target": {"docker": {"container": name}}, "remediation": {"actions": actions}},
            }
        )

    async def create(self, name: str) -> HealthyService:
        self.engine.add(name)
        return self.declared(name)

    async def replace(self, service: HealthyService) -> None:
        self.engine.add(name_of(service))

    async def destroy(self, service: HealthyService) -> None:
        del self.engine.targets[name_of(service)]

    async def kill(self, service: HealthyService) -> None:
        self.engine.die(name_of(service))

    async def stop(self, service: HealthyService) -> None:
        self.engine.die(name_of(service), exit_code=143, by=StoppedBy.PERSON)

    async def suspend(self, service: HealthyService) -> None:
        self.engine.of(service).suspended = True

    async def resume(self, service: HealthyService) -> None:
        self.engine.of(service).suspended = False

    async def say(self, service: HealthyService, *lines: str) -> None:
        self.engine.say(name_of(service), *lines)

    async def write(self, service: HealthyService, path: str, data: bytes, *, mode: int = 0o640) -> None:
        self.engine.write(name_of(service), path, data, mode=mode)

    async def link(self, service: HealthyService, path: str) -> None:
        self.engine.of(service).files[path] = FakeFile(data=b"", is_link=True)

    async def read(self, service: HealthyService, path: str) -> tuple[bytes, int] | None:
        if (written := Path(path)).is_relative_to(self._disk):
            return (written.read_bytes(), written.stat().st_mode & 0o7777) if written.exists() else None
        file = self.engine.of(service).files.get(path)
        return (file.data, file.mode) if file else None

    def reopened(self) -> FakeActuator:
        return FakeActuator(self.engine)

    def effects(self) -> int:
        return len(self.engine.asked)

    def engine_away(self) -> None:
        self.engine.away = Away.GONE

    def engine_hangs(self) -> None:
        self.engine.away = Away.HUNG

    def engine_back(self) -> None:
        self.engine.away = None
        for name in self.engine.targets:
            self.engine.wake(name)

    def lose_the_next_answer(self) -> None:
        self.engine.mishaps.append(Mishap.ANSWER_LOST)


async def _runs_here(target: FakeTarget, argv: Sequence[str], timeout_s: float) -> ExecAnswer:
    assert target.state is RuntimeState.RUNNING
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True
        )
    except FileNotFoundError:
        return ExecAnswer(exit_code=127, output="")
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return ExecAnswer(exit_code=None, output="")
    return ExecAnswer(exit_code=process.returncode, output=output.decode("utf-8", "replace"))
