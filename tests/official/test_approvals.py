"""The Official asks people, keeps what they decided, and permits by it: once, for one digest, across restarts."""

import asyncio
from pathlib import Path

import pytest

from pitcrew.core.action import Restart
from pitcrew.core.approval import Approval, ApprovalRequest, Decision, Hearing
from pitcrew.core.order import Person, Suspension
from pitcrew.core.permit import Permit, PermitRefused
from pitcrew.core.policy import Effect
from pitcrew.core.resource import Level
from tests.official.split import RemoteDesk
from tests.official.world import OWN_UID, Desk, case, plan_for, service

ALICE = Person(uid=1001, name="alice")
EVE = Person(uid=1003, name="eve")
ASKS = service(autoUpTo="None", approvers={"users": ["alice"]}, approveWithin="10m")
PLAN = plan_for(ASKS)


@pytest.fixture(params=[Desk, RemoteDesk], ids=["direct", "over http"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    made: Desk = request.param(state=tmp_path)
    return made


def test_an_approved_plan_is_permitted_and_the_ruling_names_who(desk: Desk) -> None:
    async def test() -> None:
        official = desk.opened()
        assert isinstance(await official.permit(ASKS, PLAN, case()), PermitRefused)
        request = await official.ask(ASKS, PLAN, case())
        assert isinstance(request, ApprovalRequest)
        assert request == await official.ask(ASKS, PLAN, case()), "asked again it is another request"
        assert isinstance(await official.permit(ASKS, PLAN, case()), PermitRefused)
        decided = await official.decide(PLAN.digest, Decision.APPROVE, ALICE, "looked at it")
        assert isinstance(decided, Approval)
        verdict = await official.judge(ASKS, PLAN, case())
        assert verdict.effect is Effect.ALLOW
        assert verdict.rulings[-1].message == "approved by alice (uid 1001): looked at it"
        assert isinstance(await official.permit(ASKS, PLAN, case()), Permit)

    asyncio.run(test())


@pytest.mark.parametrize("again", [Decision.APPROVE, Decision.DENY])
def test_a_decision_stands_across_restarts_and_is_never_changed(desk: Desk, again: Decision) -> None:
    async def test() -> None:
        await desk.opened().ask(ASKS, PLAN, case())
        first = await desk.opened().decide(PLAN.digest, Decision.DENY, ALICE, "no")
        official = desk.opened()
        refused = await official.decide(PLAN.digest, again, ALICE, "changed my mind")
        assert isinstance(refused, PermitRefused)
        assert "decided already" in refused.reason
        assert (await official.decision(PLAN.digest)).final == first
        assert (await official.judge(ASKS, PLAN, case())).effect is Effect.DENY

    asyncio.run(test())


def test_expiry_is_a_denial_also_after_a_restart_and_of_an_unused_approval(desk: Desk) -> None:
    async def test() -> None:
        await desk.opened().ask(ASKS, PLAN, case())
        desk.time.move(600)
        official = desk.opened()
        decided = (await official.decision(PLAN.digest)).final
        assert decided is not None
        assert decided.decision is Decision.EXPIRE
        assert isinstance(await official.decide(PLAN.digest, Decision.APPROVE, ALICE, "late"), PermitRefused)
        other = plan_for(ASKS, incident="victim-2")
        await official.ask(ASKS, other, case())
        await official.decide(other.digest, Decision.APPROVE, ALICE, "in time")
        desk.time.move(600)
        assert isinstance(await official.permit(ASKS, other, case()), PermitRefused)

    asyncio.run(test())


def test_a_plan_that_changed_needs_a_decision_of_its_own(desk: Desk) -> None:
    async def test() -> None:
        official = desk.opened()
        await official.ask(ASKS, PLAN, case())
        changed = plan_for(ASKS, action=Restart(grace_s=10))
        await official.ask(ASKS, changed, case())
        refused = await official.decide(PLAN.digest, Decision.APPROVE, ALICE, "the one I saw")
        assert isinstance(refused, PermitRefused)
        assert "the plan changed" in refused.reason
        assert (await official.judge(ASKS, changed, case())).effect is Effect.REQUIRE_APPROVAL

    asyncio.run(test())


def test_who_is_not_listed_and_what_was_never_asked_is_refused(desk: Desk) -> None:
    async def test() -> None:
        official = desk.opened()
        assert isinstance(await official.decide(PLAN.digest, Decision.APPROVE, ALICE, "ok"), PermitRefused)
        await official.ask(ASKS, PLAN, case(Level.HIGH))
        desk.own_may = True
        lenient = desk.opened()
        for person in (EVE, Person(uid=OWN_UID, name="alice"), Person(uid=0, name="root")):
            assert isinstance(await lenient.decide(PLAN.digest, Decision.APPROVE, person, "ok"), PermitRefused)
        assert await lenient.decision(PLAN.digest) == Hearing()

    asyncio.run(test())


def test_an_approval_outweighs_no_stop_no_suspension_and_no_other_policy(desk: Desk) -> None:
    async def test() -> None:
        official = desk.opened()
        await official.ask(ASKS, PLAN, case())
        await official.decide(PLAN.digest, Decision.APPROVE, ALICE, "ok")
        (desk.state / "STOP").touch()
        assert (await official.judge(ASKS, PLAN, case())).effect is Effect.HOLD
        (desk.state / "STOP").unlink()
        official.suspended = lambda key: Suspension(reason="deploying", by="alice")
        verdict = await official.judge(ASKS, PLAN, case())
        assert (verdict.effect, verdict.reason) == (Effect.HOLD, "suspend: suspended by alice: deploying")
        official.suspended = lambda key: None
        tighter = service(autoUpTo="None", approveUpTo="None", approvers={"users": ["alice"]})
        assert isinstance(await official.permit(tighter, PLAN, case()), PermitRefused)

    asyncio.run(test())


def test_a_ledger_that_cannot_be_written_asks_nobody_and_keeps_no_decision(desk: Desk) -> None:
    async def test() -> None:
        official = desk.opened()
        await official.ask(ASKS, PLAN, case())
        desk.ledger.write_bytes(desk.ledger.read_bytes().replace(b"Low", b"low", 1))
        damaged = desk.opened()
        assert isinstance(await damaged.ask(ASKS, PLAN, case()), PermitRefused)
        assert isinstance(await damaged.decide(PLAN.digest, Decision.APPROVE, ALICE, "ok"), PermitRefused)
        assert await damaged.decision(PLAN.digest) == Hearing()
        assert (await damaged.judge(ASKS, PLAN, case())).effect is Effect.DENY

    asyncio.run(test())
