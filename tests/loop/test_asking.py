"""How far asking a model goes: one repair, one deadline, and budgets of tokens and money that outlive restarts."""

import asyncio
import re
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pitcrew.core.cost import Usage
from pitcrew.core.errors import Unavailable
from pitcrew.core.incident import Advice
from pitcrew.core.prompt import Question
from pitcrew.core.resource import Egress
from pitcrew.ports import Answer
from tests.fakes.consultant import FakeConsultant, opinion
from tests.loop.composed import House
from tests.loop.test_second_opinion import advice, house_with, risky, says
from tests.loop.virtual import run

GOOD, BAD = opinion(), "I think it is the flag file."


@cache
def one_turn() -> int:
    """Tokens that leave room for one turn of the demo's question, and not for a second."""

    async def learn() -> int:
        with TemporaryDirectory() as state:
            model = FakeConsultant(says(GOOD))
            await beside(model, Path(state))
            return model.asked[0].reserve.tokens + 100

    return run(learn())


class Learns(FakeConsultant):
    """Answers badly until it is asked again; `again_s` passes before its second answer."""

    def __init__(self, *, second: str | Exception = GOOD, delay_s: float = 0, again_s: float = 0) -> None:
        super().__init__(lambda question: second if question.more else BAD, delay_s=delay_s)
        self.again_s = again_s

    async def ask(self, question: Question, egress: Egress, *, within_s: float | None = None) -> Answer:
        self.delay_s = self.again_s if question.more else self.delay_s
        return await super().ask(question, egress, within_s=within_s)


async def beside(model: FakeConsultant, tmp_path: Path, **settings: object) -> House:
    """A house that healed beside this model."""
    house = house_with(tmp_path, model, risky(), model_patience_s=120, **settings)
    house.flag()
    async with house.running():
        await house.healed()
    assert house.effects() == ["removeFile"]
    return house


# The repair turn


def test_a_second_answer_that_can_be_used_counts_and_the_record_tells_of_both(tmp_path: Path) -> None:
    async def test() -> None:
        model = Learns()
        house = await beside(model, tmp_path)
        found = advice(house)
        assert (found.agrees, found.failure, found.way) == (True, "", "fake")
        assert "no JSON object" in found.repaired
        assert found.usage == Usage(tokens_in=1_200, tokens_out=200)
        first, again = model.asked
        assert again.messages[:2] == first.messages
        assert again.way == "fake"
        assert "asked twice, since its first answer was refused" in _text(house)

    run(test())


def _text(house: House) -> str:
    (report,) = house.reports.texts["victim-1"]
    return report.replace("\\", "")


SECOND = {
    "is no better": (BAD, "refused: the answer holds no JSON object"),
    "never came": (Unavailable("HTTP 500: boom"), "HTTP 500: boom"),
    "is a misquote": (opinion(quotes=("the disk is full",)), ""),
}


@pytest.mark.parametrize(("second", "failure"), SECOND.values(), ids=SECOND)
def test_nobody_is_asked_a_third_time(second: str | Exception, failure: str, tmp_path: Path) -> None:
    async def test() -> None:
        model = Learns(second=second)
        house = await beside(model, tmp_path)
        assert len(model.asked) == 2
        assert advice(house).failure == failure
        assert advice(house).agrees is None

    run(test())


def test_a_misquote_is_recorded_ignored_and_not_asked_again(tmp_path: Path) -> None:
    async def test() -> None:
        model = FakeConsultant(says(opinion(quotes=("the disk is full",))))
        found = advice(await beside(model, tmp_path))
        assert len(model.asked) == 1
        assert found.opinion is not None
        assert found.opinion.misquotes == ("the disk is full",)
        assert (found.agrees, found.failure) == (None, "")
        assert "no item it cites says 'the disk is full'" in found.note

    run(test())


def test_one_deadline_covers_both_turns(tmp_path: Path) -> None:
    async def test() -> None:
        found = advice(await beside(Learns(delay_s=15, again_s=1_000), tmp_path, model_deadline_s=20))
        assert found.failure == "no whole answer within 5 s"
        assert found.repaired
        assert found.answered_at is not None
        assert found.answered_at - found.asked_at < timedelta(seconds=21)

    run(test())


def test_where_the_first_answer_took_all_the_time_nothing_is_asked_again(tmp_path: Path) -> None:
    async def test() -> None:
        model = Learns(delay_s=19.5)
        found = advice(await beside(model, tmp_path, model_deadline_s=20))
        assert len(model.asked) == 1
        assert found.failure.startswith("refused: ")
        assert found.repaired == ""

    run(test())


# Budgets


def test_what_both_turns_take_is_set_aside_first_and_given_back_where_it_was_not_needed(tmp_path: Path) -> None:
    async def test() -> None:
        model = FakeConsultant(says(GOOD), usage=None)
        house = await beside(model, tmp_path)
        (asked,) = [record for record in house.records() if record.type == "ModelAsked"]
        (question,) = model.asked
        assert asked.data["tokens_reserved"] > 2 * question.reserve.tokens  # type: ignore[operator]
        assert advice(house).tokens == question.reserve.tokens

    run(test())


