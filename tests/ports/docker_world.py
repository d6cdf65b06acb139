"""The driver of the contract suites for Docker: real containers, reached through a proxy that can be cut."""

import asyncio
import io
import os
import signal
import tarfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker

from pitcrew.adapters.lock.files import TargetLocks
from pitcrew.adapters.runtime.docker.acting import DockerActuator
from pitcrew.adapters.runtime.docker.endpoint import Endpoint
from pitcrew.adapters.runtime.docker.engine import Engine
from pitcrew.adapters.runtime.docker.reading import DockerRuntime
from pitcrew.core.resource import HealthyService
from tests.engine_proxy import EngineProxy
from tests.ports.world import commands
from tests.socket_proxy import SocketProxy

ENGINE_SOCKET = Path("/var/run/docker.sock")
IMAGES = ("pitcrew/base:latest", "pitcrew/base:exp")
LABEL = "pitcrew.test"
PATIENCE_S = 30.0
SERVER = "exec python3 -u -m http.server 8080"


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def declared(name: str, container: str, flag: str) -> HealthyService:
    """A service of one container."""
    actions = {
        "start": {},
        "restart": {"gracePeriodSeconds": 1},
        "removeFile": {"paths": [flag]},
        "runCommand": commands(f"{Path(flag).parent}/"),
    }
    return HealthyService.model_validate(
        {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": name},
            "spec": {"target": {"docker": {"container": container}}, "remediation": {"actions": actions}},
        }
    )


