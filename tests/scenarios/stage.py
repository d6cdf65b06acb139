"""What a scenario plays on: a service on one kind of target, chaos from outside, and eyes that are not PitCrew's."""

import abc
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import docker

from pitcrew.adapters.runtime.process import shim
from tests.crash.witness import DirectoryWitness
from tests.engine_proxy import EngineProxy, Witnessed
from tests.scenarios import workload
from tests.scenarios.operator import ROOT, Operator
from tests.socket_proxy import SocketProxy
from tests.waiting import eventually

NAME = "victim"
FLAG = "broken.flag"
CHAOS_S = 60
ANSWER_S = 5
SOCKET = Path((os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock").removeprefix("unix://"))
THROUGH_ALL = os.environ.get("PITCREW_TEST_SOCKET_PROXY", "")
"""The level of a socket proxy that every operator reaches the engine through: lifecycle or exec; empty for none."""
ACTIONS: Mapping[str, Any] = {"start": {}, "restart": {"gracePeriodSeconds": 1}}
POLICY: Mapping[str, Any] = {"autoUpTo": "High", "budget": {"actions": 100, "window": "1h"}}


class Stage(abc.ABC):
    """One service and everything around it, in a directory of its own with a short path, since sockets lie in it."""

    flag: str
    """The path of the flag file as the manifest names it."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="scen-"))
        self.manifests = self.root / "manifests"
        self.manifests.mkdir(mode=0o700)
        self.books = self.root / "books"
        self.books.mkdir(mode=0o700)
        self.manifest = self.manifests / "victim.yaml"
        self.operators: list[Operator] = []

    @property
    @abc.abstractmethod
    def target(self) -> dict[str, Any]:
        """`spec.target` of the manifest."""

    @property
    @abc.abstractmethod
    def port(self) -> int:
        """The port that the probe asks."""

    @property
    @abc.abstractmethod
    def chaos_words(self) -> Sequence[str]:
        """How chaos is told what to break."""

    @property
    def environ(self) -> Mapping[str, str]:
        """What the operator needs in its environment to see the target."""
        return {}

    def declare(
        self,
        *,
        policy: Mapping[str, Any] = {},
        actions: Mapping[str, Any] | None = None,
        remediation: Mapping[str, Any] = {},
        desired: Mapping[str, Any] = {},
        probes: Sequence[Mapping[str, Any]] = (),
        criticality: str = "Medium",
        name: str = NAME,
    ) -> None:
        """Write the manifest as an editor does, with a new file in the old one's place; JSON is YAML.

        `probes` come beside the one of /health.
        """
        removable = {"removeFile": {"paths": [self.flag]}}
        probe = {"httpGet": {"path": "/health", "port": self.port}, "periodSeconds": 1, "failureThreshold": 2}
        document = {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": name},
            "spec": {
                "target": self.target,
                "probes": [probe, *probes],
                "desired": desired,
                "criticality": criticality,
                "remediation": {
                    "actions": {**ACTIONS, **removable} if actions is None else actions,
                    "verifyFor": "1s",
                    **remediation,
                },
                "policy": {**POLICY, **policy},
            },
        }
        self.write_manifest(json.dumps(document, indent=1), name)

    def write_manifest(self, text: str, name: str = NAME) -> None:
        """Put a text in the manifest's place."""
        fresh = self.manifests / f".{name}.new"
        fresh.write_text(text)
        fresh.replace(self.manifests / f"{name}.yaml")

    def operator(self, state: str = "state", settings: Mapping[str, str] = {}) -> Operator:
        """An operator on this stage, started; `settings` are variables of its environment."""
        locks = {"PITCREW_LOCK_DIR": str(self.root / "locks")}
        made = Operator(
            state=self.root / state,
            manifests=self.manifests,
            runbooks=self.books,
            environ={**locks, **self.environ, **settings},
        )
        self.operators.append(made)
        return made.start()

    def chaos(self, *words: str) -> str:
        """Carry out the words of `chaos/chaos.py`, which knows nothing of PitCrew."""
        command = [sys.executable, str(ROOT / "chaos" / "chaos.py"), *self.chaos_words, *words, NAME]
        environ = {**os.environ, "CHAOS_STATE": str(self.root / "chaos")}
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.root, env=environ, timeout=CHAOS_S)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answer(self) -> int:
        """The status of /health, asked from outside PitCrew; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=ANSWER_S) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Where it is asked from outside."""

    @abc.abstractmethod
    def life(self) -> str:
        """Names the present run of the workload; empty when it does not run."""

    @abc.abstractmethod
    def file(self, name: str) -> tuple[bytes, int, int] | None:
        """Bytes, mode and owner of a file in the working directory; None when there is none."""

    @abc.abstractmethod
    def put(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Put a file into the working directory."""

    @abc.abstractmethod
    def acts(self) -> list[str]:
        """What was done to the workload so far, as somebody who is not PitCrew saw it."""

    @abc.abstractmethod
    def remove(self) -> None:
        """End the workload."""

    @property
    def flagged(self) -> bool:
        """Whether the flag file is there."""
        return self.file(FLAG) is not None

    def close(self) -> None:
        """End and remove all of it."""
        try:
            for operator in self.operators:
                operator.stop()
        finally:
            self.remove()
            shutil.rmtree(self.root)


class ProcessStage(Stage):
    """A local process that PitCrew starts. The kernel tells what happens to its files, itself it notes its starts."""

    flag = FLAG

    def __init__(self) -> None:
        super().__init__()
        self.home = self.root / "home"
        self.home.mkdir(mode=0o700)
        self.pidfile, self._notes = self.root / "victim.pid", self.root / "starts"
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind(("127.0.0.1", 0))
        self._witness = DirectoryWitness(self.home)

    @property
    def target(self) -> dict[str, Any]:
        command = [sys.executable, "-I", "-S", workload.__file__, "127.0.0.1", str(self.port), str(self._notes)]
        return {"process": {"command": command, "workingDir": str(self.home), "pidFile": str(self.pidfile)}}

    @property
    def port(self) -> int:
        return int(self._port.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def chaos_words(self) -> Sequence[str]:
        return "--pidfile", str(self.pidfile), "--grace", "0.2"

    def life(self) -> str:
        found = self.pidfile.read_text().split() if self.pidfile.exists() else []
        return found[0] if found and Path(f"/proc/{found[0]}").exists() else ""

    def file(self, name: str) -> tuple[bytes, int, int] | None:
        path = self.home / name
        if not path.exists():
            return None
        facts = path.stat()
        return path.read_bytes(), facts.st_mode & 0o7777, facts.st_uid

    def put(self, name: str, content: bytes, mode: int = 0o644) -> None:
        (self.home / name).write_bytes(content)
        (self.home / name).chmod(mode)

    def acts(self) -> list[str]:
        starts = len(self._notes.read_text().split()) if self._notes.exists() else 0
        return ["start"] * starts + ["remove"] * self._witness.seen()[f"removed {FLAG}"]

    def remove(self) -> None:
        boot = shim.boot_id()
        for home in self.root.glob("*/process/*"):
            record = shim.read_record(str(home))
            for name in (record["shim"], *(run["instance"] for run in record["runs"])):
                if name and (living := shim.living(name, boot)):
                    shim.send(living, shim.FORCE)
        eventually(lambda: not self.life(), what="the end of the workload")
        self._witness.close()
        self._port.close()


class DockerStage(Stage):
    """A container. The operator reaches the engine through a proxy, which sees every request that changes something.

    With a level in `through` it has only what manifests/socket-proxy lets it ask, in front of that.
    """

    flag = f"/app/{FLAG}"

    def __init__(
        self, image: str, network: str, *, own_workload: bool = False, through: str = THROUGH_ALL, **options: Any
    ) -> None:
        super().__init__()
        self.client = docker.DockerClient(base_url=f"unix://{SOCKET}")
        self.proxy = EngineProxy(self.root / "engine.sock", SOCKET)
        self.gate = SocketProxy(self.root / "gate.sock", self.proxy.path, level=through) if through else None
        if own_workload:
            options["command"] = ["python3", "-I", "-S", "/srv/workload.py", "0.0.0.0", str(self.port)]
            options["volumes"] = {workload.__file__: {"bind": "/srv/workload.py", "mode": "ro"}}
        self.container = self.client.containers.run(
            image,
            name=f"scen-{uuid.uuid4().hex[:12]}",
            network=network,
            ports={f"{self.port}/tcp": ("127.0.0.1", None)},
            detach=True,
            **options,
        )
        self._began = int(time.time())
        self._for_chaos = self.root / "chaos.yaml"
        metadata = {"metadata": {"name": NAME}, "kind": "HealthyService", "apiVersion": "pitcrew.dev/v1alpha1"}
        self._for_chaos.write_text(json.dumps({**metadata, "spec": {"target": self.target, "probes": []}}))

    @property
    def target(self) -> dict[str, Any]:
        return {"docker": {"container": self.container.name}}

    @property
    def port(self) -> int:
        return 8080

    @property
    def environ(self) -> Mapping[str, str]:
        return {"DOCKER_HOST": f"unix://{(self.gate or self.proxy).path}"}

    @property
    def chaos_words(self) -> Sequence[str]:
        return "--docker", "--manifest", str(self._for_chaos)

    @property
    def url(self) -> str:
        self.container.reload()
        published = self.container.attrs["NetworkSettings"]["Ports"].get("8080/tcp") or [{"HostPort": "1"}]
        return f"http://127.0.0.1:{published[0]['HostPort']}"

    def life(self) -> str:
        self.container.reload()
        state = self.container.attrs["State"]
        return f"{state['Pid']} since {state['StartedAt']}" if state["Running"] else ""

    def file(self, name: str) -> tuple[bytes, int, int] | None:
        try:
            chunks, _ = self.container.get_archive(f"/app/{name}")
        except docker.errors.NotFound:
            return None
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as packed:
            member = packed.getmembers()[0]
            content = packed.extractfile(member)
            assert content is not None
            return content.read(), member.mode & 0o7777, member.uid

    def put(self, name: str, content: bytes, mode: int = 0o644) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid = len(content), mode, 1234
            tar.addfile(member, io.BytesIO(content))
        self.container.put_archive("/app", packed.getvalue())

    def acts(self) -> list[str]:
        return [act for seen in self.proxy.witnessed if (act := _act(seen))]

    def engine_events(self) -> list[str]:
        """The engine's own events of the container so far, health checks left out."""
        filters = {"container": self.container.id}
        told = self.client.events(since=self._began, until=int(time.time()) + 1, decode=True, filters=filters)
        return [event["Action"] for event in told if not event["Action"].startswith(("exec_", "health_status"))]

    def remove(self) -> None:
        self.container.remove(force=True, v=True)
        if self.gate is not None:
            self.gate.close()
        self.proxy.close()
        self.client.close()


def _act(seen: Witnessed) -> str:
    """One changing request in a word; empty for a step that changes nothing by itself."""
    if seen.command:
        return "remove" if "rm" in seen.command else " ".join(seen.command)
    if re.search(r"/exec/[^/]+/start$", seen.path):
        return ""
    return "put" if seen.path.endswith("/archive") else seen.path.rpartition("/")[2]
