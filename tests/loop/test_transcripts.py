"""The words to and from models are kept for some days, and whatever becomes of them changes nothing."""

from pathlib import Path

from pitcrew.core.transcript import Transcript
from tests.fakes.consultant import FakeConsultant, opinion
from tests.loop.composed import House, manifest
from tests.loop.test_asking import BAD, Learns
from tests.loop.test_second_opinion import FOR_EVER_S, LOW, advice, house_with, says
from tests.loop.virtual import run

DAY_S = 86_400


def of(house: House) -> Transcript:
    (found,) = house.transcripts.kept.values()
    return found


async def healed_beside(model: FakeConsultant, tmp_path: Path, **settings: object) -> House:
    house = house_with(tmp_path, model, manifest(policy=LOW), **settings)
    house.flag()
    async with house.running():
        await house.healed()
    assert house.effects() == ["removeFile"]
    return house


def test_what_was_sent_and_answered_in_each_turn_is_kept_as_it_was(tmp_path: Path) -> None:
    async def test() -> None:
        model = Learns()
        house = await healed_beside(model, tmp_path)
        kept, (first, again) = of(house), model.asked
        assert (kept.incident, kept.model, kept.prompt_digest) == ("victim-1", "fake-1", first.digest)
        assert kept.asked_at <= advice(house).asked_at
        assert [turn.sent for turn in kept.turns] == [first.messages, again.more]
        assert [turn.answer for turn in kept.turns] == [BAD, opinion()]
        assert [turn.way for turn in kept.turns] == ["fake", "fake"]
        assert kept.turns[0].trouble == advice(house).repaired
        assert kept.turns[1].trouble == ""

    run(test())


def test_secrets_and_control_characters_of_an_answer_are_not_kept(tmp_path: Path) -> None:
    async def test() -> None:
        house = await healed_beside(FakeConsultant(says("\x1b[2J password=hunter2-very-secret")), tmp_path)
        for turn in of(house).turns:
            assert "hunter2" not in turn.answer
            assert "\\x1b[2J" in turn.answer

    run(test())


def test_a_question_that_is_given_up_is_kept_without_an_answer(tmp_path: Path) -> None:
    async def test() -> None:
        house = await healed_beside(FakeConsultant(says(opinion()), delay_s=FOR_EVER_S), tmp_path)
        (turn,) = of(house).turns
        assert len(turn.sent) == 2
        assert (turn.answer, turn.trouble) == ("", "")

    run(test())


def test_a_disk_that_takes_no_transcript_is_recorded_and_harms_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        house = house_with(tmp_path, FakeConsultant(says(opinion())), manifest(policy=LOW))
        house.transcripts.full = "no space left on device"
        house.flag()
        async with house.running():
            await house.healed()
        found = advice(house)
        assert (found.agrees, found.unkept) == (True, "no space left on device")
        assert house.effects() == ["removeFile"]
        await house.passes(2 * 3_600)

    run(test())


def test_transcripts_are_removed_after_their_days_while_the_loop_runs(tmp_path: Path) -> None:
    async def test() -> None:
        house = await healed_beside(FakeConsultant(says(opinion())), tmp_path, model_transcripts_days=3)
        await house.passes(3 * DAY_S - 3_600)
        async with house.running():
            await house.passes(60)
            assert house.transcripts.kept
            await house.until(lambda: not house.transcripts.kept, within_s=7_300)

    run(test())


def test_with_no_days_none_are_kept_and_those_of_before_go(tmp_path: Path) -> None:
    async def test() -> None:
        house = await healed_beside(FakeConsultant(says(opinion())), tmp_path)
        assert house.transcripts.kept
        none = house_with(tmp_path, FakeConsultant(says(opinion())), manifest(policy=LOW), model_transcripts_days=0)
        none.transcripts = house.transcripts
        none.flag()
        async with none.running():
            await none.healed()
            assert none.transcripts.kept == {}

    run(test())
