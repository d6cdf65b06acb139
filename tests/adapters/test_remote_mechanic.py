"""Adapters to Mechanics in other processes: away, slow or nonsense is unknown, and one does not delay another."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature

from pitcrew.adapters.clock.boot import BootClock
from pitcrew.adapters.mechanic.connect import Mechanics, connect
from pitcrew.core.action import Restart, Trace
from pitcrew.core.errors import InvalidInput, OutcomeUnknown, Refused, Unavailable
from pitcrew.core.observation import Blind, Observation, Outcome, RuntimeFacts
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import HealthyService, TargetKind
from pitcrew.core.seal import payload
from pitcrew.entrypoints.servers.mechanic import ACCESS
from pitcrew.entrypoints.servers.mechanic_process import MechanicProcess
from pitcrew.entrypoints.servers.unguarded import unguarded
from pitcrew.keys import private_key, public_keys
from tests.fakes.world import FakeWorld
from tests.mechanic.garage import Garage, now, opened, parts
from tests.official.world import plan_for, service

pytestmark = pytest.mark.anyio
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def on(host: str, name: str = "victim") -> HealthyService:
    """A service on a container beside the Mechanic `host`."""
    base = service(name).model_dump(by_alias=True, exclude_none=True)
    base["spec"]["target"]["docker"]["host"] = host
    return HealthyService.model_validate(base)


def permit() -> Permit:
    plan = plan_for(service())
    return Permit(
        serial="1" * 32,
        plan_digest=plan.digest,
        direction=Direction.DO,
        mechanic="default",
        issued_at=now(),
        expires_at=now(),
        signature="00",
    )


async def carried_out(mechanics: Mechanics) -> None:
    plan = plan_for(service(), action=Restart(grace_s=0))
    trace = Trace(op="1" * 32, target_id=plan.target_id, instance=plan.instance, notes={})
    await mechanics.mechanic.execute(permit(), plan, service(), trace)


@asynccontextmanager
async def listening(answer: bytes | None) -> AsyncIterator[str]:
    """Somebody who takes a request and says this, or hangs up where it is empty, or says nothing ever where None."""
    hold = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await hold.wait()
        writer.write(answer or b"")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        hold.set()
        server.close()


def said(status: str, body: str, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + body).encode()


@asynccontextmanager
async def connected(**urls: str) -> AsyncIterator[Mechanics]:
    mechanics = connect(urls, None, BootClock.after(None))
    try:
        yield mechanics
    finally:
        await mechanics.close()


def nowhere() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def is_blind(seen: Observation) -> bool:
    unknown = all(result.outcome is Outcome.UNKNOWN for result in seen.probes)
    return isinstance(seen.sight, Blind) and unknown and seen.seal is None


async def test_a_mechanic_that_is_not_there_makes_blind_and_certainly_did_nothing() -> None:
    async with connected(default=nowhere()) as mechanics:
        assert is_blind(await mechanics.observer.look(service()))
        sight = await mechanics.runtimes[TargetKind.DOCKER].look(service())
        assert isinstance(sight, Blind)
        assert sight.reason == "MechanicUnavailable"
        with pytest.raises(Unavailable) as caught:
            await carried_out(mechanics)
        assert type(caught.value) is Unavailable


GARBAGE = {
    "HTML": said("200 OK", "<html>hello</html>", "text/html"),
    "no JSON": said("200 OK", "hello"),
    "another JSON": said("200 OK", '{"hello": 1}'),
    "an answer to another question": said("200 OK", '{"jsonrpc":"2.0","id":99,"result":{}}'),
    "a redirect": said("302 Found\r\nLocation: http://169.254.169.254/", ""),
    "an error of the server": said("500 Internal Server Error", "{}"),
    "an endless list": said("200 OK", "[" * 200_000),
    "hangs up": b"",
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
async def test_nonsense_is_unknown_and_an_effect_may_have_happened(answer: bytes) -> None:
    async with listening(answer) as url, connected(default=url) as mechanics:
        with pytest.raises(OutcomeUnknown):
            async with asyncio.timeout(5):
                await carried_out(mechanics)
        assert is_blind(await mechanics.observer.look(service()))


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "421 Misdirected Request", "429 Too Many"])
async def test_whoever_was_not_let_in_certainly_did_nothing(status: str) -> None:
    async with listening(said(status, '{"detail": "no"}')) as url, connected(default=url) as mechanics:
        with pytest.raises(Unavailable, match=status[:3]):
            await carried_out(mechanics)


async def test_a_token_file_that_cannot_be_read_sends_nothing(tmp_path: Path) -> None:
    async with listening(said("500 Oops", "")) as url:
        mechanics = connect({"default": url}, tmp_path / "none", BootClock.after(None))
        with pytest.raises(Unavailable, match="token"):
            await carried_out(mechanics)
        await mechanics.close()


async def test_an_answer_without_end_is_cut_off() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b" " * (9 << 20)
    async with listening(endless) as url, connected(default=url) as mechanics:
        assert is_blind(await mechanics.observer.look(service()))


async def test_a_hung_mechanic_does_not_delay_another(tmp_path: Path) -> None:
    world = FakeWorld(tmp_path)
    world.engine.add("victim")
    async with listening(None) as hung, garage(tmp_path, world) as good:
        await good.declare(service())
        async with connected(default=good.url, web2=hung) as mechanics:
            waiting = [asyncio.create_task(mechanics.observer.look(on("web2", f"s{n}"))) for n in range(20)]
            seen = await mechanics.observer.look(service())
            assert isinstance(seen.sight, RuntimeFacts)
            assert not any(task.done() for task in waiting)
            for task in waiting:
                task.cancel()


@asynccontextmanager
async def garage(tmp_path: Path, world: FakeWorld) -> AsyncIterator[Garage]:
    made = parts(
        tmp_path / "mechanic",
        runtimes={world.runtime.kind: world.runtime},
        actuators={world.runtime.kind: world.actuator},
    )
    async with opened(made) as there:
        yield there


async def test_a_target_whose_mechanic_is_not_configured_is_unknown_and_no_other_mechanic_is_asked() -> None:
    async with connected(default="http://127.0.0.1:9") as mechanics:
        seen = await mechanics.observer.look(on("web2"))
        assert is_blind(seen)
        sight = await mechanics.runtimes[TargetKind.DOCKER].look(on("web2"))
        assert isinstance(sight, Blind)
        assert "no Mechanic named web2 is configured" in sight.detail
        plan = plan_for(on("web2"))
        with pytest.raises(Unavailable, match="no Mechanic named web2"):
            await mechanics.mechanic.prepare(permit(), plan, on("web2"))


async def test_one_request_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    world = FakeWorld(tmp_path)
    world.engine.add("victim")
    async with garage(tmp_path, world) as good:
        await good.declare(service())
        async with connected(default=good.url) as mechanics:
            looks = await asyncio.gather(*(mechanics.observer.look(service()) for _ in range(8)))
            assert all(isinstance(seen.sight, RuntimeFacts) for seen in looks)
            bad = await mechanics.observer.look(service("unknown"))
            assert is_blind(bad)
            assert isinstance((await mechanics.observer.look(service())).sight, RuntimeFacts)


async def test_a_look_carries_a_seal_that_binds_all_of_it(tmp_path: Path) -> None:
    world = FakeWorld(tmp_path)
    world.engine.add("victim")
    async with garage(tmp_path, world) as good:
        await good.declare(service())
        async with connected(default=good.url) as mechanics:
            seen = await mechanics.observer.look(service())
    (key,) = public_keys(tmp_path / "mechanic" / "mechanic-key" / "key.pub", "the Mechanic's")
    assert seen.seal is not None
    signature = bytes.fromhex(seen.seal.signature)
    key.verify(signature, payload(seen, seen.seal))
    lies = (
        (replace(seen, at=now()), seen.seal),
        (replace(seen, sight=Blind(reason="x", detail="y")), seen.seal),
        (seen, replace(seen.seal, target_digest="0" * 64)),
        (seen, replace(seen.seal, mechanic="web2")),
    )
    for lie, seal in lies:
        with pytest.raises(InvalidSignature):
            key.verify(signature, payload(lie, seal))


async def test_two_services_on_one_target_are_refused_before_any_effect(tmp_path: Path) -> None:
    world = FakeWorld(tmp_path)
    world.engine.add("victim")
    mine, theirs = service(), service("somebody-elses", container="victim")
    key = private_key(tmp_path / "mechanic" / "official")

    def permitted(one: HealthyService, facts: RuntimeFacts) -> tuple[Permit, Plan]:
        plan = plan_for(one, target_id=facts.target_id, action=Restart(grace_s=0), instance=facts.instance)
        blank = replace(
            permit(), plan_digest=plan.digest, serial=one.metadata.name, expires_at=now() + timedelta(hours=1)
        )
        return replace(blank, signature=key.sign(blank.payload).hex()), plan

    async with garage(tmp_path, world) as good:
        await good.declare(mine, theirs)
        async with connected(default=good.url) as mechanics:
            facts = (await mechanics.observer.look(mine)).sight
            assert isinstance(facts, RuntimeFacts)
            for one in (mine, theirs):
                given, plan = permitted(one, facts)
                with pytest.raises(Refused, match="two services on one target"):
                    await mechanics.mechanic.prepare(given, plan, one)
                trace = Trace(op=given.serial, target_id=plan.target_id, instance=plan.instance, notes={})
                with pytest.raises(Refused, match="two services on one target"):
                    await mechanics.mechanic.execute(given, plan, one, trace)
            assert world.effects() == 0
            await good.declare(mine)
            given, plan = permitted(mine, facts)
            trace = await mechanics.mechanic.prepare(given, plan, mine)
            await mechanics.mechanic.execute(given, plan, mine, trace)
            assert world.effects() == 1


async def test_every_route_and_tool_stands_in_the_table_of_access(tmp_path: Path) -> None:
    world = FakeWorld(tmp_path)
    made = parts(tmp_path / "mechanic", runtimes={world.runtime.kind: world.runtime})
    process = MechanicProcess(parts=made)
    assert unguarded(process.app, ACCESS, await process.server.list_tools()) == []
    tools = await process.server.list_tools()
    reading = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
    assert reading == {"list_targets", "inspect", "logs", "stats", "makeup", "processes", "events", "probe"}
    await made.close()


@pytest.mark.parametrize("url", ["127.0.0.1:7301", "ftp://a", "http://", "http://a@b", "http://a?b", "http://a b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="--mechanic default="):
        connect({"default": url}, None, BootClock.after(None))
