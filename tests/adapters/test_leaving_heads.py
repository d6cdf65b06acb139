"""Heads leave the host: to real receivers on this machine, at the start, every so many records, and at the end."""

import asyncio
import hashlib
import hmac
import json
import logging
import os
import socket
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pitcrew.adapters.heads.file import HeadFile
from pitcrew.adapters.heads.leaving import QUEUE_MAX, LeavingHeads, Place
from pitcrew.adapters.heads.state_id import read_state_id, state_id
from pitcrew.adapters.heads.syslog import Syslog
from pitcrew.adapters.heads.webhook import HeadWebhook
from pitcrew.adapters.webhook.signed import SIGNATURE
from pitcrew.core.errors import InvalidInput
from pitcrew.core.heads import OutsideHead, read_heads
from pitcrew.core.record import Head
from pitcrew.ports import Pulse
from tests.listener import HANG, Listener

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PULSE = Pulse(at=AT)
STATE = "0123456789abcdef"


class Journal:
    """A head that grows."""

    def __init__(self) -> None:
        self.head = Head()

    def grow(self, records: int) -> None:
        seq = self.head.seq + records
        self.head = Head(seq=seq, hash=hashlib.sha256(str(seq).encode()).hexdigest())


def leaving(journal: Journal, *places: Place, every: int = 10) -> LeavingHeads:
    return LeavingHeads(places, head=lambda: journal.head, now=lambda: AT, state=STATE, every_records=every)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def kept(path: Path) -> Sequence[OutsideHead]:
    return read_heads(enumerated(path.read_text().splitlines()))


def enumerated(lines: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"kept:{number}", line) for number, line in enumerate(lines, start=1)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "heads"
    path.touch()
    return path


def test_a_head_leaves_at_the_start_after_every_so_many_records_and_at_the_end(file: Path) -> None:
    journal = Journal()

    async def play() -> None:
        heads = leaving(journal, HeadFile(file))
        for _ in range(26):
            heads.alive(PULSE)
            journal.grow(1)
        await heads.close()

    run(play())
    assert [head.seq for head in kept(file)] == [0, 10, 20, 26]
    assert {(head.at, head.state) for head in kept(file)} == {(AT, STATE)}


def test_a_unix_syslog_receives_rfc_5424(tmp_path: Path) -> None:
    journal = Journal()
    journal.grow(3)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "log"))
        receiver.settimeout(10)

        async def play() -> None:
            heads = leaving(journal, Syslog(str(tmp_path / "log")))
            heads.alive(PULSE)
            await heads.close()

        run(play())
        message = receiver.recv(65536).decode("ascii")
    assert message.startswith("<109>1 - ")
    assert message.split(" ")[3:7] == ["pitcrew", str(os.getpid()), "head", "-"]
    (head,) = read_heads([("m", message)])
    assert (head.seq, head.hash) == (3, journal.head.hash)


def test_a_tcp_syslog_receives_octet_counted_messages() -> None:
    journal = Journal()
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readexactly(int(await reader.readuntil(b" "))))
        assert await reader.read() == b""
        writer.close()

    async def play() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        heads = leaving(journal, Syslog(f"tcp://localhost:{port}"), every=1)
        heads.alive(PULSE)
        journal.grow(1)
        await heads.close()
        server.close()
        await server.wait_closed()

    run(play())
    assert [head.seq for head in read_heads(enumerated([one.decode() for one in came]))] == [0, 1]


def test_a_udp_syslog_receives_a_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)

        async def play() -> None:
            heads = leaving(Journal(), Syslog(f"udp://127.0.0.1:{receiver.getsockname()[1]}"))
            await heads.close()

        run(play())
        assert len(read_heads([("m", receiver.recv(65536).decode())])) == 1


def test_a_webhook_receives_a_signed_body() -> None:
    async def play() -> None:
        async with Listener().listening() as listener:
            heads = leaving(Journal(), HeadWebhook(listener.url, key=b"k" * 32))
            await heads.close()
            (asked,) = listener.asked
            expected = hmac.new(b"k" * 32, asked.body, hashlib.sha256).hexdigest()
            assert asked.headers[SIGNATURE.lower()] == f"sha256={expected}"
            assert json.loads(asked.body)["event"] == "JournalHead"
            assert len(read_heads([("body", asked.body.decode())])) == 1

    run(play())


@pytest.mark.parametrize("address", ["log", "udp://host", "tcp://:514", "http://host:1", "tcp://host:x"])
def test_an_address_that_is_no_syslog_is_refused_with_what_is_allowed(address: str) -> None:
    with pytest.raises(InvalidInput, match=r"setting head_syslog: .*tcp://HOST:PORT"):
        Syslog(address)


def test_a_file_that_is_not_there_is_never_made_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(_closed(leaving(Journal(), HeadFile(tmp_path / "heads"))))
    assert list(tmp_path.iterdir()) == []
    assert caplog.messages == ["journal head not passed on", "journal head lost"]
    assert "No such file" in vars(caplog.records[1])["text"]


async def _closed(heads: LeavingHeads) -> None:
    await heads.close()


def test_a_link_and_a_pipe_are_no_file_to_append_to(tmp_path: Path, file: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe")
    run(_closed(leaving(Journal(), HeadFile(tmp_path / "link"), HeadFile(tmp_path / "pipe"))))
    assert file.read_bytes() == b""


def test_lines_are_appended_behind_what_others_wrote(file: Path) -> None:
    file.write_text("of somebody else\n")
    run(_closed(leaving(Journal(), HeadFile(file))))
    assert file.read_text().splitlines()[0] == "of somebody else"
    assert len(kept(file)) == 1


def test_a_place_that_is_away_has_its_heads_when_it_is_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal, path = Journal(), tmp_path / "heads"

    async def play() -> None:
        heads = leaving(journal, HeadFile(path), every=1)
        heads.alive(PULSE)
        await _until(lambda: "journal head not passed on" in caplog.messages)
        path.touch()
        journal.grow(1)
        await heads.close()

    with caplog.at_level(logging.INFO):
        run(play())
    assert [head.seq for head in kept(path)] == [0, 1]
    assert caplog.messages == ["journal head not passed on", "journal heads are passed on again"]


async def _until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


def test_a_place_that_hangs_delays_neither_the_loop_nor_another_place(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal()

    async def play() -> None:
        async with Listener(HANG).listening() as listener:
            heads = leaving(journal, HeadWebhook(listener.url), HeadFile(file), every=1)
            for _ in range(QUEUE_MAX + 30):
                heads.alive(PULSE)
                journal.grow(1)
            await listener.until_asked(1)
            await heads.close()

    run(play())
    assert kept(file)[-1].seq == QUEUE_MAX + 30
    lost = [vars(record)["text"] for record in caplog.records if record.message == "journal head lost"]
    assert any("too many wait" in text for text in lost)
    assert "lost since the last one" in lost[-1]


def test_a_full_syslog_socket_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "log"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as filler:
            _fill(filler, tmp_path / "log")
            run(_closed(leaving(Journal(), Syslog(str(tmp_path / "log")))))
    assert "journal head lost" in caplog.messages


def _fill(filler: socket.socket, path: Path) -> None:
    with suppress(BlockingIOError):
        while True:
            filler.sendto(b"x", str(path))


def test_the_id_of_a_state_directory_is_made_once(tmp_path: Path) -> None:
    assert read_state_id(tmp_path) == ""
    made = state_id(tmp_path)
    assert made == state_id(tmp_path) == read_state_id(tmp_path)
    (tmp_path / "id").write_text("no id\n")
    assert read_state_id(tmp_path) == ""
