"""Many services of one machine fail at once: one storm, nothing is acted on, and it goes on by itself afterwards."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios import workload
from tests.scenarios.conftest import stage_of
from tests.scenarios.operator import Operator, condition
from tests.scenarios.stage import FLAG, POLICY, Stage
from tests.waiting import eventually

NAMES = ("victim", "second", "third")


class Street:
    """Three local processes on one stage, each with a directory and a port of its own."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.homes = {name: stage.root / name for name in NAMES}
        self.ports = {name: socket.socket() for name in NAMES}
        for name in NAMES:
            self.homes[name].mkdir(mode=0o700)
            self.ports[name].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self.ports[name].bind(("127.0.0.1", 0))
            self._declare(name)

    def _declare(self, name: str) -> None:
        port = int(self.ports[name].getsockname()[1])
        command = [sys.executable, "-I", "-S", workload.__file__, "127.0.0.1", str(port), str(self.notes(name))]
        probe = {"httpGet": {"path": "/health", "port": port}, "periodSeconds": 1, "failureThreshold": 2}
        actions = {"start": {}, "restart": {"gracePeriodSeconds": 1}}
        document = {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": name},
            "spec": {
                "target": {"process": {"command": command, "workingDir": str(self.homes[name])}},
                "probes": [probe],
                "remediation": {"actions": {**actions, "removeFile": {"paths": [FLAG]}}, "verifyFor": "1s"},
                "policy": POLICY,
            },
        }
        self.stage.write_manifest(json.dumps(document), name)

    def notes(self, name: str) -> Path:
        """Where a process notes its starts."""
        return self.stage.root / f"{name}.starts"

    def starts(self) -> list[int]:
        """How often each was started, as they noted themselves."""
        return [len(self.notes(name).read_text().split()) for name in NAMES]

    def fail(self) -> None:
        """All at once say that they are ill, for a reason that PitCrew has no remedy for but a restart."""
        for home in self.homes.values():
            (home / "sick").touch()

    def mend(self, name: str) -> None:
        """One is well again."""
        (self.homes[name] / "sick").unlink()

    def close(self) -> None:
        """Let go of the ports."""
        for port in self.ports.values():
            port.close()


@pytest.fixture
def street(request: pytest.FixtureRequest) -> Iterator[Street]:
    stage = stage_of("process", request)
    made = Street(stage)
    yield made
    stage.close()
    made.close()


def _all(operator: Operator, kind: str) -> bool:
    seen = [operator.status(name) for name in NAMES]
    return all(one and condition(one, kind).get("status") == "True" for one in seen)


def _quiet(operator: Operator) -> bool:
    seen = [operator.status(name) for name in NAMES]
    return all(one and one["health"] == "Healthy" and not one["incident"] for one in seen)


def _types(operator: Operator) -> list[str]:
    lines = [line for file in sorted((operator.state / "journal").glob("*.jsonl")) for line in file.open()]
    return [kind for line in lines if (kind := json.loads(line)["type"]).startswith("Storm")]


def test_a_mass_failure_is_one_storm_and_the_rest_of_it_is_healed_afterwards(street: Street) -> None:
    operator = street.stage.operator()
    eventually(lambda: _quiet(operator), timeout_s=60, what="three services that PitCrew started, without an incident")
    started = street.starts()
    assert started == [1, 1, 1]
    assert _types(operator) == []
    opened = len(operator.incidents())
    street.fail()
    eventually(lambda: _all(operator, "Storm"), timeout_s=60, what="a storm in each status")
    assert operator.stop() == 0
    operator.start()
    eventually(lambda: _all(operator, "Storm"), timeout_s=60, what="the same storm after a restart")
    assert street.starts() == started
    assert _types(operator) == ["StormBegan"]
    assert "StormBegan" in operator.pitcrew("events").stdout
    assert operator.pitcrew("audit", "verify").returncode == 0
    assert len(operator.incidents()) < opened + len(NAMES), "an incident for each"
    street.mend("victim")
    street.mend("second")
    eventually(lambda: _types(operator) == ["StormBegan", "StormEnded"], timeout_s=60, what="the end of the storm")
    try:
        eventually(
            lambda: "default/third" in {one["service"] for one in operator.incidents()[opened:]},
            what="an incident of the service that is still ill",
        )
    except AssertionError as late:
        raise AssertionError(f"{late}; {operator.status('third')}; log:\n{operator.log[-4000:]}") from None
