"""The contract of `Actuator`. A technology subclasses it with a fixture `world`; nothing here knows which one it is."""

import asyncio
from dataclasses import replace

import pytest

from pitcrew.core.action import Action, RemoveFile, Restart, RestoreFile, Seen, Start, Trace
from pitcrew.core.errors import EffectFailed, OutcomeUnknown, Refused, TargetAbsent, Unavailable
from pitcrew.core.observation import RuntimeState
from pitcrew.core.resource import HealthyService
from tests.ports.runtime_contract import facts_of, patience
from tests.ports.world import FILE_BYTES_MAX, LITERAL, EngineWorld, World, command

RESTART = Restart(grace_s=1)


async def prepared(world: World, service: HealthyService, action: Action, op: str = "op-1") -> Trace:
    """The trace of an action that was prepared for the target as it is now."""
    facts = await facts_of(world, service)
    return await world.actuator.prepare(service, action, target_id=facts.target_id, op=op)


async def done(world: World, service: HealthyService, action: Action, op: str = "op-1") -> Trace:
    """The trace of an action that was prepared and carried out."""
    trace = await prepared(world, service, action, op)
    await world.actuator.apply(service, action, trace)
    return trace


async def noted(world: World, service: HealthyService) -> bytes | None:
    """What the commands wrote: a line for each time that one of them was run."""
    found = await world.read(service, world.beside("noted"))
    return found[0] if found else None


