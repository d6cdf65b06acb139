"""The contract of the Transcripts port, on the fake and on the disk adapter."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pitcrew.adapters.transcripts.files import TranscriptFiles, read_transcript
from pitcrew.core.errors import Unavailable
from pitcrew.core.opinion import ANSWER_BYTES_MAX
from pitcrew.core.prompt import PROMPT_BYTES_MAX, Message, Role
from pitcrew.core.transcript import Transcript, Turn, answer_kept
from pitcrew.ports import Transcripts
from tests.fakes.transcripts import FakeTranscripts

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ASKED = Transcript(
    incident="victim-7",
    model="m",
    prompt_digest="ab" * 32,
    asked_at=AT,
    turns=(
        Turn(
            sent=(Message(role=Role.SYSTEM, text="choose ‹one›\n"), Message(role=Role.USER, text="EVIDENCE")),
        ),
    ),
    left_out=("E9 (Log)",),
)
ANSWERED = replace(ASKED, turns=(replace(ASKED.turns[0], way="text", answer="it hangs", trouble="no JSON object"),))
Read = Callable[[str, str], Transcript | None]


@dataclass(kw_only=True)
class Kept:
    """An adapter and how what it kept is read."""

    port: Transcripts
    read: Read


@pytest.fixture(params=["fake", "files"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "fake":
        fake = FakeTranscripts()
        return Kept(port=fake, read=lambda incident, digest: fake.kept.get((incident, digest)))
    directory = tmp_path / "model"
    return Kept(
        port=TranscriptFiles(directory), read=lambda incident, digest: read_transcript(directory, incident, digest)
    )


def keep(kept: Kept, *transcripts: Transcript) -> None:
    for one in transcripts:
        asyncio.run(kept.port.keep(one))


def test_what_is_kept_is_read_back_the_same_and_the_newest_stands(kept: Kept) -> None:
    assert kept.read("victim-7", "ab" * 32) is None
    keep(kept, ASKED)
    assert kept.read("victim-7", "ab" * 32) == ASKED
    keep(kept, ANSWERED)
    assert kept.read("victim-7", "ab" * 32) == ANSWERED


def test_questions_of_one_incident_and_the_same_question_of_another_stand_apart(kept: Kept) -> None:
    others = (replace(ASKED, prompt_digest="cd" * 32), replace(ASKED, incident="victim-77"))
    keep(kept, ANSWERED, *others)
    assert kept.read("victim-7", "ab" * 32) == ANSWERED
    assert [kept.read(one.incident, one.prompt_digest) for one in others] == list(others)


def test_those_asked_before_an_instant_are_removed(kept: Kept) -> None:
    newer = replace(ASKED, prompt_digest="cd" * 32, asked_at=AT + timedelta(days=1))
    keep(kept, ASKED, newer)
    assert asyncio.run(kept.port.prune(AT)) == 0
    assert asyncio.run(kept.port.prune(AT + timedelta(seconds=1))) == 1
    assert kept.read("victim-7", "ab" * 32) is None
    assert kept.read("victim-7", "cd" * 32) == newer


def test_where_nothing_was_ever_kept_there_is_nothing_to_remove(kept: Kept) -> None:
    assert asyncio.run(kept.port.prune(AT)) == 0


def test_the_longest_question_with_the_longest_answers_is_kept(kept: Kept) -> None:
    long = Message(role=Role.USER, text='"' * PROMPT_BYTES_MAX)
    turn = Turn(sent=(long,), answer=answer_kept("\x00" * 2 * ANSWER_BYTES_MAX))
    keep(kept, replace(ASKED, turns=(turn, turn)))
    assert kept.read("victim-7", "ab" * 32) is not None


def test_what_is_beyond_reason_is_refused(kept: Kept) -> None:
    turn = Turn(sent=(Message(role=Role.USER, text="x" * 10**6),))
    with pytest.raises((Unavailable, ValueError)):
        keep(kept, replace(ASKED, turns=(turn,)))
    assert kept.read("victim-7", "ab" * 32) is None
