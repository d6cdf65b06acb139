"""An engine that is away, hung or dripping holds nothing up and leaks nothing."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pitcrew.adapters.breaker import Breaker, BreakerState
from pitcrew.adapters.runtime.docker.endpoint import Endpoint, resolve_endpoint
from pitcrew.adapters.runtime.docker.engine import Engine
from pitcrew.adapters.runtime.docker.reading import DockerRuntime
from pitcrew.core.action import Restart, Seen
from pitcrew.core.errors import EngineUnavailable, InvalidInput, OutcomeUnknown
from pitcrew.core.observation import Absent, Blind, EventKind, RuntimeFacts
from pitcrew.core.resource import HealthyService
from tests.ports.docker_world import DockerWorld, now
from tests.ports.runtime_contract import facts_of, patience

pytestmark = pytest.mark.anyio


def compose(project: str, service: str) -> HealthyService:
    """A service selected by compose labels."""
    return HealthyService.model_validate(
        {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": "composed"},
            "spec": {"target": {"docker": {"composeProject": project, "composeService": service}}},
        }
    )


@pytest.mark.docker
@pytest.mark.parametrize("torment", ["hang", "drip"])
async def test_many_calls_to_an_engine_that_never_ends_its_answers_leave_no_thread_and_no_socket(
    world: DockerWorld, torment: str
) -> None:
    service = await world.create("alpha")
    runtime = DockerRuntime(Engine(world.endpoint, monotonic=lambda: 0.0, deadline_s=0.3), now=now)
    assert isinstance(await runtime.look(service), RuntimeFacts)
    getattr(world.proxy, torment)(paths="-alpha/json")
    with patience():
        sights = [await runtime.look(service) for _ in range(20)]
    assert {sight.reason for sight in sights if isinstance(sight, Blind)} == {"Deadline"}
    assert len(sights) == 20
    world.proxy.restore()
    await runtime.close()
    await world.until(lambda: world.proxy.connections == 0)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("docker")] == []


@pytest.mark.docker
async def test_a_hung_container_does_not_delay_another(world: DockerWorld) -> None:
    alpha, beta = await world.create("alpha"), await world.create("beta")
    await facts_of(world, alpha)
    world.proxy.hang(paths=f"{world.prefix}-alpha/")
    hung = [asyncio.create_task(world.runtime.look(alpha)) for _ in range(40)]
    await world.until(lambda: world.proxy.connections > 0)
    assert isinstance(await world.runtime.look(beta), RuntimeFacts)
    assert not any(task.done() for task in hung)
    with patience():
        sights = await asyncio.gather(*hung)
    assert {sight.reason for sight in sights if isinstance(sight, Blind)} == {"Deadline"}
    assert isinstance(await world.runtime.look(beta), RuntimeFacts)


@pytest.mark.docker
async def test_an_engine_over_tcp_is_read_and_cut_at_the_deadline_too(world: DockerWorld) -> None:
    service = await world.create("alpha")

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_unix_connection(world.proxy.path)
        await asyncio.gather(pipe(reader, engine_writer), pipe(engine_reader, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint(url=f"tcp://127.0.0.1:{port}", origin="DOCKER_HOST")
    runtime = DockerRuntime(Engine(endpoint, monotonic=lambda: 0.0, deadline_s=1.0), now=now)
    facts = await runtime.look(service)
    assert isinstance(facts, RuntimeFacts)
    assert facts.address is None  # whose addresses they are is not known over TCP
    world.proxy.drip()
    sight = await runtime.look(service)
    assert isinstance(sight, Blind)
    assert sight.reason == "Deadline"
    await runtime.close()
    server.close()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until there are no more."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except ConnectionError:
        return
    finally:
        writer.close()


@pytest.mark.docker
async def test_the_breaker_opens_while_the_engine_is_away_and_closes_when_it_is_back(world: DockerWorld) -> None:
    instant = [0.0]
    service = await world.create("alpha")
    runtime = DockerRuntime(Engine(world.endpoint, monotonic=lambda: instant[0], breaker_open_s=10.0), now=now)
    states = [runtime.breaker_state]
    world.proxy.cut()
    for _ in range(5):
        assert isinstance(await runtime.look(service), Blind)
    states.append(runtime.breaker_state)
    world.proxy.restore()
    sight = await runtime.look(service)
    assert isinstance(sight, Blind)
    assert "breaker" in sight.detail
    instant[0] = 11.0
    states.append(runtime.breaker_state)
    assert isinstance(await runtime.look(service), RuntimeFacts)
    states.append(runtime.breaker_state)
    assert states == [BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]
    await runtime.close()


@pytest.mark.docker
async def test_what_happened_while_the_stream_was_cut_is_remembered_afterwards(world: DockerWorld) -> None:
    service = await world.create("alpha")
    world.runtime.declare([service])
    wakes = world.runtime.wakes()
    with patience():
        assert await anext(wakes) == service.key
        world.proxy.cut()
        await world.kill(service)
        world.proxy.restore()
        while EventKind.DIED not in [event.kind for event in world.runtime.events(service)]:
            assert await anext(wakes) == service.key


@pytest.mark.docker
async def test_a_compose_selector_must_find_exactly_one(world: DockerWorld) -> None:
    service = compose(world.prefix, "web")
    assert isinstance(await world.runtime.look(service), Absent)
    labels = {
        "pitcrew.test": world.prefix,
        "com.docker.compose.project": world.prefix,
        "com.docker.compose.service": "web",
        "com.docker.compose.oneoff": "False",
    }
    for number in (1, 2):
        sight = await world.runtime.look(service)
        assert isinstance(sight, Absent if number == 1 else RuntimeFacts)
        await asyncio.to_thread(
            world.docker.containers.run,
            "pitcrew/base:latest",
            ["sleep", "600"],
            name=f"{world.prefix}-web-{number}",
            detach=True,
            labels=labels,
        )
    sight = await world.runtime.look(service)
    assert isinstance(sight, Blind)
    assert sight.reason == "TargetAmbiguous"


@pytest.mark.docker
async def test_without_the_right_to_kill_from_here_a_command_is_ended_by_the_timeout_of_the_image(
    world: DockerWorld,
) -> None:
    service = await world.create("alpha")
    runtime = DockerRuntime(world.engine(), now=now, may_signal_host=False)
    facts = await facts_of(world, service)
    answer = await runtime.run(service, facts, ["sleep", "7654"], timeout_s=0.5, bytes_max=64)
    assert answer.exit_code is None
    missing = await runtime.run(service, facts, ["no-such-program"], timeout_s=5, bytes_max=256)
    assert missing.exit_code in (126, 127)
    assert not [row for row in world.container(service).top()["Processes"] if "7654" in row[-1]]
    await runtime.close()


@pytest.mark.docker
async def test_a_command_that_cannot_be_ended_bars_the_next_one_and_says_so(world: DockerWorld) -> None:
    service = await world.create("alpha")
    world.container(service).exec_run(["rm", "/usr/bin/timeout"], user="0")
    runtime = DockerRuntime(world.engine(), now=now, may_signal_host=False)
    facts = await facts_of(world, service)
    answer = await runtime.run(service, facts, ["sleep", "7653"], timeout_s=0.5, bytes_max=64)
    assert answer.exit_code is None
    assert "may still run" in answer.output
    with pytest.raises(EngineUnavailable, match="earlier command"):
        await runtime.run(service, facts, ["true"], timeout_s=5, bytes_max=64)
    world.container(service).exec_run(["python3", "-c", KILL_7653], user="0")
    await world.until(lambda: not [r for r in world.container(service).top()["Processes"] if "7653" in r[-1]])
    assert (await runtime.run(service, facts, ["true"], timeout_s=5, bytes_max=64)).exit_code == 0
    await runtime.close()


KILL_7653 = """
import os
for pid in filter(str.isdigit, os.listdir('/proc')):
    if open(f'/proc/{pid}/cmdline').read() == 'sleep\\0' + '7653\\0':
        os.kill(int(pid), 9)
