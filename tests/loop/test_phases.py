"""An incident is interrupted in each of its phases: by the engine, by a person's stop, by a restart, by the journal."""

from pathlib import Path

import pytest

from pitcrew.core.errors import JournalUnwritable
from tests.fakes.prober import OK
from tests.loop.composed import House, manifest
from tests.loop.test_healing import USUAL
from tests.loop.virtual import run

BEFORE_THE_EFFECT = USUAL[: USUAL.index("Intended")]
EACH = USUAL[:-1]


@pytest.mark.parametrize("record", [*BEFORE_THE_EFFECT, "Intended"])
def test_an_engine_that_goes_away_after_a_record_stops_everything_until_it_is_back(record: str, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.journal.after[record] = house.goes_away
        house.flag()
        async with house.running():
            await house.until(lambda: house.engine.away)
            await house.passes(120)
            assert house.effects() == []
            ready = house.condition("Ready")
            assert ready is not None
            assert ready.status == "Unknown"
            assert house.incident.open
            assert house.status.now["default/victim"].waits_for  # type: ignore[index]
            house.engine.away = None
            await house.healed()
        assert house.effects() == ["removeFile"]
        assert house.incident.outcome == "Recovered"

    run(test())


def test_an_engine_that_goes_away_after_the_effect_delays_only_the_verdict_on_it(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.journal.after["Acted"] = house.goes_away
        house.flag()
        async with house.running():
            await house.until(lambda: house.engine.away)
            await house.passes(300)
            assert house.incident.open
            house.engine.away = None
            await house.healed()
        assert house.effects() == ["removeFile"]
        assert house.incident.outcome == "Recovered"

    run(test())


@pytest.mark.parametrize("record", EACH)
def test_a_restart_after_a_record_goes_on_to_one_effect_and_the_next_number(record: str, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.journal.after[record] = house.ends_here
        house.flag()
        async with house.running():
            await house.until(lambda: record in house.story())
        assert house.incident.open
        async with house.running():
            await house.healed()
            notices = house.status.now["default/victim"].notices  # type: ignore[index]
            assert [notice.reason for notice in notices] == house.story()
            house.flag()
            await house.healed(2)
            await house.until(lambda: len(house.status.now["default/victim"].last_incidents) == 2)  # type: ignore[index]
        assert house.effects() == ["removeFile", "removeFile"]
        assert [one.id for one in house.incidents()] == ["victim-1", "victim-2"]
        assert [one.outcome for one in house.incidents()] == ["Recovered", "Recovered"]

    run(test())


@pytest.mark.parametrize("record", [*BEFORE_THE_EFFECT, "Intended"])
def test_a_stop_after_a_record_lets_no_effect_through_and_a_person_is_told(record: str, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)

        async def stop() -> None:
            house.stopped = True

        house.journal.after[record] = stop
        house.flag()
        async with house.running():
            await house.until(lambda: house.stopped)
            await house.passes(120)
            assert house.effects() == []
            halted = house.condition("EffectsHalted")
            assert halted is not None
            assert "STOP" in halted.message
            assert house.status.now["default/victim"].waits_for  # type: ignore[index]
            house.stopped = False
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())


def test_a_hold_that_goes_on_for_an_hour_leaves_one_record(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.stopped = True
        house.flag()
        async with house.running():
            await house.until(lambda: "Judged" in house.story())
            held = house.story()
            await house.passes(3_600)
            assert house.story() == held
            house.stopped = False
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())


def test_a_stop_during_verification_lets_it_end(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)

        async def stop() -> None:
            house.stopped = True

        house.journal.after["Acted"] = stop
        house.flag()
        async with house.running():
            await house.healed()
        assert house.effects() == ["removeFile"]
        assert house.incident.outcome == "Recovered"

    run(test())


@pytest.mark.parametrize("record", USUAL)
def test_a_journal_that_refuses_a_record_stops_effects_visibly_until_it_writes_again(
    record: str, tmp_path: Path
) -> None:
    async def test() -> None:
        house = House(tmp_path)

        async def full() -> None:
            house.journal.refuse_with = JournalUnwritable("no space left on device")

        house.journal.before[record] = full
        house.flag()
        async with house.running():
            await house.until(lambda: house.condition("EffectsHalted"))
            done = house.effects()
            await house.passes(120)
            assert house.effects() == done
            assert record not in house.story()
            assert done == ([] if record in [*BEFORE_THE_EFFECT, "Intended"] else ["removeFile"])
            house.journal.refuse_with = None
            await house.healed()
            await house.until(lambda: not house.condition("EffectsHalted"))
        assert house.effects() == ["removeFile"]
        assert house.incident.outcome == "Recovered"

    run(test())


@pytest.mark.parametrize("record", ["Planned", "Judged", "Permitted"])
def test_a_service_that_heals_by_itself_before_the_live_look_is_left_alone(record: str, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)

        async def heals() -> None:
            house.prober.says["victim"] = OK  # the flag is still there, so only the live look can tell

        house.journal.after[record] = heals
        house.flag()
        async with house.running():
            await house.healed()
        assert house.effects() == []
        assert house.incident.outcome == "SelfRecovered"
        assert len(house.reports.texts["victim-1"]) == 1

    run(test())


def test_a_live_look_that_grew_old_is_not_acted_on(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)

        async def slow() -> None:
            await house.passes(11)

        house.journal.after["Checked"] = house.ends_here
        house.flag()
        async with house.running():
            await house.until(lambda: "Checked" in house.story())
        await slow()
        async with house.running():
            await house.healed()
        assert house.story()[7] == "Turned"
        assert house.effects() == ["removeFile"]

    run(test())


@pytest.mark.parametrize("record", EACH[:-1])
def test_a_service_withdrawn_after_a_record_abandons_its_incident(record: str, tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, manifest(), manifest("other"))

        async def withdraw() -> None:
            await house.manifests.declare(house.services[1])
            await house.passes(0.5)

        house.journal.after[record] = withdraw
        house.flag()
        async with house.running():
            await house.until(lambda: house.incident.outcome == "Abandoned" if house.incidents() else False)
            done = house.effects()
            await house.passes(60)
        assert house.effects() == done == ([] if record in BEFORE_THE_EFFECT else ["removeFile"])
        assert "default/victim" not in house.status.now
        assert not house.incident.open

    run(test())
