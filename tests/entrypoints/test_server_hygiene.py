"""What every server of PitCrew withstands, over real sockets: strangers, floods, idlers, tricks, and its own errors."""

import asyncio
import select
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.responses import StreamingResponse

from pitcrew.adapters.incoming import SECURITY_HEADERS
from pitcrew.adapters.tokens.files import add, revoke
from pitcrew.core.caller import Caller, Role
from pitcrew.core.errors import InvalidInput
from pitcrew.entrypoints.servers.access import PUBLIC, Access, permit, reading, role
from pitcrew.entrypoints.servers.asking import caller_in, requires, tell_problems
from pitcrew.entrypoints.servers.limits import DEFAULT
from pitcrew.entrypoints.servers.serving import Listen
from tests.entrypoints.listening import House, answered, running, token_file, until_closed
from tests.waiting import eventually

ACCESS = Access(
    routes={
        "GET /healthz": PUBLIC,
        "GET /v1/policies": reading(Role.READER, Role.DRIVER),
        "POST /v1/permits": permit(Role.DRIVER),
        "POST /v1/approvals/{id}": role(Role.APPROVER),
        "POST /v1/stop": role(Role.OPERATOR),
        "GET /boom": PUBLIC,
        "GET /refuses": PUBLIC,
        "GET /hangs": PUBLIC,
        "GET /for-ever": PUBLIC,
        "GET /wrong-table": PUBLIC,
    }
)
SECRET = "the-key-is-under-the-mat"
Approver = Annotated[Caller, Depends(requires(Role.APPROVER))]


class World:
    """An application, and what was done through it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        tell_problems(self.app)
        self._read()
        self._change()
        self._misbehave()

    def _read(self) -> None:
        @self.app.api_route("/healthz", methods=["GET", "HEAD"])
        async def healthz() -> str:
            return "ok"

        @self.app.get("/v1/policies")
        async def policies(request: Request) -> str:
            return str(caller_in(request) or "somebody on this machine")

    def _change(self) -> None:
        @self.app.post("/v1/permits")
        async def permits(request: Request) -> int:
            self.done.append("permit")
            return len(await request.body())

        @self.app.post("/v1/approvals/{id}")
        async def approvals(id: str, caller: Approver, number: int = 0) -> str:
            self.done.append(f"{caller.name} approved {id}")
            return id

        @self.app.post("/v1/stop")
        async def stop() -> str:
            self.done.append("stop")
            return "stopped"

        @self.app.delete("/v1/stop")
        async def forgotten() -> str:
            self.done.append("went on")
            return "went on"

    def _misbehave(self) -> None:
        @self.app.get("/boom")
        async def boom() -> str:
            raise RuntimeError(SECRET)

        @self.app.get("/refuses")
        async def refuses() -> str:
            raise HTTPException(409, "decided already")

        @self.app.get("/hangs")
        async def hangs() -> str:
            await asyncio.Event().wait()
            return SECRET

        @self.app.get("/for-ever")
        async def for_ever() -> StreamingResponse:
            return StreamingResponse(_for_ever())

        @self.app.get("/wrong-table")
        async def wrong_table(caller: Approver) -> str:
            return caller.name


async def _for_ever() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65536
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def kept() -> World:
    return World()


@pytest.fixture
def world(kept: World) -> World:
    """One application for all tests, in which nothing was done yet."""
    kept.done.clear()
    return kept


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def house(world: World, file: Path) -> Iterator[House]:
    tokens = token_file(file)
    with running(world.app, ACCESS, listen=Listen(address="127.0.0.1:0", tokens=file), tokens=tokens) as found:
        yield found


@pytest.fixture(scope="module")
def street(kept: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that stands for all tests that only knock, as often as they like."""
    file = tmp_path_factory.mktemp("street") / "tokens.json"
    tokens, listen = token_file(file), Listen(address="127.0.0.1:0", tokens=file)
    with running(kept.app, ACCESS, listen=listen, tokens=tokens, limits=replace(DEFAULT, burst=10_000)) as found:
        yield found


# --- Who calls ---


