"""The incident machine: the table is the whole of it, the journal gives it back, and no incident is lost in it."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.core.action import Seen, Start
from pitcrew.core.approval import Approval, Decision, asked
from pitcrew.core.diagnosis import Cause
from pitcrew.core.event import (
    EVENT_TYPES,
    Abandoned,
    Acted,
    Advised,
    ApprovalAsked,
    ApprovalGiven,
    Checked,
    Decided,
    DiagnosisProposed,
    Escalated,
    Event,
    EvidenceAdded,
    EvidenceGathered,
    Failed,
    Healed,
    Judged,
    Kept,
    Live,
    ModelAsked,
    NotAsked,
    NothingToTry,
    Picked,
    Planned,
    Reconsidered,
    Reported,
    Turned,
    Undone,
    UndoTurned,
    Verified,
    from_record,
    signature,
    to_entry,
)
from pitcrew.core.evidence import Evidence, Source
from pitcrew.core.incident import (
    TRANSITIONS,
    UNDO_TRIES_MAX,
    Impossible,
    Incident,
    Phase,
    Recovery,
    UndoStand,
    advance,
    replay,
    replay_all,
)
from pitcrew.core.opinion import Opinion
from pitcrew.core.order import Person
from pitcrew.core.pick import Pick, Tool
from pitcrew.core.policy import Effect, Ruling, Verdict
from pitcrew.core.record import Head, Instant, canonical, parse, seal
from pitcrew.core.resource import Approvers, Level
from tests.core.incidents import Story, denied, healed, self_recovered, undone
from tests.core.scene import T0, at

SIGNATURES = frozenset(what for _, what in TRANSITIONS)


def verdict(effect: Effect) -> Verdict:
    ruling = Ruling(rule="ladder", effect=effect, message="because", until=at(60))
    return Verdict(effect=effect, rulings=(ruling,), policy_digest="d", until=at(60) if effect is Effect.HOLD else None)


def _told(*stories: Story) -> Iterable[Event]:
    return (from_record(record) for story in stories for record in story.records)


REQUEST = asked("victim-1", "d" * 64, Level.MEDIUM, Approvers(users=["alice"], groups=["sre"]), at(0), at(60))
APPROVAL = Approval(plan_digest="d" * 64, decision=Decision.APPROVE, by="alice", uid=1, reason="ok", at=at(1))
OPINION = Opinion(cause=Cause.HANG, runbook="hang", evidence=("E1",), confidence=70, summary="it does not answer")
ASKED = ModelAsked(model="m", prompt_digest="p" * 64, evidence_digest="e" * 64, tokens_reserved=900)
ADVISED = Advised(
    model="m",
    prompt_digest="p" * 64,
    evidence_digest="e" * 64,
    opinion=OPINION,
    failure="",
    tokens=700,
    late=False,
    agrees=True,
    note="both say so",
)
ITEM = Evidence(id="E1", source=Source.PROBE, key="probe.failing", value="Timeout", text="probe-0 fails: Timeout")
PROPOSED = DiagnosisProposed(
    by=Person(uid=4001, name="alice", groups=("helpers",)),
    opinion=OPINION,
    evidence_digest="e" * 64,
    cited=(ITEM,),
    late=False,
    grounded=True,
    agrees=False,
    note="the rules say something else",
)
NOT_ASKED = NotAsked(reason="spec.diagnosis.mode is Rules", evidence_digest="e" * 64)
ADDED = EvidenceAdded(
    picks=(Pick(tool=Tool.STATS), Pick(tool=Tool.EVENTS)),
    evidence=(Evidence(id="E9", source=Source.RUNTIME, key="stats", value="threads 9", text="stats: threads 9"),),
    missing=(Pick(tool=Tool.EVENTS),),
    took_ms=1_200,
)
EXTRA: tuple[Event, ...] = (
    ASKED,
    ADVISED,
    PROPOSED,
    NOT_ASKED,
    Picked(picks=(Pick(tool=Tool.STATS), Pick(tool=Tool.EVENTS))),
    *(replace(ADDED, changed=changed) for changed in ("", "the target is Exited now")),
    *(Judged(verdict=verdict(effect)) for effect in Effect),
    *(Checked(live=live, detail="as seen") for live in Live),
    *(Acted(seen=seen, detail="read off") for seen in Seen),
    *(Undone(seen=seen, detail="read off") for seen in Seen),
    *(Verified(passed=passed, looks=3, detail="window") for passed in (True, False)),
    ApprovalAsked(request=REQUEST),
    ApprovalGiven(approval=APPROVAL),
    *(Decided(approval=replace(APPROVAL, decision=decision)) for decision in Decision),
    NothingToTry(reasons=("a", "b"), ask="look"),
    Turned(reason="stopped"),
    Failed(reason="the engine said no"),
    *(Kept(reason="why", builds=builds) for builds in (True, False)),
    UndoTurned(reason="stopped"),
    Escalated(reason="r", ask="a", policy_digest="d"),
    Reconsidered(reason="changed"),
    Healed(detail="gone"),
    Abandoned(reason="withdrawn"),
    Reported(report="x.md"),
)
SAMPLES: dict[str, Event] = {signature(event): event for event in (*_told(healed(), undone(), denied()), *EXTRA)}
STOOD: Incident = healed().now
"""An incident with one attempt, to be put into any phase."""
STOOD_OPEN = replace(STOOD, phase=Phase.VERIFYING)


def test_there_is_a_sample_of_every_event() -> None:
    assert set(SAMPLES) == SIGNATURES
    assert {event.type for event in SAMPLES.values()} == EVENT_TYPES


@pytest.mark.parametrize("what", sorted(SIGNATURES))
@pytest.mark.parametrize("phase", [None, *Phase], ids=str)
def test_the_table_alone_says_where_an_event_leads(phase: Phase | None, what: str) -> None:
    incident = replace(STOOD, phase=phase) if phase else None
    expected = TRANSITIONS.get((phase, what))
    if expected is None:
        with pytest.raises(Impossible, match=what):
            advance(incident, SAMPLES[what], at(9))
    else:
        assert advance(incident, SAMPLES[what], at(9)).phase is expected


def _reach(begin: Phase | None, edges: Iterable[tuple[Phase | None, Phase]]) -> set[Phase | None]:
    known, found, steps = {begin}, [begin], list(edges)
    while found:
        here = found.pop()
        more = {there for origin, there in steps if origin == here} - known
        known |= more
        found += more
    return known


EDGES = [(origin, there) for (origin, _), there in TRANSITIONS.items()]


def test_every_phase_can_be_reached() -> None:
    assert _reach(None, EDGES) == {None, *Phase}


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.CLOSED])
def test_from_every_phase_there_is_a_way_to_the_end_also_without_withdrawing(phase: Phase) -> None:
    kept = [(origin, there) for (origin, what), there in TRANSITIONS.items() if what != "Abandoned"]
    assert Phase.CLOSED in _reach(phase, kept)


def test_what_is_closed_stays_closed_and_takes_no_more_than_what_a_model_says_late() -> None:
    assert {what: to for (origin, what), to in TRANSITIONS.items() if origin is Phase.CLOSED} == {
        "Advised": Phase.CLOSED
    }


def test_a_late_answer_ends_the_question_of_a_closed_incident_and_nothing_else_of_it_changes() -> None:
    asked = advance(replace(STOOD, phase=Phase.VERIFYING), ASKED, at(7))
    before = replace(asked, phase=Phase.CLOSED)
    after = advance(before, ADVISED, at(9))
    (kept,) = after.advice
    assert (kept.opinion, kept.tokens, kept.asked_at, kept.answered_at) == (OPINION, 700, at(7), at(9))
    assert not after.open
    assert replace(after, advice=before.advice, events=before.events) == before
    with pytest.raises(Impossible):
        advance(after, ASKED, at(10))


def test_nothing_is_undone_after_a_recovery() -> None:
    assert {what for origin, what in TRANSITIONS if origin is Phase.RECOVERED} == {"Reported", "ModelAsked", "Advised"}
    story = healed()
    assert story.now.attempt.undo is UndoStand.PENDING
    assert story.now.phase is Phase.CLOSED


@pytest.mark.parametrize("event", SAMPLES.values(), ids=SAMPLES.keys())
def test_an_event_reads_back_from_the_journal_as_it_was(event: Event) -> None:
    entry = to_entry("victim-1", "default/victim", event)
    record = parse(seal(entry, Instant(at=T0, boot="b", boottime_ns=1), Head()))
    assert from_record(record) == event
    assert b"." not in b"".join(_numbers(json.loads(canonical(entry.data))))


def _numbers(value: object) -> list[bytes]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [repr(value).encode()] if isinstance(value, int | float) else []


WORDS = st.text(st.characters(codec="utf-8"), max_size=30)
ITEMS = st.builds(
    Evidence,
    id=WORDS,
    source=st.sampled_from(Source),
    key=WORDS,
    value=st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    text=WORDS,
    count=st.integers(1, 999),
)


@given(st.lists(ITEMS, max_size=5).map(tuple))
def test_evidence_keeps_its_types_through_the_journal(items: tuple[Evidence, ...]) -> None:
    event = EvidenceGathered(evidence=items, deviations=())
    record = parse(seal(to_entry("v-1", "d/v", event), Instant(at=T0, boot="b", boottime_ns=1), Head()))
    back = from_record(record)
    assert isinstance(back, EvidenceGathered)
    assert back == event
    assert [type(item.value) for item in back.evidence] == [type(item.value) for item in items]


STORIES = [healed, undone, denied, self_recovered]


@pytest.mark.parametrize("tell", STORIES, ids=lambda tell: tell.__name__)
def test_a_replay_is_what_was_lived(tell: object) -> None:
    story: Story = tell()  # type: ignore[operator]
    assert replay(story.records) == story.now
    assert replay_all(story.records) == (story.now,)
    assert replay(story.records[:-1]) != story.now


def test_no_records_are_no_incident() -> None:
    assert replay(()) is None
    assert replay_all(()) == ()


# What an incident remembers


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.CLOSED])
def test_a_models_word_is_kept_in_any_phase_and_changes_nothing_else(phase: Phase) -> None:
    before = replace(STOOD, phase=phase)
    after = advance(advance(before, ASKED, at(7)), ADVISED, at(9))
    (kept,) = after.advice
    assert (kept.opinion, kept.tokens, kept.asked_at, kept.answered_at) == (OPINION, 700, at(7), at(9))
    assert replace(after, advice=(), events=before.events) == before


def test_tokens_set_aside_count_until_the_answer_says_what_it_cost() -> None:
    asked_twice = then(STOOD_OPEN, ASKED, ASKED)
    assert asked_twice.cost.tokens == 1800
    assert then(asked_twice, ADVISED).cost.tokens == 900 + 700
    alone = then(STOOD_OPEN, replace(ADVISED, opinion=None, failure="over budget", tokens=0))
    assert [(one.failure, one.tokens) for one in alone.advice] == [("over budget", 0)]


def test_that_nobody_was_asked_is_kept_beside_what_a_model_says_and_moves_nothing() -> None:
    before = replace(STOOD, phase=Phase.DIAGNOSED)
    after = advance(before, NOT_ASKED, at(7))
    (kept,) = after.advice
    assert (kept.model, kept.failure, kept.tokens) == ("", "nobody was asked: spec.diagnosis.mode is Rules", 0)
    assert replace(after, advice=(), events=before.events) == before
    (_, asked) = advance(advance(after, ASKED, at(8)), ADVISED, at(9)).advice
    assert asked.opinion == OPINION


def test_the_word_of_a_model_in_an_old_journal_has_no_quotes_and_no_money() -> None:
    entry = to_entry("victim-1", "default/victim", ADVISED)
    newer = ("usage", "microdollars", "way", "repaired", "unkept")
    data: dict[str, Any] = {key: value for key, value in entry.data.items() if key not in newer}
    data["opinion"] = {key: value for key, value in data["opinion"].items() if "quotes" not in key}
    assert from_record(replace(healed().records[0], type="Advised", data=data)) == ADVISED
    asked: dict[str, Any] = {
        "model": "m",
        "prompt_digest": "p" * 64,
        "evidence_digest": "e" * 64,
        "tokens_reserved": 900,
    }
    assert from_record(replace(healed().records[0], type="ModelAsked", data=asked)) == ASKED


def acting(**changes: object) -> Incident:
    """An incident whose one effect is under way."""
    attempt = replace(STOOD.attempt, seen=None, acted_at=None, effective=None, undo=UndoStand.NONE, verified="")
    return replace(STOOD, phase=Phase.ACTING, attempts=(attempt,), recovery=None, recovered_at=None, **changes)  # type: ignore[arg-type]


def then(incident: Incident, *events: Event) -> Incident:
    for event in events:
        incident = advance(incident, event, at(99))
    return incident


DONE = Acted(seen=Seen.DONE, detail="d")
NO = Verified(passed=False, looks=1, detail="d")


@pytest.mark.parametrize(
    ("events", "effects", "ineffective", "undo"),
    [
        ((), 1, 0, UndoStand.NONE),
        ((DONE,), 1, 0, UndoStand.PENDING),
        ((Acted(seen=Seen.UNKNOWN, detail="d"),), 1, 0, UndoStand.PENDING),
        ((Acted(seen=Seen.NOT_DONE, detail="d"),), 0, 0, UndoStand.NONE),
        ((Failed(reason="no"),), 0, 1, UndoStand.NONE),
        ((Turned(reason="no"),), 1, 0, UndoStand.NONE),
        ((DONE, NO), 1, 1, UndoStand.PENDING),
        ((DONE, NO, Kept(reason="k")), 1, 1, UndoStand.PENDING),
        ((DONE, NO, UndoTurned(reason="no")), 1, 1, UndoStand.TURNED),
    ],
    ids=["under way", "done", "unknown", "not done", "failed", "turned", "no help", "kept", "undo turned"],
)
def test_what_an_attempt_left_is_remembered(
    events: tuple[Event, ...], effects: int, ineffective: int, undo: UndoStand
) -> None:
    found = then(acting(), *events)
    assert (found.effects, len(found.ineffective), found.attempt.undo) == (effects, ineffective, undo)
    assert (found.to_undo is None) == (undo is not UndoStand.PENDING)


def down(*services: str) -> tuple[Evidence, ...]:
    """Evidence that these dependencies are down."""
    source = Source.RUNTIME
    return tuple(Evidence(id="E1", source=source, key="dependency.down", value=each, text="t") for each in services)


def test_a_try_beside_a_dependency_that_was_down_counts_for_as_long_as_that_is_down() -> None:
    evidence = down("default/db", "default/cache")
    diagnosed = replace(STOOD, phase=Phase.DIAGNOSED, attempts=(), evidence=evidence)
    first = STOOD.attempt
    planned = then(diagnosed, Planned(plan=first.plan, proposal=first.proposal, risk=first.risk))
    tried = then(replace(planned, phase=Phase.VERIFYING), NO)
    assert tried.attempt.beside == ("default/db", "default/cache")
    assert len(tried.ineffective) == 1
    assert tried.waits_on == ("default/db", "default/cache")
    assert len(replace(tried, evidence=down("default/cache")).ineffective) == 1
    back = replace(tried, evidence=())
    assert (back.ineffective, back.waits_on) == ((), ())


def test_an_undo_that_is_found_not_done_is_asked_for_again_but_not_for_ever() -> None:
    stuck = then(acting(), DONE, NO)
    for place in range(UNDO_TRIES_MAX):
        assert stuck.to_undo is not None, place
        stuck = then(replace(stuck, phase=Phase.UNDOING), Undone(seen=Seen.NOT_DONE, detail="not there"))
    assert stuck.to_undo is None
    assert stuck.attempt.undo is UndoStand.TURNED


def test_the_latest_effect_is_undone_first() -> None:
    first = then(acting(), DONE, NO).attempt
    second = replace(first, plan=replace(first.plan, attempt=2, action=Start()))
    both = replace(STOOD, phase=Phase.UNDOING, attempts=(first, second))
    assert both.to_undo is second
    after = then(both, Undone(seen=Seen.DONE, detail="d"))
    assert after.to_undo is first
    assert after.attempts[1].undo is UndoStand.DONE


def test_waiting_is_no_try() -> None:
    held = then(replace(STOOD, phase=Phase.PLANNED), Judged(verdict=verdict(Effect.HOLD)))
    assert len(held.attempts) == 1
    assert then(held, Reconsidered(reason="the hold is over")).attempts == ()
    denied_ = then(replace(STOOD, phase=Phase.PLANNED), Judged(verdict=verdict(Effect.DENY)))
    assert len(then(replace(denied_, phase=Phase.ESCALATED), Reconsidered(reason="changed")).attempts) == 1


def test_a_verdict_that_stops_it_does_not_repeat_an_old_question() -> None:
    asked = replace(STOOD, phase=Phase.PLANNED, ask="an old question")
    assert then(asked, Judged(verdict=verdict(Effect.DENY))).ask == ""


@pytest.mark.parametrize(
    ("incident", "outcome", "recovery"),
    [
        (healed().now, "Recovered", Recovery.REMEDY),
        (self_recovered().now, "SelfRecovered", Recovery.ITSELF),
        (denied().now, "SelfRecovered", Recovery.ITSELF),
        (undone().now, "Escalated", None),
        (then(acting(), Abandoned(reason="withdrawn")), "Abandoned", None),
        (acting(), "Open", None),
    ],
    ids=["healed", "self-recovered", "denied", "escalated", "abandoned", "open"],
)
def test_the_outcome_says_how_it_ended(incident: Incident, outcome: str, recovery: Recovery | None) -> None:
    assert (incident.outcome, incident.recovery) == (outcome, recovery)
    assert incident.open == (incident.phase is not Phase.CLOSED)


def test_an_incident_counts_its_events_and_dates_its_changes() -> None:
    story = healed()
    assert story.now.events == len(story.records)
    assert story.now.changed_at == story.records[-1].at
    assert story.now.changed_at - story.now.opened_at > timedelta(seconds=10)
    assert story.now.cause is Cause.FLAG_FILE


def test_a_report_is_written_once_for_what_happened() -> None:
    escalated = undone().now
    assert escalated.reported_events == escalated.events
    again = then(escalated, Reconsidered(reason="changed"))
    assert again.reported_events < again.events
