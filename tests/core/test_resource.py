"""The resource: the manifest of DESIGN as it stands, each default, each refusal."""

from copy import deepcopy

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from pitcrew.core.resource import (
    Duration,
    HealthyService,
    Level,
    Mode,
    TargetKind,
    parse_duration,
    reaches,
    render_duration,
)
from tests.core.scene import PROBE, declared, manifest

DESIGN = """
apiVersion: pitcrew.dev/v1alpha1
kind: HealthyService
metadata: {name: victim}
spec:
  target: {docker: {container: victim}}
  probes: [{httpGet: {path: /health, port: 8080}}]
  remediation:
    actions:
      removeFile: {paths: [/app/broken.flag]}
      restart: {}
  policy: {autoUpTo: Low, approveUpTo: High}
"""
PROCESS: dict[str, object] = {"process": {"command": ["./app"], "workingDir": "."}}


def test_the_manifest_of_the_design_works_as_it_stands() -> None:
    service = HealthyService.model_validate(yaml.safe_load(DESIGN))
    assert service.key == "default/victim"
    assert service.spec.target.kind is TargetKind.DOCKER
    assert service.spec.target.label == "docker/victim"
    assert [name for name, _ in service.probes] == ["httpget-0"]
    actions = service.spec.remediation.actions
    assert actions.remove_file is not None
    assert actions.remove_file.paths == ["/app/broken.flag"]
    assert actions.restart is not None
    assert actions.start is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.namespace", "default"),
        ("metadata.labels", {}),
        ("spec.criticality", Level.MEDIUM),
        ("spec.remediation.attempts", 3),
        ("spec.remediation.verify_for", 10),
        ("spec.policy.mode", Mode.ENFORCE),
        ("spec.policy.auto_up_to", "Low"),
        ("spec.policy.approve_up_to", "High"),
        ("spec.policy.cooldown", 0),
        ("spec.policy.rules", []),
        ("spec.policy.budget.actions", 10),
        ("spec.policy.budget.window", 3600),
        ("spec.remediation.actions.start", None),
        ("spec.remediation.actions.restart", None),
        ("spec.remediation.actions.remove_file", None),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_a_field_left_out_has_its_safe_default(path: str, value: object) -> None:
    found: object = declared(remediation={})
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("period_seconds", 10),
        ("timeout_seconds", 1),
        ("failure_threshold", 3),
        ("success_threshold", 1),
        ("initial_delay_seconds", 0),
    ],
)
def test_a_probe_has_the_defaults_of_kubernetes(field: str, value: int) -> None:
    [(_, probe)] = declared().probes
    assert getattr(probe, field) == value


def test_without_probes_a_container_is_asked_for_its_own_health_check() -> None:
    [(name, probe)] = declared(probes=[]).probes
    assert name == "dockerhealth-0"
    assert probe.docker_health is not None


def test_without_probes_a_process_only_has_to_run() -> None:
    assert declared(target=PROCESS, probes=[]).probes == ()


def test_a_service_depends_on_others_of_its_own_namespace_unless_they_have_another() -> None:
    found = declared(dependsOn=[{"name": "db"}, {"name": "victim", "namespace": "shop"}])
    assert found.depends_on == ("default/db", "shop/victim")