@pytest.mark.parametrize("who", [None, "wrong", "pitcrew_" + "A" * 43, "x" * 5000], ids=["none", "a", "b", "long"])
def test_without_a_token_of_ours_nothing_is_done_and_401_says_what_to_show(
    world: World, street: House, who: str | None
) -> None:
    for path in ("/v1/stop", "/v1/permits", "/v1/approvals/p1"):
        found = street.ask(path, method="POST", who=who)
        assert found.status == 401
        assert found.headers["www-authenticate"].startswith("Bearer")
    assert street.ask("/v1/policies", who=who).status == 401
    assert world.done == []


@pytest.mark.parametrize("asked", ["approver", "driver", "reader"])
def test_with_another_role_nothing_is_done_and_403_names_the_missing_one(
    world: World, street: House, asked: str
) -> None:
    found = street.ask("/v1/stop", method="POST", who=asked)
    assert (found.status, found.json["detail"]) == (403, f"{asked} lacks the role operator")
    assert world.done == []


def test_with_the_role_it_is_done_in_the_name_of_the_token_whatever_else_the_request_says(
    world: World, street: House
) -> None:
    claims = {"X-Forwarded-User": "root", "X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"}
    found = street.ask("/v1/approvals/p1?name=root", method="POST", who="approver", headers=claims)
    assert (found.status, world.done) == (200, ["approver approved p1"])
    assert street.ask("/v1/policies", who="driver").json == "driver (driver)"


def test_a_revoked_token_is_nobodys_at_once_and_a_new_one_somebodys(world: World, house: House, file: Path) -> None:
    assert house.ask("/v1/stop", method="POST", who="operator").status == 200
    revoke(file, "operator")
    assert house.ask("/v1/stop", method="POST", who="operator").status == 401
    new = add(file, "operator", [Role.OPERATOR], datetime.now(UTC))
    assert house.ask("/v1/stop", method="POST", who=new).status == 200
    assert world.done == ["stop", "stop"]


def test_an_expired_token_is_nobodys(world: World, file: Path) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    token, at = add(file, "op", [Role.OPERATOR], begin, days=1), [begin]
    listen = Listen(address="127.0.0.1:0", tokens=file)
    with running(world.app, ACCESS, listen=listen, now=lambda: at[0]) as house:
        assert house.ask("/v1/stop", method="POST", who=token).status == 200
        at[0] = begin + timedelta(days=1)
        assert house.ask("/v1/stop", method="POST", who=token).status == 401


