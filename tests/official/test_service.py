"""The Official as a service: people decide there, every route is in the table, and a Driver without it holds still."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pitcrew.adapters.clock.boot import BootClock
from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.adapters.official.remote import RULE, RemoteOfficial
from pitcrew.core.approval import ApprovalRequest, Decision, Hearing, request_from, statement
from pitcrew.core.errors import InvalidInput
from pitcrew.core.order import Person
from pitcrew.core.permit import Permit, PermitRefused
from pitcrew.core.policy import Effect, Ruling
from pitcrew.core.record import Instant, digest
from pitcrew.core.resource import Level
from pitcrew.entrypoints.servers.official import ACCESS, official_app
from pitcrew.entrypoints.servers.unguarded import unguarded
from pitcrew.keys import public_keys, retire, rotate, shown
from pitcrew.mechanic.verify import is_signed
from pitcrew.official.asked import Hands
from pitcrew.official.key import signing_key
from tests.fakes.signatures import FakeSignatures, Line
from tests.official.split import RemoteDesk, look, sealed, with_claim
from tests.official.world import case, plan_for, service

ASKS = service(autoUpTo="None", approvers={"users": ["alice", "bob"]}, approveWithin="10m")
PLAN = plan_for(ASKS)


@pytest.fixture
def desk(tmp_path: Path) -> RemoteDesk:
    return RemoteDesk(state=tmp_path)


def client(official: Any, token: str | None) -> httpx.AsyncClient:
    """Somebody at the API, with a token or without."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return httpx.AsyncClient(transport=official.remote.transport, base_url="http://127.0.0.1", headers=headers)


def said(decision: str = "Approve", **more: Any) -> str:
    return json.dumps({"decision": decision, "reason": "looked at it", "signed": "", **more})


def test_every_route_is_in_the_table_and_what_changes_something_asks_who(desk: RemoteDesk) -> None:
    assert unguarded(official_app(desk.opened().office), ACCESS) == []


def test_the_page_and_the_document_tell_of_every_route(desk: RemoteDesk) -> None:
    async def test() -> None:
        async with client(desk.opened(), None) as anybody:
            document = (await anybody.get("/openapi.json")).json()
            page = (await anybody.get("/docs")).text
        assert {f"{method.upper()} {path}" for path, found in document["paths"].items() for method in found} == {
            route for route in ACCESS.routes if route not in ("GET /openapi.json", "GET /docs")
        }
        assert "Review" in document["components"]["schemas"]
        assert all(path in page for path in document["paths"])
        assert "<script" not in page

    asyncio.run(test())


def test_a_person_sees_what_the_official_knows_and_decides_with_a_token(desk: RemoteDesk) -> None:
    async def test() -> None:
        official = desk.opened()
        assert isinstance(await official.ask(ASKS, PLAN, case()), ApprovalRequest)
        async with client(official, desk.tokens["alice"]) as alice:
            (listed,) = (await alice.get("/v1/approvals")).json()["items"]
            matter = (await alice.get(f"/v1/approvals/{PLAN.digest[:16]}")).json()
            assert listed == matter
            assert digest(matter["plan"]) == PLAN.digest == matter["id"]
            assert (matter["does"], matter["undo"]) == ("remove /app/broken.flag", "put /app/broken.flag back")
            assert matter["risk"]["level"] == "Low"
            assert any("ladder/approve" in rule for rule in matter["rules"])
            assert matter["asked"] == "alice, bob"
            taken = await alice.post(f"/v1/approvals/{PLAN.digest[:16]}", content=said())
            assert (taken.status_code, taken.json()["by"]) == (200, "alice (token)")
            again = await alice.post(f"/v1/approvals/{PLAN.digest}", content=said("Deny"))
            assert again.status_code == 409
            assert (await alice.get("/v1/approvals")).json() == {"items": []}
        assert (await official.decision(PLAN.digest)).final.decision is Decision.APPROVE
        assert isinstance(await desk.opened().permit(ASKS, PLAN, case()), Permit)

    asyncio.run(test())


