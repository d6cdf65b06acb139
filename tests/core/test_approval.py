"""Who may decide on which plan, until when, who counts once, and what decisions change of a verdict."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from pitcrew.core.approval import (
    Approval,
    ApprovalRequest,
    Decision,
    OwnUser,
    Signed,
    Signer,
    asked,
    progress,
    refusal,
    request_data,
    request_from,
    same_name,
    settled,
    statement,
    told,
    with_approval,
)
from pitcrew.core.order import Person
from pitcrew.core.policy import Effect, Ruling, Verdict
from pitcrew.core.resource import Approvers, Level
from tests.core.scene import at

OWN = OwnUser(uid=990, may_approve=False, name="pitcrew")
ALICE = Person(uid=1001, name="alice")
BOB = Person(uid=1002, name="bob", groups=("sre",))
EVE = Person(uid=1003, name="eve", groups=("users",))
PITCREW = Person(uid=990, name="pitcrew", groups=("sre",))
APPROVERS = Approvers(users=["alice", "alice@example.org", "carol@example.org", "pitcrew"], groups=["sre"])


def principal(name: str) -> Person:
    return Person(uid=None, name=name, known_by=f"ssh SHA256:{name}")


def request(level: Level = Level.MEDIUM, proposer: str = "pitcrew") -> ApprovalRequest:
    return asked("victim-1", "d", level, APPROVERS, at(0), at(60), proposer)


def said(person: Person, seconds: int = 1, decision: Decision = Decision.APPROVE, key: str = "") -> Approval:
    signed = (
        Signed(signer=Signer(principal=person.name, fingerprint=key), statement="s", signature="a") if key else None
    )
    return Approval(
        plan_digest="d",
        decision=decision,
        by=str(person),
        uid=person.uid,
        reason="ok",
        at=at(seconds),
        name=person.name,
        signed=signed,
    )


def refused(person: Person, asks: ApprovalRequest, *given: Approval, own: OwnUser = OWN, **how: object) -> str:
    return refusal(asks, given, said(person, **how), person, own) or ""  # type: ignore[arg-type]


def verdict(effect: Effect) -> Verdict:
    return Verdict(
        effect=effect, rulings=(Ruling(rule="ladder/approve", effect=effect, message="m"),), policy_digest="p"
    )


@pytest.mark.parametrize(
    "person",
    [ALICE, BOB, principal("alice@example.org"), Person(uid=None, name="alice", known_by="token")],
    ids=["a listed user", "a member of a listed group", "a listed principal", "the name of a token"],
)
@pytest.mark.parametrize("level", Level)
def test_a_listed_person_may_decide(person: Person, level: Level) -> None:
    assert refused(person, request(level), seconds=59) == ""


@pytest.mark.parametrize(
    ("person", "why"),
    [
        (EVE, "eve (uid 1003) is no approver of this service; asked are: alice, "),
        (Person(uid=1004, name=""), "is no approver"),
        (Person(uid=1005, name="group sre"), "is no approver"),
        (principal("alice@elsewhere.org"), "is no approver"),
        (principal("sre"), "is no approver"),
        (PITCREW, "the user PitCrew runs as may not approve; another approver must, or set own_user_may_approve"),
        (principal("pitcrew"), "the user PitCrew runs as may not approve"),
        (principal("PitCrew@example.org"), "the user PitCrew runs as may not approve"),
    ],
)
def test_nobody_else_may(person: Person, why: str) -> None:
    assert why in refused(person, request())


@pytest.mark.parametrize(("level", "may"), [("Low", True), ("Medium", True), ("High", False), ("Critical", False)])
@pytest.mark.parametrize("person", [PITCREW, principal("pitcrew")], ids=["by the kernel", "by a key"])
def test_the_operators_own_user_approves_below_high_and_only_where_a_setting_says_so(
    person: Person, level: str, may: bool
) -> None:
    lenient = replace(OWN, may_approve=True)
    assert (refused(person, request(Level(level)), own=lenient) == "") is may
    assert refused(person, request(Level(level))) != ""


@pytest.mark.parametrize("person", [ALICE, principal("alice@example.org")], ids=["by the kernel", "by a key"])
@pytest.mark.parametrize("decision", [Decision.APPROVE, Decision.DENY])
def test_whoever_proposed_decides_nothing_however_they_are_known(person: Person, decision: Decision) -> None:
    assert "alice proposed this plan" in refused(person, request(proposer="alice"), decision=decision)
    assert refused(BOB, request(proposer="alice"), decision=decision) == ""


def test_a_plan_is_decided_once_and_in_time() -> None:
    assert "decided already: Approve by alice" in refused(BOB, request(), said(ALICE), seconds=2)
    assert "expired" in refused(ALICE, request(), seconds=60)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("alice", "alice", True),
        ("alice", "Alice@example.org", True),
        ("alice@a.org", "alice@b.org", True),
        ("CORP\\alice", "alice", True),
        ("alice", "alicia", False),
        ("", "", False),
        ("@a", "@a", False),
    ],
)
def test_names_are_one_persons_where_they_may_be(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same_name(other, one) is same


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (said(ALICE), (ALICE, "")),
        (said(ALICE), (principal("alice@example.org"), "SHA256:a")),
        (said(principal("alice@example.org"), key="SHA256:a"), (ALICE, "")),
        (said(principal("carol@example.org"), key="SHA256:a"), (principal("alice@example.org"), "SHA256:a")),
        (said(Person(uid=1001, name="bob")), (ALICE, "")),
    ],
    ids=["one user", "a user with a key", "a key, then its user", "one key of two principals", "one uid of two names"],
)
def test_one_person_twice_counts_once_for_a_critical_plan(first: Approval, again: tuple[Person, str]) -> None:
    asks, (person, key) = request(Level.CRITICAL), again
    why = refused(person, asks, first, seconds=2, key=key)
    assert "approved already" in why
    assert "counts once; 1 of 2: " in why
    assert settled(asks, (first, said(person, 2, key=key))) is None, "counted twice when read from a ledger"


def test_two_people_settle_a_critical_plan_and_one_any_other() -> None:
    asks, one, two = request(Level.CRITICAL), said(ALICE), said(BOB, 2)
    assert settled(asks, (one,)) is None
    assert settled(asks, (one, two)) == two
    assert (progress(asks, ()), progress(asks, (one,))) == (
        "0 of 2: nobody yet",
        "1 of 2: alice (uid 1001); waits for another",
    )
    assert asks.of_whom.startswith("2 of: alice, ")
    assert settled(request(Level.HIGH), (one,)) == one
    assert progress(request(Level.HIGH), (one,)) == ""


def test_a_denial_before_the_quorum_ends_it_and_after_it_comes_too_late() -> None:
    asks, yes, no = request(Level.CRITICAL), said(ALICE), said(BOB, 2, Decision.DENY)
    assert settled(asks, (yes, no)) == no
    assert settled(asks, (no, yes, said(BOB, 3))) == no
    assert refused(ALICE, asks, yes, seconds=2, decision=Decision.DENY) == "", "who approved cannot think again"
    assert "decided already" in refused(PITCREW, asks, yes, said(BOB, 2), seconds=3, decision=Decision.DENY)


def test_approvals_of_another_time_than_the_requests_do_not_add_up() -> None:
    asks = request(Level.CRITICAL)
    assert settled(asks, (said(ALICE, -5), said(BOB))) is None
    assert settled(asks, (said(ALICE), said(BOB, 60))) is None


@pytest.mark.parametrize("effect", [effect for effect in Effect if effect is not Effect.REQUIRE_APPROVAL])
def test_an_approval_gives_only_what_was_left_to_a_person(effect: Effect) -> None:
    assert with_approval(verdict(effect), request(), (said(ALICE),), Level.LOW, at(2)) == verdict(effect)


@pytest.mark.parametrize(
    ("given", "seconds", "effect"),
    [
        ((), 59, Effect.REQUIRE_APPROVAL),
        ((), 60, Effect.DENY),
        ((said(ALICE),), 59, Effect.ALLOW),
        ((said(ALICE),), 60, Effect.DENY),
        ((said(ALICE, decision=Decision.DENY),), 2, Effect.DENY),
    ],
    ids=["open", "nobody decided", "approved", "approved and too late", "denied"],
)
def test_what_people_or_time_said_decides(given: tuple[Approval, ...], seconds: int, effect: Effect) -> None:
    found = with_approval(verdict(Effect.REQUIRE_APPROVAL), request(), given, Level.MEDIUM, at(seconds))
    assert found.effect is effect
    if effect is not Effect.REQUIRE_APPROVAL:
        assert [ruling.rule for ruling in found.rulings] == ["ladder/approve", "approval"]


def test_a_critical_plan_is_allowed_by_two_and_the_ruling_names_both() -> None:
    asks = request(Level.CRITICAL)
    open_ = with_approval(verdict(Effect.REQUIRE_APPROVAL), asks, (said(ALICE),), Level.CRITICAL, at(2))
    assert open_.effect is Effect.REQUIRE_APPROVAL
    both = (said(ALICE), said(BOB, 2))
    allowed = with_approval(verdict(Effect.REQUIRE_APPROVAL), asks, both, Level.CRITICAL, at(3))
    assert allowed.effect is Effect.ALLOW
    assert allowed.rulings[-1].message == "approved by alice (uid 1001): ok; approved by bob (uid 1002): ok"
    late = with_approval(verdict(Effect.REQUIRE_APPROVAL), asks, both, Level.CRITICAL, at(60))
    assert late.effect is Effect.DENY


def test_an_approval_of_a_lower_risk_does_not_hold_for_a_higher_one() -> None:
    found = with_approval(verdict(Effect.REQUIRE_APPROVAL), request(), (said(ALICE),), Level.CRITICAL, at(2))
    assert found.effect is Effect.DENY
    assert "asked about risk Medium, and it is Critical now" in found.rulings[-1].message
    lower = with_approval(verdict(Effect.REQUIRE_APPROVAL), request(), (said(ALICE),), Level.LOW, at(2))
    assert lower.effect is Effect.ALLOW


def test_without_a_request_nothing_is_approved() -> None:
    asked_for = verdict(Effect.REQUIRE_APPROVAL)
    assert with_approval(asked_for, None, (said(ALICE),), Level.LOW, at(2)) == asked_for


def test_a_statement_is_another_one_for_whatever_else_is_decided() -> None:
    asks, yes = request(), Decision.APPROVE
    statements = {
        statement(asks, yes, "ok"),
        statement(asks, Decision.DENY, "ok"),
        statement(asks, yes, "OK"),
        statement(replace(asks, plan_digest="e"), yes, "ok"),
        statement(replace(asks, incident="victim-2"), yes, "ok"),
        statement(replace(asks, level=Level.HIGH), yes, "ok"),
        statement(replace(asks, asked_at=at(0) + timedelta(microseconds=1)), yes, "ok"),
        statement(replace(asks, expires_at=at(61)), yes, "ok"),
    }
    assert len(statements) == 8
    assert statement(request_from(json.loads(json.dumps(request_data(asks)))), yes, "ok") in statements


def test_a_request_of_an_earlier_release_is_read_and_names_no_proposer() -> None:
    old = request_data(request())
    del old["proposer"]
    assert request_from(old).proposer == ""
    assert refused(ALICE, request_from(old)) == ""


@pytest.mark.parametrize("decision", Decision)
def test_a_decision_is_told_in_a_few_words(decision: Decision) -> None:
    assert "ok" in told(said(ALICE, decision=decision))
