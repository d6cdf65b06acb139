"""The operator is ended in the middle of an incident and started again: it goes on, and acts once."""

import pytest

from tests.scenarios.conftest import Build
from tests.scenarios.operator import last_number
from tests.scenarios.stage import Stage


def test_ended_while_it_verifies_it_goes_on_after_the_next_start_with_one_effect(build: Build) -> None:
    stage = build()
    stage.declare(remediation={"verifyFor": "4s"})
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    life, acts = stage.life(), stage.acts()
    stage.chaos("break", "flag")
    operator.wait_for(
        lambda seen: seen["incident"] and seen["incident"]["phase"] == "Verifying", "the effect, not yet verified"
    )
    assert operator.stop() == 0
    assert not stage.flagged
    operator.start()
    healed = operator.wait_until_healed(after=before)
    assert [one["id"] for one in healed["lastIncidents"]].count(f"victim-{before + 1}") == 1
    assert healed["lastIncidents"][0]["outcome"] == "Recovered"
    assert stage.acts()[len(acts) :] == ["remove"]
    assert stage.life() == life
    assert operator.pitcrew("audit", "verify").returncode == 0


@pytest.mark.parametrize("kind", ["process"])
def test_ended_as_soon_as_the_incident_opens_it_goes_on_after_the_next_start(stage: Stage) -> None:
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    acts, opened = stage.acts(), operator.log.count("reason=Opened")
    stage.chaos("break", "flag")
    operator.wait_for(lambda _: operator.log.count("reason=Opened") > opened, "the incident in the log")
    assert operator.stop() == 0
    operator.start()
    operator.wait_until_healed(after=before)
    assert stage.acts()[len(acts) :] == ["remove"]
    assert len(operator.incidents()) == before + 1
