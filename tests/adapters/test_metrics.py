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
from pitcrew.adapters.incoming import SECURITY_HEADERS, Address
from pitcrew.adapters.metrics.catalogue import METRICS
from pitcrew.adapters.metrics.server import MetricsServer, ScrapeLimits
from pitcrew.adapters.metrics.witness import OTHER, VALUES_MAX, Metrics
from pitcrew.adapters.tokens.files import TokenFile, add, revoke
from pitcrew.core.approval import Decision
from pitcrew.core.caller import Role
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
    made = MetricsServer(Address(host="127.0.0.1", port=0), fresh().registry)
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


def asked(server: MetricsServer, request: str, *, headers: str = "") -> tuple[int, str]:
    """The status of an answer, and all of it; a request is its first line without the version."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as there:
        there.sendall(f"{request} HTTP/1.1\r\n{headers or 'Host: localhost'}\r\n\r\n".encode("latin-1"))
        heard = heard_of(there)
    return int(heard.split(" ")[1]), heard


def heard_of(there: socket.socket) -> str:
    """Everything that the other side says until it hangs up."""
    heard = b""
    try:
        while piece := there.recv(65536):
            heard += piece
    except ConnectionError:
        pass
    return heard.decode("latin-1")


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET /metrics", "Host: localhost", 200),
        ("HEAD /metrics", "Host: 127.0.0.1:9464", 405),
        ("GET /metrics", "Host: localhost\r\nOrigin: http://localhost", 200),
        ("GET /metrics", "Host: evil.example", 421),
        ("GET /metrics", "Host: localhost\r\nHost: evil.example", 421),
        ("GET /metrics", "X: no host", 421),
        ("GET /metrics", "Host: localhost\r\nOrigin: https://evil.example", 403),
        ("GET /metrics", "Host: localhost\r\nOrigin: null", 403),
        ("GET /", "Host: localhost", 404),
        ("GET /metrics/../metrics", "Host: localhost", 404),
        ("GET /metrics%00", "Host: localhost", 404),
        ("POST /metrics", "Host: localhost\r\nContent-Length: 1073741824", 405),
        ("OPTIONS /metrics", "Host: localhost", 405),
        ("GET", "Host: localhost", 505),
        ("GET /metrics x", "Host: localhost", 400),
        ("GET /" + "a" * 70_000, "Host: localhost", 414),
        ("GET /metrics", "Host: localhost\r\nX: " + "a" * 70_000, 431),
    ],
    ids=lambda value: str(value)[:50],
)
def test_metrics_are_for_those_who_ask_plainly_and_every_answer_is_closed_to_browsers(
    server: MetricsServer, request_line: str, headers: str, status: int
) -> None:
    found, heard = asked(server, request_line, headers=headers)
    assert found == status
    assert ("pitcrew_up" in heard) is (status == 200 and request_line.startswith("GET"))
    head = heard.partition("\r\n\r\n")[0].lower() + "\r\n"
    assert all(f"\r\n{name}: {value}\r\n".lower() in head for name, value in SECURITY_HEADERS.items())
    assert "\r\nserver:" not in head
    assert "evil" not in heard.partition("\r\n\r\n")[2]


def test_with_tokens_metrics_are_for_readers(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    now = datetime.now(UTC)
    reader, driver = add(file, "prometheus", [Role.READER], now), add(file, "driver", [Role.DRIVER], now)
    tokens = TokenFile.open(file, lambda: datetime.now(UTC))
    made = MetricsServer(Address(host="0.0.0.0", port=0), fresh().registry, tokens)
    try:
        shown = {who: asked(made, "GET /metrics", headers=f"Host: localhost\r\n{who}")[0] for who in (
            "X: y", "Authorization: Bearer x", f"Authorization: Bearer {driver}", f"Authorization: Bearer {reader}",
        )}  # fmt: skip
        assert list(shown.values()) == [401, 401, 403, 200]
        revoke(file, "prometheus")
        assert asked(made, "GET /metrics", headers=f"Host: localhost\r\nAuthorization: Bearer {reader}")[0] == 401
        file.unlink()
        status, heard = asked(made, "GET /metrics", headers=f"Host: localhost\r\nAuthorization: Bearer {reader}")
        assert (status, str(file) in heard) == (503, False)
    finally:
        made.close()


def test_a_scraper_that_drips_is_hung_up_on_and_one_that_asks_too_often_is_told() -> None:
    limits = ScrapeLimits(whole_s=0.3, rate_per_s=0.001, burst=2)
    made = MetricsServer(Address(host="127.0.0.1", port=0), fresh().registry, limits=limits)
    try:
        dripping = socket.create_connection(("127.0.0.1", made.port), timeout=0.02)
        with dripping, pytest.raises((ConnectionError, EOFError)):
            drip(dripping)
        found = [asked(made, "GET /metrics") for _ in range(3)]
        assert [status for status, _ in found] == [200, 200, 429]
        assert "retry-after: 1000\r\n" in found[2][1].lower()
    finally:
        made.close()


def drip(there: socket.socket) -> None:
    """Send a byte whenever nothing is heard. Raises EOFError or ConnectionError when the other side hangs up."""
    while True:
        try:
            there.sendall(b"a")
            if not there.recv(1):
                raise EOFError
        except TimeoutError:
            continue


def test_an_error_of_ours_is_not_shown_to_scrapers() -> None:
    def broken() -> str:
        raise RuntimeError("secret")

    metrics = Metrics(breakers={"docker": broken}, address=Address(host="127.0.0.1", port=0))
    assert metrics.server
    try:
        status, heard = asked(metrics.server, "GET /metrics")
        assert (status, "secret" in heard, "Traceback" in heard) == (500, False, False)
    finally:
        asyncio.run(metrics.close())


def test_an_address_in_use_is_said_with_the_setting(server: MetricsServer) -> None:
    with pytest.raises(InvalidInput, match=f"setting metrics_addr: 127.0.0.1:{server.port}: "):
        MetricsServer(Address(host="127.0.0.1", port=server.port), fresh().registry)


def test_closed_it_listens_no_more() -> None:
    async def play() -> None:
        metrics = Metrics(breakers={}, address=Address(host="127.0.0.1", port=0))
        assert metrics.server is not None
        port = metrics.server.port
        await metrics.close()
        await metrics.close()
        with pytest.raises(urllib.error.URLError):
            await asyncio.to_thread(scraped, port)

    asyncio.run(play())
