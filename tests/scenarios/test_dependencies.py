"""Two local processes of which one needs the other: the one that is broken is healed, the other is never touched."""

import json
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios import workload
from tests.scenarios.conftest import stage_of
from tests.scenarios.operator import Operator, Status, condition
from tests.scenarios.stage import FLAG, POLICY, Stage
from tests.waiting import eventually

NAMES = ("db", "api")
ASKS: Mapping[str, Any] = {"autoUpTo": "None", "approvers": {"users": ["daemon"]}}


class Pair:
    """`db`, and `api`, which asks it for every answer; each with a directory and a port of its own."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.homes = {name: stage.root / name for name in NAMES}
        self.ports = {name: socket.socket() for name in NAMES}
        for name in NAMES:
            self.homes[name].mkdir(mode=0o700)
            self.ports[name].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self.ports[name].bind(("127.0.0.1", 0))
            self.declare(name)
        (self.homes["api"] / "needs").write_text(f"127.0.0.1 {self.port('db')}")

    def port(self, name: str) -> int:
        """Where it listens."""
        return int(self.ports[name].getsockname()[1])

    def declare(self, name: str, policy: Mapping[str, Any] = POLICY) -> None:
        """Write the manifest of one; `api` depends on `db`."""
        command = [
            sys.executable,
            "-I",
            "-S",
            workload.__file__,
            "127.0.0.1",
            str(self.port(name)),
            str(self.notes(name)),
        ]
        probe = {"httpGet": {"path": "/health", "port": self.port(name)}, "periodSeconds": 1, "failureThreshold": 2}
        actions = {"start": {}, "restart": {"gracePeriodSeconds": 1}, "removeFile": {"paths": [FLAG]}}
        document = {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": name},
            "spec": {
                "target": {"process": {"command": command, "workingDir": str(self.homes[name])}},
                "probes": [probe],
                "dependsOn": [{"name": "db"}] if name == "api" else [],
                "remediation": {"actions": actions, "verifyFor": "1s"},
                "policy": policy,
            },
        }
        self.stage.write_manifest(json.dumps(document), name)

    def notes(self, name: str) -> Path:
        """Where a process notes its starts."""
        return self.stage.root / f"{name}.starts"

    def starts(self) -> list[int]:
        """How often each was started, as they noted themselves."""
        return [len(self.notes(name).read_text().split()) for name in NAMES]

    def close(self) -> None:
        """Let go of the ports."""
        for port in self.ports.values():
            port.close()


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    stage = stage_of("process", request)
    made = Pair(stage)
    yield made
    stage.close()
    made.close()


def _quiet(operator: Operator) -> bool:
    seen = [operator.status(name) for name in NAMES]
    return all(one and one["health"] == "Healthy" and not one["incident"] for one in seen)


def _waiting(operator: Operator) -> Status:
    seen = operator.status("api")
    incident = seen.get("incident") if seen else None
    return seen if incident and incident["phase"] == "Escalated" and incident["report"] else {}


def test_the_broken_one_is_healed_and_the_one_that_needs_it_waits_and_comes_back_by_itself(pair: Pair) -> None:
    operator = pair.stage.operator()
    eventually(lambda: _quiet(operator), timeout_s=60, what="two services that PitCrew started, without an incident")
    started, before = pair.starts(), len(operator.incidents())
    pair.declare("db", {**POLICY, **ASKS})
    eventually(lambda: "autoUpTo: None" in operator.pitcrew("get", "db", "-o", "yaml").stdout, what="the new policy")
    (pair.homes["db"] / FLAG).touch()
    try:
        eventually(lambda: _waiting(operator), timeout_s=60, what="the one that needs it, waiting")
    except AssertionError as late:
        raise AssertionError(f"{late}; {operator.status('api')}; log:\n{operator.log[-4000:]}") from None
    seen = _waiting(operator)
    assert "default/db is Unhealthy" in condition(seen, "DependencyDown")["message"]
    assert "heal default/db" in condition(seen, "Stalled")["message"]
    assert "DependencyDown" in operator.why(seen["incident"]["id"])
    planned = operator.pitcrew("plan", "api")
    assert "heal default/db" in planned.stdout, planned.stderr
    assert pair.starts() == started
    pair.declare("db")
    eventually(lambda: _quiet(operator), timeout_s=60, what="both healthy again")
    assert pair.starts() == started
    ended = {one["service"]: one["outcome"] for one in operator.incidents()[before:]}
    assert ended == {"default/db": "Recovered", "default/api": "SelfRecovered"}
    assert operator.pitcrew("audit", "verify").returncode == 0
