"""What every listener keeps to: addresses, Host headers, bearer tokens, and how often one client may ask."""

from pathlib import Path

import pytest

from pitcrew.adapters.buckets import Buckets
from pitcrew.adapters.incoming import Address, bearer, checked, host_known, parsed
from pitcrew.core.errors import InvalidInput


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("localhost:9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:9464", ("0.0.0.0", 9464)),
        ("[::1]:9464", ("::1", 9464)),
    ],
    ids=str,
)
def test_without_a_host_it_is_loopback(address: str, expected: tuple[str, int]) -> None:
    assert parsed(address, "--listen") == Address(host=expected[0], port=expected[1])


@pytest.mark.parametrize("address", ["", "x", "127.0.0.1", "127.0.0.1:http", "example.org:9464", "1:99999"], ids=str)
def test_what_is_no_address_is_refused_with_the_name_of_the_setting(address: str) -> None:
    with pytest.raises(InvalidInput, match="setting metrics_addr: "):
        parsed(address, "setting metrics_addr")


@pytest.mark.parametrize("address", ["0.0.0.0:7301", "[::]:7301", "192.0.2.1:7301", "[::ffff:192.0.2.1]:1"], ids=str)
def test_beyond_loopback_nothing_listens_without_tokens(address: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"--listen: .*pitcrew tokens add NAME --role ROLE --file FILE.*--tokens"):
        checked(address, None, "--listen")
    assert not checked(address, tmp_path / "tokens.json", "--listen").loopback


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "1"], ids=str)
def test_on_loopback_it_may(address: str) -> None:
    assert checked(address, None, "--listen").loopback


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost:80", "LOCALHOST", "[::1]:7301", "10.1.2.3:9", "mechanic:7301", "Mechanic"],
    ids=str,
)
def test_our_own_names_are_known(host: str) -> None:
    assert host_known(host, "10.1.2.3", ["mechanic"])


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "10.1.2.4",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "localhost,evil.example",
        "localhost:80:80",
        "localhost:",
        "localhost\n",
        "[::1",
        " localhost",
    ],
    ids=repr,
)
def test_no_other_name_is(host: str) -> None:
    assert not host_known(host, "10.1.2.3", ["mechanic"])


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("", None),
        ("Bearerabc", None),
    ],
    ids=repr,
)
def test_only_a_bearer_token_is_read(header: str, token: str | None) -> None:
    assert bearer(header) == token


class Watch:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def test_a_client_that_asks_too_often_is_told_how_long_to_wait_and_another_one_is_not() -> None:
    watch = Watch()
    buckets = Buckets(per_s=2, burst=3, clients_max=10, monotonic=watch)
    assert [buckets.wait_s("ann") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait_s("ben") == 0
    watch.s += 0.5
    assert [buckets.wait_s("ann") for _ in range(2)] == [0, 0.5]
    watch.s += 1000
    assert [buckets.wait_s("ann") for _ in range(4)] == [0, 0, 0, 0.5]


def test_who_is_refused_does_not_wait_longer_for_having_asked() -> None:
    watch = Watch()
    buckets = Buckets(per_s=1, burst=1, clients_max=10, monotonic=watch)
    assert [buckets.wait_s("ann") for _ in range(100)] == [0, *[1.0] * 99]
    watch.s += 1
    assert buckets.wait_s("ann") == 0


def test_a_million_clients_are_remembered_as_the_last_few() -> None:
    watch = Watch()
    buckets = Buckets(per_s=1, burst=1, clients_max=2, monotonic=watch)
    for number in range(1000):
        assert buckets.wait_s(f"client {number}") == 0
    assert [buckets.wait_s(f"client {number}") > 0 for number in (999, 998)] == [True, True]
    assert buckets.wait_s("client 0") == 0
