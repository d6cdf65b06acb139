"""A policy of the platform in a file of its own: added, broken, mended and removed while the operator runs."""

import json
from collections.abc import Mapping
from typing import Any

from tests.scenarios.conftest import Build
from tests.scenarios.operator import Operator, condition, last_number
from tests.scenarios.stage import Stage

NAME = "platform"


def _write(stage: Stage, **spec: Any) -> None:
    head: Mapping[str, Any] = {"apiVersion": "pitcrew.dev/v1alpha1", "kind": "RemediationPolicy"}
    document = {**head, "metadata": {"name": NAME}, "spec": {"selector": {}, **spec}}
    stage.write_manifest(json.dumps(document, indent=1), NAME)


def _bound(operator: Operator, *names: str) -> None:
    operator.wait_for(lambda seen: seen["policies"] == list(names), f"the policies {names} over it")


def test_a_guardrail_binds_while_its_file_says_so_and_a_broken_edit_changes_nothing(build: Build) -> None:
    stage = build()
    stage.declare()
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    acts = stage.acts()
    _write(stage, approveUpTo="None")
    _bound(operator, NAME)
    stage.chaos("break", "flag")
    seen = operator.wait_until_escalated(after=before)
    assert "policy/platform/ladder/deny" in operator.why(seen["incident"]["id"])
    assert "platform" in operator.pitcrew("status", "victim").stdout
    stage.write_manifest('{"kind": "RemediationPolicy", "spec": [', NAME)
    stale = operator.wait_for(lambda seen: condition(seen, "PolicyStale"), "the broken policy in the status")
    assert "platform.yaml:" in condition(stale, "PolicyStale")["message"]
    assert stage.flagged
    assert stage.acts() == acts
    (stage.manifests / f"{NAME}.yaml").unlink()
    operator.wait_until_healed(after=before)
    assert not stage.flagged
    assert stage.acts()[len(acts) :] == ["remove"]


def test_a_policy_that_is_broken_from_the_start_holds_every_effect_until_it_is_mended(build: Build) -> None:
    stage = build()
    stage.declare()
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    assert operator.stop() == 0
    acts = stage.acts()
    _write(stage, approveUpTo="Nothing")
    stage.chaos("break", "flag")
    operator.start()
    seen = operator.wait_for(
        lambda seen: seen["incident"] and seen["incident"]["phase"] == "Held", "an incident that is held"
    )
    assert "platform.yaml:" in condition(seen, "PolicyUnread")["message"]
    assert "spec.approveUpTo" in seen["incident"]["waitsFor"]
    checked = operator.pitcrew("doctor", "--manifests", str(stage.manifests))
    assert "NOT ARMED" in checked.stdout
    assert stage.flagged
    assert stage.acts() == acts
    _write(stage, approveUpTo="High")
    operator.wait_until_healed(after=before)
    assert stage.acts()[len(acts) :] == ["remove"]
