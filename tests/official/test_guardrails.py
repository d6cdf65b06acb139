"""The Official reads the guardrails itself: whatever plan it is shown, what is declared now decides."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pitcrew.core.permit import Permit, PermitRefused
from pitcrew.core.policy import Effect, Guardrails, Unread, policy_digest
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import HealthyService, RemediationPolicy
from tests.official.world import Desk, case, plan_for, service

BASE = {"apiVersion": "pitcrew.dev/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": "platform"}}
SERVICE = service()


def under(**spec: Any) -> Guardrails:
    return Guardrails(policies=(RemediationPolicy.model_validate({**BASE, "spec": {"selector": {}, **spec}}),))


def plan(guardrails: Guardrails, incident: str = "victim-1", declared: HealthyService = SERVICE) -> Plan:
    return replace(plan_for(declared, incident), policy_digest=policy_digest(declared, guardrails))


RULE = {"name": "r", "effect": "Deny", "message": "m"}


@pytest.mark.parametrize(
    ("guardrails", "effect"),
    [
        pytest.param(under(), Effect.ALLOW, id="nothing said"),
        pytest.param(under(autoUpTo="None"), Effect.REQUIRE_APPROVAL, id="a ladder"),
        pytest.param(under(mode="Observe"), Effect.DENY, id="a mode"),
        pytest.param(under(actions=["restart"]), Effect.DENY, id="another action"),
        pytest.param(under(budget={"actions": 0}), Effect.HOLD, id="no budget"),
        pytest.param(under(rules=[{**RULE, "expression": 'action.name == "removeFile"'}]), Effect.DENY, id="a rule"),
        pytest.param(under(rules=[{**RULE, "expression": "service.nope == 1"}]), Effect.DENY, id="a rule that fails"),
        pytest.param(under(rules=[{**RULE, "expression": "1 +"}]), Effect.DENY, id="a rule that is none"),
        pytest.param(Guardrails(unread=(Unread(place="p.yaml:1:1"),)), Effect.HOLD, id="unread"),
    ],
)
def test_the_verdict_and_the_permit_follow_the_guardrails(
    guardrails: Guardrails, effect: Effect, tmp_path: Path
) -> None:
    official = Desk(state=tmp_path, guardrails=guardrails).opened()
    asked = plan(guardrails)
    assert asyncio.run(official.judge(SERVICE, asked, case())).effect is effect
    given = asyncio.run(official.permit(SERVICE, asked, case()))
    assert isinstance(given, Permit) is (effect is Effect.ALLOW)


def test_a_plan_made_without_the_guardrails_gets_no_permit(tmp_path: Path) -> None:
    desk = Desk(state=tmp_path, guardrails=under(cooldown="1m"))
    given = asyncio.run(desk.opened().permit(SERVICE, plan_for(SERVICE), case()))
    assert isinstance(given, PermitRefused)
    assert "the policy changed" in given.reason


def test_the_budget_of_a_guardrail_counts_in_its_own_window(tmp_path: Path) -> None:
    tight = under(budget={"actions": 1, "window": "10m"})
    desk = Desk(state=tmp_path, guardrails=tight)
    official = desk.opened()
    assert isinstance(asyncio.run(official.permit(SERVICE, plan(tight), case())), Permit)
    desk.time.move(300)
    verdict = asyncio.run(official.judge(SERVICE, plan(tight, "victim-2"), case()))
    assert verdict.effect is Effect.HOLD
    assert verdict.reason.startswith("policy/platform/budget/target: 1 of 1")
    desk.time.move(301)
    assert isinstance(asyncio.run(official.permit(SERVICE, plan(tight, "victim-2"), case())), Permit)


@pytest.mark.parametrize("change", ["mode", "unread", "storm"])
def test_an_undo_is_an_effect_too(change: str, tmp_path: Path) -> None:
    desk = Desk(state=tmp_path, guardrails=under())
    official = desk.opened()
    done = plan(desk.guardrails)
    assert isinstance(asyncio.run(official.permit(SERVICE, done, case())), Permit)
    match change:
        case "mode":
            desk.guardrails = under(mode="Shadow")
        case "unread":
            desk.guardrails = Guardrails(unread=(Unread(place="p.yaml:1:1"),))
        case _:
            desk.storm = "a storm"
    assert isinstance(asyncio.run(official.permit_undo(SERVICE, done)), PermitRefused)
    desk.guardrails, desk.storm = under(), ""
    assert isinstance(asyncio.run(official.permit_undo(SERVICE, done)), Permit)


def test_a_storm_holds_every_plan(tmp_path: Path) -> None:
    desk = Desk(state=tmp_path, storm="a storm since noon")
    verdict = asyncio.run(desk.opened().judge(SERVICE, plan_for(SERVICE), case()))
    assert verdict.effect is Effect.HOLD
    assert verdict.reason == "storm: a storm since noon"
