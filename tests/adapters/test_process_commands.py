"""Declared commands beside a local process: a supervisor outlives PitCrew, runs each once and leaves none behind."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pitcrew.adapters.runtime.process import shim
from pitcrew.adapters.runtime.process.runs import RUNS_MAX
from pitcrew.core.action import RunCommand, Seen, Trace, declared_command
from pitcrew.core.errors import EffectFailed, OutcomeUnknown
from pitcrew.core.observation import RuntimeFacts
from pitcrew.core.resource import HealthyService
from tests.adapters.killed import killed_at
from tests.ports.process_world import ProcessWorld
from tests.ports.world import command

pytestmark = pytest.mark.anyio
LINGERS = "echo $$ >> noted; echo $PPID > supervisor; sleep 4333 & wait"
TELLS = 'pwd > told; env | sort >> told; echo "$0" "$@" >> told'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ProcessWorld]:
    world = ProcessWorld(tmp_path)
    yield world
    await world.close()


def with_command(service: HealthyService, *argv: str, timeout_s: int = 30) -> tuple[HealthyService, RunCommand]:
    """The service with one command, `it`."""
    document = service.model_dump(mode="json", by_alias=True)
    declared = {"commands": [{"name": "it", "argv": list(argv), "timeoutSeconds": timeout_s}]}
    document["spec"]["remediation"]["actions"]["runCommand"] = declared
    changed = HealthyService.model_validate(document)
    found = declared_command(changed.spec.remediation.actions, "it")
    assert found is not None
    return changed, found


async def prepared(world: ProcessWorld, service: HealthyService, action: RunCommand, op: str = "op-1") -> Trace:
    facts = await world.runtime.look(service)
    assert isinstance(facts, RuntimeFacts), facts
    return await world.actuator.prepare(service, action, target_id=facts.target_id, op=op)


def lines(world: ProcessWorld, service: HealthyService, name: str = "noted") -> list[str]:
    path = world.folder(service) / name
    return path.read_text().splitlines() if path.exists() else []


def is_gone(pid: int) -> bool:
    proc = shim.look_at(pid)
    return proc is None or proc.state in "ZX"


async def test_a_command_gets_the_working_directory_and_only_the_declared_environment(
    world: ProcessWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "nothing for a workload")
    created = await world.create("alpha")
    service, tells = with_command(created, "sh", "-c", TELLS, "zero", "; $(id)", "-n")
    trace = await prepared(world, service, tells)
    await world.reopened().apply(service, tells, trace)
    told = lines(world, service, "told")
    assert told[0] == str(world.folder(service))
    assert told[-1] == "zero ; $(id) -n"
    names = {line.partition("=")[0] for line in told[1:-1]}
    assert "PATH" in names
    assert names <= {"PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_"}


async def test_all_that_a_command_started_in_its_group_ends_at_its_timeout(world: ProcessWorld) -> None:
    service, slow = with_command(await world.create("alpha"), "sh", "-c", LINGERS, timeout_s=1)
    trace = await prepared(world, service, slow)
    with pytest.raises(EffectFailed, match="was not done after 1 s and was ended"):
        await world.actuator.apply(service, slow, trace)
    group = int(lines(world, service)[0])
    await world.until(lambda: not [p for p in shim.everyone() if p.session == group and p.state not in "ZX"])


async def test_a_killed_supervisor_takes_its_command_along_and_the_outcome_is_unknown(world: ProcessWorld) -> None:
    service, slow = with_command(await world.create("alpha"), "sh", "-c", LINGERS)
    trace = await prepared(world, service, slow)
    under_way = asyncio.ensure_future(world.actuator.apply(service, slow, trace))
    await world.until(lambda: lines(world, service, "supervisor"))
    os.kill(int(lines(world, service, "supervisor")[0]), signal.SIGKILL)
    with pytest.raises(OutcomeUnknown):
        await under_way
    assert await world.reopened().seen(service, slow, trace) is Seen.UNKNOWN
    pid = int(lines(world, service)[0])
    await world.until(lambda: is_gone(pid))


async def test_what_was_begun_is_not_begun_again(world: ProcessWorld) -> None:
    service = await world.create("alpha")
    note = command(service, "note")
    trace = await prepared(world, service, note)
    await world.actuator.apply(service, note, trace)
    with pytest.raises(OutcomeUnknown, match="it is not run again"):
        await world.reopened().apply(service, note, trace)
    assert lines(world, service) == ["x"]


async def test_what_is_forgotten_is_unknown_and_only_so_many_are_remembered(world: ProcessWorld) -> None:
    service = await world.create("alpha")
    note = command(service, "note")
    first = await prepared(world, service, note)
    for number in range(RUNS_MAX + 5):
        await prepared(world, service, note, f"op-{number + 2}")
    folder = world.home(service) / "commands"
    assert len(list(folder.iterdir())) == RUNS_MAX
    assert await world.actuator.seen(service, note, first) is Seen.UNKNOWN
    shutil.rmtree(folder)


def test_killed_at_any_step_the_asker_leaves_at_most_one_run(tmp_path: Path) -> None:
    """SIGKILL of the asking process at every file, signal and process operation that it makes."""
    verdicts: list[Seen] = []
    for point in range(1, 200):
        world = ProcessWorld(tmp_path / str(point))
        try:
            verdict = asyncio.run(_killed_at(world, point))
        finally:
            asyncio.run(world.close())
        if verdict is None:
            break
        verdicts.append(verdict)
    assert Seen.UNKNOWN not in verdicts
    assert {Seen.DONE, Seen.NOT_DONE} == set(verdicts)
    assert len(verdicts) > 5


async def _killed_at(world: ProcessWorld, point: int) -> Seen | None:
    """What is seen of a command whose asker was killed at its `point`-th step; None when it has fewer steps."""
    service = await world.create("alpha")
    note = command(service, "note")
    trace = await prepared(world, service, note)
    was_killed = killed_at(world, service, note, trace, point)
    verdict = await world.reopened().seen(service, note, trace)
    assert lines(world, service) == (["x"] if verdict is Seen.DONE else [])
    return verdict if was_killed else None
