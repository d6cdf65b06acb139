"""A model beside the rules, through `pitcrew run` and a real socket: it takes part, and chooses no action."""

import asyncio
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from tests.fakes.consultant import opinion
from tests.fakes.model_server import Asked, answers, completion, serving_beside
from tests.scenarios.operator import Operator, last_number
from tests.scenarios.stage import ProcessStage
from tests.waiting import eventually
from tools.recorded_model import Recording, playing

MODEL = "played-1"


def recording(answer: str, turn: int = 0, when: str = "declared file exists") -> Recording:
    """What this model says of an incident with these words, by default the flag's; of anything else there is none."""
    return Recording(
        model=MODEL,
        date="2026-11-23",
        when=when,
        way="json_schema",
        turn=turn,
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
    with playing([recording(answer), recording(answer, 1)]) as url, operator_beside(stage, url) as operator:
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


def test_a_model_slower_than_the_whole_incident_is_heard_when_it_has_closed(stage: ProcessStage) -> None:
    healed = Event()

    async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
        while not healed.is_set():
            await asyncio.sleep(0.02)
        await answers(completion(opinion(cause="Hang", runbook="hang")))(asked, writer)

    with serving_beside(slow) as server, operator_beside(stage, server.url) as operator:
        before = last_number(operator.wait_until_quiet())
        stage.chaos("break", "flag")
        incident = str(operator.wait_until_healed(after=before)["lastIncidents"][0]["id"])
        assert f"model {MODEL}: no answer so far" in operator.why(incident)
        healed.set()
        told = "too late for the plan then under way"
        why = eventually(lambda: told in (shown := operator.why(incident)) and shown, what="the late answer")
        assert "it disagrees with the rules" in str(why)
        assert "phase Closed" in str(why)
        report = operator.state / "reports" / f"{incident}.md"
        eventually(lambda: told in report.read_text(), what="the report")
        (again,) = [one for one in operator.incidents() if one["id"] == incident]
        assert (again["phase"], again["outcome"]) == ("Closed", "Recovered")


def test_where_nobody_is_sure_what_the_model_picks_is_read_off_the_live_target(stage: ProcessStage) -> None:
    unsure = {"cause": "Unknown", "runbook": "None", "confidence": 0}
    wants, has_seen = (opinion(**unsure, more=more) for more in (["Stats", "Makeup"], []))  # type: ignore[arg-type]
    played = [recording(has_seen, when="makeup: command"), recording(wants, when="target is Running")]
    stage.declare(actions={"start": {}})
    with playing(played) as url, operator_beside(stage, url) as operator:
        before = last_number(operator.wait_until_quiet())
        stage.put("sick", b"")
        seen = operator.wait_until_escalated(after=before)
        incident = str(seen["incident"]["id"])
        why = operator.why(incident)
        assert "round 1: the model picked Stats, Makeup; E" in why
        assert "stats: memory " in why
        assert "makeup: command " in why
        assert "then: the model asked for nothing more" in why
        assert "round 1: the model picked Stats" in operator.pitcrew("status", "victim").stdout
        prompts = operator.pitcrew("why", "--prompt", incident).stdout
        assert prompts.count("You diagnose one incident") == 2
        assert "MORE: " in prompts
        assert stage.acts() == ["start"]


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
