"""Tokens in a file: what is kept of them, who they stand for, and what file is believed."""

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pitcrew.adapters.tokens.files import PREFIX, TokenFile, add, listed, revoke
from pitcrew.core.caller import TOKENS_MAX, Caller, Role, token_digest
from pitcrew.core.errors import InvalidInput, Unavailable
from pitcrew.ports import Tokens

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def opened(file: Path, now: datetime = NOW) -> Tokens:
    return TokenFile.open(file, lambda: now)


def test_a_token_stands_for_its_name_and_roles(file: Path) -> None:
    ann = add(file, "ann", [Role.APPROVER, Role.READER], NOW)
    ben = add(file, "ben", [Role.DRIVER], NOW)
    tokens = opened(file)
    assert tokens.who(ann) == Caller(name="ann", roles=frozenset({Role.APPROVER, Role.READER}))
    assert tokens.who(ben) == Caller(name="ben", roles=frozenset({Role.DRIVER}))
    assert tokens.who(ann[:-1]) is None
    assert tokens.who(ann + "=") is None
    assert tokens.who("") is None
    assert tokens.who("\udc80") is None


def test_a_token_has_256_random_bits_and_the_file_only_their_hash(file: Path) -> None:
    made = {add(file, f"n{number}", [Role.READER], NOW) for number in range(20)}
    assert len(made) == 20
    assert all(len(one) == len(PREFIX) + 43 for one in made)
    text = file.read_text()
    assert not any(one.removeprefix(PREFIX) in text for one in made)
    assert {one["sha256"] for one in json.loads(text)["tokens"]} == {token_digest(one) for one in made}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_stands_in_the_file_is_no_token(file: Path) -> None:
    add(file, "ann", [Role.APPROVER], NOW)
    assert opened(file).who(listed(file)[0].sha256) is None


def test_a_token_holds_until_its_day(file: Path) -> None:
    token = add(file, "ann", [Role.READER], NOW, days=2)
    assert opened(file, NOW + timedelta(days=2, seconds=-1)).who(token) is not None
    assert opened(file, NOW + timedelta(days=2)).who(token) is None


def test_a_change_counts_from_the_next_question_on_even_within_one_tick_of_the_disks_clock(file: Path) -> None:
    token = add(file, "ann", [Role.READER], NOW)
    tokens, before = opened(file), file.stat()
    assert tokens.who(token) is not None
    file.write_text(file.read_text().replace(token_digest(token), "0" * 64))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert tokens.who(token) is None


def test_a_revoked_name_is_free_again_and_its_old_token_stays_nobodys(file: Path) -> None:
    old = add(file, "ann", [Role.READER], NOW)
    revoke(file, "ann")
    new = add(file, "ann", [Role.OPERATOR], NOW)
    tokens = opened(file)
    assert tokens.who(old) is None
    assert tokens.who(new) == Caller(name="ann", roles=frozenset({Role.OPERATOR}))


def test_a_name_has_one_token_and_a_stranger_none_to_revoke(file: Path) -> None:
    token = add(file, "ann", [Role.READER], NOW)
    with pytest.raises(InvalidInput, match="ann has a token; revoke it first"):
        add(file, "ann", [Role.APPROVER], NOW)
    with pytest.raises(InvalidInput, match="no token of the name 'ben'"):
        revoke(file, "ben")
    assert opened(file).who(token) is not None


def test_who_proposes_never_approves(file: Path) -> None:
    with pytest.raises(InvalidInput, match="driver and approver"):
        add(file, "ann", [Role.DRIVER, Role.APPROVER], NOW)
    assert not file.exists()


@pytest.mark.parametrize("name", ["", "a b", "-x", ".x", "a\n", "a" * 65, "ä", "../x", "a,b"], ids=repr)
def test_a_name_that_no_approver_could_have_is_refused(file: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="token name"):
        add(file, name, [Role.READER], NOW)


@pytest.mark.parametrize("days", [0, -1, 4000])
def test_days_have_bounds(file: Path, days: int) -> None:
    with pytest.raises(InvalidInput, match=f"--days {days}"):
        add(file, "ann", [Role.READER], NOW, days=days)


