"""`Actuator` on the fake and on Docker, there also behind a socket proxy."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.fakes.world import FakeWorld
from tests.ports.actuator_contract import ActuatorContract, EngineActuatorContract
from tests.ports.docker_world import DockerWorld


class TestFakeActuator(ActuatorContract, EngineActuatorContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> FakeWorld:
        return FakeWorld(tmp_path)


@pytest.mark.docker
class TestDockerActuator(ActuatorContract, EngineActuatorContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[DockerWorld]:
        world = DockerWorld(tmp_path, prefix=f"docker-act-{uuid4().hex[:8]}")
        yield world
        await world.close()


@pytest.mark.docker
@pytest.mark.haproxy
class TestDockerActuatorBehindASocketProxy(ActuatorContract, EngineActuatorContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[DockerWorld]:
        world = DockerWorld(tmp_path, prefix=f"docker-gate-{uuid4().hex[:8]}", through="exec")
        yield world
        await world.close()
