"""The doors of the Official that the real command opens: who does not get in, and that it serves on afterwards."""

import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from tests.official.running import WAIT_S, Served, Site

GIGABYTE = 1 << 30
REQUESTS = 3000
"""At eight at a time; the 100 of a client's bucket and its 50 a second are used up long before, on any machine."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    site = Site(root=tmp_path_factory.mktemp("doors"))
    site.declare("victim")
    with site.running() as running:
        yield running
        assert running.child.poll() is None
        assert running.ask("GET", "/healthz", who=None).status_code == 200
        assert not site.ledger.exists() or not site.ledger.read_bytes()


def asked(served: Served, path: str, headers: Mapping[str, str], content: bytes = b"{}") -> int:
    post = httpx.post(served.url + path, headers=headers, content=content, timeout=WAIT_S, trust_env=False)
    return post.status_code


def bearer(served: Served, who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.site.tokens[who]}"}


@pytest.mark.parametrize("path", ["/v1/permits", "/v1/review"])
def test_without_the_drivers_token_nothing_is_judged_or_permitted(served: Served, path: str) -> None:
    assert asked(served, path, {}) == 401
    assert asked(served, path, {"Authorization": "Bearer pitcrew_guessed"}) == 401
    assert {asked(served, path, bearer(served, who)) for who in ("approver", "operator", "reader", "alice")} == {403}


def test_a_foreign_host_and_a_foreign_origin_are_turned_away_whatever_token_they_show(served: Served) -> None:
    mine = bearer(served, "driver")
    assert asked(served, "/v1/permits", {**mine, "Host": "evil.example"}) == 421
    assert asked(served, "/v1/permits", {**mine, "Origin": "https://evil.example"}) == 403


def test_a_gigabyte_is_refused_before_it_is_sent(served: Served) -> None:
    host = urlsplit(served.url).netloc
    head = f"POST /v1/permits HTTP/1.1\r\nHost: {host}\r\nContent-Length: {GIGABYTE}\r\n"
    head += f"Authorization: Bearer {served.site.tokens['driver']}\r\n\r\n"
    with socket.create_connection(tuple(host.split(":")), timeout=WAIT_S) as client:  # type: ignore[arg-type]
        client.sendall(head.encode())
        assert b" 413 " in client.recv(4096).split(b"\r\n")[0]


def test_who_asks_too_often_is_told_so_and_the_others_are_served(served: Served) -> None:
    mine = bearer(served, "reader")
    with httpx.Client(base_url=served.url, headers=mine, timeout=WAIT_S, trust_env=False) as one:
        with ThreadPoolExecutor(8) as hands:
            told = Counter(hands.map(lambda _: one.get("/v1/policies").status_code, range(REQUESTS)))
        assert set(told) == {200, 429}
        turned_away = next(answer for _ in range(REQUESTS) if (answer := one.get("/v1/policies")).status_code == 429)
        assert int(turned_away.headers["Retry-After"]) >= 1
    assert served.ask("GET", "/v1/policies", who="driver").status_code == 200
