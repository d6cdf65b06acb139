"""Metrics: what is counted of a story, how it is shown, and that nobody can make it grow or hang."""

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pitcrew import __version__
from pitcrew.adapters.metrics.catalogue import METRICS
from pitcrew.adapters.metrics.server import MetricsServer, parsed
from pitcrew.adapters.metrics.witness import OTHER, VALUES_MAX, Metrics
from pitcrew.core.approval import Decision
from pitcrew.core.cost import Usage
from pitcrew.core.diagnosis import Cause
from pitcrew.core.errors import InvalidInput
from pitcrew.core.event import Advised, ModelAsked, from_record
from pitcrew.core.incident import Incident, advance
from pitcrew.core.observation import Blind, Observation, Outcome, ProbeReason, ProbeResult
from pitcrew.core.opinion import Opinion
from pitcrew.core.order import Person
from pitcrew.core.resource import ServiceKey
from pitcrew.ports import Pulse
from tests.core import incidents
from tests.core.incidents import BEGIN, HOSTILE, Story, facts, failing
from tests.loop import virtual
from tests.loop.composed import House, manifest

Labels = dict[str, str]


def fresh() -> Metrics:
    return Metrics(breakers={"docker": lambda: "Open"})


def told(metrics: Metrics, story: Story) -> None:
    incident: Incident | None = None
    for record in story.records:
        event = from_record(record)
        incident = advance(incident, event, record.at)
        metrics.recorded(event, incident, record.at, 0.002)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_healed_incident_is_counted_from_detection_to_recovery() -> None:
    metrics, story = fresh(), incidents.healed()
    told(metrics, story)
    here = {"service": "default/victim"}
    assert value(metrics, "pitcrew_incidents_total", **here, outcome="Recovered") == 1
    assert value(metrics, "pitcrew_incidents_opened_total", **here, severity=str(story.now.severity)) == 1
    for span in ("detect", "decide", "recover"):
        assert value(metrics, f"pitcrew_incident_{span}_seconds_count") == 1
    assert value(metrics, "pitcrew_incident_approve_seconds_count") == 0
    recovered = story.now.recovered_at
    assert recovered is not None
    whole_s = (recovered - story.now.detected_from).total_seconds()
    assert value(metrics, "pitcrew_incident_recover_seconds_sum") == pytest.approx(whole_s)
    assert value(metrics, "pitcrew_verdicts_total", rule="ladder/auto", effect="Allow") == 1
    assert value(metrics, "pitcrew_actions_total", action="removeFile", direction="do", outcome="Done") == 1
    assert value(metrics, "pitcrew_journal_append_seconds_count") == len(story.records)


def test_an_undo_and_a_hand_over_are_counted_as_such() -> None:
    metrics = fresh()
    told(metrics, incidents.undone())
    assert value(metrics, "pitcrew_incidents_total", service="default/victim", outcome="Escalated") == 1
    assert value(metrics, "pitcrew_actions_total", action="restoreFile", direction="undo", outcome="Done") == 1
    assert value(metrics, "pitcrew_incident_recover_seconds_count") == 0


def test_looks_and_probes_are_counted_by_what_they_said() -> None:
    metrics, service = fresh(), incidents.healed().service
    metrics.observed(service, Observation(service=service.key, at=BEGIN, sight=facts(), probes=(failing(),)))
    metrics.observed(service, Observation(service=service.key, at=BEGIN, sight=Blind(reason="x", detail="y")))
    here = {"service": "default/victim"}
    assert value(metrics, "pitcrew_probes_total", **here, probe="httpget-0", outcome="Failure") == 1
    assert value(metrics, "pitcrew_looks_total", **here, sight="Running") == 1
    assert value(metrics, "pitcrew_looks_total", **here, sight="Blind") == 1


def test_the_pulse_shows_where_the_loop_stands() -> None:
    metrics, at = fresh(), datetime(2026, 1, 2, tzinfo=UTC)
    metrics.alive(Pulse(at=at, services=2, quiet_s=3.0, journal_lag_s=0.5, phases={"Escalated": 1}))
    assert value(metrics, "pitcrew_last_turn_timestamp_seconds") == at.timestamp()
    assert value(metrics, "pitcrew_incidents_open", phase="Escalated") == 1
    assert value(metrics, "pitcrew_journal_writable") == 1
    metrics.alive(Pulse(at=at + timedelta(seconds=1), unwritten="no space left"))
    assert value(metrics, "pitcrew_incidents_open", phase="Escalated") == 0
    assert value(metrics, "pitcrew_journal_writable") == 0


