"""`Runtime` on the fake and on Docker."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.fakes.world import FakeWorld
from tests.ports.docker_world import DockerWorld
from tests.ports.runtime_contract import CommandContract, EngineCommandContract, EngineContract, RuntimeContract


class TestFakeRuntime(RuntimeContract, EngineContract, CommandContract, EngineCommandContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> FakeWorld:
        return FakeWorld(tmp_path)


@pytest.mark.docker
class TestDockerRuntime(RuntimeContract, EngineContract, CommandContract, EngineCommandContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[DockerWorld]:
        world = DockerWorld(tmp_path, prefix=f"docker-rt-{uuid4().hex[:8]}")
        yield world
        await world.close()
