"""The policy in the file is edited while the operator runs: the next decision is made by what it says then."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.scenarios.conftest import KINDS, stage_of
from tests.scenarios.operator import Operator, condition, last_number, number
from tests.scenarios.stage import Stage

DENY = {"name": "not-on-my-watch", "expression": 'action.name == "removeFile"', "effect": "Deny", "message": "never"}


@pytest.fixture(scope="module", params=KINDS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """One stage and one state directory for all scenarios of a kind."""
    made = stage_of(str(request.param), request)
    made.declare()
    yield made
    made.close()


@pytest.fixture
def operator(stage: Stage) -> Iterator[Operator]:
    """The operator, started anew for each scenario: three faults in five minutes are flapping, and rightly so."""
    started = stage.operator()
    started.wait_until_quiet()
    yield started
    started.stop()


@pytest.mark.parametrize(
    ("policy", "decided"),
    [
        pytest.param(
            {"autoUpTo": "None", "approveUpTo": "None"},
            "Deny            ladder/deny: risk Low is above approveUpTo None",
            id="ladder-down",
        ),
        pytest.param({"rules": [DENY]}, "Deny            rule/not-on-my-watch: never", id="a-rule-denies"),
        pytest.param(
            {"mode": "Shadow"}, "Deny            mode/shadow: Shadow decides and records, and never acts", id="Shadow"
        ),
        pytest.param({"mode": "Observe"}, "Deny            mode/observe: Observe only watches", id="Observe"),
    ],
)
def test_a_policy_edited_in_the_file_decides_the_next_incident_and_edited_back_heals_it(
    stage: Stage, operator: Operator, policy: Mapping[str, Any], decided: str
) -> None:
    before = last_number(operator.wait_until_quiet())
    life, acts = stage.life(), stage.acts()
    _edit(stage, operator, policy)
    stage.chaos("break", "flag")
    seen = operator.wait_until_escalated(after=before)
    assert stage.flagged, "it acted where it must not"
    assert (stage.life(), stage.acts()) == (life, acts)
    assert condition(seen, "Stalled")["status"] == "True"
    why = operator.why(seen["incident"]["id"])
    assert decided in why
    assert f"remove {stage.flag}" in why, "what it would have done is not told"
    assert " to do plan " not in why, "a permit was given"
    _edit(stage, operator, {})
    healed = operator.wait_until_healed(after=before)
    assert healed["lastIncidents"][0]["id"] == seen["incident"]["id"], "it was not the same incident"
    assert not stage.flagged
    assert stage.acts()[len(acts) :] == ["remove"]
    assert stage.life() == life


def test_a_broken_edit_keeps_the_last_good_version_and_says_so(stage: Stage, operator: Operator) -> None:
    before = last_number(operator.wait_until_quiet())
    good = stage.manifest.read_text()
    stage.write_manifest(good.replace('"policy": {', '"policy": [', 1))
    seen = operator.wait_for(lambda seen: condition(seen, "ManifestStale"), "the broken manifest in the status")
    assert condition(seen, "ManifestStale")["reason"] == "LastGoodVersionInUse"
    assert "victim.yaml:" in condition(seen, "ManifestStale")["message"]
    stage.chaos("break", "flag")
    operator.wait_until_healed(after=before)
    assert not stage.flagged
    stage.write_manifest(good)
    operator.wait_for(lambda seen: not condition(seen, "ManifestStale"), "the mended manifest in the status")


def _edit(stage: Stage, operator: Operator, policy: Mapping[str, Any]) -> None:
    """Write the policy into the file, until the operator says that it read it."""
    read = operator.log.count("declaration changed")
    stage.declare(policy=policy)
    operator.wait_for(lambda _: operator.log.count("declaration changed") > read, "the edit to be read")


def test_every_incident_so_far_is_told_once(operator: Operator) -> None:
    told = operator.incidents()
    assert [number(one) for one in told] == list(range(1, len(told) + 1))
    assert {one["outcome"] for one in told} == {"Recovered"}