@pytest.mark.parametrize("who", ["driver", "reader", "operator", "approver", None, "pitcrew_nobody"])
def test_nobody_else_decides(desk: RemoteDesk, who: str | None) -> None:
    async def test() -> None:
        official = desk.opened()
        await official.ask(ASKS, PLAN, case())
        async with client(official, desk.tokens.get(who, who) if who else None) as other:
            answer = await other.post(f"/v1/approvals/{PLAN.digest}", content=said())
        assert answer.status_code in (401, 403, 409)
        assert answer.headers["content-type"] == "application/problem+json"
        assert await official.decision(PLAN.digest) == Hearing()
        assert isinstance(await official.permit(ASKS, PLAN, case()), PermitRefused)

    asyncio.run(test())


def test_a_signed_decision_needs_no_token_and_whoever_carries_it_decides_nothing(desk: RemoteDesk) -> None:
    async def test() -> None:
        signatures = FakeSignatures(lines=[Line(principals="alice", key="key-a")])
        official = desk.opened()
        official.inside.hands = Hands(signatures=signatures)
        request = await official.ask(ASKS, PLAN, case())
        assert isinstance(request, ApprovalRequest)
        signed = signatures.sign("key-a", statement(request, Decision.APPROVE, "looked at it"))
        async with client(official, None) as anybody:
            told = (await anybody.get(f"/v1/approvals/{PLAN.digest}")).json()
            assert request_from(told["request"]) == request
            moved = signatures.sign("key-a", statement(request, Decision.APPROVE, "another reason"))
            assert (await anybody.post(f"/v1/approvals/{PLAN.digest}", content=said(signed=moved))).status_code == 409
            taken = await anybody.post(f"/v1/approvals/{PLAN.digest}", content=said(signed=signed))
            assert taken.status_code == 200, taken.text
            assert taken.json()["carried_by"] == "nobody (network)"
        assert isinstance(await official.permit(ASKS, PLAN, case()), Permit)

    asyncio.run(test())


def test_the_driver_decides_nothing_whomever_it_names(desk: RemoteDesk) -> None:
    async def test() -> None:
        official = desk.opened()
        await official.ask(ASKS, PLAN, case())
        alice = Person(uid=1001, name="alice")
        answer = await official.remote.decide(PLAN.digest, Decision.APPROVE, alice, "ok")
        assert isinstance(answer, PermitRefused)
        assert "--official" in answer.reason
        assert await official.decision(PLAN.digest) == Hearing()

    asyncio.run(test())


def test_what_this_side_holds_back_tightens_and_never_loosens(desk: RemoteDesk) -> None:
    async def test() -> None:
        declared = service()
        official, plan = desk.opened(), plan_for(declared)
        official.remote.held = lambda service: Ruling(rule="storm", effect=Effect.HOLD, message="many fail at once")
        verdict = await official.judge(declared, plan, case())
        assert (verdict.effect, verdict.reason) == (Effect.HOLD, "storm: many fail at once")
        assert isinstance(await official.permit(declared, plan, case()), PermitRefused)
        assert isinstance(await official.permit_undo(declared, plan), PermitRefused)
        denied = service(mode="Shadow")
        assert (await official.judge(denied, plan_for(denied), case())).effect is Effect.DENY

    asyncio.run(test())


def test_a_driver_that_reads_other_manifests_holds_still(desk: RemoteDesk) -> None:
    async def test() -> None:
        official, ours, theirs = desk.opened(), service(autoUpTo="High"), service()
        plan = plan_for(ours)
        told = replace(with_claim(case()), seen=sealed(look(ours, plan, desk.time.at), ours, official.key))
        official.office.services = {theirs.key: theirs}
        verdict = await official.remote.judge(ours, plan, told)
        assert verdict.effect is Effect.HOLD
        assert verdict.policy_digest == plan.policy_digest
        assert isinstance(await official.remote.permit(ours, plan, told), PermitRefused)

    asyncio.run(test())