@pytest.mark.parametrize("spoil", ["gone", "open to others", "no JSON"])
def test_tokens_that_cannot_be_read_let_nobody_in_and_say_so_in_the_log_only(
    world: World, house: House, file: Path, spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    match spoil:
        case "gone":
            file.unlink()
        case "open to others":
            file.chmod(0o644)
        case _:
            file.write_text("{")
    found = house.ask("/v1/stop", method="POST", who="operator")
    assert (found.status, world.done) == (503, [])
    assert str(file) not in found.body.decode()
    assert any(str(file) in getattr(one, "text", "") for one in caplog.records)
    assert house.ask("/healthz").status == 200


def test_two_authorizations_are_refused(street: House) -> None:
    both = f"Bearer x\r\nAuthorization: Bearer {street.tokens['operator']}"
    assert street.ask("/v1/stop", method="POST", headers={"Authorization": both}).status == 400


def test_on_loopback_without_a_token_file_reading_and_permits_pass_and_roles_do_not(world: World) -> None:
    with running(world.app, ACCESS) as house:
        assert house.ask("/v1/policies").json == "somebody on this machine"
        assert house.ask("/v1/permits", method="POST").status == 200
        found = house.ask("/v1/stop", method="POST", who="operator")
        assert (found.status, "--tokens" in found.json["detail"]) == (401, True)
    assert world.done == ["permit"]


def test_what_is_not_in_the_table_is_refused_though_the_application_serves_it(world: World, street: House) -> None:
    found = street.ask("/v1/stop", method="DELETE", who="operator")
    assert (found.status, found.headers["allow"], world.done) == (405, "POST", [])


def test_a_route_that_asks_for_its_role_itself_holds_where_the_table_is_wrong(street: House) -> None:
    assert street.ask("/wrong-table").status == 401
    assert street.ask("/wrong-table", who="reader").json["detail"] == "reader lacks the role approver"
    assert street.ask("/wrong-table", who="approver").status == 200


# --- From where ---


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.9.8.7", "localhost, evil.example", ""])
def test_a_foreign_host_is_misdirected(world: World, street: House, host: str) -> None:
    found = street.ask("/v1/stop", method="POST", who="operator", headers={"Host": host})
    assert (found.status, world.done) == (421, [])


def test_no_host_and_two_hosts_are_none_of_ours(street: House) -> None:
    with street.connected() as there:
        there.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert answered(there).status == 421
    assert street.ask("/healthz", headers={"Host": "localhost\r\nHost: localhost"}).status == 400


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", ""])
def test_a_page_of_somebody_else_may_not_ask(world: World, street: House, origin: str) -> None:
    found = street.ask("/v1/stop", method="POST", who="operator", headers={"Origin": origin})
    assert (found.status, world.done) == (403, [])


def test_our_own_pages_and_allowed_ones_may(world: World, file: Path) -> None:
    tokens = token_file(file)
    listen = Listen(address="127.0.0.1:0", tokens=file, hosts=("mechanic",), origins=("https://board.example",))
    with running(world.app, ACCESS, listen=listen, tokens=tokens) as house:
        for headers in (
            {"Origin": f"http://{house.address}"},
            {"Origin": "https://board.example"},
            {"Host": "mechanic:7301"},
        ):
            assert house.ask("/v1/stop", method="POST", who="operator", headers=headers).status == 200
        assert house.ask("/v1/stop", method="POST", headers={"Origin": f"http://{house.address}"}).status == 401


# --- Tricks ---


@pytest.mark.parametrize(
    "path",
    [
        "//v1/stop",
        "/v1//stop",
        "/v1/./stop",
        "/v1/../v1/stop",
        "/healthz/../v1/stop",
        "/v1/%2e%2e/v1/stop",
        "/v1%2fstop",
        "/v1/stop%00",
        "/%76%31/stop",
        "/v1/stop/",
        "/v1/stop;x",
        "/V1/stop",
        "http://127.0.0.1/v1/stop",
        "*",
        "/v1/stop\x00",
        "/v1/stop\x7f",
        "/v1/stop\xff",
        "/v1/approvals/a%0d%0ab",
        "/v1/approvals/..",
        "/v1/approvals/a/b",
        "/v1/approvals/",
    ],
    ids=ascii,
)
def test_a_path_has_one_spelling_and_every_other_is_refused(world: World, street: House, path: str) -> None:
    for who in ("operator", "approver"):
        found = street.ask(path, method="POST", who=who)
        assert found.status in (400, 404)
        assert found.json["status"] == found.status
    assert world.done == []


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "TRACE", "CONNECT", "post", "POSTX"])
def test_a_method_that_is_not_served_is_refused_and_told_which_are(world: World, street: House, method: str) -> None:
    found = street.ask("/v1/stop", method=method, who="operator")
    assert (found.status, found.headers["allow"], world.done) == (405, "POST", [])


def test_head_is_answered_like_get_without_a_body(street: House) -> None:
    with street.connected() as there:
        there.sendall(f"HEAD /healthz HTTP/1.1\r\nHost: {street.address}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = until_closed(there).partition(b"\r\n\r\n")
    assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 200 OK", b"")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST /v1/permits HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/permits HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/permits HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n\r\n\r\n",
    ],
    ids=["tls", "no version", "version", "long header", "lengths", "negative", "coding", "space", "folded"],
)
def test_what_is_no_request_is_answered_and_not_served(world: World, street: House, sent: bytes) -> None:
    with street.connected() as there:
        there.sendall(sent)
        found = answered(there)
    assert found.status in (400, 421, 431, 501, 505)
    assert found.json["detail"]
    assert world.done == []


def test_each_answer_has_the_security_headers_and_none_tells_of_our_software(street: House) -> None:
    for path in ("/healthz", "/boom", "/refuses", "/nothing", "//", "/v1/policies", "/v1/stop"):
        found = street.ask(path)
        assert {name: found.headers.get(name.lower()) for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert "server" not in found.headers
        assert found.status == 200 or found.headers["content-type"] == "application/problem+json"


def test_an_error_of_ours_is_told_to_the_log_and_not_to_the_client(
    street: House, caplog: pytest.LogCaptureFixture
) -> None:
    found = street.ask("/boom")
    assert found.status == 500
    assert SECRET not in found.body.decode()

    def logged() -> bool:
        return any(one.exc_info and SECRET in str(one.exc_info[1]) for one in caplog.records)

    eventually(logged, what="the error in the log")


def test_what_the_application_refuses_keeps_its_reason(street: House) -> None:
    assert street.ask("/refuses").json == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "decided already",
    }
    found = street.ask("/v1/approvals/p1?number=x", method="POST", who="approver")
    assert (found.status, found.json["detail"].partition(":")[0]) == (422, "query.number")


