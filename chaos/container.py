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

from chaos import catalogue, health, limits, memory, proc, record
from chaos.errors import CannotError
from chaos.manifest import Endpoint
from chaos.record import Record
from chaos.waiting import became

FLAG_NAME = "broken.flag"
ENGINE_TIMEOUT_S = 20
CONTEXT_TIMEOUT_S = 5
ENGINE_DEFAULT = "unix:///var/run/docker.sock"
KEPT = "-before-chaos"
"""What is put behind the name of a container that `badenv` replaces."""
ENGINES_OWN = frozenset({"bridge", "host", "none"})
OOM_WAIT_S = 10.0
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

    def bad_env(self) -> str:
        before, api, name = self._inspect(), self.container.client.api, str(self.container.name)
        kept = f"{name}{KEPT}"
        if find(self.container.client, kept) is not None:
            raise CannotError(f"{self.title}: {kept} is there from an earlier time; `fix` first")
        env = [each for each in before["Config"].get("Env") or [] if not each.startswith("VICTIM_BIND=")]
        config = {**before["Config"], "Env": [*env, "VICTIM_BIND=broken"], "HostConfig": before["HostConfig"]}
        config.pop("Hostname", None)
        self._ask("stop", self.container.stop)
        self._ask("rename", lambda: self.container.rename(kept))
        made = self._ask("create anew", lambda: api.create_container_from_config(config, name))
        for network, settings in before["NetworkSettings"]["Networks"].items():
            if network not in ENGINES_OWN and network != before["HostConfig"]["NetworkMode"]:
                aliases = settings.get("Aliases") or []
                self._ask(
                    "attach", lambda n=network, a=aliases: api.connect_container_to_network(made["Id"], n, aliases=a)
                )
        self._ask("start", lambda: api.start(made["Id"]))
        return f"created {self.title} anew with VICTIM_BIND=broken; the one before is kept as {kept}"

    def exhaust_memory(self) -> str:
        main = self.processes()[0]
        group, run = memory.group_of(main), self._inspect()["State"]["StartedAt"]
        limit = limits.tight(used=group.used, now=self._limits())
        self._ask("lower its memory limit", lambda: self._update(limits.memory(limit)))
        memory.take_the_rest(group, main, limit_bytes=limit)
        if not became(lambda: self._ended(run), within_s=OOM_WAIT_S):
            raise CannotError(f"{self.title}: lives on at its limit; `fix` gives it its old limit back")
        return f"lowered the memory limit of {self.title} to {limits.mib(limit)} and took the rest; the kernel ended it"

    def throttle(self) -> str:
        if not self._inspect()["State"]["Running"]:
            raise CannotError(f"{self.title}: is not running, so it cannot be slow")
        self._ask("lower its CPU limit", lambda: self._update(limits.SCARCE_CPU))
        return f"left {self.title} {limits.cpu_said(self._limits())}"

    def lose_data(self) -> str:
        if not self._inspect()["State"]["Running"]:
            raise CannotError(f"{self.title}: is not running; `fix` starts it")
        names, folder = self._data(), self._data_folder()
        if catalogue.away(names):
            return f"files of {folder} are away already in {self.title}"
        if len(catalogue.shelved(names)) < catalogue.FILES_MIN:
            raise CannotError(f"{self.title}: {folder} holds fewer than {catalogue.FILES_MIN} data files")
        taken = catalogue.two_fifths(names)
        for name in taken:
            self._run("mv", "-n", "--", f"{folder}/{name}", f"{folder}/{name}{catalogue.AWAY}")
        return f"took away {', '.join(taken)} of {folder} in {self.title}"

    def _put_back(self) -> list[str]:
        """The container that a bad environment replaced, in its place again."""
        kept = find(self.container.client, f"{self.container.name}{KEPT}")
        if kept is None:
            return []
        name = str(self.container.name)
        self._ask("remove", lambda: self.container.remove(force=True, v=False))
        self._ask("rename", lambda: kept.rename(name))
        self._ask("start", kept.start)
        return [f"put {self.title} back as it was"]

    def restore(self) -> list[str]:
        if put_back := self._put_back():
            return put_back
        return [
            *self._give_limits_back(),
            *self._reattach(),
            *self._unpause(),
            *self._resume(),
            *self._start(),
            *self._remove_flag(),
            *self._return_data(),
        ]

    def look(self) -> list[tuple[str, str]]:
        state = self._inspect()["State"]
        facts = [("state", state["Status"]), ("flag", self._flag_path() if self._flag_is_there() else "absent")]
        facts += [("memory limit", limits.memory_said(self._limits())), ("CPU limit", limits.cpu_said(self._limits()))]
        if not state["Running"]:
            return [*facts, ("exit code", str(state["ExitCode"]))]
        inside = proc.in_cgroup(self.container.id)
        pids = " ".join(f"{process.pid}({process.state})" for process in inside)
        if inside and all(process.stopped for process in inside):
            facts[0] = ("state", "stopped (T)")
        facts.append(("pids", pids or "not visible from this host"))
        if not state["Paused"]:
            facts.append(("data", catalogue.said(self._data())))
        if "Health" in state:
            facts.append(("docker health", state["Health"]["Status"]))
        return [*facts, ("health", self._health())]

    def record(self, fault: str) -> Record:
        remembered = record.read(self.service)
        before = remembered.networks or {} if remembered is not None and self.is_in(remembered) else {}
        networks = {**before, **self._networks()}
        lowered = {name: self._limits()[name] for name in limits.LOWERED_BY.get(fault, ())}
        kept = remembered.limits or {} if remembered is not None and self.is_in(remembered) else {}
        return Record(
            service=self.service,
            fault=fault,
            container=self.container.name,
            networks=networks,
            limits={**lowered, **kept},
        )

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

    def _limits(self) -> dict[str, int]:
        return limits.of(self._inspect()["HostConfig"])

    def _update(self, changed: dict[str, int]) -> None:
        self.container.client.api.update_container(self.container.id, **changed)

    def _give_limits_back(self) -> list[str]:
        remembered = record.read(self.service)
        before = remembered.limits or {} if remembered is not None and self.is_in(remembered) else {}
        if all(self._limits()[name] == value for name, value in before.items()):
            return []
        host_bytes = int(self._ask("look at its host", self.container.client.info)["MemTotal"])
        self._ask("give its limits back", lambda: self._update(limits.back(before, host_bytes=host_bytes)))
        now = self._limits()
        return [f"{self.title} has its limits back: memory {limits.memory_said(now)}, {limits.cpu_said(now)}"]

    def _ended(self, run: str) -> bool:
        """Whether that run, named by its start, is over."""
        state = self._inspect()["State"]
        return not state["Running"] or state["StartedAt"] != run

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

    def _data_folder(self) -> str:
        return posixpath.join(self._directory(), catalogue.FOLDER)

    def _data(self) -> list[str]:
        """The names in its data folder; none where there is no such folder, or no `ls` in the image."""
        ended = self._ask("list its data", lambda: self.container.exec_run(["ls", "-1", self._data_folder()], user="0"))
        return ended.output.decode(errors="replace").splitlines() if ended.exit_code == 0 else []

    def _return_data(self) -> list[str]:
        if not self._inspect()["State"]["Running"]:  # it ended again by itself; what is away is found the next time
            return []
        names, folder = self._data(), self._data_folder()
        for name in catalogue.away(names):
            if name in names:
                raise CannotError(f"{folder}/{name}: is there anew; keep it or {name}{catalogue.AWAY}, by hand")
            self._run("mv", "-n", "--", f"{folder}/{name}{catalogue.AWAY}", f"{folder}/{name}")
        return [f"put {folder}/{name} back in {self.title}" for name in catalogue.away(names)]

    def _run(self, *command: str) -> None:
        """A command inside, as root. Raises: CannotError when it fails."""
        ended = self._ask(f"run {command[0]}", lambda: self.container.exec_run(list(command), user="0"))
        if ended.exit_code:
            raise CannotError(f"{self.title}: {' '.join(command)} failed ({ended.output[:200]!a})")

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
