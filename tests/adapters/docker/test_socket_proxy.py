"""What the adapter asks of an engine and what the socket proxy lets through are the same list."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from pitcrew.core.action import (
    Action,
    ConnectNetwork,
    DisconnectNetwork,
    RemoveFile,
    Restart,
    RestoreFile,
    Start,
    Unpause,
)
from pitcrew.core.errors import EngineForbidden
from pitcrew.core.observation import Absent
from pitcrew.core.resource import HealthyService
from tests.manifests.test_socket_proxy import EXEC, LIFECYCLE
from tests.ports.docker_world import DockerWorld
from tests.ports.runtime_contract import facts_of
from tests.socket_proxy import REFUSED, Passed

pytestmark = [pytest.mark.anyio, pytest.mark.docker, pytest.mark.haproxy]
UNASKED = {"ping", "stop"}
"""On the list and asked by nothing in PitCrew: what the docker command asks first, and the half of a restart."""


@pytest.fixture
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[DockerWorld]:
    """Real containers behind a socket proxy of the level that the test names."""
    world = DockerWorld(tmp_path, prefix=f"docker-sp-{uuid4().hex[:8]}", through=request.param)
    yield world
    await world.close()


def changed(service: HealthyService, **spec: object) -> HealthyService:
    """The service with another part of its spec."""
    document = service.model_dump(by_alias=True, exclude_unset=True, mode="json")
    document["spec"].update(spec)
    return HealthyService.model_validate(document)


async def act(world: DockerWorld, service: HealthyService, *actions: Action) -> None:
    """Carry out one after the other."""
    for action in actions:
        facts = await facts_of(world, service)
        trace = await world.actuator.prepare(service, action, target_id=facts.target_id, op="op-1")
        await world.actuator.apply(service, action, trace)


def passed(world: DockerWorld) -> list[Passed]:
    """What the proxy has logged so far."""
    assert world.gate is not None
    return world.gate.passed()


@pytest.mark.parametrize("world", ["exec"], indirect=True)
async def test_every_row_is_asked_and_nothing_else_is(world: DockerWorld) -> None:
    network = world.docker.networks.create(f"{world.prefix}-shop")
    try:
        service = changed(
            await world.create("alpha"), desired={"networks": [{"name": network.name, "aliases": ["api"]}]}
        )
        world.runtime.declare([service])
        facts = await facts_of(world, service)
        await world.runtime.logs(service, facts, lines_max=5, bytes_max=1000)
        await world.runtime.processes(service, facts, lines_max=5)
        await world.runtime.stats(service, facts)
        await world.runtime.run(service, facts, ["true"], timeout_s=5, bytes_max=100)
        composed = changed(service, target={"docker": {"composeProject": "p", "composeService": "s"}}, desired={})
        assert isinstance(await world.runtime.look(composed), Absent)
        await world.write(service, world.flag, b"broken")
        attach = ConnectNetwork(network=network.name, aliases=("api",))
        await act(world, service, RemoveFile(path=world.flag), RestoreFile(path=world.flag))
        await act(world, service, attach, DisconnectNetwork(network=network.name), Restart(grace_s=1))
        world.container(service).pause()
        await act(world, service, Unpause())
        await world.kill(service)
        await act(world, service, Start())
        await world.runtime.close()  # ends the event stream, and with it its line in the log
        await world.until(lambda: "events" in {one.row for one in passed(world)})
        rows = {one.row for one in passed(world)}
        assert rows == {*LIFECYCLE.values(), *EXEC.values()} - UNASKED
    finally:
        network.reload()
        for container in network.containers:
            network.disconnect(container, force=True)
        network.remove()


@pytest.mark.parametrize("world", ["lifecycle"], indirect=True)
async def test_without_the_level_for_commands_a_service_that_needs_none_is_seen_and_restarted(
    world: DockerWorld,
) -> None:
    service = changed(await world.create("alpha"), remediation={"actions": {"restart": {"gracePeriodSeconds": 1}}})
    before = await facts_of(world, service)
    await act(world, service, Restart(grace_s=1))
    assert (await facts_of(world, service)).instance != before.instance
    with pytest.raises(EngineForbidden, match=r"answered 403; allow this client .* in the .* socket proxy"):
        await world.runtime.run(service, before, ["true"], timeout_s=5, bytes_max=100)
    assert {one.row for one in passed(world) if one.status == 403} == {REFUSED}


@pytest.mark.parametrize("world", ["lifecycle"], indirect=True)
async def test_without_the_level_for_commands_files_are_unknown_and_none_is_removed(world: DockerWorld) -> None:
    service = await world.create("alpha")
    await world.write(service, world.flag, b"broken")
    assert [one.present for one in (await facts_of(world, service)).files] == [None]
    with pytest.raises(EngineForbidden, match="in the authorization plug-in or socket proxy"):
        await act(world, service, RemoveFile(path=world.flag))
    assert await world.read(service, world.flag) is not None
    assert world.effects() == 0
