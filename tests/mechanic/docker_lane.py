"""A real `pitcrew mechanic` process over containers of a real engine, with a witness at the engine's socket.

The witness is a proxy in front of the socket, through which alone the Mechanic reaches the engine: it writes down
every request that is no GET and no HEAD, an exec that is only made known included.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pitcrew.core.resource import TargetKind
from tests.engine import PORT, victim_container
from tests.engine_proxy import EngineProxy
from tests.mechanic.lane import SLOW, Lane

ENGINE_SOCKET = Path("/var/run/docker.sock")
FLAG = "/app/broken.flag"


@dataclass(kw_only=True)
class DockerLane(Lane):
    """One Mechanic over `containers`, by the name of the service that declares each."""

    kind: ClassVar[TargetKind] = TargetKind.DOCKER

    proxy: EngineProxy
    containers: Mapping[str, Any]
    host: str = ""
    services: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.services = tuple(self.containers)
        super().__post_init__()

    def manifest(self, name: str) -> dict[str, Any]:
        """A service on its container; one without, such as a thief, declares that of the first."""
        container = self.containers.get(name) or next(iter(self.containers.values()))
        command = {"name": SLOW.command, "argv": list(SLOW.argv), "timeoutSeconds": SLOW.timeout_s}
        return {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": name},
            "spec": {
                "target": {"docker": {"container": container.name, **({"host": self.host} if self.host else {})}},
                "probes": [{"httpGet": {"path": "/health", "port": PORT}}],
                "remediation": {
                    "actions": {
                        "restart": {"gracePeriodSeconds": 1},
                        "removeFile": {"paths": [FLAG]},
                        "runCommand": {"commands": [command]},
                    }
                },
            },
        }

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "DOCKER_HOST": f"unix://{self.proxy.path}"}

    # The witness

    @property
    def effects(self) -> int:
        """Requests that may change anything."""
        return len(self.proxy.witnessed)

    @property
    def runs(self) -> list[str]:
        """Since when each container runs, as the engine itself says."""
        for container in self.containers.values():
            container.reload()
        return [container.attrs["State"]["StartedAt"] for container in self.containers.values()]


@contextmanager
def docker_lane(root: Path) -> Iterator[DockerLane]:
    """Two services on a container each; the Mechanic is not started yet."""
    with ExitStack() as made:
        proxy = EngineProxy(root / "engine.sock", ENGINE_SOCKET)
        made.callback(proxy.close)
        containers = {name: made.enter_context(victim_container()) for name in ("alpha", "beta")}
        lane = DockerLane(root=root, proxy=proxy, containers=containers)
        made.callback(lane.close)
        yield lane
