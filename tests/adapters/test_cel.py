"""Rules in CEL: what they see, what is refused when written, and what fails when asked."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from pitcrew.adapters.policy.cel import CelCompiler, check_rules
from pitcrew.core.errors import InvalidInput
from pitcrew.core.resource import HealthyService, Level, Rule, RuleEffect

CASE: Mapping[str, object] = {
    "service": {"name": "victim", "labels": {"team": "shop"}, "criticality": Level.HIGH},
    "incident": {"severity": "High", "deviations": ("ProbeFailing", "Paused")},
    "diagnosis": {"confidence": 90, "cause": None},
    "action": {"name": "restart", "destructive": True},
    "risk": {"score": 12},
    "history": {},
    "now": datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
}


def rule(expression: str) -> Rule:
    return Rule.model_construct(name="guard", expression=expression, effect=RuleEffect.DENY, message="no")


def answer(expression: str, case: Mapping[str, object] = CASE) -> object:
    (compiled,) = CelCompiler().compile([rule(expression)])
    return compiled.evaluate(case)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("risk.score > 10", True),
        ("service.criticality == 'High'", True),
        ("service.labels.team == 'shop' && action.destructive", True),
        ("has(service.labels.tier)", False),
        ("'Paused' in incident.deviations", True),
        ("incident.deviations.exists(d, d.startsWith('Probe'))", True),
        ("incident.deviations.all(d, ['a', 'b'].exists(x, x == d))", False),
        ("now > timestamp('2026-01-01T00:00:00Z')", True),
        ("now.getHours() < 6", False),
        ("diagnosis.cause == null", True),
        ("type(risk.score) == int", True),
        ("incident.severity.matches('^(High|Critical)$')", True),
        ("'.all(x .all(x .all(x' == r'\\' || true // .all( .all( .all(", True),
        ("risk.score + 1", 13),
    ],
)
def test_an_expression_answers_over_the_case(expression: str, expected: object) -> None:
    assert answer(expression) == expected


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("1 +", "not CEL"),
        ("[1].all(x", "not CEL"),
        ("(" * 400 + "true" + ")" * 400, "not CEL"),
        ("'" + "ä" * 512 + "' == ''", "above 1024"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "3 macros"),
        ("[1].map(a, a) == [1] && [1] . existsOne\n(b, true) && [1].filter(c, true) == [1]", "3 macros"),
        ("[1].map(a, [1].map(b, b)) == []", "map may be used once"),
        ("[1].all(a, 'b'.matches('c'))", "matches"),
        ("'a'.matches('b') || 'a'.matches('c')", "matches"),
        ("(incident.deviations + incident.deviations).all(a, true)", "sum"),
        ("incident.deviations.all(d, " + "&&".join(["d != ''"] * 30) + ")", "words and signs"),
        ("1 in [" + ",".join(["1"] * 33) + "]", "more than 32 items"),
        ("servce.name == 'victim'", "unknown name servce"),
        ("[1].all(x, y)", "unknown name y"),
    ],
)
def test_what_is_wrong_or_costly_is_refused_when_it_is_written(expression: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=f"rule guard: .*{why}"):
        CelCompiler().compile([rule(expression)])


def test_a_list_of_32_items_is_fine() -> None:
    assert answer("1 in [" + ",".join(["1"] * 32) + "]") is True


@pytest.mark.parametrize(
    ("expression", "change"),
    [
        ("service.nothing == 1", {}),
        ("risk.score / 0 == 1", {}),
        ("risk.score > 'a'", {}),
        ("risk.score + 9223372036854775807 > 0", {}),
        ("incident.deviations[7] == 'a'", {}),
        ("nosuch(risk.score)", {}),
        ("incident.deviations.exists(d, d == 'a')", {"incident": {"deviations": ["a"] * 33}}),
        ("service.labels.exists(d, d == 'a')", {"service": {"labels": {str(n): "" for n in range(33)}}}),
        ("service.name == 'a'", {"service": {"name": "a" * 20000}}),
        ("service.name == 'a'", {"service": {"name": object()}}),
        ("risk == {}", {"risk": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}}}),
        ("risk == {}", {"risk": {str(n): [1] * 32 for n in range(30)}}),
    ],
)
def test_what_has_no_answer_is_a_value_error_with_a_bounded_text(expression: str, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^.{1,260}$"):
        answer(expression, {**CASE, **change})


def test_what_an_expression_does_not_read_may_be_of_any_size() -> None:
    assert answer("risk.score == 12", {**CASE, "incident": {"deviations": ["a"] * 1000}}) is True


def test_checking_a_service_names_each_bad_rule_by_its_path() -> None:
    expressions = ["true", "1 +", "risk.score > 1", "wrong.name == 1"]
    declared = HealthyService.model_validate(
        {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": "victim"},
            "spec": {
                "target": {"docker": {"container": "victim"}},
                "policy": {
                    "rules": [
                        {"name": f"r{place}", "expression": expression, "effect": "Deny", "message": "no"}
                        for place, expression in enumerate(expressions)
                    ]
                },
            },
        }
    )
    found = check_rules(declared)
    assert [path for path, _ in found] == ["spec.policy.rules[1].expression", "spec.policy.rules[3].expression"]
    assert all("\n" not in message for _, message in found)
