"""Who is let in by every server of PitCrew and from where, over real sockets; tricks, and what errors tell."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pitcrew.adapters.incoming import SECURITY_HEADERS
from pitcrew.adapters.tokens.files import add, revoke
from pitcrew.core.caller import Role
from pitcrew.entrypoints.servers.limits import DEFAULT
from pitcrew.entrypoints.servers.serving import Listen
from tests.entrypoints.listening import House, answered, running, token_file, until_closed
from tests.entrypoints.world import ACCESS, SECRET, World
from tests.waiting import eventually


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
