"""A Docker container as a target.

Files go in through the engine's copy, which needs no shell in the image. Signals come from the host: the engine must
run on this machine, in sight of this /proc, and they need root (or the user the container runs as).
"""

import io
import os
import posixpath
import shutil
import signal
import subprocess
import tarfile
import time
from dataclasses import dataclass
from typing import Any

from chaos import health, proc, record
from chaos.errors import CannotError
from chaos.manifest import Endpoint
from chaos.record import Record

FLAG_NAME = "broken.flag"
ENGINE_TIMEOUT_S = 20
CONTEXT_TIMEOUT_S = 5
ENGINE_DEFAULT = "unix:///var/run/docker.sock"
ENGINES_OWN = frozenset({"bridge", "host", "none"})
STOPPED_STATES = frozenset({"created", "exited", "dead"})


def engine() -> tuple[str, Any]:
    """The engine's address and a client that answered. Raises: CannotError when there is none, and why."""
    try:
        import docker
        from docker.errors import DockerException
    except ModuleNotFoundError as problem:
        raise CannotError("the docker package is not installed here (pip install docker)") from problem
    address = os.environ.get("DOCKER_HOST") or _context_address() or ENGINE_DEFAULT
    try:
        client = docker.DockerClient(base_url=address, timeout=ENGINE_TIMEOUT_S, version="auto")
    except (DockerException, ValueError) as problem:
        denied = "Permission denied" in str(problem)
        reason = "no permission; run as root or join the group docker" if denied else "no engine answers"
        raise CannotError(f"{address}: {reason}") from problem
    return address, client


