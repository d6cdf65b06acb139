"""Two people for Critical over crashes and clocks that jump, and signatures that are valid by the trusted clock."""

from datetime import timedelta
from pathlib import Path

import pytest

from pitcrew.bootstrap import Operator
from pitcrew.core.approval import Decision, request_from, statement
from pitcrew.core.errors import Refused
from pitcrew.core.incident import Phase
from pitcrew.core.order import Person
from pitcrew.core.resource import HealthyService
from tests.fakes.signatures import FakeSignatures, Line
from tests.loop.composed import House, manifest
from tests.loop.virtual import run

ALICE, BOB = Person(uid=1001, name="alice"), Person(uid=1002, name="bob")
COURIER = Person(uid=1009, name="courier")
NAMES = ["alice", "bob", "carol@example.org"]


def critical(**policy: object) -> HealthyService:
    """A service whose restart is of risk Critical."""
    policy = {"autoUpTo": "Critical", "approveUpTo": "Critical", "approvers": {"users": NAMES}, **policy}
    return manifest(criticality="Critical", policy={"approveWithin": "10m", **policy})


def sick(tmp_path: Path, **policy: object) -> House:
    house = House(tmp_path, critical(**policy))
    house.prober.sick.add("victim")
    house.engine.after_effect = lambda target, action: house.prober.sick.discard(target.name)
    return house


async def waiting(house: House) -> str:
    """Until a plan waits for people; its digest."""
    await house.until(lambda: house.incidents() and house.incident.phase is Phase.AWAITING_APPROVAL)
    assert house.incident.attempt.risk.level == "Critical"
    return house.incident.attempt.plan.digest


async def approve(operator: Operator, digest: str, person: Person, *, signed: str = "") -> str:
    return await operator.control.decide(person, "victim-1", digest, Decision.APPROVE, "ok", signed=signed)


def waits_for(house: House) -> str:
    return house.status.now["default/victim"].waits_for  # type: ignore[index]


def signature(operator: Operator, key: str) -> str:
    request = request_from(operator.control.question("victim-1")["request"])
    return FakeSignatures.sign(key, statement(request, Decision.APPROVE, "ok"))


def test_two_people_heal_what_is_critical_and_status_tells_how_far_they_are(tmp_path: Path) -> None:
    async def test() -> None:
        house = sick(tmp_path)
        async with house.running() as operator:
            digest = await waiting(house)
            assert "1 of 2: alice (uid 1001); waits for another" in await approve(operator, digest, ALICE)
            await house.until(lambda: "1 of 2: alice (uid 1001); waits for another" in waits_for(house))
            assert "2 of: alice, bob" in waits_for(house)
            with pytest.raises(Refused, match="approved already"):
                await approve(operator, digest, ALICE)
            await house.passes(120)
            assert house.effects() == []
            await approve(operator, digest, BOB)
            await house.healed()
        assert house.effects() == ["restart"]
        assert [one for one in house.story() if one in ("ApprovalGiven", "Decided")] == ["ApprovalGiven", "Decided"]

    run(test())


@pytest.mark.parametrize("record", ["ApprovalGiven", "Decided"])
def test_each_approval_is_heard_once_also_over_a_crash_before_its_record(tmp_path: Path, record: str) -> None:
    async def test() -> None:
        house = sick(tmp_path)
        async with house.crashing() as operator:
            digest = await waiting(house)
            house.journal.before[record] = house.freezes
            await approve(operator, digest, ALICE)
            await house.passes(5)
            if record == "Decided":
                await approve(operator, digest, BOB)
                await house.passes(5)
        async with house.running() as operator:
            if record == "ApprovalGiven":
                await house.until(lambda: "ApprovalGiven" in house.story())
                with pytest.raises(Refused, match="approved already"):
                    await approve(operator, digest, ALICE)
                assert house.effects() == []
                await approve(operator, digest, BOB)
            await house.healed()
        assert house.story().count("ApprovalGiven") == house.story().count("Decided") == 1
        assert house.effects() == ["restart"]

    run(test())


