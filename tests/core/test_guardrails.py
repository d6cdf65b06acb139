"""Guardrails as a table: each field tightens, none allows, the strictest wins, and the digest covers what binds."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from pitcrew.core.policy import (
    CompiledRule,
    Effect,
    Guard,
    Guardrails,
    Spending,
    Tries,
    Unread,
    Verdict,
    judge,
    policy_digest,
)
from pitcrew.core.resource import HealthyService, Level, RemediationPolicy, RuleEffect, Selector

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SPENDING = Spending(
    target=0,
    target_free_at=None,
    everywhere=0,
    everywhere_max=30,
    everywhere_free_at=None,
    last_at=NOW - timedelta(minutes=3),
    stopped=False,
)
A, R, H, D = Effect.ALLOW, Effect.REQUIRE_APPROVAL, Effect.HOLD, Effect.DENY


def service(namespace: str = "default", labels: Mapping[str, str] | None = None, **policy: Any) -> HealthyService:
    return HealthyService.model_validate(
        {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": "victim", "namespace": namespace, "labels": labels or {}},
            "spec": {"target": {"docker": {"container": "victim"}}, "policy": {"autoUpTo": "High", **policy}},
        }
    )


def guardrail(name: str = "platform", **spec: Any) -> RemediationPolicy:
    base = {"apiVersion": "pitcrew.dev/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": name}}
    return RemediationPolicy.model_validate({**base, "spec": {"selector": {}, **spec}})


def verdict(*guards: Guard, level: Level = Level.MEDIUM, unread: tuple[Unread, ...] = (), **policy: Any) -> Verdict:
    tries = Tries(effects=0, plans=1)
    return judge(service(**policy), level, tries, (), {}, SPENDING, NOW, guards, unread, "restart")


def effects(given: Verdict) -> dict[str, Effect]:
    """What the guardrails said, by rule."""
    return {one.rule: one.effect for one in given.rulings if one.rule.startswith("policy")}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param({}, {}, id="what is absent says nothing"),
        pytest.param({"mode": "Enforce"}, {}, id="Enforce says nothing"),
        pytest.param({"mode": "Shadow"}, {"policy/platform/mode/shadow": D}, id="Shadow"),
        pytest.param({"mode": "Observe"}, {"policy/platform/mode/observe": D}, id="Observe"),
        pytest.param({"autoUpTo": "Medium"}, {}, id="within autoUpTo nothing is said, and nothing allowed"),
        pytest.param({"autoUpTo": "Low"}, {"policy/platform/ladder/approve": R}, id="above autoUpTo"),
        pytest.param({"autoUpTo": "None"}, {"policy/platform/ladder/approve": R}, id="autoUpTo None asks always"),
        pytest.param({"approveUpTo": "Low"}, {"policy/platform/ladder/deny": D}, id="above approveUpTo"),
        pytest.param({"autoUpTo": "Low", "approveUpTo": "Low"}, {"policy/platform/ladder/deny": D}, id="above both"),
        pytest.param({"actions": ["start"]}, {"policy/platform/actions": D}, id="an action that is not listed"),
        pytest.param({"actions": []}, {"policy/platform/actions": D}, id="an empty list permits none"),
        pytest.param({"actions": ["restart"]}, {}, id="an action that is listed"),
        pytest.param({"cooldown": "10m"}, {"policy/platform/cooldown": H}, id="a longer cooldown"),
        pytest.param({"cooldown": "1m"}, {}, id="a cooldown that is over"),
        pytest.param({"budget": {"actions": 2}}, {"policy/platform/budget/target": H}, id="a spent budget"),
        pytest.param({"budget": {"actions": 3}}, {}, id="a budget with room"),
    ],
)
def test_each_field_of_a_guardrail_can_only_tighten(spec: dict[str, Any], said: dict[str, Effect]) -> None:
    given = verdict(Guard(policy=guardrail(**spec), spent=2))
    assert effects(given) == said
    assert given.effect is min([A, *said.values()], key=list(Effect).index)


@pytest.mark.parametrize("own", [{"mode": "Shadow"}, {"approveUpTo": "Low"}], ids=["mode", "ladder"])
def test_no_guardrail_allows_what_the_service_denies(own: dict[str, Any]) -> None:
    lax = guardrail(mode="Enforce", autoUpTo="Critical", approveUpTo="Critical", actions=["restart"])
    given = verdict(Guard(policy=lax), **own)
    assert given.effect is D
    assert effects(given) == {}


def test_of_several_guardrails_the_strictest_wins_and_all_are_told() -> None:
    asks, denies = guardrail("asks", autoUpTo="Low"), guardrail("denies", approveUpTo="Low")
    given = verdict(Guard(policy=asks), Guard(policy=denies))
    assert given.effect is D
    assert effects(given) == {"policy/asks/ladder/approve": R, "policy/denies/ladder/deny": D}
    assert given.reason.startswith("policy/denies/ladder/deny: ")


def _fails(_: Mapping[str, object]) -> object:
    raise ValueError("no such field")


@pytest.mark.parametrize(
    ("answer", "effect"),
    [(lambda _: True, R), (lambda _: False, A), (lambda _: "yes", D), (_fails, D)],
    ids=["true", "false", "neither", "an error"],
)
def test_a_rule_of_a_guardrail_speaks_under_its_name_and_an_error_denies(answer: Any, effect: Effect) -> None:
    rule = CompiledRule(name="ask", effect=RuleEffect.REQUIRE_APPROVAL, message="m", evaluate=answer)
    given = verdict(Guard(policy=guardrail(), rules=(rule,)))
    assert given.effect is effect
    assert set(effects(given)) <= {"policy/platform/rule/ask"}


def test_rules_that_cannot_be_used_deny() -> None:
    assert verdict(Guard(policy=guardrail(), broken="rule a: not CEL")).effect is D


def test_a_policy_that_cannot_be_read_holds() -> None:
    given = verdict(unread=(Unread(place="p.yaml:3:1: broken"),))
    assert given.effect is H
    assert given.until is not None
    assert "p.yaml:3:1" in given.reason


def test_a_storm_holds_and_loosens_no_denial() -> None:
    stormy, tries = replace(SPENDING, storm="a storm"), Tries(effects=0, plans=1)
    assert judge(service(), Level.LOW, tries, (), {}, stormy, NOW).effect is H
    assert judge(service(mode="Shadow"), Level.LOW, tries, (), {}, stormy, NOW).effect is D


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({}, True),
        ({"matchLabels": {"team": "shop"}}, True),
        ({"matchLabels": {"team": "shop", "tier": "gold"}}, False),
        ({"matchLabels": {"team": "other"}}, False),
        ({"namespaces": ["blue", "green"]}, True),
        ({"namespaces": ["green"]}, False),
        ({"matchLabels": {"team": "shop"}, "namespaces": ["green"]}, False),
    ],
)
def test_a_selector_binds_by_labels_and_namespaces(selector: dict[str, Any], selected: bool) -> None:
    declared, unread = service("blue", {"team": "shop"}), Unread(place="x", selector=Selector.model_validate(selector))
    bound = Guardrails(policies=(guardrail(selector=selector),), unread=(unread,)).binding(declared)
    assert (bool(bound.policies), bool(bound.unread)) == (selected, selected)


def test_the_policy_digest_covers_the_guardrails_that_bind_and_no_others() -> None:
    declared = service()
    alone, elsewhere = policy_digest(declared), guardrail("there", selector={"namespaces": ["green"]})
    assert policy_digest(declared, Guardrails(policies=(elsewhere,))) == alone
    one, other = guardrail(autoUpTo="Low"), guardrail(autoUpTo="None")
    digests = [policy_digest(declared, Guardrails(policies=(each,))) for each in (one, other)]
    unread = policy_digest(declared, Guardrails(unread=(Unread(place="x"),)))
    assert len({alone, *digests, unread}) == 4
    given = verdict(Guard(policy=one))
    assert given.policy_digest == digests[0]


@pytest.mark.parametrize(
    "spec",
    [{"selector": None}, {"actions": ["dance"]}, {"approvers": {}}, {"cooldown": 5}, {"autoUpTo": "Lowest"}],
    ids=lambda spec: next(iter(spec)),
)
def test_a_guardrail_with_a_field_that_will_not_do_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        guardrail(**spec)
