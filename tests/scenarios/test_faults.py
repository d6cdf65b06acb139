"""Each fault of chaos against the running operator: what it ends in, and who did it."""

import re
import time
from collections.abc import Callable

import pytest

from tests.scenarios.conftest import Build
from tests.scenarios.operator import condition, last_number
from tests.scenarios.stage import DockerStage, ProcessStage, Stage
from tests.waiting import eventually

QUIET_S = 15
"""Seconds that a quiet run is watched."""


def test_a_flag_is_removed_and_that_is_what_healed(stage: Stage) -> None:
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    life, acts = stage.life(), stage.acts()
    stage.chaos("break", "flag")
    seen = operator.wait_until_healed(after=before)
    assert stage.answer() == 200
    assert not stage.flagged
    assert stage.life() == life, "it was restarted"
    assert stage.acts()[len(acts) :] == ["remove"]
    healed = seen["lastIncidents"][0]
    assert (healed["outcome"], healed["cause"]) == ("Recovered", "FlagFile")
    told = [event["reason"] for event in seen["events"] if event["incident"] == healed["id"]]
    assert told == [
        *("Opened", "EvidenceGathered", "Diagnosed", "Planned", "Judged", "Permitted", "Checked", "Intended", "Acted"),
        *("Verified", "Reported"),
    ]
    why = operator.why(healed["id"])
    for part in (
        f"declared file exists: {stage.flag}",
        "Allow           ladder/auto: risk Low",
        "to do plan",
        "helped:",
    ):
        assert part in why
    shown = operator.pitcrew("get")
    assert "default/victim   Healthy" in shown.stdout
    assert "Verified" in operator.pitcrew("events").stdout
    assert operator.pitcrew("audit", "verify").returncode == 0
    if isinstance(stage, DockerStage):
        assert not {"restart", "die", "kill", "stop"} & set(stage.engine_events())


@pytest.mark.docker
def test_a_killed_container_that_its_engine_restarts_is_left_to_it(docker_stage: Callable[..., DockerStage]) -> None:
    stage = docker_stage(restart_policy={"Name": "unless-stopped"})
    stage.declare()
    operator = stage.operator()
    operator.wait_until_quiet()
    life = stage.life()
    stage.chaos("break", "kill")
    eventually(lambda: stage.life() not in ("", life), what="the engine's own restart")
    operator.wait_for(
        lambda seen: seen["health"] == "Healthy" and seen["target"]["run"] in stage.life(), "the next run, healthy"
    )
    assert stage.acts() == []
    assert operator.incidents() == []
    assert [event for event in stage.engine_events() if event in ("die", "start", "restart")] == [
        *("start", "die", "start")
    ]


def test_a_killed_service_that_nothing_else_restarts_is_started(build: Build) -> None:
    stage = build(restart_policy={"Name": "no"})
    stage.declare()
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    life, acts = stage.life(), stage.acts()
    stage.chaos("break", "kill")
    seen = operator.wait_until_healed(after=before)
    assert stage.answer() == 200
    assert stage.life() not in ("", life)
    assert stage.acts()[len(acts) :] == ["start"]
    assert seen["lastIncidents"][0]["cause"] == "Died"


def test_a_stop_by_a_person_is_respected(build: Build) -> None:
    stage = build(restart_policy={"Name": "unless-stopped"})
    stage.declare()
    operator = stage.operator()
    operator.wait_until_quiet()
    incidents, acts = len(operator.incidents()), stage.acts()
    stage.chaos("break", "stop")
    seen = operator.wait_for(lambda seen: seen["health"] == "Stopped", "the stop in the status")
    assert condition(seen, "Ready")["reason"] == "StoppedByPerson"
    assert "is left alone; start it to go on" in condition(seen, "Ready")["message"]
    assert stage.life() == ""
    assert stage.acts() == acts
    stage.chaos("fix")
    operator.wait_until_quiet()
    assert stage.answer() == 200
    assert len(operator.incidents()) == incidents


def test_a_stop_while_pitcrew_is_down_is_respected_when_it_is_back(build: Build) -> None:
    stage = build(restart_policy={"Name": "unless-stopped"})
    stage.declare()
    operator = stage.operator()
    operator.wait_until_quiet()
    incidents, acts = len(operator.incidents()), stage.acts()
    assert operator.stop() == 0
    stage.chaos("break", "stop")
    operator.start()
    seen = operator.wait_for(lambda seen: seen["health"] == "Stopped", "the stop in the status")
    assert condition(seen, "Ready")["reason"] == "StoppedByPerson"
    stage.chaos("fix")
    operator.wait_until_quiet()
    assert len(operator.incidents()) == incidents
    started_by_chaos = ["start"] if isinstance(stage, ProcessStage) else []
    assert stage.acts()[len(acts) :] == started_by_chaos


def test_a_hang_is_healed_by_a_restart(stage: Stage) -> None:
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    life, acts = stage.life(), stage.acts()
    stage.chaos("break", "hang")
    seen = operator.wait_until_healed(after=before)
    assert stage.answer() == 200
    assert stage.life() not in ("", life)
    assert stage.acts()[len(acts) :] == ["start" if isinstance(stage, ProcessStage) else "restart"]
    assert seen["lastIncidents"][0]["cause"] == "Hang"
    why = operator.why(seen["lastIncidents"][0]["id"])
    assert re.search(r"Runtime +process: \d+ T", why), "the process list was not saved before the restart"


@pytest.mark.slow
def test_a_quiet_run_has_no_incident(stage: Stage) -> None:
    operator = stage.operator()
    begun = operator.wait_until_quiet()
    life, acts, incidents = stage.life(), stage.acts(), len(operator.incidents())
    stage.chaos("break", "none")
    until = time.monotonic() + QUIET_S
    operator.wait_for(
        lambda seen: seen["health"] != "Healthy" or seen["incident"] or time.monotonic() >= until, "the end of the run"
    )
    assert time.monotonic() >= until, "it was not quiet"
    assert operator.status()["observedAt"] > begun["observedAt"]
    assert (stage.life(), stage.acts(), len(operator.incidents())) == (life, acts, incidents)
