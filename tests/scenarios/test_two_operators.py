"""Two operators, or two services, and one target: one acts, and the other says why it does not."""

from collections.abc import Callable

import pytest

from tests.scenarios.operator import Status, condition, last_number
from tests.scenarios.stage import DockerStage, ProcessStage
from tests.waiting import eventually


def test_a_second_operator_on_one_state_directory_is_refused() -> None:
    stage = ProcessStage()
    stage.declare()
    try:
        first = stage.operator()
        first.wait_until_quiet()
        second = stage.operator()
        refused = f"{first.state}: another operator"
        eventually(lambda: refused in second.log, what="the refusal")
        assert "uses this state directory; stop it or name another --state" in second.log
        assert second.wait() == 1
        first.wait_until_quiet()
    finally:
        stage.close()


@pytest.mark.docker
def test_a_second_operator_on_one_container_does_not_act(docker_stage: Callable[..., DockerStage]) -> None:
    stage = docker_stage()
    stage.declare(policy={"autoUpTo": "None", "approveUpTo": "None"})
    first, second = stage.operator("first"), stage.operator("second")
    first.wait_until_quiet()
    second.wait_until_quiet()
    stage.chaos("break", "flag")
    first.wait_until_escalated()
    second.wait_until_escalated()
    stage.declare()  # both may act now, at the same moment
    first.wait_until_healed()
    second.wait_until_healed()
    assert stage.acts() == ["remove"]
    told = sorted(one["outcome"] for operator in (first, second) for one in operator.incidents())
    assert told == ["Recovered", "SelfRecovered"], "one of them acted, and the other saw that it was healed"


@pytest.mark.docker
def test_two_services_on_one_container_are_refused_in_the_status(docker_stage: Callable[..., DockerStage]) -> None:
    stage = docker_stage()
    stage.declare()
    operator = stage.operator()
    operator.wait_until_quiet()
    stage.declare(name="twin")
    seen = eventually(lambda: _halted(operator.status("twin")), what="the refusal in the status")
    assert "already belongs to default/victim; two services on one target are refused" in seen
    before = last_number(operator.status())
    stage.chaos("break", "flag")
    operator.wait_until_healed(after=before)
    assert stage.acts() == ["remove"]
    assert [one["service"] for one in operator.incidents()] == ["default/victim"]


def _halted(seen: Status) -> str:
    return str(condition(seen, "EffectsHalted").get("message", "")) if seen else ""
