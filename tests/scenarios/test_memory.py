"""Out of memory on a real engine: a peak is healed by one start; what comes back ends with a person, and acts stop."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.scenarios.operator import Operator, condition, last_number
from tests.scenarios.stage import DockerStage
from tests.waiting import eventually

pytestmark = pytest.mark.docker
GREEDY = ["python", "-I", "-S", "-c", "taken = [bytearray(b'x') * (1 << 20) for _ in range(200)]"]
ROOMY = {"mem_limit": "96m", "memswap_limit": "96m"}
TOO_TIGHT = {"mem_limit": "18m", "memswap_limit": "18m"}
"""Enough for an interpreter, and not for the service: the kernel ends it at every start."""
LOOP_S = 90
"""Seconds until a loop of deaths is told: an engine waits twice as long before each start."""


def asked_for_memory(operator: Operator, seen: dict[str, Any]) -> None:
    """The incident waits for a person, who is told to raise the limit."""
    assert "raise its memory limit" in condition(seen, "Stalled")["message"]
    assert "OutOfMemory" in operator.why(seen["incident"]["id"])


def test_one_kill_for_memory_is_healed_by_one_start_and_the_next_ones_end_with_a_person(
    docker_stage: Callable[..., DockerStage],
) -> None:
    stage = docker_stage(restart_policy={"Name": "no"})
    stage.declare()
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    for time in (1, 2, 3):
        life, acts = stage.life(), stage.acts()
        stage.chaos("break", "oom")
        healed = operator.wait_until_healed(after=before)
        before = last_number(healed)
        assert (healed["lastIncidents"][0]["outcome"], healed["lastIncidents"][0]["cause"]) == (
            "Recovered",
            "OutOfMemory",
        ), f"kill {time}"
        assert stage.acts()[len(acts) :] == ["start"]
        assert stage.life() not in ("", life)
        assert stage.answer() == 200
    acts = stage.acts()
    stage.chaos("break", "oom")
    seen = operator.wait_until_escalated(after=before)
    asked_for_memory(operator, seen)
    assert stage.acts() == acts, "it went on starting it"
    assert stage.life() == ""
    stage.chaos("fix")
    operator.wait_for(lambda seen: seen["health"] != "Unhealthy" or stage.answer() == 200, "the service, back")
    assert stage.acts() == acts


def test_a_limit_too_low_to_start_in_ends_with_a_person_while_the_engine_tries_again(
    docker_stage: Callable[..., DockerStage],
) -> None:
    stage = docker_stage(restart_policy={"Name": "always"}, **TOO_TIGHT)
    stage.declare()
    operator = stage.operator()
    seen = operator.wait_for(
        lambda seen: seen["incident"] and seen["incident"]["phase"] == "Escalated" and seen["incident"]["report"],
        "an escalated incident",
        within_s=LOOP_S,
    )
    asked_for_memory(operator, seen)
    assert stage.acts() == []
    assert "oom" in stage.engine_events()


def test_workers_that_run_out_of_memory_while_the_service_runs_on_are_told_and_nothing_is_restarted(
    docker_stage: Callable[..., DockerStage],
) -> None:
    stage = docker_stage(**ROOMY)
    stage.declare()
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    life, acts = stage.life(), stage.acts()
    for _ in range(3):
        assert stage.container.exec_run(GREEDY).exit_code == 137
    seen = operator.wait_until_escalated(after=before)
    asked_for_memory(operator, seen)
    assert (stage.acts(), stage.life(), stage.answer()) == (acts, life, 200)
    assert stage.container.attrs["State"]["OOMKilled"] is False, "only the events show it"
    eventually(lambda: stage.engine_events().count("oom") >= 3, what="the engine's own events")