def test_a_grace_period_of_ten_seconds_is_the_default_of_a_restart() -> None:
    restart = declared().spec.remediation.actions.restart
    assert restart is not None
    assert restart.grace_period_seconds == 10


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no target": ({"target": {}}, "exactly one of docker, process"),
    "two targets": ({"target": {"docker": {"container": "a"}, **PROCESS}}, "exactly one of docker, process"),
    "container and compose": (
        {"target": {"docker": {"container": "a", "composeProject": "p", "composeService": "s"}}},
        "either container, or composeProject",
    ),
    "half a compose pair": ({"target": {"docker": {"composeProject": "p"}}}, "either container, or composeProject"),
    "no container at all": ({"target": {"docker": {}}}, "either container, or composeProject"),
    "unknown field": ({"probe": []}, "Extra inputs are not permitted"),
    "unknown action": ({"remediation": {"actions": {"deleteVolume": {}}}}, "Extra inputs are not permitted"),
    "python's name of a field": ({"policy": {"auto_up_to": "Low"}}, "Extra inputs are not permitted"),
    "no probe kind": ({"probes": [{"periodSeconds": 3}]}, "exactly one of httpGet, tcpSocket, exec, dockerHealth"),
    "two probe kinds": (
        {"probes": [{**PROBE, "dockerHealth": {}}]},
        "exactly one of httpGet, tcpSocket, exec, dockerHealth",
    ),
    "two probes of one name": ({"probes": [{**PROBE, "name": "a"}, {**PROBE, "name": "a"}]}, "a name of its own"),
    "a name like a default one": ({"probes": [PROBE, {**PROBE, "name": "httpget-0"}]}, "a name of its own"),
    "dockerHealth on a process": ({"target": PROCESS, "probes": [{"dockerHealth": {}}]}, "needs spec.target.docker"),
    "a relative path in a container": (
        {"remediation": {"actions": {"removeFile": {"paths": ["app/broken.flag"]}}}},
        "in a container a path is absolute",
    ),
    "two rules of one name": (
        {"policy": {"rules": [{"name": "r", "expression": "true", "effect": "Deny", "message": "m"}] * 2}},
        "each rule needs a name of its own",
    ),
    "a rule that allows": (
        {"policy": {"rules": [{"name": "r", "expression": "true", "effect": "Allow", "message": "m"}]}},
        "'RequireApproval', 'Hold' or 'Deny'",
    ),
    "an unknown level": ({"criticality": "Severe"}, "'Low', 'Medium', 'High' or 'Critical'"),
    "a number as text": ({"probes": [{**PROBE, "periodSeconds": "10"}]}, "valid integer"),
    "true as a number": ({"remediation": {"attempts": True}}, "valid integer"),
    "no attempts": ({"remediation": {"attempts": 0}}, "greater than or equal to 1"),
    "no paths": ({"remediation": {"actions": {"removeFile": {"paths": []}}}}, "at least 1 item"),
    "a port out of range": ({"probes": [{"httpGet": {"port": 65536}}]}, "less than or equal to 65535"),
    "a header that smuggles": (
        {"probes": [{"httpGet": {"port": 1, "httpHeaders": [{"name": "a", "value": "x\r\nHost: y"}]}}]},
        "match pattern",
    ),
    "a request line that smuggles": ({"probes": [{"httpGet": {"port": 1, "path": "/ HTTP/1.1"}}]}, "match pattern"),
    "an empty command": ({"probes": [{"exec": {"command": []}}]}, "at least 1 item"),
    "an argument with a zero byte": ({"probes": [{"exec": {"command": ["a\0b"]}}]}, "match pattern"),
    "a budget window under a minute": ({"policy": {"budget": {"window": "59s"}}}, "greater than or equal to 60"),
    "it depends on itself": ({"dependsOn": [{"name": "victim"}]}, "does not depend on itself"),
    "it depends on itself by its whole name": (
        {"dependsOn": [{"name": "victim", "namespace": "default"}]},
        "does not depend on itself",
    ),
    "it depends on one twice": (
        {"dependsOn": [{"name": "db"}, {"name": "db", "namespace": "default"}]},
        "name each service once",
    ),
    "it depends on a host": ({"dependsOn": [{"name": "db.example"}]}, "match pattern"),
    "it depends on too many": ({"dependsOn": [{"name": f"db{n}"} for n in range(17)]}, "at most 16 items"),
    "no verification": ({"remediation": {"verifyFor": "0s"}}, "greater than or equal to 1"),
}


@pytest.mark.parametrize(("spec", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_a_manifest_that_cannot_be_meant_is_refused(spec: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        declared(**spec)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "path", ["/app/../etc/passwd", "..", "/app/./x", "/app//x", "/", "/app/", "/a\0b", "/a\nb", ""]
)
@pytest.mark.parametrize("target", [{"docker": {"container": "victim"}}, PROCESS], ids=["docker", "process"])
def test_a_path_is_plain(path: str, target: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        declared(target=target, remediation={"actions": {"removeFile": {"paths": [path]}}})


def test_a_process_may_name_paths_in_its_working_directory() -> None:
    found = declared(target=PROCESS, remediation={"actions": {"removeFile": {"paths": ["broken.flag"]}}})
    assert found.spec.remediation.actions.remove_file is not None


@pytest.mark.parametrize(("field", "value"), [("apiVersion", "v1"), ("kind", "Pod"), ("status", {})])
def test_another_document_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        HealthyService.model_validate({**manifest(), field: value})


@pytest.mark.parametrize("name", ["", "Victim", "-a", "a-", "a.b", "a/b", "a" * 64, "a\n"])
def test_a_name_is_a_dns_label(name: str) -> None:
    document = deepcopy(manifest())
    document["metadata"] = {"name": name}
    with pytest.raises(ValidationError):
        HealthyService.model_validate(document)


@pytest.mark.parametrize(
    ("text", "seconds", "again"),
    [
        ("90s", 90, "90s"),
        ("10m", 600, "10m"),
        ("1h", 3600, "1h"),
        ("60s", 60, "1m"),
        ("0s", 0, "0s"),
        ("120m", 7200, "2h"),
    ],
)
def test_a_duration_goes_in_and_out(text: str, seconds: int, again: str) -> None:
    assert parse_duration(text) == seconds
    assert render_duration(seconds) == again
    assert TypeAdapter[int](Duration).dump_python(seconds, mode="json") == again


@pytest.mark.parametrize(
    "wrong", ["", "10", "s", "-1s", "1.5h", "1d", "1h30m", " 1s", "1S", "1234567s", "١s", 10, 1.0, True, None]
)
def test_what_is_no_duration_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="digits and a unit"):
        parse_duration(wrong)


def test_a_manifest_is_the_same_after_a_round_trip() -> None:
    service = declared(policy={"cooldown": "5m", "budget": {"window": "2h"}}, remediation={"verifyFor": "90s"})
    assert HealthyService.model_validate(service.model_dump(mode="json", by_alias=True, exclude_none=True)) == service


def test_a_resource_is_frozen() -> None:
    service = declared()
    with pytest.raises(ValidationError, match="frozen"):
        service.spec.policy.auto_up_to = "Critical"  # type: ignore[misc]


@pytest.mark.parametrize("ladder", ["None", *Level])
@pytest.mark.parametrize("level", list(Level))
def test_a_ladder_reaches_up_to_its_step(ladder: str, level: Level) -> None:
    steps = ["None", *(str(one) for one in Level)]
    assert reaches(ladder, level) == (steps.index(ladder) >= steps.index(level))  # type: ignore[arg-type]
