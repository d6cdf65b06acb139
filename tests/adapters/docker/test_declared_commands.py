"""Declared commands in containers: found by their id after a crash, and ended whoever began them."""

import asyncio

import pytest

from pitcrew.adapters.runtime.docker.acting import DockerActuator
from pitcrew.core.action import RunCommand, Seen, Trace
from pitcrew.core.errors import EffectFailed, Refused
from pitcrew.core.resource import HealthyService
from tests.ports.docker_world import DockerWorld
from tests.ports.runtime_contract import facts_of
from tests.ports.world import command

pytestmark = [pytest.mark.docker, pytest.mark.anyio]


async def prepared(
    world: DockerWorld, actuator: DockerActuator, service: HealthyService, action: RunCommand, op: str = "op-1"
) -> Trace:
    facts = await facts_of(world, service)
    return await actuator.prepare(service, action, target_id=facts.target_id, op=op)


def sleeps(world: DockerWorld, service: HealthyService) -> bool:
    """Whether the command that hangs is among the processes of the container."""
    return any("sleep 600" in " ".join(row) for row in world.container(service).top()["Processes"])


async def begun_and_left(world: DockerWorld, service: HealthyService) -> Trace:
    """The trace of a hanging command whose asker went away in the middle of it."""
    hang = command(service, "hang")
    trace = await prepared(world, world.actuator, service, hang)
    under_way = asyncio.ensure_future(world.actuator.apply(service, hang, trace))
    await world.until(lambda: sleeps(world, service))
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    return trace


async def test_a_command_that_a_crash_left_running_is_ended_at_its_timeout(world: DockerWorld) -> None:
    service = await world.create("alpha")
    trace = await begun_and_left(world, service)
    assert await world.reopened().seen(service, command(service, "hang"), trace) is Seen.DONE
    await world.until(lambda: not sleeps(world, service))


async def test_a_command_that_ended_with_the_run_of_its_container_was_begun_and_has_ended(world: DockerWorld) -> None:
    service = await world.create("alpha")
    trace = await begun_and_left(world, service)
    world.container(service).restart(timeout=1)
    assert await world.reopened().seen(service, command(service, "hang"), trace) is Seen.DONE
    assert not sleeps(world, service)


async def test_what_the_engine_forgot_is_unknown(world: DockerWorld) -> None:
    service = await world.create("alpha")
    trace = await begun_and_left(world, service)
    await world.destroy(service)
    assert await world.reopened().seen(service, command(service, "hang"), trace) is Seen.UNKNOWN


async def test_without_the_right_to_kill_from_here_the_timeout_of_the_image_ends_it(world: DockerWorld) -> None:
    service = await world.create("alpha")
    actuator = world.reopened(may_signal_host=False)
    hang, fail, note = (command(service, name) for name in ("hang", "fail", "note"))
    trace = await prepared(world, actuator, service, hang)
    with pytest.raises(EffectFailed, match="hang was not done after 1 s and was ended"):
        await actuator.apply(service, hang, trace)
    await world.until(lambda: not sleeps(world, service))
    failing = await prepared(world, actuator, service, fail, "op-2")
    with pytest.raises(EffectFailed, match="fail ended with 3"):
        await actuator.apply(service, fail, failing)
    running = await prepared(world, actuator, service, note, "op-3")
    await actuator.apply(service, note, running)
    assert await actuator.seen(service, note, running) is Seen.DONE


async def test_in_a_paused_container_no_command_is_prepared(world: DockerWorld) -> None:
    service = await world.create("alpha")
    world.container(service).pause()
    with pytest.raises(Refused, match="not paused"):
        await prepared(world, world.actuator, service, command(service, "note"))
    world.container(service).unpause()


async def test_a_container_that_was_paused_after_it_was_prepared_runs_nothing(world: DockerWorld) -> None:
    service = await world.create("alpha")
    note = command(service, "note")
    trace = await prepared(world, world.actuator, service, note)
    world.container(service).pause()
    with pytest.raises((EffectFailed, Refused)):
        await world.actuator.apply(service, note, trace)
    assert await world.actuator.seen(service, note, trace) is Seen.NOT_DONE
    world.container(service).unpause()
    assert await world.read(service, world.beside("noted")) is None
