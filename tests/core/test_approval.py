"""Who may decide on which plan, until when, and what a decision changes of a verdict."""

from dataclasses import replace

import pytest

from pitcrew.core.approval import Approval, ApprovalRequest, Decision, OwnUser, asked, expired, refusal, with_approval
from pitcrew.core.order import Person
from pitcrew.core.policy import Effect, Ruling, Verdict
from pitcrew.core.resource import Approvers, Level
from tests.core.scene import at

OWN = OwnUser(uid=990, may_approve=False)
ALICE = Person(uid=1001, name="alice")
BOB = Person(uid=1002, name="bob", groups=("sre",))
EVE = Person(uid=1003, name="eve", groups=("users",))
PITCREW = Person(uid=990, name="pitcrew", groups=("sre",))
APPROVED = Approval(plan_digest="d", decision=Decision.APPROVE, by="alice", uid=1001, reason="ok", at=at(1))


def request(level: Level = Level.MEDIUM) -> ApprovalRequest:
    return asked("victim-1", "d", level, Approvers(users=["alice", "pitcrew"], groups=["sre"]), at(0), at(60))


def verdict(effect: Effect) -> Verdict:
    return Verdict(
        effect=effect, rulings=(Ruling(rule="ladder/approve", effect=effect, message="m"),), policy_digest="p"
    )


@pytest.mark.parametrize("person", [ALICE, BOB], ids=["a listed user", "a member of a listed group"])
@pytest.mark.parametrize("level", Level)
def test_a_listed_person_may_decide(person: Person, level: Level) -> None:
    assert refusal(request(level), None, person, OWN, at(59)) is None


@pytest.mark.parametrize(
    ("person", "why"),
    [
        (EVE, "eve (uid 1003) is no approver of this service; asked are: alice, pitcrew, group sre"),
        (Person(uid=1004, name=""), "is no approver"),
        (Person(uid=1005, name="group sre"), "is no approver"),
        (PITCREW, "the user PitCrew runs as may not approve; another approver must, or set own_user_may_approve"),
    ],
)
def test_nobody_else_may(person: Person, why: str) -> None:
    assert why in (refusal(request(), None, person, OWN, at(1)) or "")


@pytest.mark.parametrize(("level", "may"), [("Low", True), ("Medium", True), ("High", False), ("Critical", False)])
def test_the_operators_own_user_approves_below_high_and_only_where_a_setting_says_so(level: str, may: bool) -> None:
    lenient = OwnUser(uid=990, may_approve=True)
    assert (refusal(request(Level(level)), None, PITCREW, lenient, at(1)) is None) is may
    assert refusal(request(Level(level)), None, PITCREW, OWN, at(1)) is not None


def test_a_plan_is_decided_once_and_in_time() -> None:
    assert "decided already: Approve by alice" in (refusal(request(), APPROVED, BOB, OWN, at(2)) or "")
    assert "expired" in (refusal(request(), None, ALICE, OWN, at(60)) or "")


@pytest.mark.parametrize("effect", [effect for effect in Effect if effect is not Effect.REQUIRE_APPROVAL])
def test_an_approval_gives_only_what_was_left_to_a_person(effect: Effect) -> None:
    assert with_approval(verdict(effect), request(), APPROVED, at(2)) == verdict(effect)


@pytest.mark.parametrize(
    ("decided", "seconds", "effect"),
    [
        (None, 59, Effect.REQUIRE_APPROVAL),
        (None, 60, Effect.DENY),
        (APPROVED, 59, Effect.ALLOW),
        (APPROVED, 60, Effect.DENY),
        (replace(APPROVED, decision=Decision.DENY), 2, Effect.DENY),
        (expired(request()), 70, Effect.DENY),
    ],
    ids=["open", "nobody decided", "approved", "approved and too late", "denied", "expired"],
)
def test_what_people_or_time_said_decides(decided: Approval | None, seconds: int, effect: Effect) -> None:
    found = with_approval(verdict(Effect.REQUIRE_APPROVAL), request(), decided, at(seconds))
    assert found.effect is effect
    if effect is not Effect.REQUIRE_APPROVAL:
        assert [ruling.rule for ruling in found.rulings] == ["ladder/approve", "approval"]


def test_without_a_request_nothing_is_approved() -> None:
    asked_for = verdict(Effect.REQUIRE_APPROVAL)
    assert with_approval(asked_for, None, APPROVED, at(2)) == asked_for