# --- Too much ---

SMALL = replace(DEFAULT, body_bytes_max=256 * 1024)
QUICK = replace(DEFAULT, body_bytes_max=256 * 1024, head_s=0.3, body_s=0.2, request_s=0.4, idle_s=1)
GIB = 1 << 30
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


@pytest.fixture
def small(world: World) -> Iterator[House]:
    with running(world.app, ACCESS, limits=SMALL) as house:
        yield house


def test_a_body_as_large_as_allowed_arrives_whole(world: World, small: House) -> None:
    assert small.ask("/v1/permits", method="POST", body=b"x" * SMALL.body_bytes_max).json == SMALL.body_bytes_max
    assert small.ask("/v1/permits", method="POST", body=b"x" * (SMALL.body_bytes_max + 1)).status == 413
    assert world.done == ["permit"]


def test_an_announced_gigabyte_is_refused_before_a_byte_of_it(world: World, small: House) -> None:
    found = small.ask("/v1/permits", method="POST", headers={"Content-Length": str(GIB)})
    assert (found.status, world.done) == (413, [])


def test_a_gigabyte_in_chunks_is_refused_as_soon_as_it_is_too_much(world: World, small: House) -> None:
    with small.connected() as there:
        there.sendall(_chunked(small))
        sent = 0
        while sent < GIB and not select.select([there], [], [], 0)[0]:
            there.sendall(CHUNK)
            sent += 65536
        assert answered(there).status == 413
    assert sent < GIB // 16
    assert world.done == []


def test_who_sends_on_after_the_refusal_is_hung_up_on(quick: House) -> None:
    with quick.connected() as there:
        there.sendall(_chunked(quick))
        sent = 0
        with suppress(ConnectionError):
            while sent < GIB:
                there.sendall(CHUNK)
                sent += 65536
    assert sent < GIB // 16
    assert quick.ask("/healthz").status == 200


@pytest.fixture
def quick(world: World) -> Iterator[House]:
    with running(world.app, ACCESS, limits=QUICK) as house:
        yield house


def _chunked(house: House) -> bytes:
    head = f"POST /v1/permits HTTP/1.1\r\nHost: {house.address}\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode()


class Watch:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def test_of_300_requests_within_a_second_as_many_are_served_as_one_client_may(world: World, file: Path) -> None:
    tokens, watch = token_file(file), Watch()
    listen = Listen(address="127.0.0.1:0", tokens=file)
    with running(world.app, ACCESS, listen=listen, tokens=tokens, monotonic=watch) as house:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: house.ask("/v1/policies", who="reader"), range(300)))
        served = [one for one in found if one.status == 200]
        refused = [one for one in found if one.status == 429]
        assert (len(served), len(refused)) == (DEFAULT.burst, 300 - DEFAULT.burst)
        assert {one.headers["retry-after"] for one in refused} == {"1"}
        assert house.ask("/healthz").status == 200, "another client is not held to it"
        assert house.ask("/v1/policies", who="driver").status == 200
        watch.s += 1
        assert house.ask("/v1/policies", who="reader").status == 200


def test_guessing_tokens_is_counted_by_address_whatever_the_client_says_of_itself(world: World, file: Path) -> None:
    token_file(file)
    limits = replace(DEFAULT, burst=5)
    listen = Listen(address="127.0.0.1:0", tokens=file)
    with running(world.app, ACCESS, listen=listen, limits=limits, monotonic=Watch()) as house:
        found = [
            house.ask(
                "/v1/stop", method="POST", who=f"guess-{number}", headers={"X-Forwarded-For": f"192.0.2.{number}"}
            )
            for number in range(8)
        ]
    assert [one.status for one in found] == [401] * 5 + [429] * 3


