"""`pitcrew why --prompt`: the words to and from models, as far as they are kept, and plainly where they are not."""

import asyncio
import json
from pathlib import Path

import pytest

from pitcrew.adapters.transcripts.files import TranscriptFiles, transcript_path
from tests.cli.test_cli import journalled, pitcrew
from tests.core import incidents

DIGEST = "ab" * 32


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory after one incident beside a model, with the transcript of its first question."""
    story = incidents.advised()
    (tmp_path / "state").mkdir(mode=0o755)
    asyncio.run(journalled(tmp_path / "state", [story]))
    asyncio.run(TranscriptFiles(tmp_path / "state" / "model").keep(incidents.transcript(story)))
    return tmp_path / "state"


def test_what_was_sent_what_was_left_out_and_what_came_is_shown_for_each_question(state: Path) -> None:
    told = pitcrew("why", "--prompt", "victim-1", "--state", state).stdout
    assert "Sent, as system\n        You diagnose one incident.\n        Answer with one JSON object." in told
    assert "left out of the evidence: E7 (Log), E8 (Log)" in told
    assert "not taken: no evidence; no runbook" in told
    assert "3310 tokens (3100 in, 210 out), $0.000591" in told
    assert "\x1b" not in told
    assert "I\\x1b[2J think" in told
    assert "Question 2\n" in told
    assert "over budget" in told
    assert "nothing was sent" in told
    assert told.count("no transcript is here: it was never kept, or its days are over") == 1


def test_as_data_it_is_one_document(state: Path) -> None:
    told = json.loads(pitcrew("why", "victim-1", "--prompt", "-o", "json", "--state", state).stdout)
    assert told["incident"] == "victim-1"
    assert [bool(one["transcript"]) for one in told["questions"]] == [True, False, False]


def test_a_transcript_that_was_changed_is_told_and_the_rest_is_shown(state: Path) -> None:
    transcript_path(state / "model", "victim-1", DIGEST).write_text("{}")
    done = pitcrew("why", "victim-1", "--prompt", "--state", state)
    assert done.returncode == 0
    assert "this is no transcript; it was changed or cut" in done.stdout
    assert "model small-1: FlagFile, 80 of 100" in done.stdout


def test_without_any_transcripts_each_question_says_so(state: Path) -> None:
    transcript_path(state / "model", "victim-1", DIGEST).unlink()
    (state / "model").rmdir()
    assert pitcrew("why", "victim-1", "--prompt", "--state", state).stdout.count("no transcript is here") == 2
