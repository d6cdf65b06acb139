"""Scoring: one choice beside its label, the sums, their bounds, and what is worse than the rules alone."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pitcrew.core.diagnosis import Cause, Diagnoser, Diagnosis
from pitcrew.core.incident import Incident
from pitcrew.core.step import AskPermit, Step, Wait
from pitcrew.entrypoints.evaluation.case import Label
from pitcrew.entrypoints.evaluation.played import Came
from pitcrew.entrypoints.evaluation.score import chosen, lower_bound, not_ours, sums, upper_bound, worse_than
from tests.core import incidents
from tests.evaluation.labelled import labelled, outcome


def healed() -> Incident:
    """An incident that was planned by its rules: the flag, and removing it."""
    return incidents.healed().now


def came(label: Mapping[str, object], *, alone: bool = True, incident: Incident | None = None) -> Came:
    case = labelled(label={"ours": True, "why": "so", "harmful": [], **label})
    who = incident or healed()
    step: Step = AskPermit(attempt=who.attempts[-1]) if alone and who.attempts else Wait(reason="a person")
    return Came(case=case, incident=who, step=step, found=())


RIGHT = {"causes": ["FlagFile"], "actions": ["removeFile"]}
SCORED: dict[str, tuple[Came, dict[str, object]]] = {
    "right": (came(RIGHT), {"cause_right": True, "action_right": True, "harmful": False, "alone": True}),
    "one of several causes": (came({**RIGHT, "causes": ["Hang", "FlagFile"]}), {"cause_right": True}),
    "wrong cause": (came({**RIGHT, "causes": ["Hang"]}), {"cause_right": False, "action_right": True}),
    "wrong step": (came({**RIGHT, "actions": ["none"]}), {"action_right": False, "harmful": False}),
    "harmful alone": (came({**RIGHT, "harmful": ["removeFile"]}), {"harmful": True, "alone": True}),
    "harmful, and a person is asked": (
        came({**RIGHT, "harmful": ["removeFile"]}, alone=False),
        {"harmful": False, "alone": False},
    ),
}


@pytest.mark.parametrize(("one", "expected"), SCORED.values(), ids=SCORED.keys())
def test_a_choice_is_scored_against_its_label(one: Came, expected: dict[str, object]) -> None:
    scored = chosen(one, 42, 1.5)
    assert {name: getattr(scored, name) for name in expected} == expected
    assert (scored.id, scored.fault, scored.evidence_tokens, scored.seconds) == ("flag-1", 1, 42, 1.5)
    assert (scored.cause, scored.action, scored.rules_know, scored.led_by_model) == (
        Cause.FLAG_FILE,
        "removeFile",
        True,
        False,
    )


def test_no_incident_is_an_unknown_cause_and_no_step() -> None:
    case = labelled(label={"causes": ["Unknown"], "actions": ["none"], "ours": False, "why": "so"})
    scored = chosen(Came(case=case, incident=None, step=None, found=()), 0, 0)
    assert (scored.cause, scored.confidence, scored.action, scored.alone) == (Cause.UNKNOWN, 0, "none", False)
    assert (scored.cause_right, scored.action_right, scored.rules_know) == (True, True, False)


@pytest.mark.parametrize(("model", "counted"), [("some-model", "too late"), ("", "")])
def test_that_nobody_was_asked_is_no_answer_that_was_refused(model: str, counted: str) -> None:
    incident = incidents.advised().now
    unused = replace(incident.advice[-1], model=model, opinion=None, failure="too late")
    assert chosen(came(RIGHT, incident=replace(incident, advice=(unused,))), 0, 0).failure == counted


def test_a_model_that_led_is_told_apart_from_rules() -> None:
    incident = healed()
    word = Diagnosis(cause=Cause.HANG, confidence=70, evidence=("E1",), by=Diagnoser.MODEL, summary="it hangs")
    led = replace(incident, attempts=(replace(incident.attempts[-1], leading=word),))
    scored = chosen(came({"causes": ["Hang"], "actions": ["none"]}, alone=False, incident=led), 0, 0)
    assert (scored.cause, scored.confidence, scored.led_by_model, scored.cause_right) == (Cause.HANG, 70, True, True)


def test_sums_count_and_weigh() -> None:
    of = sums(
        [
            outcome(),
            outcome(id="b", cause_right=False, action_right=False, harmful=True),
            outcome(id="c", action="none", alone=False, confidence=60, agrees=True, tokens=30),
            outcome(id="d", action="none", alone=False, action_right=False, agrees=False, failure="late"),
            outcome(id="e", cause=Cause.UNKNOWN, confidence=0, action="none", alone=False, rules_know=False),
            outcome(id="f", cause=Cause.UNKNOWN, confidence=0, cause_right=False, rules_know=False, model_right=True),
        ]
    )
    assert (of.cases, of.cause_right, of.action_right, of.harmful) == (6, 4, 4, 1)
    assert (of.alone, of.wrong_alone, of.abstained, of.abstained_right) == (3, 1, 3, 2)
    assert (of.unknown_to_rules, of.model_right_there, of.agreed, of.disagreed, of.refused) == (2, 1, 1, 1, 1)
    assert (of.cause_accuracy, of.action_accuracy) == (4 / 6, 4 / 6)
    assert of.evidence_per_log == pytest.approx(0.5)


def test_calibration_is_over_the_cases_in_which_a_cause_was_named() -> None:
    unknown = outcome(id="u", cause=Cause.UNKNOWN, confidence=0)
    sure = [outcome(id=f"s{place}", confidence=75, cause_right=place != 3) for place in range(4)]
    of = sums([*sure, unknown])
    assert of.calibration_error == pytest.approx(0)
    assert of.brier == pytest.approx((3 * 0.0625 + 0.5625) / 4)
    assert (sums([unknown]).brier, sums([unknown]).calibration_error) == (0, 0)


def test_overconfidence_is_an_error_of_calibration() -> None:
    both = [outcome(confidence=100), outcome(id="b", confidence=100, cause_right=False)]
    assert sums(both).calibration_error == pytest.approx(0.5)


def test_no_case_has_no_sums() -> None:
    with pytest.raises(ValueError, match="no case"):
        sums([])


BOUNDS: dict[str, tuple[int, int, float, float]] = {
    "all of twenty": (20, 20, 0.05 ** (1 / 20), 1.0),
    "none of fifty-nine": (0, 59, 0.0, 1 - 0.05 ** (1 / 59)),
    "half of ten": (5, 10, 0.2224, 0.7776),
    "one of ten": (1, 10, 0.0051, 0.3942),
}


@pytest.mark.parametrize(("hits", "of", "least", "most"), BOUNDS.values(), ids=BOUNDS.keys())
def test_bounds_are_those_of_clopper_and_pearson(hits: int, of: int, least: float, most: float) -> None:
    assert lower_bound(hits, of) == pytest.approx(least, abs=5e-5)
    assert upper_bound(hits, of) == pytest.approx(most, abs=5e-5)


def test_the_bounds_of_hits_and_of_misses_mirror_each_other() -> None:
    for hits in range(31):
        assert lower_bound(hits, 30) == pytest.approx(1 - upper_bound(30 - hits, 30), abs=1e-9)


HARMFUL: dict[str, object] = {"harmful": True, "action_right": False}
WORSE: dict[str, tuple[dict[str, object], dict[str, object], bool]] = {
    "as before": ({}, {}, False),
    "harmful now": ({}, HARMFUL, True),
    "a wrong step alone now": ({}, {"action_right": False}, True),
    "a wrong step that people are asked about": ({}, {"action_right": False, "alone": False}, False),
    "harmful as before": (HARMFUL, HARMFUL, False),
    "wrong before, harmful now": ({"action_right": False}, HARMFUL, True),
    "wrong before, right now": ({"action_right": False}, {}, False),
}


@pytest.mark.parametrize(("before", "now", "worse"), WORSE.values(), ids=WORSE.keys())
def test_a_run_is_worse_where_it_does_worse_without_a_person(
    before: dict[str, object], now: dict[str, object], worse: bool
) -> None:
    assert worse_than([outcome(**before)], [outcome(**now)]) == (("flag-1",) if worse else ())


def test_what_is_not_ours_is_counted() -> None:
    theirs = Label(causes=(Cause.PAUSED,), actions=("none",), ours=False, why="ask")
    assert not_ours([labelled(), labelled().model_copy(update={"label": theirs})]) == 1
