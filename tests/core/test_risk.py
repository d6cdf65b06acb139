"""Risk: named factors that add up, and levels that say what a careful person would say."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.core.action import Action, RemoveFile, Restart, RunCommand, Start, undo_of
from pitcrew.core.diagnosis import Cause, Diagnoser, Diagnosis
from pitcrew.core.evidence import Evidence, Source
from pitcrew.core.history import History, Past, summarise
from pitcrew.core.opinion import Weighed
from pitcrew.core.proposal import Proposal
from pitcrew.core.resource import Actions, Level
from pitcrew.core.risk import LEVELS, Risk, assess, doubt_of
from tests.core.scene import BAD, FLAG, GOOD, answer, at, declared, seen

REMOVE, RESTART = RemoveFile(path=FLAG), Restart(grace_s=10)
COMMANDS = [{"name": "flush", "argv": ["true"], "undo": "refill"}, {"name": "refill", "argv": ["true"]}]
DECLARED = Actions.model_validate({"runCommand": {"commands": COMMANDS}})
FLUSH = RunCommand(command="flush", argv=("true",), timeout_s=30)
REFILL = RunCommand(command="refill", argv=("true",), timeout_s=30)

SUSPECTED = Evidence(id="E7", source=Source.LOG, key="suspicion", value="Orders", text="text in the log gives orders")


def risk(
    action: Action,
    confidence: int,
    *,
    criticality: Level = Level.MEDIUM,
    severity: Level | None = None,
    same_cause: int = 0,
    attempt: int = 1,
    good: int = 0,
    agrees: bool | None = None,
    suspected: bool = False,
    told: tuple[str, str | bool] | None = None,
    in_vain: int = 0,
) -> Risk:
    proposal = Proposal(
        action=action,
        undo=undo_of(action, DECLARED),
        runbook="r",
        cause=Cause.HANG,
        evidence=(),
        undo_at_end=False,
        why="",
    )
    diagnosis = Diagnosis(cause=Cause.HANG, confidence=confidence, evidence=(), by=Diagnoser.RULES, summary="")
    look = seen(answer(BAD), *(answer(GOOD, probe=f"p{n}") for n in range(good)))
    history = History(same_cause=same_cause, in_vain=in_vain)
    more = [Evidence(id="E9", source=Source.LOG, key=told[0], value=told[1], text="")] if told else []
    return assess(
        declared(criticality=criticality),
        proposal,
        diagnosis,
        severity or criticality,
        history,
        look,
        attempt,
        Weighed(agrees=agrees, reason="what the model says"),
        [*([SUSPECTED] if suspected else []), *more],
    )


LEVEL_OF: dict[str, tuple[Risk, set[Level]]] = {
    "removing the demo's flag": (risk(REMOVE, 95), {Level.LOW}),
    "restarting a hang": (risk(RESTART, 85), {Level.LOW}),
    "restarting a hang after an ineffective removal": (risk(RESTART, 85, attempt=2), {Level.LOW}),
    "restarting stopped processes": (risk(RESTART, 95), {Level.LOW}),
    "starting what died": (risk(Start(), 90), {Level.LOW}),
    "starting what died, third time in the hour": (risk(Start(), 90, same_cause=2), {Level.LOW}),
    "restarting what does not answer": (risk(RESTART, 50), {Level.MEDIUM, Level.HIGH}),
    "restarting for errors nobody understands": (risk(RESTART, 30), {Level.HIGH}),
    "a flag of a High service": (risk(REMOVE, 95, criticality=Level.HIGH), {Level.MEDIUM}),
    "a flag of a High service, partly failing": (
        risk(REMOVE, 95, criticality=Level.HIGH, severity=Level.MEDIUM),
        {Level.MEDIUM},
    ),
    "the smallest act without any doubt on a High service": (
        risk(Start(), 100, criticality=Level.HIGH),
        {Level.MEDIUM},
    ),
    "a hang of a High service": (risk(RESTART, 85, criticality=Level.HIGH), {Level.MEDIUM, Level.HIGH}),
    "a hang of a Critical service": (risk(RESTART, 85, criticality=Level.CRITICAL), {Level.CRITICAL}),
    "a hang while half of it works": (risk(RESTART, 85, good=1), {Level.MEDIUM}),
    "a command without any doubt that can be taken back": (
        risk(FLUSH, 100, criticality=Level.LOW, agrees=True),
        {Level.MEDIUM},
    ),
    "a command that cannot be taken back": (risk(REFILL, 85), {Level.MEDIUM}),
    "a command for errors nobody understands": (risk(REFILL, 30), {Level.HIGH}),
    "the demo's flag beside text that gives orders": (risk(REMOVE, 95, suspected=True), {Level.LOW}),
    "a hang beside text that gives orders": (risk(RESTART, 85, suspected=True), {Level.MEDIUM}),
    "a hang beside words that nobody understands": (risk(RESTART, 85, told=("unsettled", "now")), {Level.MEDIUM}),
    "a hang of what may be starting still": (risk(RESTART, 85, told=("starting", True)), {Level.MEDIUM}),
    "a hang whose log could not be read": (risk(RESTART, 85, told=("missing", "logs: away")), {Level.MEDIUM}),
    "a hang beside a dependency nobody knows of": (
        risk(RESTART, 85, told=("dependency.unknown", "default/db")),
        {Level.MEDIUM},
    ),
    "a hang that a restart did not end before": (risk(RESTART, 85, in_vain=1), {Level.MEDIUM}),
    "a death for a reason that nobody understands": (risk(Start(), 90, told=("unsettled", "end")), {Level.MEDIUM}),
    "a death beside words about a file": (risk(Start(), 90, told=("unsettled", "file")), {Level.LOW}),
    "a flag that nothing names": (risk(REMOVE, 95, told=("unsettled", "file")), {Level.MEDIUM}),
    "a flag whose log could not be read": (risk(REMOVE, 95, told=("missing", "logs: away")), {Level.LOW}),
    "a hang again and again": (risk(RESTART, 85, same_cause=3), {Level.MEDIUM}),
}


@pytest.mark.parametrize(("found", "levels"), LEVEL_OF.values(), ids=LEVEL_OF.keys())
def test_the_level_is_what_a_careful_person_would_say(found: Risk, levels: set[Level]) -> None:
    assert found.level in levels, found


ACTIONS = st.sampled_from((Start(), REMOVE, RESTART, FLUSH, REFILL))
INPUTS = st.fixed_dictionaries(
    {
        "criticality": st.sampled_from(Level),
        "severity": st.sampled_from(Level),
        "same_cause": st.integers(0, 50),
        "attempt": st.integers(1, 30),
        "good": st.integers(0, 3),
        "agrees": st.sampled_from((None, True, False)),
    }
)


@given(ACTIONS, st.integers(0, 100), INPUTS)
def test_factors_add_up_to_a_bounded_score_and_its_level(
    action: Action, confidence: int, inputs: dict[str, Any]
) -> None:
    found = risk(action, confidence, **inputs)
    assert found.score == min(100, sum(factor.points for factor in found.factors))
    assert all(factor.name and factor.evidence for factor in found.factors)
    assert all(factor.points >= 0 for factor in found.factors if factor.name != "second opinion")
    assert 0 <= found.score <= 100
    assert found.level is max((level for least, level in LEVELS if found.score >= least), key=lambda level: level.rank)


@given(ACTIONS, st.integers(0, 100), INPUTS)
def test_a_second_opinion_never_lowers_the_level(action: Action, confidence: int, inputs: dict[str, Any]) -> None:
    alone, agreed, differs = (
        risk(action, confidence, **{**inputs, "agrees": agrees}) for agrees in (None, True, False)
    )
    assert agreed.level is alone.level
    assert agreed.score <= alone.score <= differs.score
    assert alone.score - agreed.score <= 5


DOUBTS: dict[str, tuple[Action, Diagnoser, Level, bool | None, str]] = {
    "both say so": (RESTART, Diagnoser.RULES, Level.HIGH, True, ""),
    "it has no weight": (RESTART, Diagnoser.RULES, Level.HIGH, None, ""),
    "they differ on what is taken back": (REMOVE, Diagnoser.RULES, Level.LOW, False, ""),
    "they differ on what is risky": (REMOVE, Diagnoser.RULES, Level.MEDIUM, False, "two opinions differ"),
    "they differ on what is for good": (RESTART, Diagnoser.RULES, Level.LOW, False, "two opinions differ"),
    "only a model knows": (Start(), Diagnoser.MODEL, Level.LOW, None, "only a model names this cause"),
}


@pytest.mark.parametrize(("action", "by", "level", "agrees", "doubt"), DOUBTS.values(), ids=DOUBTS.keys())
def test_a_person_decides_where_opinions_differ_on_what_is_risky(
    action: Action, by: Diagnoser, level: Level, agrees: bool | None, doubt: str
) -> None:
    proposal = Proposal(
        action=action,
        undo=undo_of(action, DECLARED),
        runbook="r",
        cause=Cause.HANG,
        evidence=(),
        undo_at_end=False,
        why="",
    )
    diagnosis = Diagnosis(cause=Cause.HANG, confidence=50, evidence=(), by=by, summary="")
    found = doubt_of(proposal, diagnosis, Risk(score=0, level=level, factors=()), Weighed(agrees=agrees, reason="x"))
    assert found.startswith(doubt)
    assert bool(found) == bool(doubt)


MORE: dict[str, tuple[object, ...]] = {
    "criticality": tuple(Level),
    "severity": tuple(Level),
    "same_cause": tuple(range(12)),
    "attempt": tuple(range(1, 12)),
    "good": tuple(range(4)),
}


@pytest.mark.parametrize("name", MORE)
@given(ACTIONS, st.integers(0, 100), INPUTS)
def test_more_of_anything_is_never_less_risky(
    name: str, action: Action, confidence: int, inputs: dict[str, int]
) -> None:
    scores = [risk(action, confidence, **{**inputs, name: value}).score for value in MORE[name]]  # type: ignore[arg-type]
    assert scores == sorted(scores)


@given(ACTIONS, INPUTS)
def test_more_doubt_is_never_less_risky(action: Action, inputs: dict[str, int]) -> None:
    scores = [risk(action, confidence, **inputs).score for confidence in range(100, -1, -5)]  # type: ignore[arg-type]
    assert scores == sorted(scores)


def test_history_counts_the_last_hour() -> None:
    one = Past(incident="v-1", opened_at=at(0), cause=Cause.HANG, effects=2, recovered=True)
    past = (
        one,
        replace(one, cause=Cause.DIED, recovered=False),
        replace(one, opened_at=at(-1)),
        replace(one, opened_at=at(3600), effects=0),
    )
    assert summarise(past, Cause.HANG, at(3600)) == History(incidents=3, same_cause=2, effects=4, unresolved=1)
