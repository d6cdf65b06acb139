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
BUILD_TIMEOUT_S = 300
PORT = 8080


def victim_image() -> str:
    """The id of the victim's image, built from this checkout; for tests marked `docker`."""
    return image("victim")


@cache
def image(name: str) -> str:
    """The id of an image of ours, victim or pitcrew, built from this checkout; for tests marked `docker`.

    The id and not the name: another checkout's tests on the same engine may give the name to their image meanwhile.
    """
    built = subprocess.run(
        [ROOT / "tools" / "images.sh", name], capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    if built.returncode:
        pytest.fail(f"tools/images.sh failed:\n{built.stdout[-4000:]}\n{built.stderr[-4000:]}", pytrace=False)
    named = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", f"pitcrew/{name}:latest"],
        capture_output=True,
        text=True,
        check=True,
    )
    return named.stdout.strip()


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
