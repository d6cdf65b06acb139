"""The heartbeat against real servers on loopback: it beats while PitCrew can work, and else is silent."""

import asyncio
import logging
import os
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pitcrew.adapters.heartbeat.http import LAG_MAX_S, QUIET_MAX_S, Heartbeat, why_unable
from pitcrew.adapters.journal.room import no_room
from pitcrew.core.errors import InvalidInput
from pitcrew.ports import Pulse
from tests.listener import HANG, Listener

WELL = Pulse(at=datetime(2026, 1, 2, tzinfo=UTC), services=1)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


async def pulsed(heart: Heartbeat, pulse: Pulse) -> None:
    heart.alive(pulse)
    assert heart._beating is not None
    await heart._beating


def later(seconds: float, **changes: Any) -> Pulse:
    return replace(WELL, at=WELL.at + timedelta(seconds=seconds), **changes)


def test_it_beats_once_in_an_interval() -> None:
    async def play() -> None:
        async with Listener().listening() as listener:
            heart = Heartbeat(listener.url, every_s=60, trouble=lambda: "")
            for seconds in range(0, 121, 10):
                await pulsed(heart, later(seconds))
            await heart.close()
            assert [asked.method for asked in listener.asked] == ["GET"] * 3

    run(play())


@pytest.mark.parametrize(
    "pulse",
    [
        replace(WELL, unwritten="no space left"),
        replace(WELL, journal_lag_s=LAG_MAX_S + 1),
        replace(WELL, quiet_s=QUIET_MAX_S + 1),
    ],
    ids=["a record was refused", "a record waits", "a service is not looked at"],
)
def test_it_is_silent_while_pitcrew_cannot_work(pulse: Pulse, caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with Listener().listening() as listener:
            heart = Heartbeat(listener.url, every_s=1, trouble=lambda: "")
            await pulsed(heart, pulse)
            await pulsed(heart, replace(pulse, at=pulse.at + timedelta(seconds=2)))
            assert listener.asked == []
            await pulsed(heart, later(4))
            assert len(listener.asked) == 1
            await heart.close()

    with caplog.at_level(logging.INFO):
        run(play())
    assert caplog.messages.count("no heartbeat, since PitCrew cannot work") == 1
    assert caplog.messages.count("heartbeat delivered again") == 1


def test_it_is_silent_while_the_journal_has_trouble() -> None:
    async def play() -> None:
        async with Listener().listening() as listener:
            heart = Heartbeat(listener.url, every_s=1, trouble=lambda: "a disk is full")
            await pulsed(heart, WELL)
            await heart.close()
            assert listener.asked == []

    run(play())


def test_a_hanging_server_holds_one_beat_and_no_more() -> None:
    async def play() -> None:
        async with Listener(HANG).listening() as listener:
            heart = Heartbeat(listener.url, every_s=1, trouble=lambda: "")
            heart.alive(WELL)
            await listener.until_asked(1)
            for seconds in range(2, 100):
                heart.alive(later(seconds))
                await asyncio.sleep(0)
            await heart.close()
            assert len(listener.asked) == 1

    run(play())


@pytest.mark.parametrize("answer", [500, 302], ids=str)
def test_a_beat_that_is_not_taken_is_only_said(answer: int, caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with Listener(answer).listening() as listener:
            heart = Heartbeat(listener.url, every_s=1, trouble=lambda: "")
            await pulsed(heart, WELL)
            await heart.close()
            assert len(listener.asked) == 1

    with caplog.at_level(logging.WARNING):
        run(play())
    assert caplog.messages == ["heartbeat not delivered"]
    assert "secret-token" not in vars(caplog.records[0])["text"]


def test_a_loop_that_can_work_has_no_reason_not_to_beat() -> None:
    assert why_unable(WELL) == ""


def test_the_journals_disk_is_looked_at(tmp_path: Path) -> None:
    assert no_room(tmp_path) == ""
    assert "No such file" in no_room(tmp_path / "gone") or "cannot be written" in no_room(tmp_path / "gone")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert bool(no_room(closed)) == (os.geteuid() != 0)


def test_only_http_addresses_are_taken() -> None:
    with pytest.raises(InvalidInput, match="setting heartbeat_url"):
        Heartbeat("gopher://example.org", every_s=60, trouble=lambda: "")
