"""What policy leaves to a person waits for a person: one plan, one decision, in time; and people's other orders."""

from pathlib import Path

import pytest

from pitcrew.bootstrap import Operator
from pitcrew.core.approval import Decision
from pitcrew.core.errors import Refused
from pitcrew.core.incident import Phase
from pitcrew.core.order import Order, OrderKind, Person
from pitcrew.core.resource import HealthyService
from tests.loop.composed import House, manifest
from tests.loop.virtual import run

ALICE = Person(uid=1001, name="alice")
EVE = Person(uid=1003, name="eve")
ROOT = Person(uid=0, name="root")
ASKS = {"autoUpTo": "None", "approvers": {"users": ["alice"]}, "approveWithin": "10m"}


def asking(**policy: object) -> HealthyService:
    return manifest(policy={**ASKS, **policy})


async def waiting(house: House) -> str:
    """Until a plan waits for people; its digest."""
    await house.until(lambda: house.incidents() and house.incident.phase is Phase.AWAITING_APPROVAL)
    return house.incident.attempt.plan.digest


async def decide(operator: Operator, digest: str, decision: Decision, person: Person = ALICE) -> str:
    return await operator.control.decide(person, "victim-1", digest, decision, "looked at it")


def shown(house: House) -> set[str]:
    return house.status.shown["default/victim"]  # type: ignore[index]


def test_an_approved_plan_heals_and_nothing_acts_before(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, asking())
        async with house.running() as operator:
            house.flag()
            digest = await waiting(house)
            await house.passes(120)
            assert house.effects() == []
            assert "AwaitingApproval" in shown(house)
            waits = house.status.now["default/victim"].waits_for  # type: ignore[index]
            assert "approval by alice, until " in waits
            assert "`pitcrew approve victim-1 --reason ...`" in waits
            assert operator.control.question("victim-1")["digest"] == digest
            assert "approved by alice (uid 1001)" in await decide(operator, digest, Decision.APPROVE)
            await house.healed()
            with pytest.raises(Refused, match="decided already"):
                await decide(operator, digest, Decision.DENY)
        assert house.effects() == ["removeFile"]
        assert "Decided" in house.story()

    run(test())


def test_a_denied_plan_goes_to_a_person_with_the_reason(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, asking())
        async with house.running() as operator:
            house.flag()
            await decide(operator, await waiting(house), Decision.DENY)
            await house.until(lambda: house.incident.outcome == "Escalated")
            assert "denied by alice (uid 1001): looked at it" in house.incident.stuck_because
        assert house.effects() == []

    run(test())


def test_nobody_in_time_is_a_denial_also_over_a_restart(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, asking())
        async with house.running():
            house.flag()
            digest = await waiting(house)
        await house.passes(700)
        async with house.running() as operator:
            await house.until(lambda: house.incident.outcome == "Escalated")
            assert "expiry is a denial" in house.incident.stuck_because
            with pytest.raises(Refused, match="expired"):
                await decide(operator, digest, Decision.APPROVE)
        assert house.effects() == []

    run(test())


def test_a_decision_made_right_before_a_crash_is_heard_after_it(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, asking())
        async with house.crashing() as operator:
            house.flag()
            digest = await waiting(house)
            house.journal.before["Decided"] = house.freezes
            await decide(operator, digest, Decision.APPROVE)
            await house.passes(5)
        async with house.running():
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())


def test_the_unlisted_the_own_user_and_the_wrong_plan_are_refused_and_nothing_acts(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, asking())
        async with house.running() as operator:
            house.flag()
            digest = await waiting(house)
            for person, why in ((EVE, "no approver"), (ROOT, "the user PitCrew runs as")):
                with pytest.raises(Refused, match=why):
                    await decide(operator, digest, Decision.APPROVE, person)
            with pytest.raises(Refused, match="the plan changed"):
                await decide(operator, "0" * 64, Decision.APPROVE)
            await house.passes(60)
            assert house.incident.phase is Phase.AWAITING_APPROVAL
        assert house.effects() == []

    run(test())


def test_another_run_of_the_target_needs_another_decision(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, asking())
        async with house.running() as operator:
            house.flag()
            first = await waiting(house)
            house.engine.start("victim")
            await house.until(lambda: "Reconsidered" in house.story())
            assert await waiting(house) != first
            with pytest.raises(Refused, match="the plan changed"):
                await decide(operator, first, Decision.APPROVE)
            await decide(operator, await waiting(house), Decision.APPROVE)
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())


def test_a_service_that_heals_by_itself_withdraws_the_question(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, asking())
        async with house.running():
            house.flag()
            await waiting(house)
            house.engine.targets["victim"].files.clear()
            await house.healed()
            assert house.incident.outcome == "SelfRecovered"
        assert house.effects() == []

    run(test())


def test_a_policy_edited_while_it_waits_makes_the_plan_anew(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, asking())
        async with house.running():
            house.flag()
            await waiting(house)
            await house.manifests.declare(asking(autoUpTo="High"))
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())


@pytest.mark.parametrize("phase", ["before", "after"], ids=["before the approval", "after it"])
def test_a_stop_halts_what_was_approved_until_it_is_taken_back(tmp_path: Path, phase: str) -> None:
    async def test() -> None:
        house = House(tmp_path, asking())
        async with house.running() as operator:
            house.flag()
            digest = await waiting(house)
            if phase == "before":
                await operator.control.give(Order(kind=OrderKind.STOP, by=ALICE, reason="odd"))
                await decide(operator, digest, Decision.APPROVE)
            else:
                await decide(operator, digest, Decision.APPROVE)
                await operator.control.give(Order(kind=OrderKind.STOP, by=ROOT, reason="odd"))
            await house.until(lambda: "EffectsHalted" in shown(house))
            await house.passes(60)
            assert house.effects() == []
            await operator.control.give(Order(kind=OrderKind.GO, by=ROOT, reason="fine"))
            if (await waiting(house)) != digest or not house.incident.attempt.approval:
                await decide(operator, await waiting(house), Decision.APPROVE)
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())


def test_a_suspension_holds_over_restarts_until_it_is_taken_back_or_ends(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path)
        async with house.running() as operator:
            await house.until(operator.control.services)
            with pytest.raises(Refused, match="eve"):
                await operator.control.give(Order(kind=OrderKind.SUSPEND, by=EVE, service="victim", reason="x"))
            with pytest.raises(Refused, match="names 0 declared services"):
                await operator.control.give(Order(kind=OrderKind.SUSPEND, by=ROOT, service="other", reason="x"))
            await operator.control.give(Order(kind=OrderKind.SUSPEND, by=ROOT, service="victim", reason="deploy"))
        async with house.running() as operator:
            house.flag()
            await house.until(lambda: house.incidents() and house.incident.phase is Phase.HELD)
            assert "suspended by root (uid 0): deploy" in house.status.now["default/victim"].waits_for  # type: ignore[index]
            assert "Suspended" in shown(house)
            assert house.effects() == []
            await operator.control.give(Order(kind=OrderKind.RESUME, by=ROOT, service="default/victim", reason="done"))
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())


def test_a_suspension_in_the_declaration_holds_as_well(tmp_path: Path) -> None:
    async def test() -> None:
        house = House(tmp_path, manifest(suspend={"reason": "moving house"}))
        async with house.running():
            house.flag()
            await house.until(lambda: house.incidents() and house.incident.phase is Phase.HELD)
            await house.passes(60)
            assert house.effects() == []
            await house.manifests.declare(manifest())
            await house.healed()
        assert house.effects() == ["removeFile"]

    run(test())
