"""STATE/STOP: nothing new is done while it is there, and all goes on when it is gone."""

import pytest

from tests.scenarios.operator import last_number, number
from tests.scenarios.stage import Stage


@pytest.mark.parametrize("kind", ["process"])
def test_with_the_stop_file_an_incident_opens_and_nothing_acts_until_it_is_gone(stage: Stage) -> None:
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    life, acts = stage.life(), stage.acts()
    stop = operator.state / "STOP"
    stop.touch()
    stage.chaos("break", "flag")
    seen = operator.wait_for(
        lambda seen: seen["incident"] and number(seen["incident"]) > before and seen["incident"]["phase"] == "Held",
        "an incident on hold",
    )
    assert seen["incident"]["verdict"]["effect"] == "Hold"
    assert "a person stopped PitCrew; it goes on when the file STOP is removed" in seen["incident"]["waitsFor"]
    assert stage.flagged
    assert (stage.life(), stage.acts()) == (life, acts)
    stop.unlink()
    healed = operator.wait_until_healed(after=before)
    assert healed["lastIncidents"][0]["id"] == seen["incident"]["id"]
    assert stage.acts()[len(acts) :] == ["remove"]
