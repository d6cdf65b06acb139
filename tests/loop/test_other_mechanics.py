"""A target beside another Mechanic: a process that is its own Mechanic never acts on its namesake here."""

from pathlib import Path

from tests.loop.composed import House, manifest
from tests.loop.virtual import run


def test_a_target_beside_a_mechanic_that_is_not_configured_is_unknown_and_left_alone(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, manifest(target={"docker": {"container": "victim", "host": "web2"}}))
        house.flag()
        async with house.running():
            await house.passes(600)
            ready = house.condition("Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("Unknown", "NoMechanic")
        assert "no Mechanic named web2 is configured, only default" in ready.message
        assert house.story() == []
        assert house.engine.asked == []

    run(test())


def test_the_default_mechanic_may_be_named(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, manifest(target={"docker": {"container": "victim", "host": "default"}}))
        house.flag()
        async with house.running():
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())
