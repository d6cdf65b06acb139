"""A model beside the rules, through `pitcrew run` and a real socket: it takes part, and chooses no action."""

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.consultant import opinion
from tests.fakes.model_server import completion
from tests.scenarios.operator import Operator, last_number
from tests.scenarios.stage import ProcessStage
from tools.recorded_model import Recording, playing

MODEL = "played-1"


def recording(answer: str) -> Recording:
    """What this model says of the flag incident; of anything else there is no recording."""
    return Recording(
        model=MODEL,
        date="2026-11-23",
        when="declared file exists",
        way="json_schema",
        turn=0,
        status=200,
        response=completion(answer, usage={"prompt_tokens": 800, "completion_tokens": 21}),
    )


@contextmanager
def operator_beside(stage: ProcessStage, url: str) -> Iterator[Operator]:
    environ = {"PITCREW_LOCK_DIR": str(stage.root / "locks"), "PITCREW_MODEL": MODEL, "OPENAI_BASE_URL": url}
    operator = Operator(state=Path(stage.root) / "state", manifests=stage.manifests, environ=environ)
    stage.operators.append(operator)
    yield operator.start()


@pytest.fixture
def stage() -> Iterator[ProcessStage]:
    made = ProcessStage()
    made.declare()
    yield made
    made.close()


ANSWERS = {
    "agrees": (opinion(), "it agrees with the rules", "821 tokens (800 in, 21 out)"),
    "lies": (opinion(cause="Hang", runbook="hang", confidence=100), "it disagrees with the rules", "821 tokens"),
    "orders an action": (opinion()[:-1] + ', "action": "restart"}', "extra field 'action'", "1642 tokens"),
}


@pytest.mark.parametrize(("answer", "told", "told_cost"), ANSWERS.values(), ids=ANSWERS.keys())
def test_what_a_model_says_is_told_and_the_action_is_that_of_the_rules(
    answer: str, told: str, told_cost: str, stage: ProcessStage
) -> None:
    with playing([recording(answer)]) as url, operator_beside(stage, url) as operator:
        before = last_number(operator.wait_until_quiet())
        stage.chaos("break", "flag")
        incident = str(operator.wait_until_healed(after=before)["lastIncidents"][0]["id"])
        why = operator.why(incident)
        assert f"model {MODEL}: " in why
        assert told in why
        assert told_cost in why
        prompt = operator.pitcrew("why", "--prompt", incident).stdout
        assert "You diagnose one incident" in prompt
        assert answer in prompt
        assert told in prompt
        assert stat.S_IMODE((operator.state / "model").stat().st_mode) == 0o700
        data = json.loads(operator.pitcrew("why", incident, "-o", "json").stdout)
        assert [one["action"]["name"] for one in data["attempts"]] == ["removeFile"]
        shown = operator.pitcrew("doctor", "-o", "json").stdout
        (guard,) = [one for one in json.loads(shown)["items"] if one["guard"] == "models"]
        assert guard["stand"] == "armed"
        assert f"{MODEL} at {url}" in guard["seen"]


def test_a_model_that_is_away_changes_nothing_but_the_record(stage: ProcessStage) -> None:
    with playing([]) as url:
        away = url
    with operator_beside(stage, away) as operator:
        before = last_number(operator.wait_until_quiet())
        stage.chaos("break", "flag")
        incident = str(operator.wait_until_healed(after=before)["lastIncidents"][0]["id"])
        why = operator.why(incident)
        assert f"model {MODEL}: no opinion" in why
        assert "Attempt 1: remove" in why


def cap(stage: ProcessStage, **diagnosis: str) -> None:
    """Have a policy of the platform in a file of its own cap what its services ask a model."""
    head = {"apiVersion": "pitcrew.dev/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": "platform"}}
    stage.write_manifest(json.dumps({**head, "spec": {"selector": {}, "diagnosis": diagnosis}}, indent=1), "platform")


def test_a_policy_in_a_file_caps_what_is_asked_and_an_edit_of_it_counts_from_the_next_incident_on(
    stage: ProcessStage,
) -> None:
    cap(stage, mode="Consult", egress="None")
    with playing([recording(opinion())]) as url, operator_beside(stage, url) as operator:
        before = last_number(operator.wait_until_quiet())
        assert "diagnosis.egress of policy platform is None" in operator.pitcrew("status", "victim").stdout
        stage.chaos("break", "flag")
        seen = operator.wait_until_healed(after=before)
        why = operator.why(str(seen["lastIncidents"][0]["id"]))
        assert "nobody was asked: diagnosis.egress of policy platform is None" in why
        assert f"model {MODEL}" not in why
        shown = json.loads(operator.pitcrew("doctor", "-o", "json", "--manifests", str(stage.manifests)).stdout)
        (guard,) = [one for one in shown["items"] if one["guard"] == "models"]
        assert "policy platform mode Consult, egress None (binds 1 of 1 services)" in guard["seen"]
        cap(stage, egress="Local")
        operator.wait_for(lambda seen: seen["diagnosis"]["egress"] == "Local", "the edited cap")
        stage.chaos("break", "flag")
        seen = operator.wait_until_healed(after=last_number(seen))
        assert f"model {MODEL}: FlagFile" in operator.why(str(seen["lastIncidents"][0]["id"]))
