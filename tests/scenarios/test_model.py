"""A model beside the rules, through `pitcrew run` and a real socket: it takes part, and chooses no action."""

import json
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
        response=completion(answer, usage={"total_tokens": 321}),
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
    "agrees": (opinion(), "it agrees with the rules"),
    "lies": (opinion(cause="Hang", runbook="hang", confidence=100), "it disagrees with the rules"),
    "orders an action": (opinion()[:-1] + ', "action": "restart"}', "extra field 'action'"),
}


@pytest.mark.parametrize(("answer", "told"), ANSWERS.values(), ids=ANSWERS.keys())
def test_what_a_model_says_is_told_and_the_action_is_that_of_the_rules(
    answer: str, told: str, stage: ProcessStage
) -> None:
    with playing([recording(answer)]) as url, operator_beside(stage, url) as operator:
        before = last_number(operator.wait_until_quiet())
        stage.chaos("break", "flag")
        incident = str(operator.wait_until_healed(after=before)["lastIncidents"][0]["id"])
        why = operator.why(incident)
        assert f"model {MODEL}: " in why
        assert told in why
        assert "321 tokens" in why
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
