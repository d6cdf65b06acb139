"""The operator behind a socket proxy, at the level that its service needs: it heals, and nothing it asks is refused."""

from collections.abc import Callable

import pytest

from tests.scenarios.operator import last_number
from tests.scenarios.stage import DockerStage
from tests.socket_proxy import REFUSED

pytestmark = [pytest.mark.docker, pytest.mark.haproxy]


@pytest.mark.parametrize(
    ("level", "actions", "fault", "acts"),
    [
        ("lifecycle", {"restart": {"gracePeriodSeconds": 1}}, "hang", ["restart"]),
        ("exec", None, "flag", ["remove"]),
    ],
    ids=["lifecycle", "exec"],
)
def test_a_service_is_healed_through_a_socket_proxy(
    docker_stage: Callable[..., DockerStage], level: str, actions: dict[str, object] | None, fault: str, acts: list[str]
) -> None:
    stage = docker_stage(through=level)
    stage.declare(actions=actions)
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    stage.chaos("break", fault)
    operator.wait_until_healed(after=before)
    assert stage.answer() == 200
    assert stage.acts() == acts
    assert stage.gate is not None
    asked = stage.gate.passed()
    assert [one for one in asked if one.row == REFUSED] == []
    assert "inspect" in {one.row for one in asked}, "it went around the proxy"


def test_an_engine_that_goes_away_behind_the_proxy_is_unknown_until_it_is_back(
    docker_stage: Callable[..., DockerStage],
) -> None:
    stage = docker_stage(through="exec")
    stage.declare()
    operator = stage.operator()
    operator.wait_until_quiet()
    stage.proxy.cut()
    operator.wait_for(lambda seen: seen["health"] == "Unknown", "Unknown")
    assert operator.incidents() == []
    stage.proxy.restore()
    operator.wait_until_quiet()
    assert stage.acts() == []
