"""What people read of an incident: compared with golden files, and safe whatever the evidence holds.

`PITCREW_GOLDEN=write` writes the golden files anew; look at the difference before committing it.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pitcrew.core.incident import (
    replay,
)
from pitcrew.core.report import asked, postmortem, rendered_span, section_data, section_text, spans, timeline, why
from tests.core import incidents
from tests.core.incidents import Story

GOLDEN = Path(__file__).parent.parent / "golden"
STORIES: dict[str, Callable[[], Story]] = {
    "healed": incidents.healed,
    "undone": incidents.undone,
    "self-recovered": incidents.self_recovered,
    "denied": incidents.denied,
    "hostile": incidents.hostile,
    "advised": incidents.advised,
}


def as_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("PITCREW_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", STORIES)
def test_the_postmortem_reads_as_its_golden_file(name: str) -> None:
    story = STORIES[name]()
    as_golden(f"postmortem-{name}.md", postmortem(story.now, story.records))


@pytest.mark.parametrize("name", STORIES)
def test_why_reads_as_its_golden_file(name: str) -> None:
    story = STORIES[name]()
    as_golden(f"why-{name}.txt", section_text(why(story.now, story.records)))


GONE = "no transcript is here"


def test_what_models_were_asked_reads_as_its_golden_file() -> None:
    story = incidents.advised()
    as_golden("why-prompt.txt", section_text(asked(story.now, [incidents.transcript(story), GONE, GONE])))


def test_what_models_were_asked_is_data_for_tools_and_holds_no_control_character_or_secret() -> None:
    story = incidents.advised()
    text = json.dumps(section_data(asked(story.now, [incidents.transcript(story), GONE, GONE])), ensure_ascii=False)
    assert "\x1b" not in text
    assert "hunter2" not in text
    first, second, _ = json.loads(text)["questions"]
    assert [turn["way"] for turn in first["transcript"]] == ["json_schema"] * 2
    assert [one["role"] for one in first["transcript"][0]["sent"]] == ["system", "user"]
    assert first["transcript"][0]["trouble"] == "no evidence; no runbook"
    assert (first["leftOut"], first["microdollars"]) == (["E7 (Log)", "E8 (Log)"], 591)
    assert (second["transcript"], second["why"]) == (None, GONE)


def test_a_transcript_that_could_not_be_kept_is_told_with_its_reason() -> None:
    story = incidents.advised().now
    full = replace(story, advice=(replace(story.advice[0], unkept="the disk is full"),))
    assert "its transcript is not whole: the disk is full\n" in section_text(asked(full, [GONE]))


def test_an_incident_without_a_model_says_that_none_was_asked() -> None:
    assert section_text(asked(incidents.healed().now, [])) == "victim-1: no model was asked\n"


@pytest.mark.parametrize("name", STORIES)
def test_the_stories_replay_from_their_records(name: str) -> None:
    story = STORIES[name]()
    assert replay(story.records) == story.incident


@pytest.mark.parametrize("name", STORIES)
def test_the_data_of_why_is_json_that_names_every_link_of_the_chain(name: str) -> None:
    story = STORIES[name]()
    data = json.loads(json.dumps(section_data(why(story.now, story.records))))
    assert data["id"] == "victim-1"
    assert [item["id"] for item in data["evidence"]] == [item.id for item in story.now.evidence]
    assert data["diagnosis"][0]["cause"] == str(story.now.cause)
    assert len(data["timeline"]) == len(story.records)
    for told, attempt in zip(data["attempts"], story.now.attempts, strict=True):
        assert told["planDigest"] == attempt.plan.digest
        assert told["risk"]["score"] == sum(factor["points"] for factor in told["risk"]["factors"])
        assert told["rules"]["policyDigest"] == attempt.plan.policy_digest
        assert [one["rule"] for one in told["rules"]["spoke"]]
        assert (told["permit"]["serial"] if "permit" in told else None) == (
            attempt.permit.serial if attempt.permit else None
        )


def test_every_event_of_an_incident_has_its_line_in_the_timeline() -> None:
    story = incidents.undone()
    assert [moment.type for moment in timeline(story.records)] == [record.type for record in story.records]
    assert all(moment.text for moment in timeline(story.records))


@pytest.mark.parametrize("text_of", ["postmortem", "why"])
def test_hostile_evidence_stays_text(text_of: str) -> None:
    story = incidents.hostile()
    text = (
        postmortem(story.now, story.records) if text_of == "postmortem" else section_text(why(story.now, story.records))
    )
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "hunter2" not in text
    assert "sk-1234567890" not in text
    assert "\n# Injected" not in text
    assert "\n| a |" not in text


def test_outside_of_fences_nothing_hostile_is_markup() -> None:
    story = incidents.hostile()
    inline = outside_fences(postmortem(story.now, story.records))
    assert "<script>" not in inline
    assert "](" not in inline
    assert "```" not in inline
    headings = [line for line in inline.splitlines() if line.startswith("#")]
    assert headings == [line for line in outside_fences(postmortem_of_healed()).splitlines() if line.startswith("#")]


def postmortem_of_healed() -> str:
    story = incidents.healed()
    return postmortem(story.now, story.records)


def outside_fences(text: str) -> str:
    """What a CommonMark reader takes as something other than a fenced block."""
    kept, fence = [], ""
    for line in text.splitlines():
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if fence:
            fence = "" if len(ticks) >= len(fence) and not line[len(ticks) :].strip() else fence
        elif len(ticks) >= 3:
            fence = ticks
        else:
            kept.append(line)
    assert not fence
    return "\n".join(kept)


def test_the_durations_add_up_to_the_whole() -> None:
    took = spans(incidents.healed().now)
    assert took.decide is not None
    assert took.act is not None
    assert took.recover is not None
    assert took.whole == took.detect + took.decide + took.act + took.recover


def test_a_recovery_without_an_act_has_no_time_of_acting() -> None:
    took = spans(incidents.denied().now)
    assert took.act is None
    assert took.recover == timedelta(seconds=3725, milliseconds=40)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.84, "0.8 s"), (59.99, "1 min 00 s"), (125, "2 min 05 s"), (3720, "1 h 02 min")],
    ids=str,
)
def test_durations_are_told_in_the_unit_that_people_use(seconds: float | None, text: str) -> None:
    assert rendered_span(None if seconds is None else timedelta(seconds=seconds)) == text


def test_each_attempt_shows_the_evidence_of_its_own_time() -> None:
    story = incidents.looked_at_anew()
    told = json.loads(json.dumps(section_data(why(story.now, story.records))))
    first, second, *_ = [[item["text"] for item in attempt["evidence"]] for attempt in told["attempts"]]
    assert "declared file exists: /app/broken.flag" in first
    assert "declared file exists: /app/broken.flag" not in second