class DockerWorld:
    """Real containers on a network of their own. What it makes it removes in `close`.

    With a level in `through`, the engine is asked through a socket proxy of that level.
    """

    flag = "/srv/broken.flag"
    undeclared = "/srv/data.bin"
    leaves_its_exit_code = True

    def __init__(self, directory: Path, *, prefix: str, deadline_s: float = 3.0, through: str = "") -> None:
        self.docker: Any = docker.DockerClient(base_url=f"unix://{ENGINE_SOCKET}", timeout=60)
        self.prefix = prefix
        self.proxy = EngineProxy(directory / "engine.sock", ENGINE_SOCKET)
        self.gate = SocketProxy(directory / "gate.sock", self.proxy.path, level=through) if through else None
        self.endpoint = Endpoint(url=f"unix://{(self.gate or self.proxy).path}", origin="the test")
        self.state_dir = directory / "state"
        self.state_dir.mkdir()
        self.lock_dir = directory / "locks"
        self._deadline_s = deadline_s
        self._network: Any = self.docker.networks.create(f"{prefix}-net", labels={LABEL: prefix})
        self._actuators: list[DockerActuator] = []
        self.runtime = DockerRuntime(self.engine(), now=now, backoff_max_s=0.2)
        self.actuator = self._actuator()

    def engine(self) -> Engine:
        """A new connection to the engine through the proxy."""
        return Engine(self.endpoint, monotonic=time.monotonic, deadline_s=self._deadline_s, breaker_open_s=0.2)

    def _actuator(self, *, may_signal_host: bool | None = None) -> DockerActuator:
        actuator = DockerActuator(
            self.engine(),
            state_dir=self.state_dir,
            locks=TargetLocks(self.lock_dir, owner=str(self.state_dir)),
            kill_allowance_s=3.0,
            settle_s=1.0,
            poll_s=0.02,
            may_signal_host=may_signal_host,
        )
        self._actuators.append(actuator)
        return actuator

    def reopened(self, *, may_signal_host: bool | None = None) -> DockerActuator:
        self._actuators[-1].release_locks()
        return self._actuator(may_signal_host=may_signal_host)

    def beside(self, name: str) -> str:
        return f"/srv/{name}"

    def declared(self, name: str) -> HealthyService:
        return declared(name, f"{self.prefix}-{name}", self.flag)

    async def create(self, name: str, **options: Any) -> HealthyService:
        service = self.declared(name)
        await self.run(service, **options)
        return service

    async def run(self, service: HealthyService, **options: Any) -> None:
        """Run a container for a service; its log is a pipe that `say` writes to."""
        settings = {
            "image": self._image(),
            "command": ["sh", "-c", SERVER],
            "working_dir": "/srv",
            "init": True,
            "network": self._network.name,
        } | options
        name = service.spec.target.docker.container if service.spec.target.docker else None
        await self._do(
            lambda: self.docker.containers.run(name=name, detach=True, labels={LABEL: self.prefix}, **settings)
        )
        if "command" not in options:  # the server's own first line must not come after what a test lets it say
            await self.until(lambda: b"Serving HTTP" in self.container(service).logs())

    async def replace(self, service: HealthyService) -> None:
        await self.destroy(service)
        await self.run(service)

    async def destroy(self, service: HealthyService) -> None:
        await self._do(lambda: self.container(service).remove(force=True))

    async def kill(self, service: HealthyService) -> None:
        before = self.container(service).attrs["State"]
        os.kill(before["Pid"], signal.SIGKILL)
        await self.until(lambda: self._state(service)["Pid"] != before["Pid"])

    async def stop(self, service: HealthyService) -> None:
        await self._do(lambda: self.container(service).stop(timeout=2))

    async def suspend(self, service: HealthyService) -> None:
        self._signal_all(service, signal.SIGSTOP)

    async def resume(self, service: HealthyService) -> None:
        self._signal_all(service, signal.SIGCONT)

    async def say(self, service: HealthyService, *lines: str) -> None:
        script = "import sys; [open('/proc/1/fd/1', 'w').write(line + '\\n') for line in sys.argv[1:]]"
        await self._do(lambda: self.container(service).exec_run(["python3", "-c", script, *lines], user="0"))
        await self.until(lambda: self.container(service).logs(tail=1).decode().strip() == lines[-1])

    async def write(self, service: HealthyService, path: str, data: bytes, *, mode: int = 0o640) -> None:
        member = tarfile.TarInfo(Path(path).name)
        member.size, member.mode, member.mtime = len(data), mode, int(time.time())
        await self._put(service, path, member, data)

    async def link(self, service: HealthyService, path: str) -> None:
        member = tarfile.TarInfo(Path(path).name)
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        await self._put(service, path, member, b"")

    async def read(self, service: HealthyService, path: str) -> tuple[bytes, int] | None:
        def take() -> tuple[bytes, int] | None:
            try:
                chunks, _ = self.container(service).get_archive(path)
            except docker.errors.NotFound:
                return None
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                member = archive.getmembers()[0]
                content = archive.extractfile(member)
                return (content.read() if content else b"", member.mode & 0o7777)

        return await asyncio.to_thread(take)

    def effects(self) -> int:
        return sum(each.is_effect for each in self.proxy.witnessed)

    def engine_away(self) -> None:
        self.proxy.cut()

    def engine_hangs(self) -> None:
        self.proxy.hang()

    def engine_back(self) -> None:
        self.proxy.restore()

    def lose_the_next_answer(self) -> None:
        self.proxy.lose_next()

    async def close(self) -> None:
        """Remove what was made."""
        self.proxy.restore()
        for actuator in self._actuators:
            await actuator.close()
        await self.runtime.close()
        if self.gate is not None:
            self.gate.close()
        self.proxy.close()
        await asyncio.to_thread(self._remove_all)

    def container(self, service: HealthyService) -> Any:
        """The container as the engine describes it now."""
        target = service.spec.target.docker
        assert target is not None
        return self.docker.containers.get(target.container)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what must come."""
        async with asyncio.timeout(PATIENCE_S):
            while not await asyncio.to_thread(holds):
                await asyncio.sleep(0.02)

    def _state(self, service: HealthyService) -> Any:
        return self.container(service).attrs["State"]

    def _image(self) -> str:
        for image in IMAGES:
            if self.docker.images.list(image):
                return image
        raise AssertionError(f"none of {IMAGES} is there: make base-image")

    def _signal_all(self, service: HealthyService, number: signal.Signals) -> None:
        for row in self.container(service).top()["Processes"]:
            os.kill(int(row[1]), number)

    async def _put(self, service: HealthyService, path: str, member: tarfile.TarInfo, data: bytes) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.addfile(member, io.BytesIO(data))
        await self._do(lambda: self.container(service).put_archive(str(Path(path).parent), packed.getvalue()))

    def _remove_all(self) -> None:
        for container in self.docker.containers.list(all=True, filters={"label": f"{LABEL}={self.prefix}"}):
            container.remove(force=True)
        self._network.remove()
        self.docker.close()

    async def _do(self, work: Callable[[], object]) -> None:
        await asyncio.to_thread(work)