def test_questions_to_a_model_their_tokens_and_their_money_are_counted() -> None:
    metrics, incident = fresh(), incidents.healed().now
    asked = ModelAsked(model="small", prompt_digest="p", evidence_digest="e", tokens_reserved=900)
    failed = Advised(
        model="small",
        prompt_digest="p",
        evidence_digest="e",
        opinion=None,
        failure="refused",
        tokens=740,
        usage=Usage(tokens_in=700, tokens_out=40),
        microdollars=130,
        late=False,
        agrees=None,
        note="",
        repaired="no JSON object",
    )
    said = Opinion(cause=Cause.HANG, runbook="hang", evidence=("E1",), confidence=9, summary="s")
    for event in (asked, failed, asked, replace(failed, opinion=said, failure="", repaired="")):
        metrics.recorded(event, incident, BEGIN, 0.0)
    outcomes = {one: value(metrics, "pitcrew_model_calls_total", model="small", outcome=one) for one in CALLS}
    assert outcomes == {"Asked": 2, "Answered": 1, "Failed": 1, "AskedAgain": 1}
    assert value(metrics, "pitcrew_model_tokens_total", model="small", kind="In") == 1400
    assert value(metrics, "pitcrew_model_tokens_total", model="small", kind="Out") == 80
    assert value(metrics, "pitcrew_model_microdollars_total", model="small") == 260


CALLS = ("Asked", "Answered", "Failed", "AskedAgain")


def test_people_are_timed_from_the_question_to_the_answer(tmp_path: Path) -> None:
    async def play() -> Metrics:
        policy = {"autoUpTo": "None", "approveUpTo": "High", "approvers": {"users": ["ann"]}}
        house, metrics = House(tmp_path, manifest(policy=policy)), fresh()
        house.witnesses = (metrics,)
        async with house.running() as operator:
            house.flag()
            await house.until(lambda: house.story()[-1:] == ["ApprovalAsked"])
            await house.passes(100)
            digest = house.incident.attempt.plan.digest
            ann = Person(uid=12345, name="ann")
            await operator.control.official.decide(digest, Decision.APPROVE, ann, "it is night")
            await house.healed()
        return metrics

    metrics = virtual.run(play())
    assert value(metrics, "pitcrew_approvals_total", decision="Approve") == 1
    assert value(metrics, "pitcrew_incident_approve_seconds_count") == 1
    seconds = value(metrics, "pitcrew_incident_approve_seconds_sum")
    assert seconds is not None
    assert 100 <= seconds < 102


def test_a_breaker_shows_one_state_of_three() -> None:
    metrics = fresh()
    states = {state: value(metrics, "pitcrew_breaker_state", breaker="docker", state=state) for state in STATES}
    assert states == {"Closed": 0, "HalfOpen": 0, "Open": 1}


STATES = ("Closed", "HalfOpen", "Open")


def test_each_metric_of_the_catalogue_exists_and_no_other() -> None:
    metrics = fresh()
    made = {family.name for family in metrics.registry.collect()}
    assert made == {metric.name.removesuffix("_total") for metric in METRICS}
    assert value(metrics, "pitcrew_up") == 1
    assert f'version="{__version__}"' in exposed(metrics)


def exposed(metrics: Metrics) -> str:
    from prometheus_client import generate_latest

    return generate_latest(metrics.registry).decode()


def test_hostile_label_values_are_one_printable_line_each() -> None:
    metrics, service = fresh(), incidents.healed().service
    probe = ProbeResult(probe=HOSTILE + "\n" * 3, at=BEGIN, outcome=Outcome.FAILURE, reason=ProbeReason.STATUS)
    metrics.observed(service, Observation(service=service.key, at=BEGIN, sight=facts(), probes=(probe,)))
    text = exposed(metrics)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert max(map(len, text.splitlines())) < 1000


def test_the_values_of_a_label_are_bounded() -> None:
    metrics, service = fresh(), incidents.healed().service
    for number in range(VALUES_MAX + 50):
        named = replace(failing(), probe=f"probe-{number}")
        metrics.observed(
            service, Observation(service=ServiceKey("default/x"), at=BEGIN, sight=facts(), probes=(named,))
        )
    lines = [line for line in exposed(metrics).splitlines() if line.startswith("pitcrew_probes_total{")]
    assert len(lines) == VALUES_MAX + 1
    found = value(metrics, "pitcrew_probes_total", service=service.key, probe=OTHER, outcome="Failure")
    assert found == 50


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    made = MetricsServer("127.0.0.1:0", fresh().registry)
    yield made
    made.close()


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_scrapers_that_hang_do_not_keep_others_from_scraping(server: MetricsServer) -> None:
    hanging = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
    try:
        assert "pitcrew_up 1.0" in scraped(server.port)
    finally:
        for one in hanging:
            one.close()


def test_an_address_in_use_is_said_with_the_setting(server: MetricsServer) -> None:
    with pytest.raises(InvalidInput, match=f"setting metrics_addr: 127.0.0.1:{server.port}: "):
        MetricsServer(f"127.0.0.1:{server.port}", fresh().registry)


def test_closed_it_listens_no_more() -> None:
    async def play() -> None:
        metrics = Metrics(breakers={}, address="127.0.0.1:0")
        assert metrics.server is not None
        port = metrics.server.port
        await metrics.close()
        await metrics.close()
        with pytest.raises(urllib.error.URLError):
            await asyncio.to_thread(scraped, port)

    asyncio.run(play())


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
    assert parsed(address) == expected


@pytest.mark.parametrize("address", ["", "x", "127.0.0.1", "127.0.0.1:http", "example.org:9464", "1:99999"], ids=str)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="setting metrics_addr"):
        parsed(address)
