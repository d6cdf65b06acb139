"""The contract of `Runtime`. A technology subclasses it with a fixture `world`; nothing here knows which one it is."""

from contextlib import AbstractContextManager

import anyio
import pytest

from pitcrew.core.errors import Refused, TargetAbsent, Unavailable
from pitcrew.core.observation import (
    Absent,
    Blind,
    EventKind,
    FileFact,
    RuntimeFacts,
    RuntimeState,
    StoppedBy,
)
from pitcrew.core.resource import HealthyService
from tests.ports.world import EngineWorld, World

PATIENCE_S = 30.0
"""How long a test waits for something that must come; only a broken product uses it up."""


def patience() -> AbstractContextManager[object]:
    """A bound around waits for what must come; it raises TimeoutError."""
    return anyio.fail_after(PATIENCE_S)


async def facts_of(world: World, service: HealthyService) -> RuntimeFacts:
    """The facts of a target that can be seen."""
    sight = await world.runtime.look(service)
    assert isinstance(sight, RuntimeFacts), sight
    return sight


class RuntimeContract:
    """What every runtime does."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_a_running_target_is_seen_with_its_identity(self, world: World) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        assert facts.kind is world.runtime.kind
        assert facts.state is RuntimeState.RUNNING
        assert facts.running
        assert facts.target_id
        assert facts.instance
        assert facts.ever_started
        assert facts.started_at is not None
        assert facts.started_at.tzinfo is not None
        assert not facts.suspended
        assert facts.deaths == 0

    async def test_two_looks_at_an_untouched_target_name_the_same_run(self, world: World) -> None:
        service = await world.create("alpha")
        first, second = await facts_of(world, service), await facts_of(world, service)
        assert (first.target_id, first.instance) == (second.target_id, second.instance)

    async def test_two_targets_are_told_apart(self, world: World) -> None:
        alpha, beta = await world.create("alpha"), await world.create("beta")
        assert (await facts_of(world, alpha)).target_id != (await facts_of(world, beta)).target_id

    async def test_a_target_that_was_taken_away_is_absent(self, world: World) -> None:
        service = await world.create("alpha")
        await world.destroy(service)
        assert isinstance(await world.runtime.look(service), Absent)

    async def test_a_declared_file_is_seen_when_it_is_there_and_when_not(self, world: World) -> None:
        service = await world.create("alpha")
        assert (await facts_of(world, service)).files == (FileFact(path=world.flag, present=False),)
        await world.write(service, world.flag, b"broken\n")
        assert (await facts_of(world, service)).files == (FileFact(path=world.flag, present=True, size=7),)

    async def test_a_symbolic_link_is_not_the_declared_file(self, world: World) -> None:
        service = await world.create("alpha")
        await world.link(service, world.flag)
        assert (await facts_of(world, service)).files == (FileFact(path=world.flag, present=False),)

    async def test_a_target_killed_from_outside_ended_by_itself(self, world: World) -> None:
        service = await world.create("alpha")
        await world.kill(service)
        facts = await facts_of(world, service)
        assert facts.state is RuntimeState.EXITED
        assert facts.stopped_by is StoppedBy.ITSELF
        assert facts.deaths == 1
        assert not facts.oom_killed
        assert facts.exit_code == 137 or not world.leaves_its_exit_code

    async def test_a_target_that_a_person_stopped_is_told_so(self, world: World) -> None:
        service = await world.create("alpha")
        await world.stop(service)
        facts = await facts_of(world, service)
        assert facts.state is RuntimeState.EXITED
        assert facts.stopped_by is StoppedBy.PERSON
        assert facts.deaths == 0

    async def test_a_suspended_target_runs_and_says_that_it_is_suspended(self, world: World) -> None:
        service = await world.create("alpha")
        await world.suspend(service)
        facts = await facts_of(world, service)
        assert (facts.running, facts.suspended) == (True, True)
        await world.resume(service)
        assert not (await facts_of(world, service)).suspended

    async def test_the_log_is_given_oldest_first_with_instants(self, world: World) -> None:
        service = await world.create("alpha")
        await world.say(service, "one", "two", "three")
        lines = await world.runtime.logs(service, await facts_of(world, service), lines_max=100, bytes_max=65536)
        assert [line.text for line in lines][-3:] == ["one", "two", "three"]
        instants = [line.at for line in lines if line.at is not None]
        assert instants == sorted(instants)
        assert {line.stream for line in lines} <= {"stdout", "stderr"}

    async def test_of_a_long_log_the_last_lines_are_given(self, world: World) -> None:
        service = await world.create("alpha")
        await world.say(service, *(f"line {number}" for number in range(50)))
        facts = await facts_of(world, service)
        few = await world.runtime.logs(service, facts, lines_max=3, bytes_max=65536)
        assert [line.text for line in few] == ["line 47", "line 48", "line 49"]
        small = await world.runtime.logs(service, facts, lines_max=50, bytes_max=40)
        assert small[-1].text == "line 49"
        assert sum(len(line.text) for line in small) <= 40

    async def test_the_log_of_an_exited_target_can_be_read(self, world: World) -> None:
        service = await world.create("alpha")
        await world.say(service, "last words")
        await world.kill(service)
        lines = await world.runtime.logs(service, await facts_of(world, service), lines_max=10, bytes_max=4096)
        assert "last words" in [line.text for line in lines]

    async def test_the_log_of_a_target_that_is_gone_is_absent(self, world: World) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        await world.destroy(service)
        with pytest.raises(TargetAbsent):
            await world.runtime.logs(service, facts, lines_max=10, bytes_max=4096)

    async def test_the_processes_of_a_running_target_are_listed_with_their_state_also_when_it_hangs(
        self, world: World
    ) -> None:
        service = await world.create("alpha")
        await world.suspend(service)
        facts = await facts_of(world, service)
        listed = await world.runtime.processes(service, facts, lines_max=8)
        assert 1 <= len(listed) <= 8
        assert all("\n" not in line for line in listed)
        assert listed[0].split()[1].startswith("T")
        await world.resume(service)

    async def test_a_target_that_ended_lists_no_processes(self, world: World) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        await world.kill(service)
        with pytest.raises((Unavailable, TargetAbsent)):
            await world.runtime.processes(service, facts, lines_max=8)

    async def test_what_a_running_target_uses_is_told_in_lines(self, world: World) -> None:
        service = await world.create("alpha")
        used = await world.runtime.stats(service, await facts_of(world, service))
        assert 1 <= len(used) <= 12
        assert used[0].startswith("memory ")
        assert all("\n" not in line for line in used)

    async def test_a_target_that_ended_uses_nothing(self, world: World) -> None:
        service = await world.create("alpha")
        await world.kill(service)
        with pytest.raises(Unavailable):
            await world.runtime.stats(service, await facts_of(world, service))

    async def test_how_a_target_was_made_is_told_also_when_it_ended(self, world: World) -> None:
        service = await world.create("alpha")
        running = await world.runtime.makeup(service, await facts_of(world, service))
        await world.kill(service)
        ended = await world.runtime.makeup(service, await facts_of(world, service))
        assert running == ended
        assert 1 <= len(ended) <= 100
        assert all(len(line) <= 300 and line.isprintable() for line in ended)

    async def test_a_death_wakes_the_service_it_belongs_to_and_is_remembered(self, world: World) -> None:
        alpha, beta = await world.create("alpha"), await world.create("beta")
        world.runtime.declare([alpha, beta])
        wakes = world.runtime.wakes()
        with patience():
            await world.kill(beta)
            while await anext(wakes) != beta.key:
                pass
            while EventKind.DIED not in [event.kind for event in world.runtime.events(beta)]:
                await anext(wakes)
        assert EventKind.DIED not in [event.kind for event in world.runtime.events(alpha)]

    async def test_closing_leaves_targets_as_they_are(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, b"x")
        await world.runtime.close()
        assert await world.read(service, world.flag) == (b"x", 0o640)

    async def test_looking_changes_nothing(self, world: World) -> None:
        service = await world.create("alpha")
        before = world.effects()
        facts = await facts_of(world, service)
        await world.runtime.logs(service, facts, lines_max=10, bytes_max=4096)
        assert world.effects() == before


class CommandContract:
    """What every runtime does that runs commands inside its targets."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_a_command_gives_its_exit_code_and_what_it_wrote(self, world: World) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        argv = ["sh", "-c", "echo out; echo err >&2; exit 3"]
        answer = await world.runtime.run(service, facts, argv, timeout_s=PATIENCE_S, bytes_max=4096)
        assert answer.exit_code == 3
        assert sorted(answer.output.split()) == ["err", "out"]

    async def test_arguments_are_not_read_by_a_shell(self, world: World) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        argv = ["echo", "$HOME; id", "a  b"]
        answer = await world.runtime.run(service, facts, argv, timeout_s=PATIENCE_S, bytes_max=4096)
        assert (answer.exit_code, answer.output.strip()) == (0, "$HOME; id a  b")

    async def test_a_command_that_does_not_exist_answers_127_or_126(self, world: World) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        answer = await world.runtime.run(service, facts, ["no-such-program"], timeout_s=PATIENCE_S, bytes_max=4096)
        assert answer.exit_code in (126, 127)

    async def test_what_a_command_writes_is_cut(self, world: World) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        argv = ["sh", "-c", "yes | head -c 200000"]
        answer = await world.runtime.run(service, facts, argv, timeout_s=PATIENCE_S, bytes_max=1000)
        assert answer.exit_code == 0
        assert 0 < len(answer.output) <= 1000

    async def test_a_command_ends_at_its_timeout_and_leaves_no_process(self, world: World) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        answer = await world.runtime.run(service, facts, ["sleep", "7654"], timeout_s=1.0, bytes_max=4096)
        assert answer.exit_code is None
        left = ["sh", "-c", "grep -lz '^7654' /proc/[0-9]*/cmdline 2>/dev/null | grep -v /self/ | wc -l"]
        with patience():
            while (await world.runtime.run(service, facts, left, timeout_s=9, bytes_max=64)).output.strip() != "0":
                await anyio.sleep(0.02)

    async def test_in_a_target_that_does_not_run_no_command_runs(self, world: World) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        await world.kill(service)
        with pytest.raises(Refused):
            await world.runtime.run(service, facts, ["true"], timeout_s=PATIENCE_S, bytes_max=64)