def test_more_connections_than_there_may_be_are_told_so(world: World) -> None:
    with running(world.app, ACCESS, limits=replace(DEFAULT, connections_max=2)) as house:
        idlers = [socket.create_connection((house.address.host, house.address.port)) for _ in range(2)]
        for idler in idlers:
            idler.sendall(f"GET /healthz HTTP/1.1\r\nHost: {house.address}\r\n\r\n".encode())
            assert answered(idler).status == 200
        with house.connected() as third:
            assert answered(third).status == 503
            assert until_closed(third) == b""
        for idler in idlers:
            idler.close()
        eventually(lambda: house.ask("/healthz").status == 200, what="room for another connection")


def test_more_requests_at_once_than_there_may_be_are_told_so(world: World) -> None:
    limits = replace(DEFAULT, requests_max=1, request_s=2)
    with running(world.app, ACCESS, limits=limits) as house, house.connected() as first:
        first.sendall(f"GET /hangs HTTP/1.1\r\nHost: {house.address}\r\n\r\n".encode())
        eventually(lambda: house.ask("/healthz").status == 503, what="a full house")
        found = house.ask("/healthz")
        assert found.headers["retry-after"] == "1"


# --- Too slow ---


def dripped(there: socket.socket, begin: bytes, drop: bytes) -> bytes:
    """What the server says before it hangs up on a client that sends a drop each time it hears nothing."""
    heard = b""
    try:
        there.sendall(begin)
        there.settimeout(0.02)
        for _ in range(1000):
            try:
                piece = there.recv(65536)
            except TimeoutError:
                there.sendall(drop)
                continue
            if not piece:
                return heard
            heard += piece
        raise AssertionError("nobody hung up")
    except ConnectionError:
        return heard


def test_a_client_that_drips_headers_is_hung_up_on(quick: House) -> None:
    with quick.connected() as there:
        heard = dripped(there, f"GET /healthz HTTP/1.1\r\nHost: {quick.address}\r\nX: ".encode(), b"a")
    assert heard.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_says_nothing_is_hung_up_on(quick: House) -> None:
    with quick.connected() as there:
        assert until_closed(there) == b""


def test_a_client_that_drips_its_second_request_is_hung_up_on(world: World) -> None:
    with running(world.app, ACCESS, limits=replace(QUICK, request_s=3600)) as house, house.connected() as there:
        there.sendall(f"GET /healthz HTTP/1.1\r\nHost: {house.address}\r\n\r\n".encode())
        assert answered(there).status == 200
        assert dripped(there, b"GET /healthz HTTP/1.1\r\n", b"X").startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("drop", [b"x", b"1\r\nx\r\n"], ids=["length", "chunked"])
def test_a_client_that_drips_a_body_is_hung_up_on(world: World, quick: House, drop: bytes) -> None:
    kind = "Content-Length: 1000" if drop == b"x" else "Transfer-Encoding: chunked"
    with quick.connected() as there:
        head = f"POST /v1/permits HTTP/1.1\r\nHost: {quick.address}\r\n{kind}\r\n\r\n"
        heard = dripped(there, head.encode(), drop)
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert world.done == []


def test_a_body_that_drips_on_after_the_answer_is_not_waited_for(quick: House) -> None:
    with quick.connected() as there:
        head = f"POST /nothing HTTP/1.1\r\nHost: {quick.address}\r\nContent-Length: 1000\r\n\r\n"
        assert dripped(there, head.encode(), b"x").startswith(b"HTTP/1.1 404 ")


def test_an_application_that_does_not_answer_is_answered_for(quick: House) -> None:
    found = quick.ask("/hangs")
    assert found.status == 503
    assert SECRET not in found.body.decode()


def test_an_answer_without_end_is_cut_off_and_not_ended(quick: House) -> None:
    with quick.connected() as there:
        there.sendall(f"GET /for-ever HTTP/1.1\r\nHost: {quick.address}\r\n\r\n".encode())
        assert not until_closed(there).endswith(b"0\r\n\r\n")


def test_a_client_that_does_not_read_gives_its_place_back(world: World) -> None:
    with running(world.app, ACCESS, limits=replace(QUICK, connections_max=1)) as house, house.connected() as deaf:
        deaf.sendall(f"GET /for-ever HTTP/1.1\r\nHost: {house.address}\r\n\r\n".encode())
        eventually(lambda: house.ask("/healthz").status == 200, what="the place of who does not read")


