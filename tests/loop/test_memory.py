"""Worker processes that run out of memory: a person is asked, and no restart is tried as a reflex."""

from pathlib import Path

import pytest

from pitcrew.core.diagnosis import Cause
from pitcrew.core.incident import Phase
from tests.fakes.prober import BROKEN, OK, SILENT, Said
from tests.loop.composed import House
from tests.loop.virtual import run


@pytest.mark.parametrize("said", [OK, SILENT, BROKEN], ids=["all is well", "timeouts", "errors"])
def test_workers_out_of_memory_end_with_a_person_and_close_once_it_is_over(tmp_path: Path, said: Said) -> None:
    async def test() -> None:
        house = House(tmp_path)
        target = house.engine.targets["victim"]
        async with house.running():
            await house.passes(5)
            target.ooms, house.prober.says["victim"] = 3, said
            await house.until(lambda: house.incidents() and house.incident.phase is Phase.ESCALATED)
            assert house.incident.cause is Cause.OUT_OF_MEMORY
            target.ooms, house.prober.says["victim"] = 0, OK
            await house.healed()
        assert house.incident.outcome == "SelfRecovered"
        assert house.effects() == []

    run(test())


def test_what_is_remembered_of_the_last_minutes_does_not_hide_that_a_remedy_helped(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        async with house.running():
            await house.passes(5)
            house.flag()
            await house.until(lambda: house.effects() == ["removeFile"])
            house.engine.targets["victim"].ooms = 3
            await house.healed()
        assert house.incident.outcome == "Recovered"
        assert house.effects() == ["removeFile"]

    run(test())
