"""The engine under test: the victim's image, and containers that are gone when a test ends."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import docker
import pytest

ROOT = Path(__file__).resolve().parent.parent
VICTIM_IMAGE = "pitcrew/victim:latest"
BASE_IMAGES = ("pitcrew/base:latest", "pitcrew/base:exp", "python:3.12-slim")
BUILD_TIMEOUT_S = 300
PORT = 8080


@cache
def victim_image() -> str:
    """The victim's image, built on the first base that is present when there is none yet. For tests marked `docker`."""
    if _present(VICTIM_IMAGE):
        return VICTIM_IMAGE
    base = next((name for name in BASE_IMAGES if _present(name)), None)
    if base is None:
        pytest.fail(f"no image to build the victim on ({', '.join(BASE_IMAGES)}); try `make base-image`", pytrace=False)
    command = ["docker", "build", "--network", "host", "--build-arg", f"BASE_IMAGE={base}", "-t", VICTIM_IMAGE]
    built = subprocess.run(
        [*command, str(ROOT / "victim-app")], capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    if built.returncode:
        pytest.fail(f"docker build failed:\n{built.stdout[-4000:]}\n{built.stderr[-4000:]}", pytrace=False)
    return VICTIM_IMAGE


@contextmanager
def victim_container(**options: Any) -> Iterator[Any]:
    """A running victim on a network of its own, its port published on loopback; both are removed afterwards."""
    client = docker.from_env()
    name = f"victim-{uuid.uuid4().hex[:12]}"
    network = client.networks.create(name)
    try:
        container = client.containers.run(
            victim_image(), name=name, network=name, ports={f"{PORT}/tcp": ("127.0.0.1", None)}, detach=True, **options
        )
        try:
            yield container
        finally:
            container.remove(force=True, v=True)
    finally:
        network.remove()
        client.close()


def published_port(container: Any) -> int | None:
    """Where the victim is reached on loopback, None while it is not."""
    container.reload()
    published = container.attrs["NetworkSettings"]["Ports"].get(f"{PORT}/tcp")
    return int(published[0]["HostPort"]) if published else None


def _present(name: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0
