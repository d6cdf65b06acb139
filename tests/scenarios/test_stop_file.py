"""STATE/STOP: nothing new is done while it is there, and all goes on when it is gone."""

from tests.scenarios.operator import last_number
from tests.scenarios.stage import Stage


def test_with_the_stop_file_an_incident_opens_and_nothing_acts_until_it_is_gone(stage: Stage) -> None:
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    life, acts = stage.life(), stage.acts()
    stop = operator.state / "STOP"
    stop.touch()
    stage.chaos("break", "flag")
    seen = operator.wait_until_escalated(after=before)
    assert "a person stopped PitCrew" in seen["incident"]["verdict"]["reason"]
    assert stage.flagged
    assert (stage.life(), stage.acts()) == (life, acts)
    stop.unlink()
    healed = operator.wait_until_healed(after=before)
    assert healed["lastIncidents"][0]["id"] == seen["incident"]["id"]
    assert stage.acts()[len(acts) :] == ["remove"]
