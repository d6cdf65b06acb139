"""The engine goes away under the running operator: unknown is not unhealthy, and all goes on when it is back."""

from collections.abc import Callable

import pytest

from tests.scenarios.operator import Operator, Status, condition
from tests.scenarios.stage import DockerStage

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("way", ["cut", "hang"])
def test_an_engine_away_is_unknown_and_all_goes_on_when_it_is_back(
    docker_stage: Callable[..., DockerStage], way: str
) -> None:
    stage = docker_stage()
    stage.declare()
    operator = stage.operator()
    operator.wait_until_quiet()
    stage.proxy.cut() if way == "cut" else stage.proxy.hang()
    seen = operator.wait_for(lambda seen: seen["health"] == "Unknown", "Unknown")
    assert condition(seen, "Ready")["status"] == "Unknown"
    stage.chaos("break", "flag")
    _sees_nothing_new(operator)
    assert operator.incidents() == []
    assert stage.proxy.witnessed == []
    assert stage.flagged
    stage.proxy.restore()
    operator.wait_until_healed()
    assert stage.acts() == ["remove"]
    assert stage.answer() == 200


def test_an_engine_that_goes_away_in_an_incident_stops_it_there_until_it_is_back(
    docker_stage: Callable[..., DockerStage],
) -> None:
    stage = docker_stage()
    stage.declare(policy={"autoUpTo": "None", "approveUpTo": "None"})
    operator = stage.operator()
    operator.wait_until_quiet()
    stage.chaos("break", "flag")
    opened = operator.wait_until_escalated()
    stage.proxy.cut()
    operator.wait_for(lambda seen: seen["health"] == "Unknown", "Unknown")
    stage.declare()  # what it waits for is given, and it cannot see
    _sees_nothing_new(operator)
    assert stage.acts() == []
    assert stage.flagged
    stage.proxy.restore()
    healed = operator.wait_until_healed()
    assert healed["lastIncidents"][0]["id"] == opened["incident"]["id"]
    assert stage.acts() == ["remove"]


def test_an_engine_that_is_cut_off_when_an_incident_opens_gets_no_request_to_change_anything(
    docker_stage: Callable[..., DockerStage],
) -> None:
    stage = docker_stage()
    stage.declare()
    operator = stage.operator()
    operator.wait_until_quiet()
    stage.chaos("break", "flag")
    operator.wait_for(lambda _: "reason=Opened" in operator.log, "the incident in the log")
    stage.proxy.cut()
    acts = stage.acts()
    operator.wait_for(lambda seen: seen["health"] == "Unknown", "Unknown")
    _sees_nothing_new(operator)
    assert stage.acts() == acts
    stage.proxy.restore()
    operator.wait_until_healed()
    assert not stage.flagged
    assert stage.acts() == ["remove"]
    assert len(operator.incidents()) == 1


def _sees_nothing_new(operator: Operator) -> None:
    """Let it look three more times at what it cannot see."""
    stamps: set[str] = set()

    def looked_again(seen: Status) -> bool:
        stamps.add(seen["observedAt"])
        return len(stamps) > 3

    assert operator.wait_for(looked_again, "more looks")["health"] == "Unknown"
