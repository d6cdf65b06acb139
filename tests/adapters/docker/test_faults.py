"""Faults of real containers, as rows of `FAULTS.md`, give the facts that the right remedy needs."""

import asyncio
from typing import Any

import docker
import pytest

from pitcrew.core.errors import Refused
from pitcrew.core.observation import FileFact, RuntimeFacts, RuntimeState, StoppedBy
from pitcrew.core.resource import HealthyService
from tests.ports.docker_world import DockerWorld
from tests.ports.runtime_contract import facts_of

pytestmark = [pytest.mark.docker, pytest.mark.anyio]

ALWAYS = {"Name": "always"}
HEALTHCHECK = {"test": ["CMD", "true"], "interval": 200_000_000, "timeout": 1_000_000_000, "retries": 1}


async def facts_when(world: DockerWorld, service: HealthyService, **wanted: Any) -> RuntimeFacts:
    """The facts, once they are as wanted."""
    async with asyncio.timeout(30):
        while True:
            facts = await facts_of(world, service)
            if all(getattr(facts, name) == value for name, value in wanted.items()):
                return facts
            await asyncio.sleep(0.02)


async def can_connect(facts: RuntimeFacts) -> bool:
    """Whether the port of the service takes a connection from outside."""
    try:
        _, writer = await asyncio.open_connection(facts.address, 8080)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def test_row_1_a_flag_file_is_a_fact_and_survives_a_restart(world: DockerWorld) -> None:
    service = await world.create("alpha")
    await world.write(service, world.flag, b"broken")
    before = await facts_of(world, service)
    world.container(service).restart(timeout=1)
    after = await facts_of(world, service)
    assert before.files == after.files == (FileFact(path=world.flag, present=True, size=6),)
    assert before.instance != after.instance
    assert after.deaths == 0


async def test_row_2_a_crash_loop_is_seen_by_its_deaths(world: DockerWorld) -> None:
    service = await world.create("alpha", command=["false"], init=False, restart_policy=ALWAYS)
    async with asyncio.timeout(30):
        while not isinstance(facts := await world.runtime.look(service), RuntimeFacts) or facts.deaths < 3:
            await asyncio.sleep(0.05)
    assert facts.restarts_by_itself
    assert facts.stopped_by is not StoppedBy.PERSON


async def test_row_4_a_missing_binary_never_started(world: DockerWorld) -> None:
    service = world.declared("alpha")
    with pytest.raises(docker.errors.APIError):
        await world.run(service, command=["/no/such/program"], init=False, restart_policy=ALWAYS)
    facts = await facts_of(world, service)
    assert (facts.state, facts.exit_code, facts.ever_started) == (RuntimeState.CREATED, 127, False)
    assert "/no/such/program" in facts.error
    assert not facts.restarts_by_itself
    assert facts.stopped_by is StoppedBy.UNKNOWN


async def test_row_6_a_hung_process_runs_and_is_suspended_and_137_is_not_out_of_memory(world: DockerWorld) -> None:
    service = await world.create("alpha")
    await world.suspend(service)
    hung = await facts_of(world, service)
    assert (hung.state, hung.suspended) == (RuntimeState.RUNNING, True)
    world.container(service).stop(timeout=0)
    facts = await facts_of(world, service)
    assert (facts.exit_code, facts.oom_killed) == (137, False)


GREEDY_ONCE = """
import os, time
if os.path.exists("/once"):
    time.sleep(600)
open("/once", "w").close()
taken = [bytearray(b"x") * (1 << 20) for _ in range(200)]
"""
GREEDY = "taken = [bytearray(b'x') * (1 << 20) for _ in range(200)]"
TIGHT = {"mem_limit": "48m", "memswap_limit": "48m", "init": False}


async def test_row_7_out_of_memory_is_told_of_the_run_that_ended_so_and_not_of_a_later_kill(world: DockerWorld) -> None:
    service = await world.create("alpha", command=["python3", "-I", "-S", "-c", GREEDY_ONCE], **TIGHT)
    facts = await facts_when(world, service, state=RuntimeState.EXITED, stopped_by=StoppedBy.ITSELF)
    assert (facts.exit_code, facts.oom_killed) == (137, True)
    world.container(service).start()
    again = await facts_of(world, service)
    assert (again.state, again.ooms) == (RuntimeState.RUNNING, 0)
    await world.kill(service)
    killed = await facts_when(world, service, state=RuntimeState.EXITED, stopped_by=StoppedBy.ITSELF)
    assert (killed.exit_code, killed.oom_killed) == (137, False)


async def test_row_8_out_of_memory_in_a_child_shows_in_the_events_and_the_next_kill_is_not_that(
    world: DockerWorld,
) -> None:
    service = await world.create("alpha", command=["sleep", "600"], **TIGHT)
    for _ in range(2):
        assert world.container(service).exec_run(["python3", "-I", "-S", "-c", GREEDY]).exit_code == 137
    facts = await facts_when(world, service, ooms=2)
    assert (facts.state, facts.oom_killed) == (RuntimeState.RUNNING, False)
    await world.kill(service)
    killed = await facts_when(world, service, state=RuntimeState.EXITED, stopped_by=StoppedBy.ITSELF)
    assert world.container(service).attrs["State"]["OOMKilled"], "the engine says it of any kill in the run"
    assert (killed.exit_code, killed.oom_killed) == (137, False)


