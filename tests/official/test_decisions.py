"""How decisions are proven and counted by the Official: signatures, two people for Critical, and nobody's own."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pitcrew.core.approval import SIGNATURE_NAMESPACE, Approval, ApprovalRequest, Decision, Hearing, statement
from pitcrew.core.order import Person
from pitcrew.core.permit import Permit, PermitRefused
from pitcrew.core.policy import Effect
from pitcrew.core.resource import Level
from pitcrew.official.asked import Hands
from pitcrew.official.key import signing_key
from pitcrew.official.permits import SigningOfficial
from tests.fakes.signatures import FakeSignatures, Line
from tests.official.split import look, sealed, with_claim
from tests.official.world import OWN_UID, Desk, case, plan_for, service

ALICE, BOB, CAROL = (Person(uid=1000 + n, name=name) for n, name in enumerate(("alice", "bob", "carol")))
COURIER = Person(uid=1009, name="courier")
APPROVE, DENY = Decision.APPROVE, Decision.DENY
NAMES = ["alice", "alice@example.org", "bob", "carol@example.org"]
ASKS = service(autoUpTo="None", approveUpTo="Critical", approvers={"users": NAMES}, approveWithin="10m")
PLAN = plan_for(ASKS)


@pytest.fixture
def signatures() -> FakeSignatures:
    keys = {"key-a": "alice@example.org", "key-c": "carol@example.org", "key-e": "eve@example.org"}
    return FakeSignatures(lines=[Line(principals=name, key=key) for key, name in keys.items()])


@pytest.fixture
def desk(tmp_path: Path, signatures: FakeSignatures) -> Desk:
    return Desk(state=tmp_path, hands=Hands(signatures=signatures))


async def ask(official: SigningOfficial, level: Level = Level.LOW, proposer: str = "") -> ApprovalRequest:
    request = await official.ask(ASKS, PLAN, replace(case(level), proposer=proposer))
    assert isinstance(request, ApprovalRequest), request
    return request


async def signed_by(
    official: SigningOfficial,
    key: str,
    request: ApprovalRequest,
    decision: Decision = APPROVE,
    altered: Mapping[str, object] = {},
) -> Approval | PermitRefused:
    """A decision by a key; `altered` is what was signed instead of the request that is asked."""
    spelt = statement(replace(request, **altered), decision, "looked")  # type: ignore[arg-type]
    return await official.decide(
        PLAN.digest, APPROVE, COURIER, "looked", signed=FakeSignatures.sign(key, spelt, SIGNATURE_NAMESPACE)
    )


async def permitted(official: SigningOfficial, level: Level) -> bool:
    return isinstance(await official.permit(ASKS, PLAN, case(level)), Permit)


def reason(found: Approval | PermitRefused) -> str:
    assert isinstance(found, PermitRefused), f"it was taken: {found}"
    return found.reason


def test_a_signed_decision_is_the_signers_and_the_ledger_keeps_all_of_the_proof(desk: Desk) -> None:
    async def test() -> None:
        official = desk.opened()
        request = await ask(official)
        found = await signed_by(official, "key-a", request)
        assert isinstance(found, Approval)
        assert found.by.startswith("alice@example.org (ssh SHA256:")
        assert (found.uid, found.name, found.carried_by) == (None, "alice@example.org", "courier (uid 1009)")
        assert found.signed is not None
        assert found.signed.statement == statement(request, APPROVE, "looked")
        assert await desk.opened().decision(PLAN.digest) == Hearing(given=(found,), final=found)
        assert await permitted(desk.opened(), Level.LOW)

    asyncio.run(test())


@pytest.mark.parametrize(
    "altered",
    [
        {"plan_digest": "0" * 64},
        {"incident": "victim-2"},
        {"level": Level.MEDIUM},
        {"asked_at": Desk(state=Path()).time.at.replace(hour=1)},
        {"expires_at": Desk(state=Path()).time.at.replace(hour=23)},
    ],
    ids=lambda altered: next(iter(altered)),
)
def test_a_signature_moved_from_another_request_decides_nothing(desk: Desk, altered: dict[str, object]) -> None:
    async def test() -> None:
        official = desk.opened()
        request = await ask(official)
        assert "not over this decision" in reason(await signed_by(official, "key-a", request, altered=altered))
        assert "not over this decision" in reason(await signed_by(official, "key-a", request, DENY))
        other_reason = FakeSignatures.sign("key-a", statement(request, APPROVE, "another reason"))
        found = await official.decide(PLAN.digest, APPROVE, COURIER, "looked", signed=other_reason)
        assert "not over this decision" in reason(found)
        assert await official.decision(PLAN.digest) == Hearing()
        assert not await permitted(official, Level.LOW)

    asyncio.run(test())


def test_keys_of_nobody_and_of_the_unlisted_and_signatures_that_are_none_decide_nothing(desk: Desk) -> None:
    async def test() -> None:
        official = desk.opened()
        request = await ask(official)
        assert "no allowed signer's key" in reason(await signed_by(official, "key-x", request))
        assert "no approver of this service" in reason(await signed_by(official, "key-e", request))
        for signature in ("x", "A" * 1_000_000, "\x1b[31m"):
            found = await official.decide(PLAN.digest, APPROVE, ALICE, "looked", signed=signature)
            assert "signature" in reason(found), "fell back to who carried it"
        assert await official.decision(PLAN.digest) == Hearing()

    asyncio.run(test())


def test_without_allowed_signers_a_signature_is_refused_and_not_overlooked(tmp_path: Path) -> None:
    async def test() -> None:
        official = Desk(state=tmp_path).opened()
        request = await ask(official)
        assert "allowed_signers names no file" in reason(await signed_by(official, "key-a", request))

    asyncio.run(test())


def test_where_signatures_are_required_no_other_decision_is_taken(tmp_path: Path, signatures: FakeSignatures) -> None:
    async def test() -> None:
        official = Desk(state=tmp_path, hands=Hands(signatures=signatures, only_signed=True)).opened()
        request = await ask(official)
        for decision in (APPROVE, DENY):
            found = await official.decide(PLAN.digest, decision, ALICE, "looked")
            assert "only signed decisions are taken here" in reason(found)
        assert isinstance(await signed_by(official, "key-a", request), Approval)

    asyncio.run(test())


@pytest.mark.parametrize("second", ["bob by the kernel", "carol by a key", "a token of bob"])
def test_critical_takes_two_people_one_after_the_other_also_across_restarts(desk: Desk, second: str) -> None:
    async def test() -> None:
        request = await ask(desk.opened(), Level.CRITICAL)
        first = await desk.opened().decide(PLAN.digest, APPROVE, ALICE, "one")
        assert isinstance(first, Approval)
        assert await desk.opened().decision(PLAN.digest) == Hearing(given=(first,))
        assert not await permitted(desk.opened(), Level.CRITICAL)
        official = desk.opened()
        match second:
            case "bob by the kernel":
                await official.decide(PLAN.digest, APPROVE, BOB, "two")
            case "a token of bob":
                token = Person(uid=None, name="bob", known_by="token")
                await official.decide(PLAN.digest, APPROVE, token, "two")
            case _:
                await signed_by(official, "key-c", request)
        assert await permitted(desk.opened(), Level.CRITICAL)

    asyncio.run(test())


def test_one_person_in_two_ways_is_one_and_a_lapsed_half_adds_to_nothing(desk: Desk) -> None:
    async def test() -> None:
        official = desk.opened()
        request = await ask(official, Level.CRITICAL)
        await official.decide(PLAN.digest, APPROVE, ALICE, "one")
        for again in (
            await official.decide(PLAN.digest, APPROVE, ALICE, "again"),
            await signed_by(official, "key-a", request),
            await official.decide(PLAN.digest, APPROVE, Person(uid=None, name="alice", known_by="token"), "again"),
        ):
            assert "counts once; 1 of 2: alice (uid 1000); waits for another" in reason(again)
        desk.time.move(600)
        assert "expired" in reason(await official.decide(PLAN.digest, APPROVE, BOB, "late"))
        hearing = await official.decision(PLAN.digest)
        assert hearing.final is not None
        assert hearing.final.reason == "fewer than 2 people approved in time, and expiry is a denial"
        assert not await permitted(official, Level.CRITICAL)

    asyncio.run(test())


@pytest.mark.parametrize("order", [(APPROVE, DENY), (DENY, APPROVE)], ids=["yes, no", "no, yes"])
def test_yes_and_no_at_once_are_taken_one_after_the_other_and_no_wins_before_the_quorum(
    desk: Desk, order: Sequence[Decision]
) -> None:
    async def test() -> None:
        official = desk.opened()
        await ask(official, Level.CRITICAL)
        people = zip((ALICE, BOB), order, strict=True)
        await asyncio.gather(*(official.decide(PLAN.digest, what, who, "at once") for who, what in people))
        assert "decided already" in reason(await official.decide(PLAN.digest, APPROVE, BOB, "after it"))
        hearing = await desk.opened().decision(PLAN.digest)
        assert hearing.final is not None
        assert hearing.final.decision is DENY
        assert not await permitted(official, Level.CRITICAL)

    asyncio.run(test())


def test_below_critical_the_first_of_two_at_once_stands(desk: Desk) -> None:
    async def test() -> None:
        official = desk.opened()
        await ask(official)
        found = await asyncio.gather(
            official.decide(PLAN.digest, DENY, ALICE, "no"), official.decide(PLAN.digest, APPROVE, BOB, "yes")
        )
        assert sorted(type(one).__name__ for one in found) == ["Approval", "PermitRefused"]
        (first,) = (one for one in found if isinstance(one, Approval))
        assert (await desk.opened().decision(PLAN.digest)).final == first
        assert await permitted(official, Level.LOW) is (first.decision is APPROVE)

    asyncio.run(test())


def test_a_decision_that_cannot_be_kept_does_not_count(desk: Desk) -> None:
    async def test() -> None:
        official = desk.opened()
        await ask(official, Level.CRITICAL)
        await official.decide(PLAN.digest, APPROVE, ALICE, "one")
        desk.ledger.write_bytes(desk.ledger.read_bytes()[:-20])
        assert "could not be recorded" in reason(await official.decide(PLAN.digest, APPROVE, BOB, "two"))
        assert not await permitted(official, Level.CRITICAL)

    asyncio.run(test())


def test_whoever_proposed_decides_nothing_and_by_default_it_is_the_operators_own_user(desk: Desk) -> None:
    async def test() -> None:
        desk.own_may = True
        official = desk.opened()
        request = await ask(official, Level.HIGH, proposer="alice@example.org")
        assert request.proposer == "alice@example.org"
        assert "proposed this plan" in reason(await signed_by(official, "key-a", request))
        assert "proposed this plan" in reason(await official.decide(PLAN.digest, APPROVE, ALICE, "mine"))
        assert isinstance(await signed_by(official, "key-c", request), Approval)
        other = plan_for(ASKS, incident="victim-2")
        default = await official.ask(ASKS, other, case(Level.HIGH))
        assert isinstance(default, ApprovalRequest)
        assert default.proposer == "pitcrew"
        own = Person(uid=OWN_UID, name="pitcrew")
        assert "never approves risk High" in reason(await official.decide(other.digest, APPROVE, own, "mine"))

    asyncio.run(test())


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("separated", [False, True], ids=["one process", "processes of their own"])
def test_in_one_process_high_waits_for_a_person_whatever_the_ladder_allows(
    desk: Desk, level: Level, separated: bool
) -> None:
    async def test() -> None:
        key = signing_key(desk.state / "mechanic")
        desk.separated, desk.mechanics = separated, {"default": lambda: (key.public_key(),)}
        lenient = service(autoUpTo="Critical", approveUpTo="Critical", approvers={"users": ["alice", "bob"]})
        plan = plan_for(lenient)
        told = replace(with_claim(case(level)), seen=sealed(look(lenient, plan, desk.time.at), lenient, key))
        verdict = await desk.opened().judge(lenient, plan, told)
        asks = not separated and level.rank >= Level.HIGH.rank
        assert verdict.effect is (Effect.REQUIRE_APPROVAL if asks else Effect.ALLOW)
        assert ("separation" in [one.rule for one in verdict.rulings]) is asks
        given = await desk.opened().permit(lenient, plan, told)
        assert isinstance(given, PermitRefused) is asks
        bounded = service(autoUpTo="Critical", approveUpTo="Medium")
        found = await desk.opened().judge(bounded, plan_for(bounded), case(Level.HIGH))
        assert found.effect is Effect.DENY

    asyncio.run(test())


def test_a_risk_that_rose_after_the_approval_is_denied(desk: Desk) -> None:
    async def test() -> None:
        official = desk.opened()
        await ask(official, Level.MEDIUM)
        assert isinstance(await official.decide(PLAN.digest, APPROVE, ALICE, "small"), Approval)
        refused = await official.permit(ASKS, PLAN, case(Level.CRITICAL))
        assert isinstance(refused, PermitRefused)
        assert "asked about risk Medium, and it is Critical now" in refused.reason

    asyncio.run(test())