PRICE: dict[str, object] = {"model_price_in_per_million": 1_000_000, "model_price_out_per_million": 1_000_000}
"""A microdollar a token, so that bounds of money read like those of tokens."""
BOUNDS = {
    "model_tokens_per_incident_max": r"over budget: 0 \+ \d+ of 100 tokens in this incident",
    "model_tokens_per_hour_max": r"over budget: 0 \+ \d+ of 100 tokens in one hour",
    "model_tokens_per_day_max": r"over budget: 0 \+ \d+ of 100 tokens in 24 hours",
    "model_money_per_incident_max": r"over budget: \$0\.000000 \+ \$0\.00\d+ of \$0\.000100 in this incident",
    "model_money_per_hour_max": r"over budget: \$0\.000000 \+ \$0\.00\d+ of \$0\.000100 in one hour",
    "model_money_per_day_max": r"over budget: \$0\.000000 \+ \$0\.00\d+ of \$0\.000100 in 24 hours",
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_where_a_budget_has_room_for_one_turn_only_nothing_is_asked_again(bound: str, tmp_path: Path) -> None:
    room = one_turn()

    async def test() -> None:
        model = Learns()
        found = advice(await beside(model, tmp_path, **PRICE, **{bound: room}))
        assert len(model.asked) == 1
        assert found.failure.startswith("refused: ")

    run(test())


@pytest.mark.parametrize(("bound", "told"), BOUNDS.items(), ids=BOUNDS)
def test_where_a_budget_has_no_room_nobody_is_asked_and_the_rules_go_on(bound: str, told: str, tmp_path: Path) -> None:
    async def test() -> None:
        model = FakeConsultant(says(GOOD))
        house = await beside(model, tmp_path, **PRICE, **{bound: 100})
        assert model.asked == []
        found = advice(house)
        assert re.fullmatch(told, found.failure)
        assert found.cost.tokens == 0
        assert found.failure.replace("$", "") in _text(house).replace("$", "")

    run(test())


def test_without_a_price_a_budget_of_no_money_holds_nobody_up(tmp_path: Path) -> None:
    async def test() -> None:
        found = advice(await beside(FakeConsultant(says(GOOD)), tmp_path, model_money_per_day_max=0))
        assert (found.agrees, found.microdollars) == (True, 0)

    run(test())


def test_money_is_counted_by_the_prices_of_prompts_and_answers(tmp_path: Path) -> None:
    async def test() -> None:
        prices = {"model_price_in_per_million": 150_000, "model_price_out_per_million": 600_000}
        house = await beside(FakeConsultant(says(GOOD)), tmp_path, **prices)
        assert advice(house).microdollars == 90 + 60
        assert house.incident.cost.microdollars == 150
        assert "700 tokens (600 in, 100 out), $0.000150" in _text(house)

    run(test())


AGAIN = {
    "model_tokens_per_hour_max": ("tokens in one hour", 1),
    "model_tokens_per_day_max": ("tokens in 24 hours", 24),
    "model_money_per_hour_max": (" in one hour", 1),
    "model_money_per_day_max": (" in 24 hours", 24),
}


@pytest.mark.parametrize(("bound", "told", "hours"), [(bound, *rest) for bound, rest in AGAIN.items()], ids=AGAIN)
def test_a_budget_outlives_a_restart_and_a_jump_of_the_wall_clock_and_is_free_again_after_its_time(
    bound: str, told: str, hours: int, tmp_path: Path
) -> None:
    room = one_turn() * 3 // 2  # the next question tells of the incident before it, and is a little longer

    async def test() -> None:
        model = FakeConsultant(says(GOOD), usage=None)
        house = await beside(model, tmp_path, **PRICE, **{bound: room})
        for jump in (timedelta(days=2), timedelta(days=-4)):
            house.wall_ahead += jump
            await _once_more(house)
            assert told in advice(house).failure
        assert len(model.asked) == 1
        await house.passes(hours * 3_600)
        await _once_more(house)
        assert len(model.asked) == 2

    run(test())


async def _once_more(house: House) -> None:
    count = len(house.incidents()) + 1
    house.flag()
    async with house.running():
        await house.healed(count)


def test_a_question_that_a_crash_cut_off_stays_paid_for_where_the_budget_has_no_room_for_another(
    tmp_path: Path,
) -> None:
    room = one_turn()

    async def test() -> None:
        model = FakeConsultant(says(GOOD))
        house = house_with(tmp_path, model, risky(), model_tokens_per_incident_max=room)
        house.journal.after["ModelAsked"] = house.freezes
        house.flag()
        async with house.crashing():
            await house.until(lambda: "ModelAsked" in house.story())
        async with house.running():
            await house.healed()
        assert model.asked == []
        cut_off, refused = house.incident.advice
        assert cut_off.answered_at is None
        assert "over budget" in refused.failure
        assert house.incident.cost.tokens == cut_off.tokens > room / 2

    run(test())


def test_two_services_that_ask_at_once_do_not_spend_the_same_budget(tmp_path: Path) -> None:
    room = one_turn()

    async def test() -> None:
        model = FakeConsultant(says(GOOD), delay_s=3)
        services = (risky(), risky("other"), risky("third"))
        house = house_with(tmp_path, model, *services, model_tokens_per_hour_max=room)
        house.journal.before["ModelAsked"] = lambda: asyncio.sleep(2)
        for service in services:
            house.flag(service.metadata.name)
        async with house.running():
            await house.healed(3)
        assert len(model.asked) == 1
        found: list[Advice] = [one for incident in house.incidents() for one in incident.advice]
        assert sorted("over budget" in one.failure for one in found) == [False, True, True]

    run(test())
