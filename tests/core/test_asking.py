"""Whether a model is asked, and whether planning waits: the strictest terms, sure rules, and the worst answer."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.core.asking import Counsel, Terms, is_decisive, refusal, shares, terms_for, waits, why_not, withdrawn
from pitcrew.core.diagnosis import Cause, Diagnoser, Diagnosis
from pitcrew.core.event import NothingToTry, Planned, from_record
from pitcrew.core.policy import NO_GUARDRAILS, Guardrails, Unread, policy_digest
from pitcrew.core.resource import DiagnosisMode, Egress, HealthyService, Level, RemediationPolicy
from tests.core.incidents import healed
from tests.core.scene import declared

R, A, C = DiagnosisMode.RULES, DiagnosisMode.ASSIST, DiagnosisMode.CONSULT
N, L, Y = Egress.NONE, Egress.LOCAL, Egress.ANY


def service(**diagnosis: Any) -> HealthyService:
    return declared(diagnosis=diagnosis)


def cap(name: str = "platform", selector: dict[str, Any] | None = None, **diagnosis: Any) -> RemediationPolicy:
    spec = {"selector": selector or {}, "diagnosis": diagnosis}
    base = {"apiVersion": "pitcrew.dev/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": name}}
    return RemediationPolicy.model_validate({**base, "spec": spec})


def under(*policies: RemediationPolicy, unread: tuple[Unread, ...] = ()) -> Guardrails:
    return Guardrails(policies=policies, unread=unread)


def terms(mode: DiagnosisMode = C, egress: Egress = Y) -> Terms:
    return Terms(mode=mode, egress=egress, mode_by="spec.diagnosis.mode", egress_by="spec.diagnosis.egress")


ELSEWHERE = cap(selector={"matchLabels": {"team": "other"}}, mode="Rules", egress="None")
TERMS: dict[str, tuple[dict[str, str], Guardrails, tuple[DiagnosisMode, Egress], tuple[str, str]]] = {
    "nothing is said": ({}, NO_GUARDRAILS, (C, Y), ("spec.diagnosis", "spec.diagnosis")),
    "the service tightens": (
        {"mode": "Assist", "egress": "Local"}, under(cap(mode="Consult", egress="Any")), (A, L),
        ("spec.diagnosis", "spec.diagnosis"),
    ),
    "a policy tightens": ({}, under(cap(mode="Rules", egress="None")), (R, N), ("policy platform", "policy platform")),
    "a service cannot loosen": (
        {"mode": "Consult", "egress": "Any"}, under(cap(mode="Assist", egress="Local")), (A, L),
        ("policy platform", "policy platform"),
    ),
    "the strictest of two policies": (
        {}, under(cap("a", mode="Assist"), cap("b", mode="Rules", egress="Local")), (R, L), ("policy b", "policy b"),
    ),
    "a policy that caps nothing": ({}, under(cap()), (C, Y), ("spec.diagnosis", "spec.diagnosis")),
    "a policy over others": ({}, under(ELSEWHERE), (C, Y), ("spec.diagnosis", "spec.diagnosis")),
    "a policy that cannot be read": (
        {}, under(unread=(Unread(place="p.yaml:4:3"),)), (C, N), ("spec.diagnosis", "(p.yaml:4:3)"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("own", "guardrails", "expected", "by"), TERMS.values(), ids=TERMS.keys())
def test_the_strictest_word_counts_and_is_named(
    own: dict[str, str],
    guardrails: Guardrails,
    expected: tuple[DiagnosisMode, Egress],
    by: tuple[str, str],
) -> None:
    found = terms_for(service(**own), guardrails)
    assert (found.mode, found.egress) == expected
    assert by[0] in found.mode_by
    assert by[1] in found.egress_by


WORDS = st.fixed_dictionaries({"mode": st.sampled_from(DiagnosisMode), "egress": st.sampled_from(Egress)})


@given(WORDS, st.lists(WORDS, max_size=3))
def test_another_policy_never_loosens_the_terms(own: dict[str, Any], caps: list[dict[str, Any]]) -> None:
    strictness = [
        (list(DiagnosisMode).index(found.mode), list(Egress).index(found.egress))
        for count in range(len(caps) + 1)
        for found in [terms_for(service(**own), under(*(cap(f"p{n}", **one) for n, one in enumerate(caps[:count]))))]
    ]
    assert [mode for mode, _ in strictness] == sorted((mode for mode, _ in strictness), reverse=True)
    assert [egress for _, egress in strictness] == sorted((egress for _, egress in strictness), reverse=True)


def test_a_cap_changes_no_verdict_and_so_no_policy_digest() -> None:
    plain = under(RemediationPolicy.model_validate({**cap().model_dump(by_alias=True), "spec": {"selector": {}}}))
    assert policy_digest(service(), under(cap(mode="Rules"))) == policy_digest(service(), plain)
    assert policy_digest(service(mode="Rules"), plain) == policy_digest(service(), plain)


def diagnosis(cause: Cause, confidence: int, *evidence: str) -> Diagnosis:
    return Diagnosis(cause=cause, confidence=confidence, evidence=evidence, by=Diagnoser.RULES, summary="")


SURE = (diagnosis(Cause.FLAG_FILE, 95, "E1", "E2"),)
DECISIVE = {
    "a structural fact": (SURE, True),
    "the least of them": ((diagnosis(Cause.DIED, 90, "E1"),), True),
    "less than that": ((diagnosis(Cause.HANG, 89, "E1"),), False),
    "a symptom": ((diagnosis(Cause.NOT_ANSWERING, 50, "E1"),), False),
    "no rule": ((diagnosis(Cause.UNKNOWN, 0),), False),
    "a symptom beside it": ((*SURE, diagnosis(Cause.SERVICE_ERRORS, 30, "E3")), True),
    "another fact beside it": ((*SURE, diagnosis(Cause.NETWORK_DETACHED, 95, "E3")), False),
    "another fact just behind it": ((*SURE, diagnosis(Cause.NETWORK_DETACHED, 91, "E3")), False),
    "another fact clearly behind it": ((*SURE, diagnosis(Cause.NETWORK_DETACHED, 90, "E3")), True),
    "the wider word for the same": ((*SURE, diagnosis(Cause.CRASH_LOOP, 94, "E1")), True),
}


@pytest.mark.parametrize(("diagnoses", "decisive"), DECISIVE.values(), ids=DECISIVE.keys())
def test_rules_are_sure_of_a_fact_without_a_rival(diagnoses: tuple[Diagnosis, ...], decisive: bool) -> None:
    assert is_decisive(diagnoses) is decisive


UNSURE = (diagnosis(Cause.NOT_ANSWERING, 50, "E1"),)
WHY_NOT = {
    "Consult, sure": (terms(C), SURE, ""),
    "Consult, unsure": (terms(C), UNSURE, ""),
    "Assist, sure": (terms(A), SURE, "spec.diagnosis.mode is Assist, and the rules are sure: FlagFile"),
    "Assist, unsure": (terms(A), UNSURE, ""),
    "Rules, sure": (terms(R), SURE, "spec.diagnosis.mode is Rules"),
    "Rules, unsure": (terms(R), UNSURE, "spec.diagnosis.mode is Rules"),
    "Consult, Local": (terms(C, L), UNSURE, ""),
    "Consult, None": (terms(C, N), UNSURE, "spec.diagnosis.egress is None"),
    "Assist, None, sure": (terms(A, N), SURE, "spec.diagnosis.egress is None"),
}


@pytest.mark.parametrize(("given_", "diagnoses", "reason"), WHY_NOT.values(), ids=WHY_NOT.keys())
def test_why_nobody_is_asked_is_told(given_: Terms, diagnoses: tuple[Diagnosis, ...], reason: str) -> None:
    assert why_not(given_, diagnoses) == reason


def test_a_question_is_given_up_when_its_terms_are_tightened_below_it() -> None:
    assert withdrawn(terms(C, Y), Y) == withdrawn(terms(A, L), L) == withdrawn(terms(C, Y), L) == ""
    assert withdrawn(terms(C, L), Y) == "spec.diagnosis.egress is Local now"
    assert withdrawn(terms(C, N), L) == "spec.diagnosis.egress is None now"
    assert withdrawn(terms(R, Y), Y) == "spec.diagnosis.mode is Rules now"
    assert refusal(terms(A, L)) == ""


def planned(level: Level = Level.LOW, doubt: str = "") -> Planned:
    found = next(event for record in healed().records if isinstance(event := from_record(record), Planned))
    return replace(found, risk=replace(found.risk, level=level), doubt=doubt)


WAITS: dict[str, tuple[tuple[Diagnosis, ...], Planned | NothingToTry | None, bool]] = {
    "sure, Low, and no answer could change it": (SURE, planned(), False),
    "sure, and a contradiction asks a person": (SURE, planned(doubt="two opinions differ"), True),
    "sure, and a contradiction lifts the risk": (SURE, planned(Level.MEDIUM), True),
    "sure, and nothing to try": (SURE, NothingToTry(reasons=(), ask=""), True),
    "sure, and the target cannot be seen": (SURE, None, True),
    "unsure": (UNSURE, planned(), True),
}


@pytest.mark.parametrize(("diagnoses", "plan", "expected"), WAITS.values(), ids=WAITS.keys())
def test_planning_waits_unless_no_answer_could_change_what_is_done(
    diagnoses: tuple[Diagnosis, ...], plan: Planned | NothingToTry | None, expected: bool
) -> None:
    assert waits(Counsel(terms=terms(), patience_s=10, contradicted=plan), diagnoses) is expected


SHARES = {
    "both go anywhere": (terms(), terms(), True),
    "the other goes farther": (terms(egress=L), terms(), True),
    "the other stays nearer": (terms(), terms(egress=L), False),
    "the other goes nowhere": (terms(), terms(egress=N), False),
    "no model is asked about the other": (terms(), terms(R), False),
    "no model is asked about this one": (terms(R), terms(), False),
}


@pytest.mark.parametrize(("own", "other", "expected"), SHARES.values(), ids=SHARES.keys())
def test_evidence_of_another_service_goes_no_farther_than_that_service_lets_it(
    own: Terms, other: Terms, expected: bool
) -> None:
    assert shares(own, other) is expected
