"""Witnesses are told of everything, and whatever they do, the loop does what it would have done without them."""

import asyncio
import json
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from pitcrew.adapters.heartbeat.http import QUIET_MAX_S, Heartbeat
from pitcrew.adapters.webhook.post import Webhook
from pitcrew.core.errors import JournalUnwritable
from pitcrew.core.event import Event
from pitcrew.core.incident import Incident
from pitcrew.core.observation import Observation, ProbeResult
from pitcrew.core.resource import HealthyService, HttpGet
from pitcrew.ports import Pulse, Witness
from tests.loop import virtual
from tests.loop.composed import STEP_S, House, VictimProber, manifest


class Notebook:
    """A Witness that writes down what it is told."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.events: list[tuple[str, str, datetime]] = []
        self.pulses: list[Pulse] = []
        self.closed = 0

    def observed(self, service: HealthyService, seen: Observation) -> None:
        self.seen.append(service.key)

    def recorded(self, event: Event, incident: Incident, at: datetime, took_s: float) -> None:
        self.events.append((event.type, incident.id, at))

    def alive(self, pulse: Pulse) -> None:
        self.pulses.append(pulse)

    async def close(self) -> None:
        self.closed += 1


class Broken:
    """A Witness that fails at everything it is told."""

    def observed(self, service: HealthyService, seen: Observation) -> None:
        raise RuntimeError("broken")

    def recorded(self, event: Event, incident: Incident, at: datetime, took_s: float) -> None:
        raise RuntimeError("broken")

    def alive(self, pulse: Pulse) -> None:
        raise RuntimeError("broken")

    async def close(self) -> None:
        """Nothing is held."""


class Hanging(httpx.AsyncBaseTransport):
    """A server that takes every request and never answers."""

    def __init__(self) -> None:
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError("never")


class Answering(httpx.AsyncBaseTransport):
    """A server that notes when it was asked."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.at.append(House.elapsed_s())
        self.bodies.append(await request.aread())
        return httpx.Response(200)


async def healed_with(state: Path, *witnesses: Witness) -> list[tuple[str, datetime]]:
    """What the journal says, and when, of a flag that was healed."""
    house = House(state, manifest())
    house.witnesses = witnesses
    async with house.running():
        await house.passes(5)
        house.flag()
        await house.healed()
    return [(record.type, record.at) for record in house.records()]


def test_a_witness_is_told_of_every_look_and_every_event_and_is_closed(tmp_path: Path) -> None:
    notebook = Notebook()
    story = virtual.run(healed_with(tmp_path, notebook))
    assert [(kind, at) for kind, _, at in notebook.events] == story
    assert {incident for _, incident, _ in notebook.events} == {"victim-1"}
    assert len(notebook.seen) > 5
    assert notebook.closed == 1


def test_a_pulse_comes_every_second_and_tells_what_is_open(tmp_path: Path) -> None:
    notebook = Notebook()
    virtual.run(healed_with(tmp_path, notebook))
    gaps = {
        (later.at - pulse.at).total_seconds()
        for pulse, later in zip(notebook.pulses, notebook.pulses[1:], strict=False)
    }
    assert gaps == {1.0}
    assert max(pulse.quiet_s for pulse in notebook.pulses) < 10
    assert {"Verifying"} <= {phase for pulse in notebook.pulses for phase in pulse.phases}


@pytest.mark.parametrize("kind", ["broken", "hanging", "both"])
def test_whatever_a_witness_does_the_same_is_recorded_at_the_same_times(tmp_path: Path, kind: str) -> None:
    async def play() -> tuple[list[tuple[str, datetime]], int]:
        transport = Hanging()
        hook = Webhook("http://192.0.2.1/", transport=transport)
        heart = Heartbeat("http://192.0.2.1/", every_s=5, trouble=lambda: "", transport=transport)
        witnesses = {"broken": (Broken(),), "hanging": (hook, heart), "both": (Broken(), hook, heart)}[kind]
        return await healed_with(tmp_path / "told", *witnesses), transport.asked

    (tmp_path / "told").mkdir()
    (tmp_path / "alone").mkdir()
    story, asked = virtual.run(play())
    assert story == virtual.run(healed_with(tmp_path / "alone"))
    assert (asked > 0) == (kind != "broken")


def test_a_loop_that_cannot_record_gives_no_beats_until_it_can_again(tmp_path: Path) -> None:
    async def play() -> None:
        house, server = House(tmp_path, manifest()), Answering()
        house.witnesses = (Heartbeat("http://192.0.2.1/", every_s=10, trouble=lambda: "", transport=server),)
        async with house.running():
            await house.passes(35)
            assert len(server.at) == 4

            async def refuses() -> None:
                house.journal.before["Opened"] = refuses
                raise JournalUnwritable("no space left")

            house.journal.before["Opened"] = refuses
            house.flag()
            await house.passes(60)
            silent = len(server.at)
            await house.passes(60)
            assert len(server.at) == silent
            house.journal.before.clear()
            await house.healed()
            await house.passes(20)
            assert len(server.at) > silent

    virtual.run(play())


def test_an_orphans_end_is_told_too(tmp_path: Path) -> None:
    async def play() -> list[str]:
        house = House(tmp_path, manifest(policy={"mode": "Observe"}))
        async with house.running():
            house.flag()
            await house.until(lambda: house.story() and house.incident.phase == "Escalated")
        notebook = Notebook()
        house.witnesses = (notebook,)
        house.manifests = type(house.manifests)()
        async with house.running():
            await house.until(lambda: not house.incident.open)
        return [kind for kind, _, _ in notebook.events]

    assert virtual.run(play()) == ["Abandoned"]


class Stuck(VictimProber):
    """A prober that never answers once it is stuck: a bug of ours, past every deadline."""

    stuck = False

    async def get(self, name: str, http_get: HttpGet, *, address: str | None, timeout_s: float) -> ProbeResult:
        if self.stuck:
            await asyncio.Event().wait()
        return await super().get(name, http_get, address=address, timeout_s=timeout_s)


def test_a_service_that_is_not_looked_at_any_more_ends_the_beats(tmp_path: Path) -> None:
    async def play() -> None:
        house, server = House(tmp_path, manifest()), Answering()
        house.prober = prober = Stuck(house.engine)
        house.witnesses = (Heartbeat("http://192.0.2.1/", every_s=10, trouble=lambda: "", transport=server),)
        async with house.crashing():
            await house.passes(60)
            assert len(server.at) == 6
            prober.stuck = True
            await house.passes(3600)
            assert len(server.at) < 6 + (QUIET_MAX_S + 20) / 10
            assert server.at[-1] < 60 + QUIET_MAX_S + 10

    virtual.run(play())


def test_people_are_asked_for_approval_at_once(tmp_path: Path) -> None:
    async def play() -> None:
        policy = {"autoUpTo": "None", "approveUpTo": "High", "approvers": {"users": ["ann"]}}
        house, server = House(tmp_path, manifest(policy=policy)), Answering()
        house.witnesses = (Webhook("http://192.0.2.1/", transport=server),)
        async with house.running():
            house.flag()
            await house.until(lambda: house.story()[-1:] == ["ApprovalAsked"])
            asked_at = house.elapsed_s()
            await house.until(lambda: server.at)
            assert server.at[0] - asked_at <= STEP_S
        document = json.loads(server.bodies[0])
        assert [one["event"] for one in document["transitions"]] == ["Opened", "ApprovalAsked"]
        assert "pitcrew approve victim-1" in document["transitions"][-1]["asked"]
        assert "ann" in document["text"]

    virtual.run(play())
