"""Live fixes: a paused target asks a person, a detached one is attached with its aliases, and nothing is restarted."""

from pathlib import Path
from typing import Any

import pytest

from pitcrew.core.approval import Decision
from pitcrew.core.incident import Phase
from pitcrew.core.observation import RuntimeState
from pitcrew.core.order import Person
from pitcrew.core.resource import HealthyService
from tests.fakes.engine import Mishap
from tests.loop.composed import House, manifest
from tests.loop.virtual import run

ALICE = Person(uid=1001, name="alice")
EVERY: dict[str, object] = {"unpause": {}, "connectNetwork": {}, "restart": {}, "start": {}}
NETWORK = {"networks": [{"name": "shop", "aliases": ["victim", "api"]}]}


def declared(**policy: object) -> HealthyService:
    return manifest(
        desired=NETWORK, remediation={"actions": EVERY}, policy={"approvers": {"users": ["alice"]}, **policy}
    )


def attached(tmp_path: Path, service: HealthyService) -> House:
    house = House(tmp_path, service)
    house.engine.targets["victim"].attached["shop"] = ("api", "c0ffee", "victim")
    return house


def test_a_pause_asks_by_default_and_an_approved_unpause_needs_no_restart(tmp_path: Path) -> None:
    async def test() -> None:
        house = attached(tmp_path, declared())
        async with house.running() as operator:
            house.engine.targets["victim"].state = RuntimeState.PAUSED
            await house.until(lambda: house.incidents() and house.incident.phase is Phase.AWAITING_APPROVAL)
            assert house.effects() == []
            assert [f.name for f in house.incident.attempt.risk.factors if f.points >= 40] == ["a person's act"]
            digest = house.incident.attempt.plan.digest
            await operator.control.decide(ALICE, "victim-1", digest, Decision.APPROVE, "done copying")
            await house.healed()
        assert house.effects() == ["unpause"]

    run(test())


def test_where_policy_allows_medium_a_pause_is_lifted(tmp_path: Path) -> None:
    async def test() -> None:
        house = attached(tmp_path, declared(autoUpTo="Medium"))
        async with house.running():
            house.engine.targets["victim"].state = RuntimeState.PAUSED
            await house.healed()
        assert house.effects() == ["unpause"]

    run(test())


@pytest.mark.parametrize("mishap", [None, Mishap.ANSWER_LOST, Mishap.REQUEST_LOST], ids=str)
def test_a_detached_target_is_attached_with_every_alias(tmp_path: Path, mishap: Mishap | None) -> None:
    async def test() -> None:
        house = attached(tmp_path, declared())
        target = house.engine.targets["victim"]
        if mishap:
            house.engine.mishaps.append(mishap)
        async with house.running():
            del target.attached["shop"]
            await house.healed()
        assert target.attached["shop"] == ("victim", "api")
        assert set(house.effects()) == {"connectNetwork"}
        assert target.run == 1

    run(test())


def test_an_attachment_that_does_not_help_is_taken_back(tmp_path: Path) -> None:
    async def test() -> None:
        house = attached(tmp_path, declared())
        target = house.engine.targets["victim"]
        async with house.running():
            del target.attached["shop"]
            house.prober.sick.add("victim")
            await house.until(lambda: "disconnectNetwork" in house.effects())
        assert house.effects()[:2] == ["connectNetwork", "disconnectNetwork"]

    run(test())


def test_a_missing_alias_is_seen_and_left_to_a_person(tmp_path: Path) -> None:
    async def test() -> None:
        house = attached(tmp_path, declared())
        async with house.running():
            house.engine.targets["victim"].attached["shop"] = ("victim",)
            await house.until(lambda: house.incidents() and house.incident.outcome == "Escalated")
        assert "docker network connect --alias" in house.incident.ask
        assert house.effects() == []

    run(test())


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"remediation": {"actions": {"connectNetwork": {}}}}, "needs networks in spec.desired.networks"),
        ({"desired": {"networks": [{"name": "a"}, {"name": "a"}]}}, "name each network once"),
        (
            {"target": {"process": {"command": ["x"], "workingDir": "/"}}, "desired": NETWORK},
            "needs spec.target.docker",
        ),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(spec: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        manifest(**spec)