def find(client: Any, name: str) -> Any | None:
    """The container of that name, None when there is none."""
    from docker.errors import APIError, NotFound
    from requests.exceptions import RequestException

    try:
        return client.containers.get(name)
    except NotFound:
        return None
    except (APIError, RequestException) as problem:
        raise CannotError(f"container {name!r}: the engine refused to look ({_reason(problem)})") from problem


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerTarget:
    """A service that runs as a container. `container` is the SDK's handle."""

    service: str
    container: Any
    endpoint: Endpoint

    @property
    def title(self) -> str:
        return f"container {self.container.name}"

    def processes(self) -> list[proc.Process]:
        state = self._inspect()["State"]
        if not state["Running"]:
            raise CannotError(f"{self.title}: is not running ({state['Status']}); `fix` starts it")
        inside = proc.in_cgroup(self.container.id)
        main = [process for process in inside if process.pid == state["Pid"]]
        if not main:
            raise CannotError(
                f"{self.title}: its processes cannot be seen from here; signals from the host need the engine on this "
                "machine and chaos outside any container (a remote engine or Docker Desktop will not do)"
            )
        return main + [process for process in inside if process.pid != state["Pid"]]

    def plant_flag(self) -> str:
        if self._flag_is_there():
            return f"{self._flag_path()} is there already in {self.title}"
        packed = io.BytesIO()
        empty = tarfile.TarInfo(FLAG_NAME)
        empty.mtime = int(time.time())
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.addfile(empty)
        self._ask("take the flag file", lambda: self.container.put_archive(self._directory(), packed.getvalue()))
        return f"created {self._flag_path()} in {self.title}"

    def stop(self) -> str:
        if not self._inspect()["State"]["Running"]:
            raise CannotError(f"{self.title}: is not running already")
        self._ask("stop", self.container.stop)
        return f"stopped {self.title}"

    def pause(self) -> str:
        if not self._inspect()["State"]["Running"]:
            raise CannotError(f"{self.title}: is not running, so it cannot be paused")
        self._ask("pause", self.container.pause)
        return f"paused {self.title}"

    def detach(self) -> str:
        networks = self._networks()
        if not networks:
            raise CannotError(f"{self.title}: is on no network that people made; the engine's own keep no aliases")
        for name in networks:
            network = self._ask("find its network", lambda name=name: self.container.client.networks.get(name))
            self._ask("detach", lambda network=network: network.disconnect(self.container))
        return f"detached {self.title} from {', '.join(networks)}"

    def restore(self) -> list[str]:
        return [*self._reattach(), *self._unpause(), *self._resume(), *self._start(), *self._remove_flag()]

    def look(self) -> list[tuple[str, str]]:
        state = self._inspect()["State"]
        facts = [("state", state["Status"]), ("flag", self._flag_path() if self._flag_is_there() else "absent")]
        if not state["Running"]:
            return [*facts, ("exit code", str(state["ExitCode"]))]
        inside = proc.in_cgroup(self.container.id)
        pids = " ".join(f"{process.pid}({process.state})" for process in inside)
        if inside and all(process.stopped for process in inside):
            facts[0] = ("state", "stopped (T)")
        facts.append(("pids", pids or "not visible from this host"))
        if "Health" in state:
            facts.append(("docker health", state["Health"]["Status"]))
        return [*facts, ("health", self._health())]

    def record(self, fault: str) -> Record:
        remembered = record.read(self.service)
        before = remembered.networks or {} if remembered is not None and self.is_in(remembered) else {}
        networks = {**before, **self._networks()}
        return Record(service=self.service, fault=fault, container=self.container.name, networks=networks)

    def is_in(self, remembered: Record) -> bool:
        return remembered.container == str(self.container.name)

    def _networks(self) -> dict[str, list[str]]:
        """The networks that people made, each with the aliases that people gave."""
        short = str(self.container.id)[:12]
        return {
            name: [alias for alias in settings.get("Aliases") or [] if alias != short]
            for name, settings in self._inspect()["NetworkSettings"]["Networks"].items()
            if name not in ENGINES_OWN
        }

    def _reattach(self) -> list[str]:
        remembered = record.read(self.service)
        if remembered is None or not self.is_in(remembered):
            return []
        gone = {name: aliases for name, aliases in (remembered.networks or {}).items() if name not in self._networks()}
        for name, aliases in gone.items():
            network = self._ask("find its network", lambda name=name: self.container.client.networks.get(name))
            self._ask(
                "attach", lambda network=network, aliases=aliases: network.connect(self.container, aliases=aliases)
            )
        return [f"attached {self.title} to {name}" for name in gone]

    def _unpause(self) -> list[str]:
        if not self._inspect()["State"]["Paused"]:
            return []
        self._ask("unpause", self.container.unpause)
        return [f"unpaused {self.title}"]

    def _resume(self) -> list[str]:
        held = [process for process in proc.in_cgroup(self.container.id) if process.stopped]
        return [f"continued pid {process.pid}" for process in proc.send_all(held, signal.SIGCONT)]

    def _start(self) -> list[str]:
        if self._inspect()["State"]["Status"] not in STOPPED_STATES:
            return []
        self._ask("start", self.container.start)
        return [f"started {self.title}"]

    def _remove_flag(self) -> list[str]:
        if not self._flag_is_there():
            return []
        path = self._flag_path()
        self._ask("remove the flag", lambda: self.container.exec_run(["rm", "-f", "--", path], user="0"))
        if self._flag_is_there():
            raise CannotError(f"{self.title}: {path} is still there (no `rm` in the image?); remove it by hand")
        return [f"removed {path} in {self.title}"]

    def _flag_is_there(self) -> bool:
        from docker.errors import NotFound

        path = self._flag_path()

        def fetch() -> bool:
            try:
                stream, _ = self.container.get_archive(path)
            except NotFound:
                return False
            stream.close()
            return True

        return bool(self._ask("look for the flag", fetch))

    def _directory(self) -> str:
        return str(self._inspect()["Config"]["WorkingDir"] or "/")

    def _flag_path(self) -> str:
        return posixpath.join(self._directory(), FLAG_NAME)

    def _health(self) -> str:
        endpoint = self.endpoint
        if (address := _address(self._inspect()["NetworkSettings"], endpoint.port)) is None:
            return "no address to ask from this host"
        return health.ask(*address, endpoint.path)

    def _inspect(self) -> dict[str, Any]:
        self._ask("inspect", self.container.reload)
        facts: dict[str, Any] = self.container.attrs
        return facts

    def _ask(self, what: str, call: Any) -> Any:
        """One request to the engine. Raises: CannotError with the engine's own reason."""
        from docker.errors import APIError
        from requests.exceptions import RequestException

        try:
            return call()
        except (APIError, RequestException) as problem:
            raise CannotError(f"{self.title}: cannot {what} ({_reason(problem)})") from problem


def _address(settings: dict[str, Any], port: int) -> tuple[str, int] | None:
    for published in (settings.get("Ports") or {}).get(f"{port}/tcp") or []:
        host = published["HostIp"]
        return ("127.0.0.1" if host in ("", "0.0.0.0", "::") else host, int(published["HostPort"]))
    for network in (settings.get("Networks") or {}).values():
        if network.get("IPAddress"):
            return (network["IPAddress"], port)
    return None


def _context_address() -> str | None:
    """The address of the docker command's current context, which the SDK does not know of."""
    if shutil.which("docker") is None:
        return None
    question = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=CONTEXT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def _reason(problem: Exception) -> str:
    explanation = getattr(problem, "explanation", None)
    return ascii(str(explanation or type(problem).__name__)[:200])
