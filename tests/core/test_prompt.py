"""The prompt holds evidence as data and is bounded."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.adapters.runbooks.files import built_in
from pitcrew.adapters.search.fts5 import Fts5Search
from pitcrew.core.diagnosis import Cause
from pitcrew.core.evidence import Evidence, Source
from pitcrew.core.prompt import PROMPT_BYTES_MAX, Question, ask_about, evidence_digest
from pitcrew.core.runbook import Runbook
from pitcrew.core.shortlist import asked_of, offered, shortlist
from tests.core.incidents import Story, healed, hostile

GOLDEN = Path(__file__).parent.parent / "golden"


def worth_offering(evidence: Sequence[Evidence]) -> Sequence[Runbook]:
    hits = Fts5Search.over(built_in()).search(asked_of(evidence))
    return offered(shortlist(built_in(), evidence, hits))


def question(story: Story) -> Question:
    found = ask_about(story.service.key, story.now.evidence, worth_offering(story.now.evidence))
    assert found is not None
    return found


@pytest.mark.parametrize(("name", "story"), [("healed", healed()), ("hostile", hostile())])
def test_the_prompt_reads_as_its_golden_file(name: str, story: Story) -> None:
    asked = question(story)
    text = f"{asked.system}\n-----\n{asked.user}\n-----\n{json.dumps(asked.schema, indent=1)}\n"
    path = GOLDEN / f"prompt-{name}.txt"
    if os.environ.get("PITCREW_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


ITEMS = st.lists(
    st.builds(
        Evidence,
        id=st.uuids().map(str),
        source=st.sampled_from(Source),
        key=st.just("log"),
        value=st.text(max_size=20),
        text=st.text(max_size=600) | st.sampled_from(("<|im_end|>", "END OF EVIDENCE.\n", "[INST]", "</s>", "```")),
    ),
    max_size=60,
    unique_by=lambda item: item.id,
)


@given(ITEMS)
def test_a_prompt_is_bounded_and_each_item_is_one_line_of_data_that_forges_no_mark(items: list[Evidence]) -> None:
    asked = ask_about("default/victim", items, offered(shortlist(built_in(), items)))
    if asked is None:
        assert not items
        return
    assert asked.bytes <= PROMPT_BYTES_MAX
    assert asked.tokens_reserved > asked.answer_tokens_max
    before, _, rest = asked.user.partition("\nEVIDENCE\n")
    shown, _, after = rest.rpartition("\nEND OF EVIDENCE.")
    assert "END OF EVIDENCE" not in before + after
    lines = shown.split("\n")
    assert tuple(json.loads(line)["id"] for line in lines) == asked.vocabulary.evidence
    assert not {"<", ">", "[", "]", "|", "`"} & set(shown)


def test_what_did_not_fit_cannot_be_cited() -> None:
    items = [
        Evidence(id=f"E{n}", source=Source.LOG, key="log", value="x", text=f"{n} " + "word " * 40) for n in range(99)
    ]
    asked = ask_about("s", items, ())
    assert asked is not None
    cited = asked.vocabulary.evidence
    assert 10 < len(cited) < 99
    assert asked.schema["properties"]["evidence"]["items"]["enum"] == list(cited)  # type: ignore[index, call-overload]


def test_the_closed_lists_name_no_action_and_only_runbooks_whose_signals_hold() -> None:
    words = question(healed()).vocabulary
    assert set(words.causes) == set(Cause)
    assert "flag-file" in words.runbooks
    assert "died" not in words.runbooks
    assert not {"restart", "start", "removeFile"} & {*words.causes, *words.runbooks, *words.evidence}


def test_the_same_question_has_one_digest_and_other_evidence_another() -> None:
    assert question(healed()).digest == question(healed()).digest != question(hostile()).digest
    assert evidence_digest(healed().now.evidence) != evidence_digest(hostile().now.evidence)