class EngineContract:
    """What a runtime behind an engine does beyond that."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_without_the_engine_the_runtime_is_blind_and_says_so_by_a_reason(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        world.engine_away()
        sight = await world.runtime.look(service)
        assert isinstance(sight, Blind)
        assert sight.reason == "EngineUnavailable"
        with pytest.raises(Unavailable):
            await world.runtime.logs(service, facts, lines_max=10, bytes_max=4096)

    async def test_a_hung_engine_makes_it_blind_within_the_deadline(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        world.engine_hangs()
        with patience():
            sight = await world.runtime.look(service)
        assert isinstance(sight, Blind)
        assert sight.reason == "Deadline"

    async def test_it_sees_again_when_the_engine_is_back(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        before = await facts_of(world, service)
        world.engine_away()
        assert isinstance(await world.runtime.look(service), Blind)
        world.engine_back()
        with patience():
            while isinstance(sight := await world.runtime.look(service), Blind):
                await anyio.sleep(0.02)
        assert isinstance(sight, RuntimeFacts)
        assert sight.instance == before.instance

    async def test_events_arrive_again_after_the_engine_was_away(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        world.runtime.declare([service])
        wakes = world.runtime.wakes()
        with patience():
            assert await anext(wakes) == service.key
            world.engine_away()
            world.engine_back()
            await world.kill(service)
            while EventKind.DIED not in [event.kind for event in world.runtime.events(service)]:
                assert await anext(wakes) == service.key


class EngineCommandContract:
    """What a runtime behind an engine does of commands beyond that."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_without_the_engine_no_command_is_carried_out(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        facts = await facts_of(world, service)
        world.engine_away()
        with pytest.raises(Unavailable):
            await world.runtime.run(service, facts, ["true"], timeout_s=1.0, bytes_max=64)
