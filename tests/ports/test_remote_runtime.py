"""`Runtime` over MCP, with the fake, with processes and with Docker behind the Mechanic."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from pitcrew.core.errors import Refused
from tests.fakes.world import FakeWorld
from tests.mechanic.garage import opened, parts
from tests.ports.docker_world import DockerWorld
from tests.ports.process_world import ProcessWorld
from tests.ports.remote_world import RemoteWorld
from tests.ports.runtime_contract import EngineContract, RuntimeContract, facts_of


class TestFakeRuntimeOverMcp(RuntimeContract, EngineContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[RemoteWorld]:
        inner = FakeWorld(tmp_path)
        async with opened(parts(tmp_path / "mechanic", runtimes={inner.runtime.kind: inner.runtime})) as garage:
            world = RemoteWorld(inner, garage)
            yield world
            await world.close()

    async def test_no_command_is_taken_over_the_network(self, world: RemoteWorld) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        with pytest.raises(Refused, match="run at the Mechanic"):
            await world.runtime.run(service, facts, ["true"], timeout_s=1.0, bytes_max=64)


class TestProcessRuntimeOverMcp(RuntimeContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[RemoteWorld]:
        inner = ProcessWorld(tmp_path)
        async with opened(parts(tmp_path / "mechanic", runtimes={inner.runtime.kind: inner.runtime})) as garage:
            world = RemoteWorld(inner, garage)
            yield world
            await world.close()
        await inner.close()


@pytest.mark.docker
class TestDockerRuntimeOverMcp(RuntimeContract, EngineContract):
    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[RemoteWorld]:
        inner = DockerWorld(tmp_path, prefix=f"docker-mcp-{uuid4().hex[:8]}")
        async with opened(parts(tmp_path / "mechanic", runtimes={inner.runtime.kind: inner.runtime})) as garage:
            world = RemoteWorld(inner, garage)
            yield world
            await world.close()
        await inner.close()
