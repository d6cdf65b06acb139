"""Status on disk: what a second shell sees, free of secrets and control characters, and easy on the disk."""

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from pitcrew.adapters.status.files import StatusFiles
from pitcrew.adapters.status.text import read_status
from pitcrew.core.asking import terms_for
from pitcrew.core.conditions import Condition, Notice, ServiceStatus
from pitcrew.core.deviation import Health
from pitcrew.core.errors import InvalidInput
from pitcrew.core.event import NotAsked
from pitcrew.core.incident import Phase
from pitcrew.core.policy import Guardrails
from pitcrew.core.record import Head
from pitcrew.core.resource import HealthyService, RemediationPolicy
from tests.core import incidents
from tests.core.incidents import BEGIN, HOSTILE, PROBE_FAILS, facts, failing

HEAD = Head(seq=12, hash="ab" * 32)


def status_of(service: HealthyService | None = None, **changes: object) -> ServiceStatus:
    base = ServiceStatus(
        service=service or incidents.service(),
        at=BEGIN,
        health=Health.UNHEALTHY,
        conditions=(
            Condition(type="Ready", status="False", reason="Unhealthy", message="httpget-0: Status", since=BEGIN),
        ),
        deviations=(PROBE_FAILS,),
        probes=(failing(detail="SERVICE UNHEALTHY"),),
        flapping=(),
        sight=facts(),
        incident=None,
        waits_for="",
        last_incidents=(),
        notices=(Notice(at=BEGIN, kind="Warning", reason="Opened", message="ProbeFailing", incident="victim-1"),),
        journal_head=HEAD,
        source="manifests/victim.yaml",
        stale="",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def write(sink: StatusFiles, status: ServiceStatus) -> None:
    asyncio.run(sink.write(status))


def read_one(directory: Path) -> dict[str, dict[str, object]]:
    (found,) = read_status(directory)
    return found  # type: ignore[return-value]


def test_the_file_holds_the_resource_as_declared_and_what_was_seen(tmp_path: Path) -> None:
    story = incidents.undone()
    write(
        StatusFiles(tmp_path / "status"),
        status_of(
            incident=story.now, waits_for="a person", last_incidents=(replace(incidents.healed().now, id="victim-0"),)
        ),
    )
    path = tmp_path / "status" / "default.victim.yaml"
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755
    found = read_one(tmp_path / "status")
    assert found["metadata"] == {"name": "victim", "namespace": "default"}
    assert found["spec"]["probes"] == [{"httpGet": {"path": "/health", "port": 8080}}]
    status = found["status"]
    assert status["observedAt"] == "2026-03-04T05:06:07.000Z"
    assert status["health"] == "Unhealthy"
    assert status["deviations"] == ["ProbeFailing/httpget-0"]
    assert status["journalHead"] == {"seq": 12, "hash": "ab" * 32}
    assert status["manifest"] == {"source": "manifests/victim.yaml", "stale": ""}
    assert status["incident"]["waitsFor"] == "a person"  # type: ignore[index]
    assert [one["helped"] for one in status["incident"]["attempts"]] == [False, False]  # type: ignore[index]
    assert status["lastIncidents"][0]["outcome"] == "Recovered"  # type: ignore[index]
    assert status["events"][0]["incident"] == "victim-1"  # type: ignore[index]


def test_the_written_file_is_the_resource_again(tmp_path: Path) -> None:
    service = incidents.service()
    write(StatusFiles(tmp_path), status_of(service))
    found = dict(yaml.safe_load((tmp_path / "default.victim.yaml").read_text()))
    del found["status"]
    assert HealthyService.model_validate(found).spec == service.spec


def secretive() -> HealthyService:
    return HealthyService.model_validate(
        {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": "worker", "namespace": "shop"},
            "spec": {
                "target": {
                    "process": {
                        "command": [
                            "./serve",
                            "--db-password",
                            "tr0ub4dor",
                            "--token=abcdefghijklmnop",
                            "--port",
                            "80",
                        ],
                        "workingDir": "/srv",
                        "env": {"PLAIN": "looks-harmless", "TOKEN": "s3cret-value"},
                    }
                },
                "probes": [
                    {"httpGet": {"port": 80, "httpHeaders": [{"name": "X-Api", "value": "opaque-header-value"}]}}
                ],
            },
        }
    )


def test_no_value_that_may_be_a_secret_is_in_the_file(tmp_path: Path) -> None:
    write(StatusFiles(tmp_path), status_of(secretive()))
    text = (tmp_path / "shop.worker.yaml").read_text()
    for secret in ("looks-harmless", "s3cret-value", "tr0ub4dor", "abcdefghijklmnop", "opaque-header-value"):
        assert secret not in text
    assert "PLAIN" in text
    assert "X-Api" in text
    assert read_one(tmp_path)["spec"]["target"]["process"]["command"][-2:] == ["--port", "80"]  # type: ignore[index]


def test_hostile_text_stays_one_printable_line(tmp_path: Path) -> None:
    hostile = status_of(
        probes=(failing(detail=HOSTILE),),
        notices=(Notice(at=BEGIN, kind="Normal", reason="Acted", message=HOSTILE),),
        source="x\x1b[0m",
        stale=HOSTILE,
    )
    write(StatusFiles(tmp_path), hostile)
    raw = (tmp_path / "default.victim.yaml").read_text()
    assert all(char.isprintable() or char == "\n" for char in raw)
    assert "hunter2" not in raw
    detail = read_one(tmp_path)["status"]["probes"][0]["detail"]  # type: ignore[index]
    assert "\n" not in detail
    assert "\\x1b[2J" in detail


def written_at(path: Path) -> int:
    return path.stat().st_ino


def test_an_unchanged_status_is_written_again_only_as_a_heartbeat(tmp_path: Path) -> None:
    sink, path = StatusFiles(tmp_path, heartbeat_s=30), tmp_path / "default.victim.yaml"
    write(sink, status_of())
    first = path.read_text()
    later = replace(failing(detail="SERVICE UNHEALTHY"), at=BEGIN + timedelta(seconds=29), latency_ms=9)
    write(sink, status_of(at=BEGIN + timedelta(seconds=29), probes=(later,)))
    assert path.read_text() == first
    write(sink, status_of(at=BEGIN + timedelta(seconds=30), probes=(later,)))
    assert read_one(tmp_path)["status"]["observedAt"] == "2026-03-04T05:06:37.000Z"


def test_a_change_is_written_at_once(tmp_path: Path) -> None:
    sink = StatusFiles(tmp_path, heartbeat_s=3600)
    write(sink, status_of())
    write(sink, status_of(health=Health.HEALTHY))
    assert read_one(tmp_path)["status"]["health"] == "Healthy"


def test_only_the_last_fifty_events_are_kept(tmp_path: Path) -> None:
    notices = tuple(Notice(at=BEGIN, kind="Normal", reason="Acted", message=str(number)) for number in range(70))
    write(StatusFiles(tmp_path), status_of(notices=notices))
    events = read_one(tmp_path)["status"]["events"]
    assert [event["message"] for event in events] == [str(number) for number in range(20, 70)]  # type: ignore[attr-defined]


def test_a_withdrawn_service_leaves_nothing_behind(tmp_path: Path) -> None:
    sink = StatusFiles(tmp_path)
    write(sink, status_of())
    asyncio.run(sink.forget(incidents.service().key))
    asyncio.run(sink.forget(incidents.service().key))
    assert list(tmp_path.iterdir()) == []
    write(sink, status_of())
    assert read_one(tmp_path)["status"]["health"] == "Unhealthy"


def test_a_disk_that_refuses_is_logged_and_the_next_write_goes_through(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "status").write_text("in the way")
    sink = StatusFiles(tmp_path / "status")
    write(sink, status_of())
    assert "status not written" in caplog.text
    (tmp_path / "status").unlink()
    write(sink, status_of())
    assert read_one(tmp_path / "status")["status"]["health"] == "Unhealthy"


def test_no_directory_means_no_status(tmp_path: Path) -> None:
    assert list(read_status(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    "text", ["status: [", "- 1\n", "a: 1\n", "a: &x {b: 1}\nstatus: {c: *x}\n", "x" * (1 << 20) + "x"], ids=range(5)
)
def test_a_file_that_is_no_status_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "default.odd.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=r"default\.odd\.yaml"):
        read_status(tmp_path)


def test_a_pipe_in_the_directory_does_not_hang_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(InvalidInput, match="not a regular file"):
        read_status(tmp_path)


def test_it_tells_on_which_terms_a_model_is_asked_and_what_came_of_it(tmp_path: Path) -> None:
    policy = RemediationPolicy.model_validate(
        {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "RemediationPolicy",
            "metadata": {"name": "eu"},
            "spec": {"selector": {}, "diagnosis": {"mode": "Rules"}},
        }
    )
    story = incidents.healed()
    story.incident = replace(story.now, phase=Phase.DIAGNOSED)
    reason = "diagnosis.mode of policy eu is Rules"
    story.happens(NotAsked(reason=reason, evidence_digest="e" * 64))
    terms = terms_for(incidents.service(), Guardrails(policies=(policy,)))
    write(StatusFiles(tmp_path / "status"), status_of(incident=story.now, terms=terms))
    status = read_one(tmp_path / "status")["status"]
    assert status["diagnosis"] == {
        "mode": "Rules",
        "modeBy": "diagnosis.mode of policy eu",
        "egress": "Any",
        "egressBy": "spec.diagnosis.egress",
        "unasked": reason,
    }
    assert status["incident"]["secondOpinion"] == f"nobody was asked: {reason}"  # type: ignore[index]
    write(StatusFiles(tmp_path / "other"), status_of())
    assert read_one(tmp_path / "other")["status"]["diagnosis"] is None
