"""Unknown is not unhealthy (S5), and nothing chosen means nothing done (S11)."""

from dataclasses import replace
from pathlib import Path

import pytest

from pitcrew.core.observation import Outcome, ProbeReason
from tests.fakes.engine import Away
from tests.fakes.prober import BLIND, BROKEN, NO_ADDRESS, Said
from tests.loop.composed import House
from tests.loop.virtual import run

NO_NAME = Said(outcome=Outcome.UNKNOWN, reason=ProbeReason.NAME_NOT_RESOLVED, detail="our resolver does not answer")
OUR_SIDE = {"descriptors": BLIND, "address": NO_ADDRESS, "names": NO_NAME}


@pytest.mark.parametrize("away", Away)
def test_an_engine_that_does_not_answer_is_unknown_and_opens_nothing(away: Away, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.flag()
        house.engine.away = away
        async with house.running():
            await house.passes(600)
            ready = house.condition("Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("Unknown", str(away))
        assert house.story() == []
        assert house.engine.asked == []

    run(test())


@pytest.mark.parametrize("said", OUR_SIDE.values(), ids=OUR_SIDE.keys())
def test_a_probe_that_our_side_could_not_carry_out_opens_nothing(said: Said, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.prober.says["victim"] = said
        async with house.running():
            await house.passes(600)
            ready = house.condition("Ready")
        assert ready is not None
        assert ready.status == "Unknown"
        assert house.story() == []

    run(test())


@pytest.mark.parametrize("record", ["Opened", "EvidenceGathered", "Planned", "Permitted", "Checked", "Intended"])
@pytest.mark.parametrize("said", OUR_SIDE.values(), ids=OUR_SIDE.keys())
def test_an_incident_goes_on_when_our_side_can_probe_again(said: Said, record: str, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)

        async def blinded() -> None:
            house.prober.says["victim"] = said

        house.journal.after[record] = blinded
        house.flag()
        async with house.running():
            await house.until(lambda: "victim" in house.prober.says)
            await house.passes(200)
            assert house.incident.outcome in ("Open", "Escalated")
            del house.prober.says["victim"]
            await house.healed()
        assert house.incident.outcome == "Recovered"
        assert house.effects() == ["removeFile"]

    run(test())


def test_a_selector_that_finds_two_targets_is_refused_before_and_within_an_incident(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)

        async def doubles() -> None:
            house.engine.ambiguous.add("victim")

        house.journal.after["Permitted"] = doubles
        house.flag()
        async with house.running():
            await house.until(lambda: "Permitted" in house.story())
            await house.passes(300)
            ready = house.condition("Ready")
            assert ready is not None
            assert (ready.status, ready.reason) == ("Unknown", "TargetAmbiguous")
            assert house.engine.asked == []
            house.engine.ambiguous.clear()
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())


def test_a_body_of_a_probe_is_bounded_wherever_it_is_shown(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, separated=True)
        house.prober.says["victim"] = replace(BROKEN, detail="HTTP 500: oops")
        async with house.running():
            await house.until(lambda: house.incidents() and house.incident.outcome == "Escalated")
            ready = house.condition("Ready")
        assert ready is not None
        assert "oops" in ready.message
        assert len(ready.message) <= 1024

    run(test())
