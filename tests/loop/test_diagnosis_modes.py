"""On which terms a model is asked, through the production composition: by mode, by egress, capped, and edited hot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pitcrew.core.incident import Phase
from pitcrew.core.policy import Unread
from pitcrew.core.report import section_text, why
from pitcrew.core.resource import Egress, HealthyService
from pitcrew.settings import Settings
from tests.fakes.consultant import FakeConsultant, opinion
from tests.loop.composed import House, manifest
from tests.loop.test_guardrails import guardrail
from tests.loop.virtual import run

LOW = {"autoUpTo": "Low", "approveUpTo": "High"}
PLANS = ("Planned", "NothingToTry")


def house_with(tmp_path: Path, consultant: FakeConsultant, *services: HealthyService) -> House:
    house = House(tmp_path, *services, settings=Settings(state=tmp_path))
    house.consultant = consultant
    return house


def model(*, delay_s: float = 3, **said: Any) -> FakeConsultant:
    return FakeConsultant(lambda question: opinion(**said), delay_s=delay_s)


def hang(house: House) -> None:
    house.engine.targets["victim"].suspended = True


def sicken(house: House) -> None:
    house.prober.sick.add("victim")


SITUATIONS: dict[str, tuple[dict[str, Any], Callable[[House], None]]] = {
    "sure, and Low whatever it says": ({"policy": LOW}, House.flag),
    "sure, and for good": ({"policy": LOW}, hang),
    "sure, and risky": ({"policy": LOW, "criticality": "High"}, House.flag),
    "unsure": ({"policy": LOW}, sicken),
}
NOBODY, BESIDE, FIRST = "nobody is asked", "it is asked beside the plan", "it is asked before the plan"
TABLE = [
    ("Rules", "sure, and Low whatever it says", NOBODY),
    ("Rules", "sure, and for good", NOBODY),
    ("Rules", "sure, and risky", NOBODY),
    ("Rules", "unsure", NOBODY),
    ("Assist", "sure, and Low whatever it says", NOBODY),
    ("Assist", "sure, and for good", NOBODY),
    ("Assist", "sure, and risky", NOBODY),
    ("Assist", "unsure", FIRST),
    ("Consult", "sure, and Low whatever it says", BESIDE),
    ("Consult", "sure, and for good", FIRST),
    ("Consult", "sure, and risky", FIRST),
    ("Consult", "unsure", FIRST),
]


@pytest.mark.parametrize(("mode", "situation", "expected"), TABLE, ids=[f"{m}: {s}" for m, s, _ in TABLE])
def test_the_mode_says_whether_a_model_is_asked_and_what_is_at_stake_whether_it_is_waited_for(
    mode: str, situation: str, expected: str, tmp_path: Path
) -> None:
    spec, breaks = SITUATIONS[situation]

    async def test() -> None:
        asked = model(cause="Latency", runbook="None")
        house = house_with(tmp_path, asked, manifest(**spec, diagnosis={"mode": mode}))
        breaks(house)
        async with house.running():
            await house.until(lambda: any(one in house.story() for one in PLANS))
            planned = len(house.story())
            await house.passes(15)
        heard = ["Advised" in house.story()[:planned], "Advised" in house.story()]
        assert heard == {NOBODY: [False, False], BESIDE: [False, True], FIRST: [True, True]}[expected]
        assert len(asked.asked) == (expected != NOBODY)
        assert house.story().count("NotAsked") == (expected == NOBODY)
        told = section_text(why(house.incident, house.records()))
        reason = "spec.diagnosis.mode is Rules" if mode == "Rules" else "is Assist, and the rules are sure"
        assert (f"nobody was asked: spec.diagnosis.mode is {mode}" in told) == (expected == NOBODY)
        assert (reason in told) == (expected == NOBODY)

    run(test())


def test_a_plan_that_waits_for_nobody_is_made_once_and_acts_once(tmp_path: Path) -> None:
    async def test() -> None:
        liar = model(delay_s=2, cause="Hang", runbook="hang", confidence=100)
        house = house_with(tmp_path, liar, manifest(policy=LOW))
        house.flag()
        async with house.running():
            await house.healed()
        story = house.story()
        assert (story.count("Planned"), story.count("Intended"), len(house.incident.attempts)) == (1, 1, 1)
        assert story.index("ModelAsked") < story.index("Planned") < story.index("Advised")
        assert house.effects() == ["removeFile"]
        (advice,) = house.incident.advice
        assert (advice.late, advice.agrees) == (True, False)

    run(test())


def test_without_a_model_no_mode_is_spoken_of(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, manifest(diagnosis={"mode": "Rules", "egress": "None"}))
        house.flag()
        async with house.running():
            await house.healed()
            assert house.status.now[house.services[0].key].terms is None
        assert house.incident.advice == ()
        assert "second opinion" not in [factor.name for factor in house.incident.attempt.risk.factors]

    run(test())


CAPS: dict[str, tuple[dict[str, Any], dict[str, Any], list[Egress], str]] = {
    "nothing is said": ({}, {}, [Egress.ANY], ""),
    "egress Local": ({"egress": "Local"}, {}, [Egress.LOCAL], ""),
    "egress None": ({"egress": "None"}, {}, [], "spec.diagnosis.egress is None"),
    "a policy caps the mode": (
        {"mode": "Consult"},
        {"mode": "Rules"},
        [],
        "diagnosis.mode of policy platform is Rules",
    ),
    "a policy caps the egress": ({"egress": "Any"}, {"egress": "Local"}, [Egress.LOCAL], ""),
    "a policy lets nothing out": ({}, {"egress": "None"}, [], "diagnosis.egress of policy platform is None"),
}


@pytest.mark.parametrize(("own", "cap", "under", "told"), CAPS.values(), ids=CAPS.keys())
def test_evidence_goes_no_farther_than_the_service_and_the_policies_over_it_allow(
    own: dict[str, Any], cap: dict[str, Any], under: list[Egress], told: str, tmp_path: Path
) -> None:
    async def test() -> None:
        asked = model()
        house = house_with(tmp_path, asked, manifest(policy=LOW, diagnosis=own))
        await house.manifests.declare(*house.services, policies=[guardrail(diagnosis=cap)])
        house.flag()
        async with house.running():
            await house.healed()
            terms = house.status.now[house.services[0].key].terms
            assert terms is not None
            assert terms.egress is (under[0] if under else terms.egress)
        assert asked.under == under
        assert house.effects() == ["removeFile"]
        told_ = section_text(why(house.incident, house.records()))
        assert (f"nobody was asked: {told}" in told_) == bool(told)
        second = next(one for one in house.incident.attempt.risk.factors if one.name == "second opinion")
        assert (second.points, told in second.evidence) == (0, True)

    run(test())


def test_a_policy_that_cannot_be_read_lets_nothing_out_and_once_it_is_mended_the_model_is_asked(tmp_path: Path) -> None:
    async def test() -> None:
        asked = model()
        house = house_with(tmp_path, asked, manifest(policy=LOW))
        unread = Unread(place="p.yaml:4:3: spec.mode: 'Off' is not allowed")
        await house.manifests.declare(*house.services, unread=[unread])
        house.flag()
        async with house.running():
            await house.until(lambda: house.incidents() and house.incident.phase is Phase.HELD)
            await house.passes(60)
            assert asked.asked == []
            assert "while a policy cannot be read (p.yaml:4:3" in house.incident.advice[0].failure
            await house.manifests.declare(*house.services)
            await house.healed()
        assert len(asked.asked) == 1
        assert house.effects() == ["removeFile"]

    run(test())


EDITS: dict[str, dict[str, str]] = {
    "to Rules": {"mode": "Rules"},
    "to egress None": {"egress": "None"},
    "to egress Local": {"egress": "Local"},
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("during", ["Planned", "Acted"], ids=["while it is waited for", "while the remedy is verified"])
def test_tightened_while_a_question_is_under_way_it_is_given_up_at_once_and_the_rules_go_on(
    during: str, edit: dict[str, str], tmp_path: Path
) -> None:
    waits = during == "Planned"
    spec: dict[str, Any] = {"policy": {"autoUpTo": "High"}, "criticality": "High" if waits else "Medium"}

    async def test() -> None:
        asked = model(delay_s=1_000_000)
        house = house_with(tmp_path, asked, manifest(**spec))
        house.flag()
        async with house.running():
            await house.until(lambda: asked.asked and (waits or "Acted" in house.story()))
            before = house.elapsed_s()
            await house.manifests.declare(manifest(**spec, diagnosis=edit))
            await house.until(lambda: asked.given_up)
            assert house.elapsed_s() - before < 1
            await house.healed()
        assert len(asked.asked) == 1
        assert "given up: spec.diagnosis" in next(one.failure for one in house.incident.advice if one.model)
        assert house.effects() == ["removeFile"]

    run(test())


def test_loosened_while_the_incident_is_open_the_model_is_asked_at_the_next_look_at_the_same_evidence(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        asked = model(delay_s=1)
        policy = {"autoUpTo": "None", "approvers": {"users": ["alice"]}}
        house = house_with(tmp_path, asked, manifest(policy=policy, diagnosis={"mode": "Rules"}))
        house.flag()
        async with house.running():
            await house.until(lambda: house.incidents() and house.incident.phase is Phase.AWAITING_APPROVAL)
            await house.passes(30)
            assert asked.asked == []
            await house.manifests.declare(manifest(policy=LOW))
            await house.healed()
        assert len(asked.asked) == 1
        assert [bool(one.model) for one in house.incident.advice] == [False, True]
        assert house.effects() == ["removeFile"]

    run(test())


RULES = {
    "on the score": ("risk.score > 47", True),
    "on the confidence": ("diagnosis.confidence < 96", True),
    "on what speaks for it": ("risk.factors['second opinion'] < 0", False),
}


@pytest.mark.parametrize(("expression", "denies"), RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("said", [{}, {"cause": "Hang", "runbook": "hang"}], ids=["agrees", "contradicts"])
def test_whatever_a_model_says_no_rule_in_cel_is_talked_round(
    said: dict[str, Any], expression: str, denies: bool, tmp_path: Path
) -> None:
    """Without a model, removing the flag of this service scores 48 with a confidence of 95."""

    async def test() -> None:
        rule = {"name": "careful", "effect": "Deny", "message": "not sure enough", "expression": expression}
        policy = {"autoUpTo": "High", "rules": [rule]}
        house = house_with(tmp_path, model(confidence=100, **said), manifest(policy=policy, criticality="High"))
        house.flag()
        async with house.running():
            await house.until(lambda: "Judged" in house.story())
        verdict = house.incident.attempt.verdict
        assert verdict is not None
        assert ("rule/careful" in verdict.reason) is denies

    run(test())