class ActuatorContract:
    """What every actuator does."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_start_brings_an_exited_target_back_as_a_new_run(self, world: World) -> None:
        service = await world.create("alpha")
        await world.kill(service)
        before = await facts_of(world, service)
        trace = await done(world, service, Start())
        after = await facts_of(world, service)
        assert after.running
        assert (after.target_id, trace.instance) == (before.target_id, before.instance)
        assert after.instance != before.instance
        assert await world.actuator.seen(service, Start(), trace) is Seen.DONE

    async def test_start_is_refused_for_a_running_target(self, world: World) -> None:
        service = await world.create("alpha")
        with pytest.raises(Refused, match="does not run"):
            await prepared(world, service, Start())

    async def test_restart_gives_the_same_target_a_new_run(self, world: World) -> None:
        service = await world.create("alpha")
        before = await facts_of(world, service)
        trace = await done(world, service, RESTART)
        after = await facts_of(world, service)
        assert after.running
        assert after.target_id == before.target_id
        assert after.instance != before.instance
        assert await world.actuator.seen(service, RESTART, trace) is Seen.DONE

    async def test_restart_kills_what_does_not_answer_the_polite_signal(self, world: World) -> None:
        service = await world.create("alpha")
        await world.suspend(service)
        before = await facts_of(world, service)
        with patience():
            await done(world, service, RESTART)
        after = await facts_of(world, service)
        assert (after.running, after.suspended) == (True, False)
        assert after.instance != before.instance

    async def test_remove_file_takes_the_file_away_and_the_undo_puts_exactly_it_back(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, b"\x00broken\xff", mode=0o604)
        run = (await facts_of(world, service)).instance
        removal = await done(world, service, RemoveFile(path=world.flag))
        assert await world.read(service, world.flag) is None
        assert await world.actuator.seen(service, RemoveFile(path=world.flag), removal) is Seen.DONE
        restoration = await done(world, service, RestoreFile(path=world.flag), "op-2")
        assert await world.read(service, world.flag) == (b"\x00broken\xff", 0o604)
        assert await world.actuator.seen(service, RestoreFile(path=world.flag), restoration) is Seen.DONE
        assert (await facts_of(world, service)).instance == run

    async def test_the_undo_is_still_there_after_a_crash(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, b"kept")
        trace = await done(world, service, RemoveFile(path=world.flag))
        actuator = world.reopened()
        undo = RestoreFile(path=world.flag)
        restoration = await actuator.prepare(service, undo, target_id=trace.target_id, op="op-2")
        await actuator.apply(service, undo, restoration)
        assert await world.read(service, world.flag) == (b"kept", 0o640)

    async def test_preparing_changes_nothing(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, b"x")
        before, effects = await facts_of(world, service), world.effects()
        await prepared(world, service, RemoveFile(path=world.flag))
        await prepared(world, service, RESTART, "op-2")
        assert await facts_of(world, service) == before
        assert world.effects() == effects

    async def test_a_path_that_is_not_declared_is_refused(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.undeclared, b"x")
        with pytest.raises(Refused, match="declared"):
            await prepared(world, service, RemoveFile(path=world.undeclared))
        with pytest.raises(Refused, match="declared"):
            await prepared(world, service, RestoreFile(path=world.undeclared))
        assert await world.read(service, world.undeclared) is not None

    async def test_a_file_that_is_not_there_is_refused(self, world: World) -> None:
        service = await world.create("alpha")
        with pytest.raises(Refused):
            await prepared(world, service, RemoveFile(path=world.flag))

    async def test_a_symbolic_link_is_refused(self, world: World) -> None:
        service = await world.create("alpha")
        await world.link(service, world.flag)
        with pytest.raises(Refused, match="regular file"):
            await prepared(world, service, RemoveFile(path=world.flag))

    async def test_a_file_too_large_to_keep_is_refused(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, bytes(FILE_BYTES_MAX + 1))
        with pytest.raises(Refused, match="bytes"):
            await prepared(world, service, RemoveFile(path=world.flag))

    async def test_a_file_of_the_largest_size_can_be_taken_away_and_put_back(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, b"7" * FILE_BYTES_MAX)
        await done(world, service, RemoveFile(path=world.flag))
        await done(world, service, RestoreFile(path=world.flag), "op-2")
        assert await world.read(service, world.flag) == (b"7" * FILE_BYTES_MAX, 0o640)

    async def test_a_file_that_changed_since_it_was_kept_is_left_alone(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, b"old")
        trace = await prepared(world, service, RemoveFile(path=world.flag))
        await world.write(service, world.flag, b"something else")
        with pytest.raises(Refused):
            await world.actuator.apply(service, RemoveFile(path=world.flag), trace)
        assert await world.read(service, world.flag) == (b"something else", 0o640)

    async def test_a_file_is_not_put_back_over_another(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, b"old")
        await done(world, service, RemoveFile(path=world.flag))
        await world.write(service, world.flag, b"new")
        with pytest.raises(Refused):
            await prepared(world, service, RestoreFile(path=world.flag), "op-2")
        assert await world.read(service, world.flag) == (b"new", 0o640)

    async def test_nothing_kept_means_nothing_put_back(self, world: World) -> None:
        service = await world.create("alpha")
        with pytest.raises(Refused):
            await prepared(world, service, RestoreFile(path=world.flag))

    async def test_in_a_target_that_does_not_run_no_file_is_removed(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, b"x")
        await world.kill(service)
        with pytest.raises(Refused):
            await prepared(world, service, RemoveFile(path=world.flag))

    async def test_another_target_under_the_same_name_is_refused(self, world: World) -> None:
        service = await world.create("alpha")
        target_id = (await facts_of(world, service)).target_id
        await world.replace(service)
        with pytest.raises(Refused):
            await world.actuator.prepare(service, RESTART, target_id=target_id, op="op-1")

    async def test_a_target_that_is_gone_is_absent(self, world: World) -> None:
        service = await world.create("alpha")
        target_id = (await facts_of(world, service)).target_id
        await world.destroy(service)
        with pytest.raises(TargetAbsent):
            await world.actuator.prepare(service, RESTART, target_id=target_id, op="op-1")

    async def test_what_was_prepared_and_never_carried_out_is_seen_as_not_done(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, b"x")
        for action in (RemoveFile(path=world.flag), RESTART):
            trace = await prepared(world, service, action, f"op-{action.name}")
            with patience():
                assert await world.actuator.seen(service, action, trace) is Seen.NOT_DONE

    async def test_a_start_that_was_never_carried_out_is_seen_as_not_done(self, world: World) -> None:
        service = await world.create("alpha")
        await world.kill(service)
        trace = await prepared(world, service, Start())
        with patience():
            assert await world.actuator.seen(service, Start(), trace) is Seen.NOT_DONE

    async def test_a_file_that_was_never_put_back_is_seen_as_not_done(self, world: World) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, b"x")
        await done(world, service, RemoveFile(path=world.flag))
        trace = await prepared(world, service, RestoreFile(path=world.flag), "op-2")
        with patience():
            assert await world.actuator.seen(service, RestoreFile(path=world.flag), trace) is Seen.NOT_DONE

    async def test_of_a_target_that_is_gone_the_outcome_is_unknown(self, world: World) -> None:
        service = await world.create("alpha")
        trace = await prepared(world, service, RESTART)
        await world.destroy(service)
        with patience():
            assert await world.actuator.seen(service, RESTART, trace) is Seen.UNKNOWN

    async def test_looking_back_changes_nothing(self, world: World) -> None:
        service = await world.create("alpha")
        await world.kill(service)
        trace = await prepared(world, service, Start())
        effects = world.effects()
        await world.actuator.seen(service, Start(), trace)
        assert world.effects() == effects
        assert (await facts_of(world, service)).state is RuntimeState.EXITED

    async def test_an_effect_is_asked_for_once(self, world: World) -> None:
        service = await world.create("alpha")
        effects = world.effects()
        await done(world, service, RESTART)
        assert world.effects() == effects + 1

    async def test_a_command_is_run_once_and_its_undo_takes_it_back(self, world: World) -> None:
        service = await world.create("alpha")
        note, forget = command(service, "note"), command(service, "forget")
        trace = await done(world, service, note)
        assert await noted(world, service) == b"x\n"
        assert await world.actuator.seen(service, note, trace) is Seen.DONE
        assert await world.reopened().seen(service, note, trace) is Seen.DONE
        actuator = world.reopened()
        undo = await actuator.prepare(service, forget, target_id=trace.target_id, op="op-2")
        await actuator.apply(service, forget, undo)
        assert await noted(world, service) is None
        assert await actuator.seen(service, forget, undo) is Seen.DONE

    async def test_arguments_reach_the_program_as_they_are_written(self, world: World) -> None:
        service = await world.create("alpha")
        await done(world, service, command(service, "literal"))
        assert await world.read(service, world.beside(LITERAL)) is not None
        assert await world.read(service, world.beside("injected")) is None

    async def test_a_command_that_fails_says_so_in_bounded_words_without_secrets(self, world: World) -> None:
        service = await world.create("alpha")
        fail = command(service, "fail")
        trace = await prepared(world, service, fail)
        with pytest.raises(EffectFailed, match="fail ended with 3; it said: ") as failed:
            await world.actuator.apply(service, fail, trace)
        assert "hunter2" not in str(failed.value)
        assert await noted(world, service) == b"x\n"
        assert await world.actuator.seen(service, fail, trace) is Seen.DONE

    async def test_a_program_that_is_not_there_fails(self, world: World) -> None:
        service = await world.create("alpha")
        with pytest.raises(EffectFailed):
            await done(world, service, command(service, "absent"))

    @pytest.mark.parametrize(("name", "wrote"), [("hang", b"x\n"), ("quiet", None)])
    async def test_a_command_past_its_timeout_is_ended_and_that_is_told(
        self, world: World, name: str, wrote: bytes | None
    ) -> None:
        service = await world.create("alpha")
        slow = command(service, name)
        trace = await prepared(world, service, slow)
        with patience(), pytest.raises(EffectFailed, match=f"{name} was not done after 1 s and was ended"):
            await world.actuator.apply(service, slow, trace)
        assert await noted(world, service) == wrote
        with patience():
            assert await world.actuator.seen(service, slow, trace) is Seen.DONE

    async def test_a_command_that_still_runs_is_waited_for(self, world: World) -> None:
        service = await world.create("alpha")
        hang = command(service, "hang")
        trace = await prepared(world, service, hang)
        under_way = asyncio.ensure_future(world.actuator.apply(service, hang, trace))
        with patience():
            while await noted(world, service) is None:
                await asyncio.sleep(0.02)
            assert await world.reopened().seen(service, hang, trace) is Seen.DONE
            with pytest.raises(EffectFailed):
                await under_way
        assert await noted(world, service) == b"x\n"

    async def test_a_command_is_refused_unless_it_is_declared_exactly_like_this(self, world: World) -> None:
        service = await world.create("alpha")
        note = command(service, "note")
        for other in (
            replace(note, argv=(*note.argv, "more")),
            replace(note, timeout_s=31),
            replace(note, command="no"),
        ):
            with pytest.raises(Refused, match="declared"):
                await prepared(world, service, other)

    async def test_in_a_target_that_does_not_run_no_command_is_run(self, world: World) -> None:
        service = await world.create("alpha")
        await world.kill(service)
        with pytest.raises(Refused):
            await prepared(world, service, command(service, "note"))

    async def test_a_command_is_not_run_in_a_later_run_of_the_target(self, world: World) -> None:
        service = await world.create("alpha")
        note = command(service, "note")
        trace = await prepared(world, service, note)
        await done(world, service, RESTART, "op-2")
        with pytest.raises(Refused):
            await world.actuator.apply(service, note, trace)
        assert await noted(world, service) is None

    async def test_a_command_that_was_never_begun_is_seen_as_not_done(self, world: World) -> None:
        service = await world.create("alpha")
        note = command(service, "note")
        trace = await prepared(world, service, note)
        with patience():
            assert await world.reopened().seen(service, note, trace) is Seen.NOT_DONE
        assert await noted(world, service) is None


class EngineActuatorContract:
    """What an actuator behind an engine does beyond that."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_without_the_engine_nothing_is_prepared(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        target_id = (await facts_of(world, service)).target_id
        world.engine_away()
        with pytest.raises(Unavailable):
            await world.actuator.prepare(service, RESTART, target_id=target_id, op="op-1")

    async def test_an_engine_that_is_away_was_certainly_not_asked(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        trace, effects = await prepared(world, service, RESTART), world.effects()
        world.engine_away()
        with pytest.raises(Unavailable):
            await world.actuator.apply(service, RESTART, trace)
        assert world.effects() == effects

    async def test_a_lost_answer_to_a_restart_is_found_out_by_looking(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        trace = await prepared(world, service, RESTART)
        world.lose_the_next_answer()
        with patience(), pytest.raises(OutcomeUnknown):
            await world.actuator.apply(service, RESTART, trace)
        with patience():
            assert await world.actuator.seen(service, RESTART, trace) is Seen.DONE

    async def test_a_lost_answer_to_a_removal_is_found_out_by_looking(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        await world.write(service, world.flag, b"x")
        trace = await prepared(world, service, RemoveFile(path=world.flag))
        world.lose_the_next_answer()
        with patience(), pytest.raises(OutcomeUnknown):
            await world.actuator.apply(service, RemoveFile(path=world.flag), trace)
        with patience():
            assert await world.actuator.seen(service, RemoveFile(path=world.flag), trace) is Seen.DONE
        assert await world.read(service, world.flag) is None

    async def test_with_the_engine_away_the_outcome_is_unknown(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        trace = await prepared(world, service, RESTART)
        world.engine_away()
        with patience():
            assert await world.actuator.seen(service, RESTART, trace) is Seen.UNKNOWN

    async def test_a_lost_answer_to_a_command_is_found_out_by_looking(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        note = command(service, "note")
        trace = await prepared(world, service, note)
        world.lose_the_next_answer()
        with patience(), pytest.raises(OutcomeUnknown):
            await world.actuator.apply(service, note, trace)
        with patience():
            assert await world.actuator.seen(service, note, trace) is Seen.DONE
        assert await noted(world, service) == b"x\n"

    async def test_a_command_that_an_absent_engine_was_not_asked_for_is_not_done(self, world: EngineWorld) -> None:
        service = await world.create("alpha")
        note = command(service, "note")
        trace = await prepared(world, service, note)
        world.engine_away()
        with pytest.raises(Unavailable):
            await world.actuator.apply(service, note, trace)
        with patience():
            assert await world.actuator.seen(service, note, trace) is Seen.UNKNOWN
        world.engine_back()
        with patience():
            assert await world.actuator.seen(service, note, trace) is Seen.NOT_DONE
        assert await noted(world, service) is None
