"""A plan is pinned to the text of its runbook: a restart with other runbooks never goes on under another text."""

import copy
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pitcrew.adapters.runbooks.files import built_in
from pitcrew.core.event import Planned, from_record
from pitcrew.core.report import section_text, why
from pitcrew.core.runbook import drift
from pitcrew.settings import Settings
from tests.core.incidents import healed
from tests.fakes.consultant import FakeConsultant, opinion
from tests.loop.composed import House, manifest
from tests.loop.virtual import run

ASKS = {"autoUpTo": "None", "approveUpTo": "High"}
BUILT_IN = files("pitcrew").joinpath("runbooks", "flag-file.md").read_text()
PIN = next(book.pin for book in built_in() if book.head.id == "flag-file")
CORRECTED = BUILT_IN.replace("  - {action: removeFile, undo: at-end}\n", "").replace(
    "# A declared", "# Never a declared"
)
OWN = BUILT_IN.replace("id: flag-file", "id: our-flag").replace("not-when:", "  - {fact: deviation}\nnot-when:", 1)


def books(directory: Path, *texts: str) -> Path:
    directory.mkdir(mode=0o755)
    for number, text in enumerate(texts):
        path = directory / f"{number}.md"
        path.write_text(text)
        path.chmod(0o644)
    return directory


def with_runbooks(house: House, *directories: Path) -> None:
    """What the next life of the operator is started with."""
    house.settings = Settings(state=house.state, runbooks=directories)


def test_the_journal_the_chain_of_reasons_and_the_report_name_the_text_that_was_used(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.flag()
        async with house.running():
            await house.healed()
        (planned,) = [record for record in house.records() if record.type == "Planned"]
        assert planned.data["proposal"]["runbook_digest"].startswith(PIN.partition("@")[2])  # type: ignore[index, call-overload, union-attr]
        assert PIN in section_text(why(house.incident))
        (report,) = house.reports.texts["victim-1"]
        assert f"`{PIN}`" in report

    run(test())


def test_a_plan_that_waits_for_a_person_is_made_anew_when_its_runbook_was_corrected(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, manifest(policy=ASKS))
        house.flag()
        async with house.running():
            await house.until(lambda: "ApprovalAsked" in house.story())
        asked = house.incident.attempt
        with_runbooks(house, books(tmp_path / "books", CORRECTED))
        async with house.running():
            await house.until(lambda: house.story().count("ApprovalAsked") == 2)
        (anew,) = [record for record in house.records() if record.type == "Reconsidered"]
        assert f"runbook {PIN} is now flag-file@" in str(anew.data["reason"])
        now = house.incident.attempt
        assert (asked.plan.action.name, now.plan.action.name) == ("removeFile", "restart")
        assert now.plan.digest != asked.plan.digest
        assert now.proposal.pin not in (PIN, "flag-file")
        assert house.effects() == []

    run(test())


@pytest.mark.parametrize("cut", ["Planned", "Judged", "Permitted", "Checked"])
def test_a_plan_that_was_about_to_be_carried_out_is_turned_away_when_its_runbook_is_gone(
    cut: str, tmp_path: Path
) -> None:
    async def test() -> None:
        house = House(tmp_path)
        with_runbooks(house, books(tmp_path / "books", OWN))
        house.journal.after[cut] = house.freezes
        house.flag()
        async with house.crashing():
            await house.until(lambda: cut in house.story())
        with_runbooks(house)
        async with house.running():
            await house.healed()
        first, second = house.incident.attempts
        assert first.proposal.runbook == "our-flag"
        assert first.turned == f"runbook {first.proposal.pin} is gone, so this plan is not the one to carry out"
        assert (first.seen, second.proposal.pin) == (None, PIN)
        assert house.effects() == ["removeFile"]
        assert first.turned in section_text(why(house.incident))

    run(test())


def test_an_effect_under_way_is_seen_to_its_end_whatever_became_of_its_runbook(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.journal.after["Acted"] = house.freezes
        house.flag()
        async with house.crashing():
            await house.until(lambda: "Acted" in house.story())
        with_runbooks(house, books(tmp_path / "books", CORRECTED))
        async with house.running():
            await house.healed()
        assert house.effects() == ["removeFile"]
        assert [attempt.proposal.pin for attempt in house.incident.attempts] == [PIN]
        assert "Turned" not in house.story()

    run(test())


def test_no_remedy_of_another_text_builds_on_an_effect_of_the_old_one(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.prober.sick.add("victim")
        house.journal.after["Verified"] = house.freezes
        house.flag()
        async with house.crashing():
            await house.until(lambda: "Verified" in house.story())
        with_runbooks(house, books(tmp_path / "books", CORRECTED))
        async with house.running():
            await house.until(lambda: house.incident.attempts[1:])
        (kept,) = [record for record in house.records() if record.type == "Kept"][:1]
        assert f"runbook {PIN} is now" in str(kept.data["reason"])
        assert kept.data["builds"] is False
        assert house.story()[house.story().index("Kept") + 1] == "EvidenceGathered"

    run(test())


def test_the_same_runbooks_after_a_restart_change_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        house.journal.after["Permitted"] = house.freezes
        house.flag()
        async with house.crashing():
            await house.until(lambda: "Permitted" in house.story())
        with_runbooks(house, books(tmp_path / "books", BUILT_IN))
        async with house.running():
            await house.healed()
        assert len(house.incident.attempts) == 1
        assert house.effects() == ["removeFile"]

    run(test())


# What a model is offered


def test_a_model_is_offered_the_proven_runbooks_the_best_first(tmp_path: Path) -> None:
    async def test() -> None:
        model = FakeConsultant(lambda question: opinion())
        house = House(tmp_path)
        house.consultant = model
        with_runbooks(house, books(tmp_path / "books", OWN))
        house.flag()
        async with house.running():
            await house.healed()
        (question,) = model.asked
        assert set(question.vocabulary.runbooks) == {"our-flag", "flag-file", "service-errors", "hang"}
        assert set(question.vocabulary.runbooks[:2]) == {"our-flag", "flag-file"}
        assert house.incident.attempt.proposal.runbook == "our-flag"

    run(test())


def test_a_record_of_before_runbooks_were_pinned_is_a_plan_without_a_pin() -> None:
    planned = next(record for record in healed().records if record.type == "Planned")
    data: dict[str, Any] = copy.deepcopy(dict(planned.data))
    del data["proposal"]["runbook_digest"]
    event = from_record(replace(planned, data=data))
    assert isinstance(event, Planned)
    assert (event.proposal.pin, drift((), "flag-file", event.proposal.runbook_digest)) == ("flag-file", "")
