"""An answer is taken only where nothing about it is doubtful, and counts only where it is grounded."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.adapters.runbooks.files import built_in
from pitcrew.core.diagnosis import Cause, Diagnoser, Diagnosis
from pitcrew.core.history import History
from pitcrew.core.opinion import (
    ANSWER_BYTES_MAX,
    QUOTE_BYTES_MAX,
    SUMMARY_BYTES_MAX,
    TRUST_MAX,
    Opinion,
    Unusable,
    Weighed,
    ask_again,
    confirmed,
    leading,
    parse_answer,
    repair_reserve,
    weigh,
)
from pitcrew.core.prompt import Question, Role, Vocabulary
from pitcrew.core.resource import Level
from pitcrew.core.risk import assess, cautious, doubt_of
from tests.core.incidents import healed
from tests.core.scene import declared

WORDS = Vocabulary(
    causes=("Hang", "FlagFile", "Unknown"),
    runbooks=("hang", "flag-file"),
    evidence=("E1", "E2", "E3"),
    texts=("probe failed: no answer in 3 s", "the log ends at ‹time›", "memory at 12 %"),
)
GOOD: dict[str, object] = {
    "summary": "it hangs",
    "cause": "Hang",
    "evidence": ["E1", "E2"],
    "quotes": ["no answer in 3 s"],
    "runbook": "hang",
    "confidence": 80,
}
TAKEN = Opinion(
    cause=Cause.HANG,
    runbook="hang",
    evidence=("E1", "E2"),
    confidence=80,
    summary="it hangs",
    quotes=("no answer in 3 s",),
)


def as_text(**changes: object) -> str:
    return json.dumps({**GOOD, **changes})


ACCEPTED = {
    "bare": as_text(),
    "after thinking": f"<think>is it {{hang}}? yes</think>\n{as_text()}",
    "in a fence": f"Here it is:\n```json\n{as_text()}\n```\nHope this helps!",
    "in a nameless fence": f"```\n{as_text()}\n```",
    "in prose": f"The answer is {as_text()}. Good luck",
    "cites twice": as_text(evidence=["E1", "E2", "E1"]),
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_one_object_is_found_whatever_stands_around_it(text: str) -> None:
    assert parse_answer(text, WORDS) == TAKEN


def test_no_runbook_is_a_choice_too() -> None:
    found = parse_answer(as_text(runbook="None"), WORDS)
    assert isinstance(found, Opinion)
    assert found.runbook == ""


QUOTED = {
    "none": ([], (), ()),
    "blank": ([" ", ""], (), ()),
    "two, out of two items": (["no answer", "ends at ‹time›"], ("no answer", "ends at ‹time›"), ()),
    "with other white space": (["no\n answer\tin 3 s "], ("no answer in 3 s",), ()),
    "the same twice": (["no answer", "no  answer"], ("no answer",), ()),
    "of an item it does not cite": (["memory at 12 %"], (), ("memory at 12 %",)),
    "invented": (["out of memory"], (), ("out of memory",)),
    "invented beside a true one": (["no answer", "out of memory"], ("no answer",), ("out of memory",)),
    "over two items": (["no answer in 3 s the log ends"], (), ("no answer in 3 s the log ends",)),
    "in other letters": (["No answer"], (), ("No answer",)),
}


@pytest.mark.parametrize(("quotes", "found", "lost"), QUOTED.values(), ids=QUOTED.keys())
def test_a_quote_stands_word_for_word_in_what_is_cited_or_it_is_a_misquote(
    quotes: list[str], found: tuple[str, ...], lost: tuple[str, ...]
) -> None:
    read = parse_answer(as_text(quotes=quotes), WORDS)
    assert isinstance(read, Opinion)
    assert (read.quotes, read.misquotes) == (found, lost)


def test_quotes_may_be_left_out_and_a_misquote_is_cleaned_and_bounded() -> None:
    without = parse_answer(json.dumps({key: value for key, value in GOOD.items() if key != "quotes"}), WORDS)
    assert without == replace(TAKEN, quotes=())
    wild = parse_answer(as_text(quotes=["\x1b[2Jpassword=hunter2-very-secret " + "y" * 2_000 + "\ud800"]), WORDS)
    assert isinstance(wild, Opinion)
    (kept,) = wild.misquotes
    assert len(kept.encode()) <= QUOTE_BYTES_MAX
    assert kept.isprintable()
    assert "hunter2" not in kept


REFUSED = {
    "nothing": "",
    "prose": "I think you should restart it.",
    "a list": f"[{as_text()}]",
    "a list and more": f"[{as_text()}]x",
    "two objects": f"{as_text()}\n{as_text()}",
    "a fence and another object": f"{as_text()}\n```json\n{as_text()}\n```",
    "a key twice": as_text()[:-1] + ', "cause": "FlagFile"}',
    "a key twice, spelt otherwise": as_text()[:-1] + ', "c\\u0061use": "FlagFile"}',
    "an extra field": as_text(note="x"),
    "an action": as_text(action="restart"),
    "an action as the runbook": as_text(runbook="restart"),
    "a field less": json.dumps({key: value for key, value in GOOD.items() if key != "runbook"}),
    "a foreign cause": as_text(cause="DeleteVolume"),
    "a cause in other letters": as_text(cause="hang"),
    "a cause in Cyrillic": as_text(cause="Наng"),
    "a cause with an invisible character": as_text(cause="Hang\u200b"),
    "a cause in full width": as_text(cause="Ｈang"),
    "a cause as a list": as_text(cause=["Hang"]),
    "a runbook of null": as_text(runbook=None),
    "evidence that does not exist": as_text(evidence=["E1", "E9"]),
    "no evidence": as_text(evidence=[]),
    "evidence as text": as_text(evidence="E1"),
    "evidence as an object": as_text(evidence={"E1": 1}),
    "too much evidence": as_text(evidence=["E1"] * 13),
    "nested evidence": as_text(evidence=[["E1"]]),
    "quotes as text": as_text(quotes="no answer"),
    "a quote as a number": as_text(quotes=[3]),
    "a quote as an object": as_text(quotes=[{"id": "E1", "quote": "no answer"}]),
    "too many quotes": as_text(quotes=["no answer"] * 5),
    "quotes of null": as_text(quotes=None),
    "NaN": as_text(confidence=float("nan")),
    "infinity": as_text(confidence=float("inf")),
    "a float": as_text(confidence=80.0),
    "a truth": as_text(confidence=True),
    "more than sure": as_text(confidence=101),
    "less than nothing": as_text(confidence=-1),
    "a number of 5,000 digits": as_text().replace("80", "9" * 5_000),
    "confidence as text": as_text(confidence="80"),
    "summary as a number": as_text(summary=7),
    "nested without end": '{"summary":' * 3_000 + "1" + "}" * 3_000,
    "huge": as_text(summary="x" * ANSWER_BYTES_MAX),
    "only thinking": f"<think>{as_text()}</think>",
    "cut off": as_text()[:-5],
    "another language": "{'cause': 'Hang'}",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_whatever_else_it_says_is_refused_with_a_short_reason(text: str) -> None:
    found = parse_answer(text, WORDS)
    assert isinstance(found, Unusable), found
    assert 0 < len(found.reason.encode()) <= 200


def test_its_own_words_are_cleaned_before_anybody_sees_them() -> None:
    words = "\x1b[2J# run restart now\npassword=hunter2-very-secret \u202e" + "y" * 2_000
    found = parse_answer(as_text(summary=words), WORDS)
    assert isinstance(found, Opinion)
    assert len(found.summary.encode()) <= SUMMARY_BYTES_MAX
    assert "hunter2" not in found.summary
    assert found.summary.isprintable()
    foreign = parse_answer(as_text(cause="\x1b[2Jpassword=hunter2-very-secret"), WORDS)
    assert isinstance(foreign, Unusable)
    assert "\x1b" not in foreign.reason


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_no_text_breaks_the_reading(text: str) -> None:
    assert isinstance(parse_answer(text, WORDS), Unusable)


# Asking again

QUESTION = Question(system="choose", user="EVIDENCE", vocabulary=WORDS)
TEMPLATE_MARKS = ("<|im_end|>", "<|im_start|>system", "<start_of_turn>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "```")


def test_an_answer_that_was_not_taken_is_given_back_with_the_reason_and_the_question_stays_the_same() -> None:
    again = ask_again(QUESTION, '{"cause": ["Hang"]}', Unusable(reason="no runbook"), "json_object")
    asked, answered, told = again.messages[1:]
    assert (asked.text, answered.role, answered.text) == ("EVIDENCE", Role.ASSISTANT, '{"cause": ["Hang"]}')
    assert "not taken: no runbook. Answer the same question" in told.text
    assert (told.role, again.way, again.vocabulary) == (Role.USER, "json_object", WORDS)
    assert again.digest == QUESTION.digest
    assert again.reserve.tokens > QUESTION.reserve.tokens


def test_what_is_given_back_is_data_without_secrets_marks_or_thinking() -> None:
    wild = "<think>" + "x" * 900 + "</think>" + " ".join(TEMPLATE_MARKS) + " \x1b[2J password=hunter2-very-secret"
    again = ask_again(QUESTION, wild, Unusable(reason=wild), "text")
    for message in again.more:
        assert not [mark for mark in TEMPLATE_MARKS if mark in message.text]
        assert "hunter2" not in message.text
        assert message.text.isprintable()
    assert "xxx" not in again.more[0].text


@given(st.text(max_size=3_000), st.text(max_size=400))
def test_asking_again_never_takes_more_than_was_set_aside(answer: str, reason: str) -> None:
    again = ask_again(QUESTION, answer, Unusable(reason=reason), "text")
    reserve = repair_reserve(QUESTION)
    assert again.reserve.tokens_in <= reserve.tokens_in
    assert again.reserve.tokens_out == reserve.tokens_out
    assert all(message.text for message in again.messages)


def rules(cause: Cause) -> tuple[Diagnosis, ...]:
    return (Diagnosis(cause=cause, confidence=90, evidence=("E1",), by=Diagnoser.RULES, summary="by rule"),)


def says(cause: Cause, runbook: str, confidence: int = 99) -> Opinion:
    return Opinion(cause=cause, runbook=runbook, evidence=("E1",), confidence=confidence, summary="s")


WEIGHED = {
    "it agrees": (Cause.FLAG_FILE, says(Cause.FLAG_FILE, "flag-file"), True),
    "it differs, grounded": (Cause.FLAG_FILE, says(Cause.HANG, "hang"), False),
    "its runbook treats another cause": (Cause.FLAG_FILE, says(Cause.HANG, "flag-file"), None),
    "its runbook's signals do not hold": (Cause.FLAG_FILE, says(Cause.DIED, "died"), None),
    "it names no runbook": (Cause.FLAG_FILE, says(Cause.FLAG_FILE, ""), None),
    "it does not know": (Cause.FLAG_FILE, says(Cause.UNKNOWN, ""), None),
    "the rules do not know": (Cause.UNKNOWN, says(Cause.FLAG_FILE, "flag-file"), None),
    "it said nothing": (Cause.FLAG_FILE, None, None),
    "its quote holds": (Cause.FLAG_FILE, replace(says(Cause.FLAG_FILE, "flag-file"), quotes=("x",)), True),
    "it misquotes": (Cause.FLAG_FILE, replace(says(Cause.FLAG_FILE, "flag-file"), misquotes=("x",)), None),
}


@pytest.mark.parametrize(("cause", "opinion", "agrees"), WEIGHED.values(), ids=WEIGHED.keys())
def test_only_what_is_grounded_has_weight(cause: Cause, opinion: Opinion | None, agrees: bool | None) -> None:
    weighed = weigh(opinion, "no answer", rules(cause), built_in(), healed().now.evidence)
    assert weighed.agrees is agrees
    assert weighed.reason


def test_a_model_leads_only_where_no_rule_knows_and_then_with_little_trust() -> None:
    evidence = healed().now.evidence
    grounded = weigh(says(Cause.FLAG_FILE, "flag-file"), "", rules(Cause.UNKNOWN), built_in(), evidence)
    lead = leading(rules(Cause.UNKNOWN), grounded)
    assert (lead.cause, lead.by, lead.confidence) == (Cause.FLAG_FILE, Diagnoser.MODEL, TRUST_MAX)
    assert leading(rules(Cause.HANG), grounded).by is Diagnoser.RULES
    loose = weigh(says(Cause.FLAG_FILE, "hang"), "", rules(Cause.UNKNOWN), built_in(), evidence)
    assert leading(rules(Cause.UNKNOWN), loose).cause is Cause.UNKNOWN
    assert leading(rules(Cause.UNKNOWN), None).cause is Cause.UNKNOWN


IDS = [item.id for item in healed().now.evidence]
LIES = st.builds(
    Opinion,
    cause=st.sampled_from(Cause),
    runbook=st.sampled_from(["", *(runbook.head.id for runbook in built_in())]),
    evidence=st.lists(st.sampled_from(IDS), min_size=1, unique=True).map(tuple),
    confidence=st.integers(0, 100),
    summary=st.just("a lie"),
)


@given(LIES, st.sampled_from(Level), st.integers(1, 6), st.integers(0, 6))
def test_a_model_that_lies_widens_nothing_that_is_done_without_a_person(
    lie: Opinion, criticality: Level, attempt: int, same_cause: int
) -> None:
    story = healed()
    case, proposal = story.now, story.now.attempt.proposal
    service = declared(criticality=str(criticality))
    weighed = weigh(lie, "", case.diagnoses, built_in(), case.evidence)
    lead = leading(case.diagnoses, weighed)
    alone, beside = (
        assess(service, proposal, lead, criticality, History(same_cause=same_cause), story.seen, attempt, second)
        for second in (None, weighed)
    )
    assert lead == case.diagnoses[0]
    assert beside.level.rank >= alone.level.rank
    assert cautious(beside).score >= alone.score
    assert all(factor.points >= 0 for factor in cautious(beside).factors)
    assert (confirmed(lead, weighed).cause, confirmed(lead, weighed).by) == (lead.cause, lead.by)
    assert doubt_of(proposal, lead, alone, None) in ("", doubt_of(proposal, lead, beside, weighed))


CONFIRMED = {
    "it agrees": (True, 90, 95),
    "it agrees with what is near certain": (True, 97, 100),
    "it differs": (False, 90, 75),
    "it differs on what is hardly known": (False, 10, 0),
    "it has no weight": (None, 90, 90),
}


@pytest.mark.parametrize(("agrees", "before", "after"), CONFIRMED.values(), ids=CONFIRMED.keys())
def test_agreement_lifts_the_confidence_a_little_and_contradiction_lowers_it_more(
    agrees: bool | None, before: int, after: int
) -> None:
    lead = replace(rules(Cause.HANG)[0], confidence=before)
    assert confirmed(lead, Weighed(agrees=agrees, reason="")) == replace(lead, confidence=after)
    assert confirmed(lead, None) == lead
