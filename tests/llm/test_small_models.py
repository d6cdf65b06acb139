"""Real small models, served on this machine and asked by the production client. They are often wrong, and harm nothing.

Each is asked at most five times in this file: an answer takes ten to twenty seconds on two cores, and more on a busy
machine.
"""

import asyncio
import json
import os
import pwd
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pitcrew.adapters.diagnoser.openai import OpenAIConsultant
from pitcrew.core.errors import Unavailable
from pitcrew.core.opinion import Opinion, parse_answer
from pitcrew.core.resource import Egress
from tests.campaign import campaign
from tests.core.incidents import Story, healed, hostile
from tests.core.test_prompt import asked
from tests.scenarios.operator import Operator
from tests.scenarios.stage import ProcessStage
from tests.waiting import eventually
from tools.llm_local import MODELS, exports, serving

pytestmark = [pytest.mark.llm, pytest.mark.slow, pytest.mark.campaign]
CAMPAIGN = campaign()
DEADLINE_S = 300
"""Seconds that an answer may take here; far above what it takes, since the machine may be busy."""
HASTY_S = 0.2
STORIES: dict[str, Callable[[], Story]] = {"healed": healed, "hostile": hostile}
ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture(scope="module", params=MODELS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A model by name, and the base URL at which it answers."""
    with serving(request.param) as url:
        yield request.param, url


def consultant(served: tuple[str, str], deadline_s: float) -> OpenAIConsultant:
    name, url = served
    return OpenAIConsultant(model=name, api_key="none", base_url=url, deadline_s=deadline_s, monotonic=time.monotonic)


@pytest.mark.parametrize("story", CAMPAIGN.part("stories for small models", STORIES))
def test_what_a_small_model_answers_is_an_opinion_or_refused_with_a_reason(story: str, served: tuple[str, str]) -> None:
    question = asked(STORIES[story]().now.evidence)

    async def test() -> None:
        model = consultant(served, DEADLINE_S)
        answer = await model.ask(question, Egress.LOCAL)
        await model.close()
        assert answer.way == "json_object"
        assert answer.usage is not None
        assert 0 < answer.usage.tokens <= question.reserve.tokens
        found = parse_answer(answer.text, question.vocabulary)
        assert isinstance(found, Opinion) or found.reason

    asyncio.run(asyncio.wait_for(test(), DEADLINE_S + 30))


@pytest.fixture
def stage() -> Iterator[ProcessStage]:
    """A service that was never started, and whose start waits for a person: for longer than a model thinks."""
    made = ProcessStage()
    made.declare(policy={"autoUpTo": "None", "approvers": {"users": [ME]}})
    yield made
    made.close()


def operator_beside(stage: ProcessStage, served: tuple[str, str]) -> Operator:
    """Running, with this model for second opinions and patience for it."""
    patient = {"PITCREW_MODEL_PATIENCE_S": "120", "PITCREW_MODEL_DEADLINE_S": str(DEADLINE_S)}
    environ = {**exports(*served), **patient, "PITCREW_OWN_USER_MAY_APPROVE": "true"}
    environ["PITCREW_LOCK_DIR"] = str(stage.root / "locks")
    operator = Operator(state=stage.root / "state", manifests=stage.manifests, environ=environ)
    stage.operators.append(operator)
    return operator.start()


def opinions(operator: Operator, incident: str) -> list[dict[str, Any]]:
    """The models' answers so far, as `pitcrew why` tells them."""
    told = json.loads(operator.pitcrew("why", incident, "-o", "json").stdout)
    return [one for one in told.get("advice", []) if one["answered"]]


@pytest.mark.parametrize("served", CAMPAIGN.part("models beside an operator", MODELS), indirect=True)
def test_an_incident_is_healed_as_the_rules_have_it_and_the_record_shows_what_the_model_said(
    served: tuple[str, str], stage: ProcessStage
) -> None:
    operator = operator_beside(stage, served)
    incident = str(operator.wait_until_open()["incident"]["id"])
    first = eventually(lambda: opinions(operator, incident), timeout_s=DEADLINE_S + 30, what="the model's answer")[0]
    assert first["model"] == served[0]
    assert first["tokens"] > 0
    assert first["cause"] or first["failure"]
    assert f"model {served[0]}: " in operator.why(incident)

    operator.wait_for(lambda seen: seen["incident"]["phase"] == "AwaitingApproval", "the question to a person")
    approved = operator.pitcrew(
        "approve", incident, "--reason", "it starts what was never started, as the rules have it"
    )
    assert approved.returncode == 0, approved.stderr
    operator.wait_until_healed()
    told = json.loads(operator.pitcrew("why", incident, "-o", "json").stdout)
    assert [one["action"]["name"] for one in told["attempts"]] == ["start"]
    assert stage.acts() == ["start"]


def test_a_small_model_that_thinks_too_long_is_cut_off_at_the_deadline(served: tuple[str, str]) -> None:
    async def test() -> None:
        model = consultant(served, HASTY_S)
        with pytest.raises(Unavailable, match="no whole answer within"):
            await model.ask(asked(healed().now.evidence), Egress.LOCAL)
        await model.close()

    asyncio.run(asyncio.wait_for(test(), DEADLINE_S))
