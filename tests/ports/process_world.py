"""Process targets for the contract suites: real processes under the real shim, driven with signals and files.

Each workload notes its pid in a witness file when it starts, and then prints what is appended to a file.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pitcrew.adapters.runtime.process import ProcessActuator, ProcessRuntime, shim
from pitcrew.core.resource import HealthyService
from tests.ports.world import commands
from tests.waiting import eventually

WORKLOAD = ["sh", "-c", "echo $$ >> starts; exec tail -q -n +1 -F words"]


def now() -> datetime:
    return datetime.now(UTC)


class ProcessWorld:
    """Processes under a state directory of their own."""

    flag = "broken.flag"
    undeclared = "other.txt"
    leaves_its_exit_code = True

    def __init__(self, root: Path) -> None:
        self.state, self.work = root / "state", root / "work"
        self.runtime = self.another_runtime()
        self.actuator = self.reopened()
        self._by_hand: list[subprocess.Popen[bytes]] = []

    def another_runtime(self) -> ProcessRuntime:
        return ProcessRuntime(state_dir=self.state, environ=os.environ, now=now)

    def reopened(self) -> ProcessActuator:
        return ProcessActuator(state_dir=self.state, python=sys.executable, environ=os.environ, now=now)

    def beside(self, name: str) -> str:
        return name

    def declared(
        self, name: str, *, command: list[str] = WORKLOAD, env: Mapping[str, str] | None = None
    ) -> HealthyService:
        folder = self.work / name
        return HealthyService.model_validate(
            {
                "apiVersion": "pitcrew.dev/v1alpha1",
                "kind": "HealthyService",
                "metadata": {"name": name},
                "spec": {
                    "target": {
                        "process": {
                            "command": command,
                            "workingDir": str(folder),
                            "env": dict(env or {}),
                            "pidFile": str(self.work / f"{name}.pid"),
                        }
                    },
                    "remediation": {
                        "actions": {
                            "start": {},
                            "restart": {"gracePeriodSeconds": 1},
                            "removeFile": {"paths": [self.flag]},
                            "runCommand": commands(""),
                        }
                    },
                },
            }
        )

    def laid_out(self, name: str, *, command: list[str] = WORKLOAD) -> HealthyService:
        """A declared service with its working directory, never started."""
        (self.work / name).mkdir(parents=True)
        (self.work / name / "words").touch()
        return self.declared(name, command=command)

    async def create(self, name: str) -> HealthyService:
        service = self.laid_out(name)
        home = self.home(service)
        for part in ("inbox", "log"):
            (home / part).mkdir(parents=True)
        spec = {
            "argv": WORKLOAD,
            "cwd": str(self.folder(service)),
            "env": dict(os.environ),
            "pid_file": str(self.work / f"{name}.pid"),
            "log_bytes_max": 100_000,
        }
        (home / "spec.json").write_text(json.dumps(spec))
        self.start_by_hand(service)
        return service

    def start_by_hand(self, service: HealthyService) -> None:
        """Run the shim's command line again, as a person or chaos would."""
        argv = [sys.executable, "-I", "-S", shim.__file__, str(self.home(service))]
        self._by_hand.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL))
        eventually(lambda: self.runs(service), what="the workload")

    async def replace(self, service: HealthyService) -> None:
        raise NotImplementedError("a declared process has no other target under its name")

    async def destroy(self, service: HealthyService) -> None:
        await self.kill(service)
        shutil.rmtree(self.folder(service))

    async def kill(self, service: HealthyService) -> None:
        await self._end(service, signal.SIGKILL)

    async def stop(self, service: HealthyService) -> None:
        await self._end(service, signal.SIGTERM)

    async def _end(self, service: HealthyService, number: int) -> None:
        os.kill(self.pid(service), number)
        await self.until(lambda: self.record(service)["runs"][-1]["finished_at"])

    async def suspend(self, service: HealthyService) -> None:
        os.kill(self.pid(service), signal.SIGSTOP)
        await self.until(lambda: self.state_letter(service) == "T")

    async def resume(self, service: HealthyService) -> None:
        os.kill(self.pid(service), signal.SIGCONT)
        await self.until(lambda: self.state_letter(service) != "T")

    async def say(self, service: HealthyService, *lines: str) -> None:
        with (self.folder(service) / "words").open("a") as words:
            words.write("".join(f"{line}\n" for line in lines))
        await self.until(lambda: lines[-1] in (self.home(service) / "log/stdout").read_text())

    async def write(self, service: HealthyService, path: str, data: bytes, *, mode: int = 0o640) -> None:
        file = self.folder(service) / path
        file.write_bytes(data)
        file.chmod(mode)

    async def link(self, service: HealthyService, path: str) -> None:
        (self.folder(service) / path).symlink_to("words")

    async def read(self, service: HealthyService, path: str) -> tuple[bytes, int] | None:
        file = self.folder(service) / path
        return (file.read_bytes(), file.stat().st_mode & 0o7777) if file.exists() else None

    def effects(self) -> int:
        """Starts that the workloads themselves noted; waits for the note of the one that runs."""
        for home in self.state.glob("process/*"):
            eventually(lambda home=home: self.has_noted(home), what=f"the note of {home.name}")  # type: ignore[misc]
        return sum(len(notes.read_text().split()) for notes in self.work.glob("*/starts"))

    # What the tests of the shim itself look at

    def folder(self, service: HealthyService) -> Path:
        return self.work / service.metadata.name

    def home(self, service: HealthyService) -> Path:
        return self.state / "process" / f"default.{service.metadata.name}"

    def record(self, service: HealthyService) -> shim.Json:
        return shim.read_record(str(self.home(service)))

    def starts(self, service: HealthyService) -> int:
        notes = self.folder(service) / "starts"
        return len(notes.read_text().split()) if notes.exists() else 0

    def pid(self, service: HealthyService) -> int:
        return int((self.work / f"{service.metadata.name}.pid").read_text())

    def shim_pid(self, service: HealthyService) -> int:
        return int(self.record(service)["shim"].split(":")[0])

    def state_letter(self, service: HealthyService) -> str:
        proc = shim.look_at(self.pid(service))
        return proc.state if proc else "gone"

    def runs(self, service: HealthyService) -> bool:
        """Whether a run is on record that has noted its start, and has not ended."""
        return self.is_settled(service) and self.record(service)["runs"][-1]["finished_at"] is None

    def is_settled(self, service: HealthyService) -> bool:
        """Whether the last operation is done, and the workload has noted its start."""
        ops = self.record(service)["ops"]
        return bool(ops) and ops[-1]["state"] == "done" and self.has_noted(self.home(service))

    def has_noted(self, home: Path) -> bool:
        """Whether the workload that runs, if any, has noted its start."""
        record = shim.read_record(str(home))
        last = record["runs"][-1] if record["runs"] else None
        if last is None or last["finished_at"] is not None:
            return True
        notes = self.work / home.name.removeprefix("default.") / "starts"
        return notes.exists() and last["instance"].split(":")[0] in notes.read_text().split()

    @staticmethod
    async def until(condition: Callable[[], object]) -> None:
        await asyncio.to_thread(eventually, condition)

    async def close(self) -> None:
        """End every workload and supervisor of this world."""
        boot = shim.boot_id()
        for home in self.state.glob("process/*"):
            record = shim.read_record(str(home))
            for name in (record["shim"], *(run["instance"] for run in record["runs"])):
                if name and (proc := shim.living(name, boot)):
                    shim.send(proc, shim.FORCE)
        for process in self._by_hand:
            process.wait(10)