"""


@pytest.mark.docker
async def test_two_state_directories_do_not_act_on_one_target(world: DockerWorld) -> None:
    service = await world.create("alpha")
    facts = await facts_of(world, service)
    await world.actuator.prepare(service, Restart(grace_s=1), target_id=facts.target_id, op="one")
    script = Path(__file__).with_name("other_operator.py")
    lock_dir, state_dir = world.lock_dir, world.state_dir.with_name("other")
    state_dir.mkdir()
    declared = service.model_dump_json(by_alias=True, exclude_none=True)
    answer = subprocess.run(
        [sys.executable, script, world.proxy.path, state_dir, lock_dir, declared, facts.target_id],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert answer.stdout.startswith("Refused"), answer.stderr
    assert str(world.state_dir) in answer.stdout


@pytest.mark.docker
async def test_a_restart_that_the_engine_swallowed_is_unknown_first_and_then_seen_as_not_done(
    world: DockerWorld,
) -> None:
    service = await world.create("alpha")
    before = await facts_of(world, service)
    action = Restart(grace_s=0)
    trace = await world.actuator.prepare(service, action, target_id=before.target_id, op="one")
    world.proxy.hang(paths="/restart")
    with patience(), pytest.raises(OutcomeUnknown):
        await world.actuator.apply(service, action, trace)
    world.proxy.restore()
    with patience():
        assert await world.actuator.seen(service, action, trace) is Seen.NOT_DONE
    assert (await facts_of(world, service)).instance == before.instance
    assert [each.path.rpartition("/")[2] for each in world.proxy.witnessed] == ["restart"]


@pytest.mark.docker
def test_a_user_without_the_right_to_the_socket_is_told_so_and_how_to_get_it(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become a user who may not use the socket")
    script = Path(__file__).with_name("look_as_nobody.py")
    answer = subprocess.run(
        [sys.executable, script, "unix:///var/run/docker.sock"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "HOME": "/nonexistent"},
    )
    assert answer.stdout.startswith("EngineForbidden"), answer.stderr
    assert "group" in answer.stdout


async def test_an_engine_that_is_not_there_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    endpoint = Endpoint(url=f"unix://{tmp_path}/none.sock", origin="DOCKER_HOST")
    runtime = DockerRuntime(Engine(endpoint, monotonic=lambda: 0.0), now=now)
    sight = await runtime.look(compose("a", "b"))
    assert isinstance(sight, Blind)
    assert sight.reason == "EngineUnavailable"
    assert "none.sock" in sight.detail
    assert "DOCKER_HOST" in sight.detail
    await runtime.close()


def test_a_breaker_lets_one_call_try_after_its_time() -> None:
    instant = [0.0]
    breaker = Breaker(failures_max=2, open_s=5.0, monotonic=lambda: instant[0])
    breaker.failed()
    assert breaker.admits()
    breaker.failed()
    assert not breaker.admits()
    instant[0] = 5.0
    assert [breaker.admits(), breaker.admits()] == [True, False]
    breaker.failed()
    states = [breaker.state]
    instant[0] = 10.0
    assert breaker.admits()
    breaker.succeeded()
    assert [*states, breaker.state] == [BreakerState.OPEN, BreakerState.CLOSED]


def test_the_endpoint_is_found_as_the_docker_cli_finds_it(tmp_path: Path) -> None:
    assert resolve_endpoint({}, tmp_path).url == "unix:///var/run/docker.sock"
    assert resolve_endpoint({"DOCKER_HOST": "tcp://127.0.0.1:2375"}, tmp_path).origin == "DOCKER_HOST"
    place = tmp_path / ".docker" / "contexts" / "meta" / hashlib.sha256(b"colima").hexdigest()
    place.mkdir(parents=True)
    meta = {"Name": "colima", "Endpoints": {"docker": {"Host": "unix:///home/u/.colima/docker.sock"}}}
    (place / "meta.json").write_text(json.dumps(meta))
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"currentContext": "colima"}))
    found = resolve_endpoint({}, tmp_path)
    assert (found.url, found.origin) == ("unix:///home/u/.colima/docker.sock", "context colima")
    assert resolve_endpoint({"DOCKER_CONTEXT": "default"}, tmp_path).origin == "the default socket"
    with pytest.raises(InvalidInput, match="docker context ls"):
        resolve_endpoint({"DOCKER_CONTEXT": "gone"}, tmp_path)
    with pytest.raises(InvalidInput, match="ssh -L"):
        resolve_endpoint({"DOCKER_HOST": "ssh://host"}, tmp_path)
