"""`Runtime` and `Actuator` on local processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pitcrew.core.errors import Refused
from pitcrew.core.observation import RuntimeFacts
from tests.ports.actuator_contract import RESTART, ActuatorContract
from tests.ports.process_world import ProcessWorld
from tests.ports.runtime_contract import CommandContract, RuntimeContract
from tests.ports.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ProcessWorld]:
    world = ProcessWorld(tmp_path)
    yield world
    await world.close()


class TestProcessRuntime(RuntimeContract, CommandContract):
    pass


class TestProcessActuator(ActuatorContract):
    async def test_another_target_under_the_same_name_is_refused(self, world: World) -> None:
        """A declared process is the service under one state directory; another directory is another target."""
        service = await world.create("alpha")
        assert isinstance(world, ProcessWorld)
        other = ProcessWorld(world.state.parent / "other")
        elsewhere = await other.runtime.look(service)
        assert isinstance(elsewhere, RuntimeFacts)
        with pytest.raises(Refused):
            await world.actuator.prepare(service, RESTART, target_id=elsewhere.target_id, op="op-1")
