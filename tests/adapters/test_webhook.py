"""The webhook against real servers on loopback, good and bad ones."""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from pitcrew.adapters.webhook.message import URGENT
from pitcrew.adapters.webhook.post import Limits, Webhook
from pitcrew.adapters.webhook.signed import SIGNATURE
from pitcrew.core.errors import InvalidInput
from pitcrew.core.event import Event, from_record
from pitcrew.core.incident import Incident, advance
from tests.core import incidents
from tests.core.incidents import Story
from tests.listener import DRIP, HANG, Listener

QUICK = Limits(group_s=0.05, try_s=0.3, tries_max=3, backoff_s=0.01, deadline_s=2.0, close_s=1.0)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def told(witness: Webhook, story: Story, *, upto: str = "") -> None:
    """Tell a whole story, or its beginning up to an event type."""
    incident: Incident | None = None
    for record in story.records:
        event: Event = from_record(record)
        incident = advance(incident, event, record.at)
        witness.recorded(event, incident, record.at, 0.001)
        if event.type == upto:
            return


def documents(listener: Listener) -> list[dict[str, Any]]:
    return [json.loads(asked.body) for asked in listener.asked]


def test_an_incident_that_heals_at_once_is_one_message() -> None:
    async def play() -> None:
        async with Listener().listening() as listener:
            hook = Webhook(listener.url, limits=QUICK)
            told(hook, incidents.healed())
            await listener.until_asked(1)
            await hook.close()
            (document,) = documents(listener)
            assert [one["event"] for one in document["transitions"]] == ["Opened", "Recovered"]
            assert (document["service"], document["urgent"], document["dropped"]) == ("default/victim", False, 0)
            assert document["text"].startswith("PitCrew, default/victim: victim-1 Opened: opened, ")
            assert listener.asked[0].method == "POST"
            assert SIGNATURE.lower() not in listener.asked[0].headers

    run(play())


def test_an_escalation_is_sent_at_once_and_takes_along_what_waited() -> None:
    async def play() -> None:
        async with Listener().listening() as listener:
            hook = Webhook(listener.url, limits=Limits(group_s=3600))
            told(hook, incidents.undone(), upto="Escalated")
            await listener.until_asked(1)
            await hook.close()
            (document,) = documents(listener)
            assert [one["event"] for one in document["transitions"]] == ["Opened", "Escalated"]
            assert document["urgent"] is True
            assert document["event"] == "Escalated"
            assert document["transitions"][1]["asked"]

    run(play())


def test_what_waits_for_a_person_is_never_grouped() -> None:
    assert {kind for kind, urgent in URGENT.items() if urgent} == {"Escalated", "ApprovalAsked", "ApprovalGiven"}


def test_a_key_signs_the_body_as_it_is_sent() -> None:
    async def play() -> None:
        key = b"k" * 32
        async with Listener().listening() as listener:
            hook = Webhook(listener.url, key=key, limits=QUICK)
            told(hook, incidents.healed())
            (asked,) = await listener.until_asked(1)
            await hook.close()
            expected = hmac.new(key, asked.body, hashlib.sha256).hexdigest()
            assert asked.headers[SIGNATURE.lower()] == f"sha256={expected}"

    run(play())


@pytest.mark.parametrize(
    ("answers", "tries"),
    [((503, 200), 2), ((429, 200), 2), ((500,), 3), ((404,), 1), ((302,), 1), ((HANG, 200), 2), ((DRIP, 200), 2)],
    ids=["busy once", "too many once", "always failing", "not there", "redirect", "hangs once", "drips once"],
)
def test_tries_are_bounded_and_only_made_where_they_may_help(answers: tuple[int, ...], tries: int) -> None:
    async def play() -> None:
        async with Listener(*answers).listening() as listener:
            hook = Webhook(listener.url, limits=QUICK)
            told(hook, incidents.healed())
            await listener.until_asked(tries)
            await hook.close()
            assert len(listener.asked) == tries
            assert {asked.path for asked in listener.asked} == {"/hook/secret-token"}
            assert len({asked.body for asked in listener.asked}) == 1

    run(play())


def test_what_was_lost_is_said_in_the_log_and_by_the_next_message(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with Listener(404, 200).listening() as listener:
            hook = Webhook(listener.url, limits=QUICK)
            told(hook, incidents.healed())
            await listener.until_asked(1)
            told(hook, incidents.healed())
            await listener.until_asked(2)
            await hook.close()
            assert [one["dropped"] for one in documents(listener)] == [0, 1]

    with caplog.at_level(logging.WARNING):
        run(play())
    (line,) = [record for record in caplog.records if record.getMessage() == "webhook message lost"]
    assert "status 404; 1 lost" in vars(line)["text"]
    assert "secret-token" not in caplog.text + vars(line)["text"]


def test_a_full_queue_loses_what_nobody_waits_for_first() -> None:
    async def play() -> None:
        async with Listener(HANG).listening() as listener:
            limits = Limits(group_s=3600, group_max=1, queue_max=2, try_s=30, deadline_s=30, close_s=0.01)
            hook = Webhook(listener.url, limits=limits)
            told(hook, incidents.healed(), upto="Opened")
            await listener.until_asked(1)
            for _ in range(3):
                told(hook, incidents.undone(), upto="Escalated")
            waiting = [group[-1].what for group in hook._queue]
            assert waiting == ["Escalated", "Escalated"]
            await hook.close()

    run(play())


def test_at_the_end_a_hanging_server_is_left_behind_and_said(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        async with Listener(HANG).listening() as listener:
            hook = Webhook(listener.url, limits=Limits(group_s=3600, close_s=0.05))
            told(hook, incidents.healed())
            await hook.close()
            await hook.close()

    with caplog.at_level(logging.WARNING):
        run(play())
    assert "webhook messages not delivered" in caplog.messages


def test_hostile_text_is_data() -> None:
    async def play() -> None:
        async with Listener().listening() as listener:
            hook = Webhook(listener.url, limits=QUICK)
            told(hook, incidents.hostile())
            await listener.until_asked(1)
            await hook.close()
            body = listener.asked[0].body
            assert b"\x1b" not in body
            assert b"\\u001b" not in body
            assert len(body) < 64 * 1024

    run(play())


@pytest.mark.parametrize("address", ["ftp://example.org/x", "file:///etc/passwd", "example.org", "http://"])
def test_only_http_addresses_are_taken(address: str) -> None:
    with pytest.raises(InvalidInput, match="setting webhook: not an http or https address"):
        Webhook(address)


def test_a_name_is_resolved_and_asked_for_by_its_name() -> None:
    async def play() -> None:
        async with Listener().listening() as listener:
            hook = Webhook(listener.url.replace("127.0.0.1", "localhost"), limits=QUICK)
            told(hook, incidents.healed())
            (asked,) = await listener.until_asked(1)
            await hook.close()
            assert asked.headers["host"] == f"localhost:{listener.port}"

    run(play())
