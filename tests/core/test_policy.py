"""The verdict as a table: ladders, modes, attempts, budgets, cooldown, rules, and the strictest of all that spoke."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pitcrew.core.policy import (
    HOLD_RECHECK_S,
    CompiledRule,
    Effect,
    Spending,
    Tries,
    Verdict,
    judge,
    policy_digest,
    target_digest,
)
from pitcrew.core.resource import HealthyService, Level, RuleEffect

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOTHING_SPENT = Spending(
    target=0,
    target_free_at=None,
    everywhere=0,
    everywhere_max=30,
    everywhere_free_at=None,
    last_at=None,
    stopped=False,
)


def service(**policy: Any) -> HealthyService:
    return HealthyService.model_validate(
        {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": "victim"},
            "spec": {"target": {"docker": {"container": "victim"}}, "policy": policy},
        }
    )


def verdict(
    policy: Mapping[str, Any] | None = None,
    level: Level = Level.LOW,
    tries: tuple[int, int] = (0, 1),
    rules: tuple[CompiledRule, ...] = (),
    spending: Spending = NOTHING_SPENT,
) -> Verdict:
    counted = Tries(effects=tries[0], plans=tries[1])
    return judge(service(**(policy or {})), level, counted, rules, {}, spending, NOW, separated=True)


def rule(effect: RuleEffect, evaluate: Callable[[Mapping[str, object]], object], name: str = "guard") -> CompiledRule:
    return CompiledRule(name=name, effect=effect, message="as a person wrote", evaluate=evaluate)


def yes(_: Mapping[str, object]) -> object:
    return True


A, R, D = Effect.ALLOW, Effect.REQUIRE_APPROVAL, Effect.DENY
LADDERS = [
    ("None", "None", (D, D, D, D)),
    ("None", "High", (R, R, R, D)),
    ("None", "Critical", (R, R, R, R)),
    ("Low", "None", (D, D, D, D)),
    ("Low", "Low", (A, D, D, D)),
    ("Low", "High", (A, R, R, D)),
    ("Medium", "Low", (A, D, D, D)),
    ("Medium", "High", (A, A, R, D)),
    ("High", "High", (A, A, A, D)),
    ("Critical", "High", (A, A, A, D)),
    ("Critical", "Critical", (A, A, A, A)),
]


@pytest.mark.parametrize(("auto", "approve", "expected"), LADDERS, ids=[f"{a} then {b}" for a, b, _ in LADDERS])
def test_the_ladders_decide_by_the_level_and_approve_up_to_caps(
    auto: str, approve: str, expected: tuple[Effect, ...]
) -> None:
    policy = {"autoUpTo": auto, "approveUpTo": approve}
    assert tuple(verdict(policy, level).effect for level in Level) == expected


@pytest.mark.parametrize(("mode", "expected"), [("Enforce", A), ("Shadow", D), ("Observe", D)])
def test_only_enforce_acts(mode: str, expected: Effect) -> None:
    assert verdict({"mode": mode}).effect is expected


def test_a_stop_holds_until_it_is_taken_back_and_loosens_no_denial() -> None:
    stopped = replace(NOTHING_SPENT, stopped=True)
    held = verdict(spending=stopped)
    assert held.effect is Effect.HOLD
    assert held.until is not None
    assert verdict({"mode": "Shadow"}, spending=stopped).effect is D


@pytest.mark.parametrize(("tries", "expected"), [((2, 3), A), ((3, 3), D), ((4, 3), D), ((0, 9), A), ((0, 10), D)])
def test_attempts_are_bounded_by_effects_and_by_plans(tries: tuple[int, int], expected: Effect) -> None:
    assert verdict(tries=tries).effect is expected


FREE_AT = NOW + timedelta(minutes=7)


@pytest.mark.parametrize(
    ("spent", "effect", "until"),
    [
        ({"target": 9}, A, None),
        ({"target": 10, "target_free_at": FREE_AT}, Effect.HOLD, FREE_AT),
        ({"target": 10}, Effect.HOLD, NOW + timedelta(seconds=HOLD_RECHECK_S)),
        ({"everywhere": 29}, A, None),
        ({"everywhere": 30, "everywhere_free_at": FREE_AT}, Effect.HOLD, FREE_AT),
        ({"last_at": NOW - timedelta(minutes=10)}, A, None),
        ({"last_at": NOW - timedelta(minutes=3)}, Effect.HOLD, NOW + timedelta(minutes=7)),
        ({"target": 10, "target_free_at": NOW + timedelta(1), "last_at": NOW}, Effect.HOLD, NOW + timedelta(1)),
    ],
)
def test_budgets_and_cooldown_hold_until_they_are_over(
    spent: dict[str, Any], effect: Effect, until: datetime | None
) -> None:
    given = verdict({"cooldown": "10m"}, spending=replace(NOTHING_SPENT, **spent))
    assert (given.effect, given.until) == (effect, until)


def fails(_: Mapping[str, object]) -> object:
    raise ValueError("no such field")


@pytest.mark.parametrize(
    ("evaluate", "expected"),
    [
        (yes, Effect.HOLD),
        (lambda _: False, A),
        (fails, D),
        (lambda _: 1, D),
        (lambda _: None, D),
        (lambda _: "true", D),
    ],
    ids=["true", "false", "error", "a number", "nothing", "a text"],
)
def test_a_rule_speaks_when_true_and_denies_when_it_gives_no_boolean(
    evaluate: Callable[[Mapping[str, object]], object], expected: Effect
) -> None:
    assert verdict(rules=(rule(RuleEffect.HOLD, evaluate),)).effect is expected


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ((), A),
        ((RuleEffect.REQUIRE_APPROVAL,), R),
        ((RuleEffect.REQUIRE_APPROVAL, RuleEffect.HOLD), Effect.HOLD),
        ((RuleEffect.DENY, RuleEffect.HOLD, RuleEffect.REQUIRE_APPROVAL), D),
    ],
)
def test_the_strictest_wins_and_every_rule_that_spoke_is_kept(
    effects: tuple[RuleEffect, ...], expected: Effect
) -> None:
    given = verdict(rules=tuple(rule(effect, yes, f"r{place}") for place, effect in enumerate(effects)))
    assert given.effect is expected
    assert [ruling.rule for ruling in given.rulings] == ["ladder/auto", *(f"rule/r{n}" for n in range(len(effects)))]
    assert (given.until is None) == (expected is not Effect.HOLD)


def test_rules_cannot_loosen_what_the_ladder_denies() -> None:
    quiet = rule(RuleEffect.REQUIRE_APPROVAL, yes)
    assert verdict(level=Level.CRITICAL, rules=(quiet,)).effect is D


def test_the_reason_names_the_decisive_rules_only() -> None:
    given = verdict({"mode": "Shadow"}, rules=(rule(RuleEffect.HOLD, yes),))
    assert given.reason == "mode/shadow: Shadow decides and records, and never acts"


def test_the_digests_follow_the_declaration() -> None:
    assert verdict().policy_digest == policy_digest(service())
    assert policy_digest(service(autoUpTo="None")) != policy_digest(service())
    assert target_digest(service(autoUpTo="None")) == target_digest(service())


@pytest.mark.parametrize("level", Level)
def test_in_one_process_high_asks_a_person_and_what_is_stricter_stays(level: Level) -> None:
    def judged(**policy: str) -> Verdict:
        tries = Tries(effects=0, plans=1)
        return judge(service(**policy), level, tries, (), {}, NOTHING_SPENT, NOW, separated=False)

    high = level.rank >= Level.HIGH.rank
    free = judged(autoUpTo="Critical", approveUpTo="Critical")
    assert free.effect is (Effect.REQUIRE_APPROVAL if high else Effect.ALLOW)
    assert ("separation" in [ruling.rule for ruling in free.rulings]) is high
    assert judged(autoUpTo="Critical", approveUpTo="None").effect is Effect.DENY
