"""The three roles as containers, from manifests/compose/stack.yaml."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from tools.demo_world import ROOT, DemoError, docker, say, until
from tools.stack_crew import PEEK, ROLES, Fact, introduce

FILE = ROOT / "manifests" / "compose" / "stack.yaml"
IMAGE, PROXY_IMAGE = "pitcrew/pitcrew:latest", "pitcrew/socket-proxy:latest"
SOCKET, PROXY_SOCKET = "/var/run/docker.sock", "/run/pitcrew-socket-proxy"
LOCKS = "/run/lock/pitcrew"
COME_UP_S = 90
COMPOSE_S = 180
LOCKED_DOWN = ("--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
REACHES = "import socket, sys; socket.create_connection((sys.argv[1], 8000), 3)"
"""Fails where nothing answers at an address within three seconds."""


@cache
def compose_command() -> Sequence[str]:
    """How compose is called here; empty where there is none."""
    if shutil.which("docker") is None:
        return ()
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=30)
    if plugin.returncode == 0:
        return ("docker", "compose")
    return ("docker-compose",) if shutil.which("docker-compose") else ()


@dataclass(frozen=True, kw_only=True)
class Containers:
    """The roles of one compose project."""

    project: str

    @property
    def kind(self) -> str:
        """See `Crew.kind`."""
        return f"three containers and a socket proxy, compose project {self.project}"

    @property
    def network(self) -> str:
        """Where targets are, so that they can be probed."""
        return f"{self.project}_targets"

    def home(self, role: str) -> str:
        """See `Crew.home`."""
        return f"/var/lib/pitcrew-{role}"

    def as_role(self, role: str, *argv: str, stdin: str = "") -> str:
        """See `Crew.as_role`; in a container beside, which has the role's volume and no network."""
        volume = f"{self.project}_{role}:{self.home(role)}"
        run = ("docker", "run", "--rm", "--interactive", "--user", f"pitcrew-{role}", *LOCKED_DOWN)
        return _out([*run, "--volume", volume, "--entrypoint", argv[0], IMAGE, *argv[1:]], stdin=stdin)

    def beside(self, *argv: str) -> str:
        """See `Crew.beside`."""
        volumes = [f"--volume={self.project}_{role}:{self.home(role)}:ro" for role in ROLES]
        run = ("docker", "run", "--rm", "--user", "0", *LOCKED_DOWN, "--cap-add", "DAC_READ_SEARCH")
        return _out([*run, *volumes, "--entrypoint", argv[0], IMAGE, *argv[1:]])

    def make(self, manifest: str) -> None:
        """See `Crew.make`."""
        for name in ("pitcrew", "socket-proxy"):
            _out([str(ROOT / "tools/images.sh"), name], seconds=600)
        self._compose("up", "--no-start")
        as_root = ("docker", "run", "--rm", "--interactive", "--user", "0", "--network", "none", "--entrypoint")
        where = f"{self.project}_manifests:/manifests"
        _out([*as_root, "tee", "--volume", where, IMAGE, "/manifests/victim.yaml"], stdin=manifest)
        _out([*as_root, "install", "--volume", "/run/lock:/run/lock", IMAGE, "-d", "-m", "1777", LOCKS])
        introduce(self)

    def start(self) -> None:
        """See `Crew.start`."""
        self._compose("up", "--detach")
        say("Stack", f"{self.kind}: started")
        until(self._answer, COME_UP_S, "all three to answer", f"; their logs:\n{self.told()}")

    def down(self) -> None:
        """See `Crew.down`."""
        self._compose("down", "--volumes", "--timeout", "20")

    def told(self) -> str:
        """See `Crew.told`."""
        return self._compose("logs", "--no-color", "--tail", "30")

    def powers(self) -> Iterator[Fact]:
        """See `Crew.powers`."""
        seen = {role: self._inspected(role) for role in ("socket-proxy", *ROLES)}
        yield _mounts(seen, SOCKET, ["socket-proxy"], "the engine's socket is mounted in the socket proxy only")
        yield _mounts(
            seen, PROXY_SOCKET, ["socket-proxy", "mechanic"], "the proxy's socket in it and the Mechanic only"
        )
        paths = (SOCKET, f"{PROXY_SOCKET}/engine.sock")
        for role in ROLES:
            said = self._inside(role, "python", "-c", PEEK, *paths).splitlines()
            answers = [line for line in said if line.endswith(" answers")]
            expected = 1 if role == "mechanic" else 0
            yield Fact(
                good=len(answers) == expected, text=f"the {role.capitalize()} asks the engine: {'; '.join(said)}"
            )
        with self._model() as address:
            for role in ROLES:
                reaches = self._code(role, "python", "-c", REACHES, address) == 0
                text = (
                    f"the {role.capitalize()} {'reaches' if reaches else 'does not reach'} what is where the model is"
                )
                yield Fact(good=reaches is (role == "driver"), text=text)
        for role, one in seen.items():
            host = one["HostConfig"]
            tight = host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["Privileged"]
            text = f"{role}: nothing of its image can be written, no capability, user {one['Config']['User']}"
            yield Fact(good=tight and one["Config"]["User"] not in ("", "0", "root"), text=text)

    @contextmanager
    def _model(self) -> Iterator[str]:
        """Something that answers where the Driver's way out leads; its address."""
        run = ("docker", "run", "--detach", "--rm", "--read-only", "--cap-drop", "ALL")
        where = ("--network", f"{self.project}_model", "--entrypoint", "python")
        made = _out([*run, *where, IMAGE, "-m", "http.server", "8000"]).strip()
        try:
            form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
            address = docker("inspect", "--format", form, made).stdout.strip()
            until(lambda: _listens(address), COME_UP_S, "something to answer beside the Driver", "")
            yield address
        finally:
            docker("rm", "--force", made, check=False)

    def _answer(self) -> bool:
        for role in ROLES:
            state = self._inspected(role)["State"]
            if not state["Running"] or state["Health"]["Status"] != "healthy":
                return False
        return True

    def _id(self, service: str) -> str:
        found = self._compose("ps", "--quiet", service).split()
        if len(found) != 1:
            raise DemoError(f"{self.project}: there are {len(found)} containers of {service}; see `docker ps --all`")
        return found[0]

    def _inspected(self, service: str) -> Mapping[str, Any]:
        found: list[dict[str, Any]] = json.loads(docker("inspect", self._id(service)).stdout)
        return found[0]

    def _inside(self, role: str, *argv: str) -> str:
        return docker("exec", self._id(role), *argv).stdout

    def _code(self, role: str, *argv: str) -> int:
        return docker("exec", self._id(role), *argv, check=False).returncode

    def _compose(self, *words: str) -> str:
        gid = _socket_group() if words[0] == "up" else "0"
        environ = {"DOCKER_GID": gid, "SOCKET_PROXY_LEVEL": "exec"}
        command = [*compose_command(), "--project-name", self.project, "--file", str(FILE), *words]
        return _out(command, environ=environ, seconds=COMPOSE_S)


@cache
def _socket_group() -> str:
    """The group that owns the engine's socket, as a container sees it."""
    look = ("docker", "run", "--rm", *LOCKED_DOWN, "--volume", f"{SOCKET}:{SOCKET}", "--entrypoint", "stat")
    return _out([*look, IMAGE, "-c", "%g", SOCKET]).strip()


def _listens(address: str) -> bool:
    try:
        socket.create_connection((address, 8000), 2).close()
    except OSError:
        return False
    return True


def _mounts(seen: Mapping[str, Mapping[str, Any]], path: str, expected: Sequence[str], text: str) -> Fact:
    found = [role for role, one in seen.items() if path in [mount["Destination"] for mount in one["Mounts"]]]
    return Fact(good=found == list(expected), text=f"{text} (docker inspect: {', '.join(found)})")


def _out(command: Sequence[str], *, stdin: str = "", environ: Mapping[str, str] = {}, seconds: float = 60) -> str:
    """What a command prints. Raises: DemoError where it fails."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environ}, timeout=seconds
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise DemoError(f"{' '.join(command[:3])} ... ended with {done.returncode}: {said}")
    return done.stdout
