"""What every server of PitCrew bounds, over real sockets: floods, idlers, and where it listens at all."""

import select
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pitcrew.core.errors import InvalidInput
from pitcrew.entrypoints.servers.limits import DEFAULT
from pitcrew.entrypoints.servers.serving import Listen
from tests.entrypoints.listening import House, answered, running, token_file, until_closed
from tests.entrypoints.world import ACCESS, SECRET, World
from tests.waiting import eventually


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


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