def test_a_token_without_a_role_is_refused(file: Path) -> None:
    with pytest.raises(InvalidInput, match="no role"):
        add(file, "ann", [], NOW)


def test_of_two_who_add_at_once_none_is_lost(file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: add(file, f"n{number}", [Role.READER], NOW), range(24)))
    tokens = opened(file)
    assert [found and found.name for found in map(tokens.who, made)] == [f"n{number}" for number in range(24)]


def test_a_file_has_room_for_so_many_and_no_more(file: Path) -> None:
    entries = [entry(name=f"n{number}", sha256=f"{number:064x}") for number in range(TOKENS_MAX)]
    written(file, {"version": 1, "tokens": entries})
    with pytest.raises(InvalidInput, match="as many as there may be"):
        add(file, "one-more", [Role.READER], NOW)


def entry(**changes: object) -> dict[str, object]:
    made = {"name": "ann", "roles": ["reader"], "sha256": "0" * 64, "created_at": NOW.isoformat(), "expires_at": None}
    return made | changes


def written(file: Path, data: object) -> None:
    file.write_text(data if isinstance(data, str) else json.dumps(data))
    file.chmod(0o600)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "{",
        "[]",
        "\ud800",
        '{"version": 1, "tokens": [], "tokens": []}',
        {"version": 2, "tokens": []},
        {"version": 1, "tokens": [], "more": 1},
        {"version": 1, "tokens": [entry(roles=["root"])]},
        {"version": 1, "tokens": [entry(roles=[])]},
        {"version": 1, "tokens": [entry(roles=["driver", "approver"])]},
        {"version": 1, "tokens": [entry(name="a b")]},
        {"version": 1, "tokens": [entry(sha256="secret")]},
        {"version": 1, "tokens": [entry(created_at="2026-01-01T00:00:00")]},
        {"version": 1, "tokens": [entry(expires_at="soon")]},
        {"version": 1, "tokens": [entry(admin=True)]},
        {"version": 1, "tokens": [entry(), entry(sha256="1" * 64)]},
        "[" * 100_000,
        " " * 300_000,
    ],
    ids=lambda data: str(data)[:60],
)
def test_a_file_that_is_none_of_ours_lets_nobody_in(file: Path, data: object) -> None:
    token = add(file, "ann", [Role.READER], NOW)
    tokens = opened(file)
    if data == "\ud800":
        file.write_bytes(b"\xff\xfe")
    else:
        written(file, data)
    with pytest.raises(Unavailable, match=str(file)):
        tokens.who(token)
    with pytest.raises(InvalidInput, match=str(file)):
        opened(file)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o660, 0o644, 0o666, 0o650])
def test_a_file_that_others_can_write_or_everyone_can_read_is_refused(file: Path, mode: int) -> None:
    add(file, "ann", [Role.READER], NOW)
    file.chmod(mode)
    with pytest.raises(InvalidInput, match=r"others can use the tokens; own it, chmod 600 it, or 640"):
        opened(file)


def test_a_file_of_somebody_else_is_refused(file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    add(file, "ann", [Role.READER], NOW)
    os.chown(file, 12345, -1)
    with pytest.raises(InvalidInput, match="uid 12345"):
        opened(file)


def test_a_group_that_reads_goes_on_reading_after_a_change(file: Path) -> None:
    add(file, "ann", [Role.READER], NOW)
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, -1, 12345)
    before = file.stat()
    add(file, "ben", [Role.READER], NOW)
    after = file.stat()
    assert (after.st_mode, after.st_gid) == (before.st_mode, before.st_gid)
    assert len(listed(file)) == 2


@pytest.mark.parametrize("kind", ["link", "directory", "fifo", "missing"])
def test_what_is_no_file_is_refused_and_waited_for_by_nobody(file: Path, tmp_path: Path, kind: str) -> None:
    if kind == "link":
        add(tmp_path / "real.json", "ann", [Role.READER], NOW)
        file.symlink_to(tmp_path / "real.json")
    elif kind == "directory":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file, 0o600)
    with pytest.raises(InvalidInput, match=str(file)):
        opened(file)