@pytest.mark.parametrize("restarted", [False, True], ids=["while it runs", "over a restart"])
def test_a_clock_that_is_set_back_neither_reopens_a_request_nor_revives_half_of_a_quorum(
    tmp_path: Path, restarted: bool
) -> None:
    async def test() -> None:
        house = sick(tmp_path)
        async with house.running() as operator:
            digest = await waiting(house)
            await approve(operator, digest, ALICE)
            await house.passes(300)
            house.wall_ahead = -timedelta(days=30)
            if not restarted:
                await house.until(lambda: house.incident.outcome == "Escalated", within_s=400)
                with pytest.raises(Refused):
                    await approve(operator, digest, BOB)
        if restarted:
            await house.passes(400)
            async with house.running() as operator:
                await house.until(lambda: house.incident.outcome == "Escalated", within_s=60)
                with pytest.raises(Refused):
                    await approve(operator, digest, BOB)
        assert "fewer than 2 people approved in time" in house.incident.stuck_because
        assert house.effects() == []

    run(test())


def test_a_key_that_expired_is_not_revived_by_a_clock_that_is_set_back(tmp_path: Path) -> None:
    async def test() -> None:
        house = sick(tmp_path)
        until = house.now() + timedelta(seconds=100)
        house.signatures = FakeSignatures(lines=[Line(principals="carol@example.org", key="c", before=until)])
        async with house.running() as operator:
            digest = await waiting(house)
            while house.now() <= until:
                await house.passes(10)
            house.wall_ahead = -timedelta(days=30)
            await house.passes(10)
            with pytest.raises(Refused, match="not at this time"):
                await approve(operator, digest, COURIER, signed=signature(operator, "c"))
        assert house.effects() == []

    run(test())


def test_a_signed_approval_and_one_by_the_kernel_are_two_people(tmp_path: Path) -> None:
    async def test() -> None:
        house = sick(tmp_path)
        house.signatures = FakeSignatures(lines=[Line(principals="carol@example.org", key="c")])
        async with house.running() as operator:
            digest = await waiting(house)
            await approve(operator, digest, COURIER, signed=signature(operator, "c"))
            assert house.effects() == []
            await approve(operator, digest, ALICE)
            await house.healed()
        assert house.effects() == ["restart"]
        assert [one.name for one in house.incident.attempt.people] == ["carol@example.org", "alice"]

    run(test())


def test_one_denial_ends_it_after_one_approval(tmp_path: Path) -> None:
    async def test() -> None:
        house = sick(tmp_path)
        async with house.running() as operator:
            digest = await waiting(house)
            await approve(operator, digest, ALICE)
            await operator.control.decide(BOB, "victim-1", digest, Decision.DENY, "not now")
            await house.until(lambda: house.incident.outcome == "Escalated")
            assert "denied by bob (uid 1002): not now" in house.incident.stuck_because
        assert house.effects() == []

    run(test())


def test_another_run_of_the_target_needs_both_people_anew(tmp_path: Path) -> None:
    async def test() -> None:
        house = sick(tmp_path)
        async with house.running() as operator:
            first = await waiting(house)
            await approve(operator, first, ALICE)
            house.engine.start("victim")
            await house.until(lambda: "Reconsidered" in house.story())
            second = await waiting(house)
            assert second != first
            with pytest.raises(Refused, match="the plan changed"):
                await approve(operator, first, BOB)
            await approve(operator, second, BOB)
            await house.passes(60)
            assert house.effects() == []
            await approve(operator, second, ALICE)
            await house.healed()
        assert house.effects() == ["restart"]

    run(test())


@pytest.mark.parametrize("separated", [False, True], ids=["one process", "an Official of its own"])
def test_high_waits_for_a_person_in_one_process_whatever_the_ladder_allows(tmp_path: Path, separated: bool) -> None:
    async def test() -> None:
        house = House(tmp_path, critical(), separated=separated)
        house.flag()
        async with house.running() as operator:
            if not separated:
                await house.until(lambda: house.incidents() and house.incident.phase is Phase.AWAITING_APPROVAL)
                await house.passes(60)
                assert house.effects() == []
                assert house.incident.attempt.verdict is not None
                assert "separation" in house.incident.attempt.verdict.reason
                await approve(operator, house.incident.attempt.plan.digest, ALICE)
            await house.healed()
        assert house.incident.attempt.risk.level == "High"
        assert house.effects() == ["removeFile"]

    run(test())
