"""The way of one incident, from the first failing probe to the report."""

from pathlib import Path

from pitcrew.core.incident import Phase
from tests.loop.composed import FLAG, House
from tests.loop.virtual import run

USUAL = [
    "Opened", "EvidenceGathered", "Diagnosed", "Planned", "Judged", "Permitted", "Checked", "Intended", "Acted",
    "Verified", "Reported",
]  # fmt: skip


def test_a_flag_is_removed_once_and_the_journal_tells_every_stage_in_order(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        async with house.running():
            await house.until(lambda: house.condition("Ready"))
            house.flag()
            await house.healed()
        assert house.effects() == ["removeFile"]
        assert FLAG not in house.engine.targets["victim"].files
        assert house.story() == USUAL
        assert house.incident.outcome == "Recovered"
        assert house.incident.phase is Phase.CLOSED
        assert len(house.reports.texts["victim-1"]) == 1

    run(test())
