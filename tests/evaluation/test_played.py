"""Playing labelled incidents: the loop sees what was recorded, deviates as was recorded, and acts on nothing."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from pitcrew.core.diagnosis import Cause
from pitcrew.core.errors import InvalidInput
from pitcrew.core.incident import Phase
from pitcrew.core.resource import DiagnosisMode
from pitcrew.core.step import AskApproval, AskPermit, Escalate
from pitcrew.entrypoints.evaluation.case import Case, read_cases
from pitcrew.entrypoints.evaluation.played import Came, Stage, play
from pitcrew.entrypoints.evaluation.running import Way, stage_for
from pitcrew.entrypoints.evaluation.score import chosen, sums
from pitcrew.settings import load
from tests.evaluation.labelled import labelled, written

DEV = Path(__file__).parent.parent / "bench" / "cases" / "dev"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return stage_for(Way(name="rules", mode=DiagnosisMode.RULES), load({"state": tmp_path}))


def played(stage: Stage, case: Case) -> Came:
    return asyncio.run(play(stage, case))


def recorded(case: Case) -> set[tuple[str, str]]:
    return {(str(one.kind), one.probe) for one in case.deviations}


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Came]:
    """What comes of the development half by rules alone."""
    rules = stage_for(Way(name="rules", mode=DiagnosisMode.RULES), load({"state": tmp_path_factory.mktemp("state")}))
    return [played(rules, case) for case in read_cases([DEV])]


def test_the_rules_alone_name_most_causes_of_the_development_half_and_harm_nothing(
    development: Sequence[Came],
) -> None:
    of = sums([chosen(came, 0, 0) for came in development])
    assert of.cause_accuracy >= 0.95
    assert of.action_accuracy >= 0.95
    assert of.harmful == 0
    ours = sum(came.case.label.ours for came in development)
    assert of.alone >= ours / 2, "leaving everything to people is no answer"


def test_every_incident_of_the_development_half_deviates_as_it_was_recorded(development: Sequence[Came]) -> None:
    different = {
        one.case.id: (recorded(one.case), found)
        for one in development
        if (found := {(str(deviation.kind), deviation.probe) for deviation in one.found}) != recorded(one.case)
    }
    assert different == {}


def test_a_flag_is_found_and_nothing_is_acted_on(stage: Stage) -> None:
    came = played(stage, labelled())
    assert isinstance(came.step, AskPermit)
    assert came.incident is not None
    assert came.incident.phase is Phase.ALLOWED
    assert came.incident.attempt.plan.action.name == "removeFile"


def test_what_people_must_allow_is_asked(stage: Stage) -> None:
    case = labelled(sight={"kind": "facts", "state": "Running", "startedAt": "2026-05-04T09:00:00Z"})
    assert isinstance(played(stage, case).step, AskApproval)


def test_what_was_not_recorded_is_missing_to_the_rules_too(stage: Stage) -> None:
    came = played(stage, labelled(missing=["logs: not in time", "processes: nobody asked"]))
    assert came.incident is not None
    told = {str(item.value) for item in came.incident.evidence if item.key == "missing"}
    assert told == {"logs: not in time", "processes: nobody asked"}


def test_a_target_that_is_gone_is_handed_over(stage: Stage) -> None:
    gone = labelled(sight={"kind": "absent", "detail": "gone"}, probes=[], deviations=[{"kind": "Missing"}])
    assert isinstance(played(stage, gone).step, Escalate)


def test_no_deviation_is_no_incident(stage: Stage) -> None:
    good = [{"probe": "httpget-0", "outcome": "Success", "reason": "Ok", "status": 200}]
    came = played(stage, labelled(probes=good, deviations=[]))
    assert (came.incident, came.step, came.found) == (None, None, ())


BY_STATUS: dict[str, tuple[dict[str, object], Cause]] = {
    "a stop that is respected": (
        {"sight": {"kind": "facts", "state": "Exited", "exitCode": 143, "stoppedBy": "Person"}, "probes": []},
        Cause.STOPPED_BY_SOMEONE,
    ),
    "a check that cannot run": (
        {"probes": [{"probe": "httpget-0", "outcome": "Unknown", "reason": "CheckBroken"}]},
        Cause.CHECK_BROKEN,
    ),
    "work that is done": (
        {"sight": {"kind": "facts", "state": "Exited", "exitCode": 0, "stoppedBy": "Itself"}, "probes": []},
        Cause.UNKNOWN,
    ),
}


@pytest.mark.parametrize(("changes", "told"), BY_STATUS.values(), ids=BY_STATUS.keys())
def test_what_opens_no_incident_is_named_by_the_status(changes: dict[str, object], told: Cause, stage: Stage) -> None:
    came = played(stage, labelled(deviations=[], **changes))
    assert (came.incident, came.told) == (None, told)


def test_earlier_incidents_weigh_as_they_do_live(stage: Stage) -> None:
    again = [
        {"incident": f"victim-{number}", "minutesAgo": 6 * number, "cause": "FlagFile", "effects": 1}
        for number in range(1, 7)
    ]
    came = played(stage, labelled(former=again))
    assert came.incident is not None
    points = {factor.name: factor.points for factor in came.incident.attempt.risk.factors}
    assert points["repetition"] > 0
    assert [item.value for item in came.incident.evidence if item.key == "former"][:1] == ["FlagFile"]


KILLED = [{"at": f"2026-05-04T09:5{minute}:00Z", "kind": "OutOfMemory"} for minute in (5, 7, 9)]


def test_kills_for_memory_are_counted_as_a_runtime_counts_them(stage: Stage) -> None:
    came = played(stage, labelled(events=KILLED, deviations=[]))
    assert {str(one.kind) for one in came.found} == {"OutOfMemory"}


def test_the_events_beside_a_death_say_whether_it_was_for_memory(stage: Stage) -> None:
    ended = {"kind": "facts", "state": "Exited", "exitCode": 137, "stoppedBy": "Itself"}
    ended |= {"startedAt": "2026-05-04T09:00:00Z", "finishedAt": "2026-05-04T09:59:00Z"}
    died = {"at": "2026-05-04T09:59:00Z", "kind": "Died", "exitCode": 137}
    came = played(stage, labelled(sight=ended, probes=[], deviations=[], events=[KILLED[-1], died]))
    assert came.incident is not None
    assert came.incident.diagnoses[0].cause is Cause.OUT_OF_MEMORY


def test_an_answer_to_a_probe_that_is_not_declared_is_refused(stage: Stage) -> None:
    case = Case.model_validate(written(probes=[{"probe": "exec-9", "outcome": "Success", "reason": "Ok"}]))
    with pytest.raises(InvalidInput, match="flag-1: probes: the service declares no exec-9"):
        played(stage, case)
