"""The control socket under hands that mean no good: every talk is bounded, strict, and ends by itself."""

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from pitcrew.entrypoints.control import LINE_BYTES_MAX, SOCKET, listening, person_of
from tests.loop.composed import House


async def talk(state: Path, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(state / SOCKET))
    writer.write(raw)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def asked(tmp_path: Path, *raws: bytes) -> list[bytes]:
    async def test() -> list[bytes]:
        (tmp_path / "run").mkdir(mode=0o711)
        house = House(tmp_path)
        async with house.running() as operator, listening(operator.control, tmp_path):
            assert stat.S_IMODE((tmp_path / SOCKET).stat().st_mode) == 0o666
            return [await talk(tmp_path, raw) for raw in raws]

    return asyncio.run(test())


@pytest.mark.parametrize(
    "raw",
    [
        b"not json\n",
        b"{}\n",
        b'{"do":"shell","argv":["rm"]}\n',
        b'{"do":"go","reason":"x","uid":0}\n',
        b'{"do":"go","reason":"x","by":"root"}\n',
        b'{"do":"decide","incident":"victim-1","plan":"d","decision":"Expire","reason":"x"}\n',
        b'{"do":"suspend","service":"victim","reason":"x","for_s":-1}\n',
        b'{"do":"suspend","service":"victim","reason":"x","for_s":1e9}\n',
        b'{"do":"question","incident":"' + b"v" * 1000 + b'"}\n',
        b"[" * 5000 + b"\n",
        b"\xff\xfe\n",
    ],
)
def test_what_is_no_request_is_refused_with_one_line(tmp_path: Path, raw: bytes) -> None:
    (answer,) = asked(tmp_path, raw)
    assert set(json.loads(answer)) == {"error"}
    assert not (tmp_path / "STOP").exists()


@pytest.mark.parametrize("raw", [b"", b"half a line", b"x" * (LINE_BYTES_MAX * 3)])
def test_a_talk_that_is_none_ends_and_the_next_is_served(tmp_path: Path, raw: bytes) -> None:
    nothing, told = asked(tmp_path, raw, b'{"do":"declarations"}\n')
    assert nothing == b""
    assert "default/victim" in json.loads(told)["ok"]["services"]


def test_a_stale_socket_of_an_earlier_life_is_replaced_and_ours_is_removed_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / SOCKET).write_text("left over")

    async def test() -> None:
        house = House(tmp_path)
        async with house.running() as operator, listening(operator.control, tmp_path):
            assert b"ok" in await talk(tmp_path, b'{"do":"declarations"}\n')

    asyncio.run(test())
    assert not (tmp_path / SOCKET).exists()


def test_a_person_is_whom_the_system_knows_and_an_unknown_uid_has_no_name_to_be_listed_under() -> None:
    assert person_of(os.getuid(), os.getgid()).uid == os.getuid()
    stranger = person_of(3_999_999, 3_999_999)
    assert (stranger.name, stranger.groups) == ("#3999999", ())
