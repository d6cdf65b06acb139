"""Fixtures of the Docker adapter's tests."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.ports.docker_world import DockerWorld


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[DockerWorld]:
    """Real containers behind a proxy; one second of deadline."""
    world = DockerWorld(tmp_path, prefix=f"docker-ad-{uuid4().hex[:8]}", deadline_s=1.0)
    yield world
    await world.close()