def test_after_all_of_these_at_once_the_server_serves_and_ends(world: World) -> None:
    with running(world.app, ACCESS, limits=QUICK) as house:
        ways = [
            b"GET /healthz HTTP/1.1\r\nX: ",
            b"",
            b"POST /v1/permits HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
            b"\x00" * 100,
            f"GET /for-ever HTTP/1.1\r\nHost: {house.address}\r\n\r\n".encode(),
        ]
        for number in range(60):
            with closing(socket.create_connection((house.address.host, house.address.port))) as there:
                there.sendall(ways[number % len(ways)])
        eventually(lambda: house.ask("/healthz").status == 200, what="an answer")


# --- Where it listens ---


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.7:0"])
def test_beyond_loopback_nothing_listens_without_tokens(world: World, address: str) -> None:
    listen = Listen(address=address)
    with pytest.raises(InvalidInput, match="tokens add NAME --role ROLE"), running(world.app, ACCESS, listen=listen):
        pytest.fail("it listens")


def test_with_tokens_it_listens_further_and_reading_takes_a_token_there(world: World, file: Path) -> None:
    tokens = token_file(file)
    with running(world.app, ACCESS, listen=Listen(address="0.0.0.0:0", tokens=file), tokens=tokens) as house:
        house = replace(house, address=replace(house.address, host="127.0.0.1"))
        assert house.ask("/v1/policies").status == 401
        assert house.ask("/v1/permits", method="POST").status == 401
        assert house.ask("/v1/policies", who="reader").status == 200
        assert house.ask("/healthz", headers={"Host": "0.0.0.0"}).status == 421
        assert house.ask("/healthz", headers={"Host": "evil.example"}).status == 421


def test_tokens_that_cannot_be_used_are_said_before_it_listens(world: World, file: Path) -> None:
    token_file(file)
    file.chmod(0o666)
    with (
        pytest.raises(InvalidInput, match="others can use the tokens"),
        running(world.app, ACCESS, listen=Listen(address="127.0.0.1:0", tokens=file)),
    ):
        pytest.fail("it listens")


def test_an_address_in_use_is_said_with_the_option(world: World) -> None:
    with running(world.app, ACCESS) as house:
        taken = Listen(address=str(house.address))
        with (
            pytest.raises(InvalidInput, match=f"--listen: {taken.address}: "),
            running(world.app, ACCESS, listen=taken),
        ):
            pytest.fail("it listens")


def test_with_a_certificate_it_speaks_tls_and_nothing_else(world: World, file: Path, certificate: list[Path]) -> None:
    tokens = token_file(file)
    listen = Listen(address="127.0.0.1:0", tokens=file, tls_cert=certificate[0], tls_key=certificate[1])
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    with running(world.app, ACCESS, listen=listen, tokens=tokens, tls=trust) as house:
        assert house.ask("/v1/stop", method="POST", who="operator").status == 200
        own = {"Origin": f"https://{house.address}"}
        assert house.ask("/v1/stop", method="POST", who="operator", headers=own).status == 200
        with pytest.raises(ConnectionError):
            replace(house, tls=None).ask("/healthz")
    assert world.done == ["stop", "stop"]


@pytest.mark.parametrize("lacking", ["tls_cert", "tls_key"])
def test_half_a_certificate_and_a_key_of_everybody_are_refused(
    world: World, certificate: list[Path], lacking: str
) -> None:
    whole = Listen(address="127.0.0.1:0", tls_cert=certificate[0], tls_key=certificate[1])
    half = replace(whole, tls_cert=None) if lacking == "tls_cert" else replace(whole, tls_key=None)
    with pytest.raises(InvalidInput, match="one is missing"), running(world.app, ACCESS, listen=half):
        pytest.fail("it listens")
    certificate[1].chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"), running(world.app, ACCESS, listen=whole):
        pytest.fail("it listens")


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    from tests.entrypoints.certificates import self_signed

    return self_signed("localhost")


@pytest.fixture
def certificate(_made: tuple[bytes, bytes], tmp_path: Path) -> list[Path]:
    """A certificate for localhost, and its key."""
    found = []
    for name, data in zip(("cert.pem", "key.pem"), _made, strict=True):
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
        found.append(tmp_path / name)
    return found
