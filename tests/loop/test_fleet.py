"""Several services: who comes and goes, who shares a target, who is delayed by whom."""

import asyncio
from pathlib import Path

import pytest

from pitcrew.core.action import Action, Trace
from pitcrew.core.errors import InvalidInput
from pitcrew.core.observation import Sight
from pitcrew.core.resource import HealthyService
from pitcrew.settings import Settings
from tests.fakes.engine import FakeEngine
from tests.fakes.runtime import FakeActuator, FakeRuntime
from tests.loop.composed import House, manifest
from tests.loop.virtual import run


def test_two_services_on_one_target_are_refused_and_the_second_says_why(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, manifest("first", "shared"), manifest("second", "shared"))
        house.flag("shared")
        async with house.running():
            await house.healed()
            await house.until(lambda: house.condition("EffectsHalted", "default/second"))
            halted = house.condition("EffectsHalted", "default/second")
        assert halted is not None
        assert "default/first" in halted.message
        assert house.effects("shared") == ["removeFile"]
        assert {one.service for one in house.incidents()} == {"default/first"}

    run(test())


def test_a_second_operator_on_one_state_directory_is_refused(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        async with house.running():
            with pytest.raises(InvalidInput):
                house.operator()

    run(test())


def test_a_runtime_that_hangs_for_one_service_delays_no_other(tmp_path: Path) -> None:
    class HangsForOne(FakeRuntime):
        async def look(self, service: HealthyService) -> Sight:
            if service.metadata.name == "hung":
                await asyncio.sleep(100_000)
            return await super().look(service)

    async def test() -> None:
        house = House(tmp_path, manifest("hung"), manifest("victim"))
        house.runtime_of = HangsForOne
        house.flag()
        house.flag("hung")
        life = house.operator()
        fleet = asyncio.create_task(life.fleet.run())
        await house.healed()
        assert house.elapsed_s() < 60
        assert house.effects() == ["removeFile"]
        fleet.cancel()

    run(test())


class SlowHands(FakeActuator):
    """Takes ten seconds for each effect and counts how many are under way."""

    def __init__(self, engine: FakeEngine) -> None:
        super().__init__(engine)
        self.under_way = 0
        self.most = 0

    async def apply(self, service: HealthyService, action: Action, trace: Trace) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(10)
        await super().apply(service, action, trace)
        self.under_way -= 1


def test_services_acted_on_at_once_are_bounded_and_all_heal(tmp_path: Path) -> None:
    async def test() -> None:
        names = [f"s{number}" for number in range(6)]
        settings = Settings(state=tmp_path, acting_at_once_max=2)
        house = House(tmp_path, *map(manifest, names), settings=settings)
        hands = SlowHands(house.engine)
        house.actuator_of = lambda engine: hands
        for name in names:
            house.flag(name)
        async with house.running():
            await house.healed(6)
        assert hands.most == 2
        assert [house.effects(name) for name in names] == [["removeFile"]] * 6

    run(test())


def test_an_end_that_comes_during_an_effect_waits_for_it(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        hands = SlowHands(house.engine)
        house.actuator_of = lambda engine: hands
        house.flag()
        async with house.running():
            await house.until(lambda: hands.under_way)
        assert hands.under_way == 0
        assert house.effects() == ["removeFile"]
        assert house.story()[-1] in ("Acted", "Intended")
        async with house.running():
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())


def test_a_service_that_became_declared_while_running_is_kept_and_a_target_edit_moves_it(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, manifest("victim"))
        house.add(manifest("late"))
        async with house.running():
            await house.until(lambda: house.condition("Ready"))
            await house.manifests.declare(*house.services, manifest("late"))
            house.flag("late")
            await house.healed()
            house.add(manifest("moved"))
            await house.manifests.declare(*house.services, manifest("late", "moved"))
            house.flag("moved")
            await house.healed(2)
        assert house.effects("late") == ["removeFile"]
        assert house.effects("moved") == ["removeFile"]
        assert [one.id for one in house.incidents()] == ["late-1", "late-2"]

    run(test())


def test_an_incident_of_a_service_withdrawn_while_pitcrew_was_away_is_abandoned(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.journal.after["Diagnosed"] = house.ends_here
        house.flag()
        async with house.running():
            await house.until(lambda: "Diagnosed" in house.story())
        await house.manifests.declare()
        async with house.running():
            await house.until(lambda: house.incident.outcome == "Abandoned")
        assert house.engine.asked == []

    run(test())
