"""A paused container asks; a detached one is attached again, live, with the aliases it had."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from tests.scenarios.operator import condition, last_number
from tests.scenarios.stage import SOCKET, DockerStage

pytestmark = pytest.mark.docker
ACTIONS: dict[str, Any] = {"unpause": {}, "restart": {"gracePeriodSeconds": 1}, "start": {}}


@pytest.fixture
def shop() -> Iterator[Any]:
    """A network that people made."""
    client = docker.DockerClient(base_url=f"unix://{SOCKET}")
    made = client.networks.create(f"scen-{uuid.uuid4().hex[:12]}")
    yield made
    made.reload()
    for container in made.containers:
        made.disconnect(container, force=True)
    made.remove()
    client.close()


def test_docker_pause_asks_and_is_lifted_where_policy_says_so(docker_stage: Callable[..., DockerStage]) -> None:
    stage = docker_stage()
    stage.declare(policy={"autoUpTo": "Low", "approvers": {"users": ["daemon"]}}, actions=ACTIONS)
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    life, acts = stage.life(), stage.acts()
    stage.chaos("break", "pause")
    seen = operator.wait_for(
        lambda seen: seen["incident"] and seen["incident"]["phase"] == "AwaitingApproval", "the question"
    )
    assert condition(seen, "AwaitingApproval")["status"] == "True"
    assert seen["incident"]["risk"]["level"] == "Medium"
    assert "unpause the target" in operator.why(seen["incident"]["id"])
    assert stage.acts() == acts
    stage.declare(policy={"autoUpTo": "Medium"}, actions=ACTIONS)
    operator.wait_until_healed(after=before)
    assert stage.life() == life
    assert len(stage.acts()) == len(acts) + 1
    assert stage.answer() == 200


def test_a_detached_container_is_attached_live_under_its_aliases(
    docker_stage: Callable[..., DockerStage], shop: Any
) -> None:
    stage = docker_stage()
    shop.connect(stage.container, aliases=["api", "victim"])
    desired = {"networks": [{"name": shop.name, "aliases": ["api", "victim"]}]}
    stage.declare(policy={"autoUpTo": "Low"}, actions={**ACTIONS, "connectNetwork": {}}, desired=desired)
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    life, acts = stage.life(), stage.acts()
    stage.chaos("break", "detach")
    stage.container.reload()
    healed = operator.wait_until_healed(after=before)
    assert healed["lastIncidents"][0]["cause"] == "NetworkDetached"
    stage.container.reload()
    attached = stage.container.attrs["NetworkSettings"]["Networks"][shop.name]
    assert {"api", "victim"} <= set(attached["Aliases"])
    assert stage.life() == life, "it was restarted"
    assert len(stage.acts()) == len(acts) + 1


@pytest.mark.parametrize("restart", ["no", "always"])
def test_a_crash_loop_by_a_bad_environment_is_not_restarted_and_says_what_to_change(
    docker_stage: Callable[..., DockerStage], restart: str
) -> None:
    stage = docker_stage(restart_policy={"Name": restart})
    stage.declare(actions={"restart": {}, "start": {}})
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    acts = stage.acts()
    stage.chaos("break", "badenv")
    try:
        seen = operator.wait_for(
            lambda seen: (
                seen["incident"]
                and seen["incident"]["phase"] == "Escalated"
                and "BadConfig" in [one["cause"] for one in seen["incident"]["diagnoses"]]
                and seen["incident"]["report"]
            ),
            "an incident that is escalated for its configuration; for a moment there was no container at all",
            within_s=90,
        )
        assert stage.acts() == acts, "it was started or restarted"
        why = operator.why(seen["incident"]["id"])
        assert "BadConfig" in why
        assert "mend the value of the environment variable VICTIM_BIND" in why
        assert "broken" not in condition(seen, "Stalled")["message"], "the value was shown"
    finally:
        stage.chaos("fix")
    operator.wait_until_healed(after=before)
    assert stage.acts() == acts