async def test_row_16_a_paused_container_is_paused_not_sick(world: DockerWorld) -> None:
    service = await world.create("alpha", healthcheck=HEALTHCHECK)
    await world.say(service, "hello")
    before = await facts_of(world, service)
    world.container(service).pause()
    facts = await facts_of(world, service)
    assert facts.state is RuntimeState.PAUSED
    assert facts.engine_health is not None
    assert facts.engine_health.failing_streak == 0
    assert facts.instance == before.instance
    lines = await world.runtime.logs(service, facts, lines_max=10, bytes_max=4096)
    assert "hello" in [line.text for line in lines]
    with pytest.raises(Refused):
        await world.runtime.run(service, facts, ["true"], timeout_s=5, bytes_max=64)
    world.container(service).unpause()


async def test_row_17_a_stop_by_a_person_is_respected_also_under_restart_always(world: DockerWorld) -> None:
    service = await world.create("alpha", restart_policy=ALWAYS)
    await world.stop(service)
    facts = await facts_of(world, service)
    assert (facts.state, facts.stopped_by) == (RuntimeState.EXITED, StoppedBy.PERSON)
    assert (facts.restarts_by_itself, facts.deaths) == (False, 0)


async def test_row_17_a_kill_through_the_engine_was_asked_for_too(world: DockerWorld) -> None:
    service = await world.create("alpha")
    world.container(service).kill()
    facts = await facts_when(world, service, state=RuntimeState.EXITED)
    assert (facts.stopped_by, facts.deaths) == (StoppedBy.PERSON, 0)


async def test_row_17_a_stop_is_over_once_someone_started_it_again(world: DockerWorld) -> None:
    service = await world.create("alpha")
    await world.stop(service)
    world.container(service).start()
    await world.kill(service)
    facts = await facts_when(world, service, state=RuntimeState.EXITED)
    assert facts.stopped_by is StoppedBy.ITSELF


async def test_row_18_a_kill_from_outside_is_healed_by_the_engine_itself(world: DockerWorld) -> None:
    service = await world.create("alpha", restart_policy=ALWAYS)
    before = await facts_of(world, service)
    await world.kill(service)
    facts = await facts_when(world, service, state=RuntimeState.RUNNING)
    assert facts.instance != before.instance
    assert facts.target_id == before.target_id
    assert (facts.deaths, facts.restarts_by_itself, facts.stopped_by) == (1, True, StoppedBy.UNKNOWN)


async def test_row_19_a_detached_network_is_seen(world: DockerWorld) -> None:
    service = await world.create("alpha")
    before = await facts_of(world, service)
    world.docker.networks.get(f"{world.prefix}-net").disconnect(world.container(service))
    facts = await facts_of(world, service)
    assert before.networks == (f"{world.prefix}-net",)
    assert (facts.networks, facts.address, facts.state) == ((), None, RuntimeState.RUNNING)


async def test_row_20_a_server_on_its_own_loopback_is_refused_at_the_address_of_the_container(
    world: DockerWorld,
) -> None:
    good = await world.create("good")
    async with asyncio.timeout(30):
        while not await can_connect(await facts_of(world, good)):
            await asyncio.sleep(0.05)
    command = ["python3", "-u", "-m", "http.server", "8080", "--bind", "127.0.0.1"]
    inside = "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/').read()"
    bad = await world.create("bad", command=command)
    facts = await facts_of(world, bad)
    async with asyncio.timeout(30):
        while (
            await world.runtime.run(bad, facts, ["python3", "-c", inside], timeout_s=10, bytes_max=512)
        ).exit_code != 0:
            await asyncio.sleep(0.05)
    assert facts.running
    assert not await can_connect(facts)


async def test_published_ports_and_names_of_the_environment_are_facts_and_its_values_are_not(
    world: DockerWorld,
) -> None:
    service = await world.create("alpha", ports={"8080/tcp": ("127.0.0.1", None)}, environment={"TOKEN": "s3cr3t"})
    facts = await facts_of(world, service)
    assert [(port, host) for port, host, _ in facts.published] == [(8080, "127.0.0.1")]
    assert "TOKEN" in facts.env_names
    assert "s3cr3t" not in repr(facts)


async def test_both_streams_of_a_log_are_told_apart_and_a_terminal_has_one(world: DockerWorld) -> None:
    script = "echo out; echo err >&2; sleep 600"
    for name, tty, streams in (("plain", False, ["stderr", "stdout"]), ("tty", True, ["stdout", "stdout"])):
        service = await world.create(name, command=["sh", "-c", script], tty=tty)
        facts = await facts_of(world, service)
        async with asyncio.timeout(30):
            while len(lines := await world.runtime.logs(service, facts, lines_max=9, bytes_max=999)) < 2:
                await asyncio.sleep(0.02)
        assert sorted(line.stream for line in lines) == streams
        assert sorted(line.text for line in lines) == ["err", "out"]


async def test_a_name_that_is_only_the_beginning_of_an_id_is_no_target(world: DockerWorld) -> None:
    service = await world.create("alpha")
    prefix = (await facts_of(world, service)).target_id[:12]
    other = service.model_copy(deep=True)
    named = HealthyService.model_validate(
        other.model_dump(by_alias=True, exclude_none=True) | {"spec": {"target": {"docker": {"container": prefix}}}}
    )
    assert type(await world.runtime.look(named)).__name__ == "Absent"