class Sick(httpx.AsyncBaseTransport):
    """An Official that is away, or answers as it should not."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request)


class Endless(httpx.AsyncByteStream):
    """A body that goes on."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"[" * 65536


class Silent(httpx.AsyncByteStream):
    """A body that never comes."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


OTHER = {
    "serial": "1",
    "plan_digest": "0" * 64,
    "direction": "do",
    "mechanic": "default",
    "issued_at": "2026-03-01T12:00:00Z",
    "expires_at": "2026-03-01T12:00:30Z",
    "signature": "00",
}
SICKNESSES: dict[str, Callable[[httpx.Request], httpx.Response]] = {
    "away": refused,
    "silent": lambda request: httpx.Response(200, stream=Silent()),
    "endless": lambda request: httpx.Response(200, stream=Endless()),
    "no JSON": lambda request: httpx.Response(200, text="<html>"),
    "deep": lambda request: httpx.Response(200, text="[" * 100_000),
    "another value": lambda request: httpx.Response(200, json={"permit": 7, "verdict": "Allow"}),
    "a list": lambda request: httpx.Response(200, json=[]),
    "a bare allow": lambda request: httpx.Response(200, json={"verdict": {"effect": "Allow"}}),
    "a permit for another plan": lambda request: httpx.Response(200, json={"permit": OTHER, "refused": ""}),
    "an error": lambda request: httpx.Response(500, json={"detail": "it failed"}),
    "a redirect": lambda request: httpx.Response(307, headers={"Location": "http://elsewhere/"}),
    "too many": lambda request: httpx.Response(429),
}


@pytest.mark.parametrize("sickness", SICKNESSES)
def test_a_sick_official_is_a_hold_a_refusal_and_silence_and_never_a_permit(tmp_path: Path, sickness: str) -> None:
    (tmp_path / "token").write_text("pitcrew_x")
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    async def test() -> None:
        remote = RemoteOfficial(
            url=httpx.URL("http://127.0.0.1:1"),
            token=tmp_path / "token",
            now=lambda: now,
            deadline_s=0.2,
            transport=Sick(SICKNESSES[sickness]),
        )
        verdict = await remote.judge(ASKS, PLAN, case())
        assert verdict.effect is Effect.HOLD
        assert [one.rule for one in verdict.rulings] == [RULE]
        assert verdict.reason
        assert verdict.until == now + timedelta(seconds=5)
        for answer in (
            await remote.ask(ASKS, PLAN, case()),
            await remote.permit(ASKS, PLAN, case()),
            await remote.permit_undo(ASKS, PLAN),
        ):
            assert isinstance(answer, PermitRefused)
            assert answer.reason
        assert await remote.decision(PLAN.digest) == Hearing()
        await remote.close()

    asyncio.run(test())


def test_a_token_that_is_gone_is_a_hold_and_at_the_start_it_is_said(desk: RemoteDesk) -> None:
    async def test() -> None:
        official = desk.opened()
        (desk.state / "driver").unlink()
        verdict = await official.judge(ASKS, PLAN, case())
        assert verdict.effect is Effect.HOLD
        assert "tokens add" in verdict.reason

    asyncio.run(test())
    with pytest.raises(InvalidInput, match="tokens add"):
        RemoteOfficial.at("http://127.0.0.1:7302", desk.state / "driver", lambda: desk.time.at)


def test_time_never_runs_behind_the_ledger_so_that_a_clock_set_back_makes_no_old_look_new(desk: RemoteDesk) -> None:
    async def test() -> None:
        declared = service()
        first, second = plan_for(declared, "victim-1"), plan_for(declared, "victim-2")
        official = desk.opened()
        old = sealed(look(declared, second, desk.time.at - timedelta(hours=1)), declared, official.key)
        assert isinstance(await official.permit(declared, first, case()), Permit)
        last = LedgerFile(path=desk.ledger).read()[-1]
        back = desk.time.at - timedelta(hours=1)
        clock = BootClock.after(last, wall=lambda: back, boot_id=lambda: "another boot", boottime_ns=lambda: 1)
        again = desk.opened()
        again.inside.now = clock.now
        told = replace(with_claim(case()), seen=old)
        assert isinstance(await again.remote.permit(declared, second, told), PermitRefused)
        assert clock.now() == Instant(at=last.at, boot="another boot", boottime_ns=1)

    asyncio.run(test())


def test_a_second_remedy_rests_on_what_the_official_found_before_the_first(desk: RemoteDesk) -> None:
    """The first takes the flag away, and with it what showed the cause."""

    async def test() -> None:
        from pitcrew.core.action import Irreversible, Restart, undo_of

        declared, official = service(), desk.opened()
        first = plan_for(declared)
        undo = undo_of(Restart(grace_s=10), declared.spec.remediation.actions)
        assert isinstance(undo, Irreversible)
        then = plan_for(declared, action=Restart(grace_s=10))
        official.office.services = {declared.key: declared}

        def told(plan: Any, **facts: Any) -> Any:
            seen = sealed(look(declared, plan, desk.time.at, **facts), declared, official.key)
            return replace(with_claim(case()), seen=seen)

        unknown = await official.remote.permit(declared, then, told(then, files=()))
        assert isinstance(unknown, PermitRefused)
        assert "only the Driver names this cause" in unknown.reason
        assert isinstance(await official.remote.permit(declared, first, told(first)), Permit)
        desk.time.move(20)
        assert isinstance(await desk_again(official, declared, then, told(then, files=())), Permit)
        other = plan_for(declared, "victim-2", action=Restart(grace_s=10))
        assert isinstance(await official.remote.permit(declared, other, told(other, files=())), PermitRefused)

    async def desk_again(before: Any, declared: Any, plan: Any, told: Any) -> Any:
        """As after a restart."""
        official = desk.opened()
        official.office.services = {declared.key: declared}
        return await official.remote.permit(declared, plan, told)

    asyncio.run(test())


def test_two_keys_stand_side_by_side_until_the_old_one_is_retired(desk: RemoteDesk) -> None:
    async def test() -> None:
        declared, directory = service(), desk.state / "official"
        before = await desk.opened().permit(declared, plan_for(declared, "victim-1"), case())
        rotate(directory)
        with pytest.raises(InvalidInput, match="retire"):
            rotate(directory)
        after = await desk.opened().permit(declared, plan_for(declared, "victim-2"), case())
        assert isinstance(before, Permit)
        assert isinstance(after, Permit)
        both = public_keys(directory / "key.pub", "the Official's")
        assert [is_signed(after, both[:1]), is_signed(before, both[:1])] == [True, False]
        assert is_signed(before, both)
        retire(directory)
        (one,) = public_keys(directory / "key.pub", "the Official's")
        assert [is_signed(after, (one,)), is_signed(before, (one,))] == [True, False]
        assert shown(directory) == (directory / "key.pub").read_bytes()
        with pytest.raises(InvalidInput, match="no key waits"):
            retire(directory)

    asyncio.run(test())


def test_a_rotation_that_was_cut_off_is_carried_on(tmp_path: Path) -> None:
    first = signing_key(tmp_path / "official").public_key()
    (tmp_path / "official" / "previous.pub").write_bytes(shown(tmp_path / "official"))
    assert len(public_keys(tmp_path / "official" / "key.pub", "the Official's")) == 1
    rotate(tmp_path / "official")
    now, before = public_keys(tmp_path / "official" / "key.pub", "the Official's")
    assert (now == first, before == first) == (False, True)


def test_a_mechanic_whose_key_was_rotated_out_seals_nothing_more(desk: RemoteDesk) -> None:
    async def test() -> None:
        declared = service()
        plan, official = plan_for(declared), desk.opened()
        old = sealed(look(declared, plan, desk.time.at), declared, signing_key(desk.state / "mechanic"))
        rotate(desk.state / "mechanic")
        keys = desk.state / "mechanic" / "key.pub"
        official.inside.mechanics = {"default": lambda: public_keys(keys, "the Mechanic default's")}
        official.office.services = {declared.key: declared}
        told = replace(with_claim(case(Level.LOW)), seen=old)
        assert isinstance(await official.remote.permit(declared, plan, told), Permit)
        retire(desk.state / "mechanic")
        other = plan_for(declared, "victim-2")
        given = await official.remote.permit(declared, other, told)
        assert isinstance(given, PermitRefused)
        assert "not by a key of the Mechanic default" in given.reason

    asyncio.run(test())
