"""Deviations: by thresholds, with flaps damped, and with everything left alone that is not the service's own fault."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.core.deviation import (
    CONFIRM_INTERVAL_S,
    ENGINE_BACKOFF_S,
    FLAP_CALM_S,
    LOOP_CALM_S,
    LOOP_DEATHS,
    OOMS_MANY,
    Deviation,
    DeviationKind,
    Health,
    Track,
    Watch,
    deviates,
    deviating_since,
    deviations,
    health,
    next_probe_in_s,
    normalised_severity,
    observe,
    respected,
    severity,
    still_deviates,
)
from pitcrew.core.observation import (
    Absent,
    Blind,
    Outcome,
    ProbeReason,
    RuntimeState,
    Sight,
    StoppedBy,
)
from pitcrew.core.resource import Level, TargetKind
from tests.core.scene import BAD, GOOD, PROBE, UNKNOWN, answer, at, declared, facts, seen, watched

NAME = "httpget-0"
FAILING = Deviation(kind=DeviationKind.PROBE_FAILING, probe=NAME)
FLAPPING = Deviation(kind=DeviationKind.FLAPPING, probe=NAME)
NOT_RUNNING = Deviation(kind=DeviationKind.NOT_RUNNING)
PAUSED = Deviation(kind=DeviationKind.PAUSED)
MISSING = Deviation(kind=DeviationKind.MISSING)
LOOP = Deviation(kind=DeviationKind.RESTART_LOOP)
NO_MEMORY = Deviation(kind=DeviationKind.OUT_OF_MEMORY)
BLIND = Blind(reason="EngineAway", detail="no answer")
G, B, U = GOOD, BAD, UNKNOWN


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((), None),
        ((G,), False),
        ((B,), None),
        ((B, B), None),
        ((B, B, B), True),
        ((G, B, B), False),
        ((G, B, B, B), True),
        ((B, B, G, B, B), False),
        ((B, U, B, U, B), True),
        ((B, B, U), None),
        ((U, U, U, U), None),
        ((B, B, B, U, U), True),
        ((B, B, B, G), False),
        ((G, U), False),
    ],
    ids=lambda value: "".join(one[0] for one in value) if isinstance(value, tuple) else str(value),
)
def test_three_failures_in_a_row_fail_and_one_success_heals(outcomes: Sequence[Outcome], expected: bool | None) -> None:
    assert watched(outcomes).tracks.get(NAME, Track()).failing is expected


def test_more_successes_are_needed_where_they_are_declared() -> None:
    service = declared(probes=[{**PROBE, "successThreshold": 3, "failureThreshold": 1}])
    assert watched((B, G, G), service).tracks[NAME].failing is True
    assert watched((B, G, G, B, G, G), service).tracks[NAME].failing is True
    assert watched((B, G, G, G), service).tracks[NAME].failing is False


def test_a_deviation_began_with_its_first_failure_also_when_a_success_did_not_suffice() -> None:
    service = declared(probes=[{**PROBE, "successThreshold": 3}])
    watch = watched((G, B, B, B, G, B), service)
    assert deviating_since(watch, at(9)) == at(1)


def test_a_target_that_died_deviates_since_its_death() -> None:
    watch = Watch(seen=seen(sight=facts(RuntimeState.EXITED, finished_at=at(-7), stopped_by=StoppedBy.ITSELF)))
    assert deviating_since(watch, at(0)) == at(-7)


def test_after_a_first_failure_confirmation_comes_soon() -> None:
    service = declared(probes=[{**PROBE, "periodSeconds": 30}])
    [(_, probe)] = service.probes
    for outcomes, seconds in (((G,), 30), ((G, B), CONFIRM_INTERVAL_S), ((G, B, U), 1), ((G, B, B, B), 30), ((U,), 30)):
        assert next_probe_in_s(watched(outcomes, service).tracks[NAME], probe) == seconds


def test_failures_right_after_a_start_of_the_target_do_not_count() -> None:
    service = declared(probes=[{**PROBE, "initialDelaySeconds": 10, "failureThreshold": 1}])
    for started_s, failing in ((-9, None), (-10, True), (-3600, True)):
        watch = watched((B,), service, sight=facts(started_at=at(started_s)))
        assert watch.tracks[NAME].failing is failing


@pytest.mark.parametrize(
    ("reason", "failing"),
    [(ProbeReason.REFUSED, None), (ProbeReason.STATUS, True), (ProbeReason.TIMEOUT, True), (ProbeReason.RESET, True)],
)
def test_a_refused_connection_says_nothing_until_a_program_had_time_to_listen(
    reason: ProbeReason, failing: bool | None
) -> None:
    service = declared(probes=[{**PROBE, "failureThreshold": 1}])
    for started_s, expected in ((-9, failing), (-10, True)):
        young = seen(replace(answer(B, 0), reason=reason), sight=facts(started_at=at(started_s)), seconds=0)
        assert observe(Watch(), service, young).tracks[NAME].failing is expected


def test_a_new_run_of_the_target_starts_afresh_also_within_its_initial_delay() -> None:
    service = declared(probes=[{**PROBE, "initialDelaySeconds": 10, "failureThreshold": 1}])
    before = watched((B, B), service)
    assert deviations(before, at(2)) == (FAILING,)
    restarted = facts(instance="run-2", started_at=at(3))
    after = observe(before, service, seen(answer(B, 4), sight=restarted, seconds=4))
    assert deviations(after, at(4)) == ()
    assert deviates(after, at(4)) is None
    late = observe(after, service, seen(answer(B, 13), sight=restarted, seconds=13))
    assert deviations(late, at(13)) == (FAILING,)


def test_a_moment_without_sight_is_no_new_run() -> None:
    watch = watched((B, B, B))
    blind = observe(watch, declared(), seen(answer(U, 4), sight=BLIND, seconds=4))
    assert deviations(blind, at(4)) == ()
    again = observe(blind, declared(), seen(answer(B, 5), seconds=5))
    assert deviations(again, at(5)) == (FAILING,)


SWINGS = (G, B, G, B, G, B, G)


def swinging(swings: Sequence[Outcome] = SWINGS) -> Watch:
    return watched(swings, declared(probes=[{**PROBE, "failureThreshold": 1}]), every_s=2)


def test_swings_are_flapping_and_not_a_failure_to_act_on() -> None:
    for swings in (SWINGS, (*SWINGS, B)):
        assert deviations(swinging(swings), at(15)) == (FLAPPING,)
    assert deviations(swinging(SWINGS[:-1]), at(11)) == (FAILING,)


def test_flapping_ends_after_a_calm_while() -> None:
    last = 2 * (len(SWINGS) - 1)
    assert deviations(swinging(), at(last + FLAP_CALM_S - 1)) == (FLAPPING,)
    assert deviations(swinging(), at(last + FLAP_CALM_S)) == ()
    stuck = swinging((*SWINGS, B))
    assert deviations(stuck, at(2 * len(SWINGS) + FLAP_CALM_S)) == (FAILING,)


def test_slow_swings_are_failures_each() -> None:
    watch = watched((*SWINGS, B), declared(probes=[{**PROBE, "failureThreshold": 1}]), every_s=61)
    assert deviations(watch, at(61 * len(SWINGS))) == (FAILING,)


EXITED = RuntimeState.EXITED
SIGHTS: dict[str, tuple[Sight, str | None, tuple[Deviation, ...], Health]] = {
    "a person stopped it": (
        facts(EXITED, stopped_by=StoppedBy.PERSON, exit_code=143),
        "StoppedByPerson",
        (),
        Health.STOPPED,
    ),
    "a person stopped it, engine restarts": (
        facts(EXITED, stopped_by=StoppedBy.PERSON, restarts_by_itself=True, finished_at=at(-999)),
        "StoppedByPerson",
        (),
        Health.STOPPED,
    ),
    "a job that ended well": (facts(EXITED, exit_code=0, stopped_by=StoppedBy.ITSELF), "Completed", (), Health.STOPPED),
    "it died": (facts(EXITED, exit_code=1, stopped_by=StoppedBy.ITSELF), None, (NOT_RUNNING,), Health.UNHEALTHY),
    "nobody knows who ended it": (facts(EXITED, exit_code=137), None, (NOT_RUNNING,), Health.UNHEALTHY),
    "dead": (facts(RuntimeState.DEAD, exit_code=1), None, (NOT_RUNNING,), Health.UNHEALTHY),
    "never started": (
        facts(RuntimeState.CREATED, ever_started=False, started_at=None),
        None,
        (NOT_RUNNING,),
        Health.UNHEALTHY,
    ),
    "engine is restarting it": (facts(RuntimeState.RESTARTING, exit_code=1), None, (), Health.STARTING),
    "engine will restart it": (
        facts(EXITED, exit_code=137, restarts_by_itself=True, finished_at=at(1 - ENGINE_BACKOFF_S)),
        None,
        (),
        Health.STARTING,
    ),
    "engine did not restart it": (
        facts(EXITED, exit_code=137, restarts_by_itself=True, finished_at=at(-ENGINE_BACKOFF_S)),
        None,
        (NOT_RUNNING,),
        Health.UNHEALTHY,
    ),
    "paused": (facts(RuntimeState.PAUSED, deaths=9), None, (PAUSED,), Health.UNHEALTHY),
    "missing": (Absent(detail="no such container"), None, (MISSING,), Health.UNHEALTHY),
    "blind": (BLIND, None, (), Health.UNKNOWN),
    "a loop": (facts(RuntimeState.RESTARTING, deaths=LOOP_DEATHS), None, (LOOP,), Health.UNHEALTHY),
    "a few deaths": (facts(deaths=LOOP_DEATHS - 1, started_at=at(-1)), None, (), Health.UNKNOWN),
    "a loop that runs just now": (
        facts(deaths=LOOP_DEATHS, started_at=at(1 - LOOP_CALM_S)),
        None,
        (LOOP,),
        Health.UNHEALTHY,
    ),
    "a loop that ended": (facts(deaths=LOOP_DEATHS, started_at=at(-LOOP_CALM_S)), None, (), Health.UNKNOWN),
    "children out of memory": (facts(ooms=OOMS_MANY), None, (NO_MEMORY,), Health.UNHEALTHY),
    "a child out of memory": (facts(ooms=OOMS_MANY - 1), None, (), Health.UNKNOWN),
    "a loop that a person stopped": (
        facts(EXITED, deaths=9, stopped_by=StoppedBy.PERSON),
        "StoppedByPerson",
        (),
        Health.STOPPED,
    ),
}


@pytest.mark.parametrize(("sight", "reason", "found", "word"), SIGHTS.values(), ids=SIGHTS.keys())
def test_the_runtime_facts_alone_say(
    sight: Sight, reason: str | None, found: tuple[Deviation, ...], word: Health
) -> None:
    watch = observe(Watch(), declared(), seen(sight=sight))
    assert respected(sight, at(0)) == reason
    assert deviations(watch, at(0)) == found
    assert health(watch, at(0)) is word


def test_probes_of_a_target_that_does_not_run_say_nothing() -> None:
    watch = observe(watched((B, B, B)), declared(), seen(sight=facts(EXITED, exit_code=0), seconds=5))
    assert deviations(watch, at(5)) == ()
    assert deviates(watch, at(5)) is False


TWO = declared(probes=[PROBE, {"dockerHealth": {}}])
OTHER = "dockerhealth-1"
OTHER_FAILING = Deviation(kind=DeviationKind.PROBE_FAILING, probe=OTHER)
BROKEN = answer(U, probe=OTHER, reason=ProbeReason.CHECK_BROKEN)
STILL: dict[str, tuple[Sequence[Deviation], Sight, tuple[object, ...], bool | None]] = {
    "still failing": ((FAILING,), facts(), (answer(B), answer(G, probe=OTHER)), True),
    "good again": ((FAILING,), facts(), (answer(G), answer(G, probe=OTHER)), False),
    "another probe fails": ((FAILING,), facts(), (answer(G), answer(B, probe=OTHER)), False),
    "it cannot be told": ((FAILING,), facts(), (answer(U), answer(G, probe=OTHER)), None),
    "it was not asked": ((FAILING,), facts(), (), None),
    "after a death all probes count, one fails": ((NOT_RUNNING,), facts(), (answer(G), answer(B, probe=OTHER)), True),
    "after a death all probes count, one unknown": ((NOT_RUNNING,), facts(), (answer(G), answer(U, probe=OTHER)), None),
    "after a death all are good": ((NOT_RUNNING,), facts(), (answer(G), answer(G, probe=OTHER)), False),
    "beside a death all probes count": ((FAILING, NOT_RUNNING), facts(), (answer(G), answer(B, probe=OTHER)), True),
    "a broken check is left out": ((NOT_RUNNING,), facts(), (answer(G), BROKEN), False),
    "a broken check alone tells nothing": ((OTHER_FAILING,), facts(), (BROKEN,), None),
    "it died meanwhile": ((FAILING,), facts(EXITED, exit_code=1), (), True),
    "a person stopped it meanwhile": ((FAILING,), facts(EXITED, stopped_by=StoppedBy.PERSON), (), False),
    "its engine brings it back": ((NOT_RUNNING,), facts(RuntimeState.RESTARTING), (), None),
    "paused meanwhile": ((FAILING,), facts(RuntimeState.PAUSED), (), True),
    "gone meanwhile": ((FAILING,), Absent(detail=""), (), True),
    "blind": ((FAILING,), BLIND, (), None),
    "still looping": ((LOOP,), facts(deaths=9, started_at=at(0)), (answer(G), answer(G, probe=OTHER)), True),
    "a loop is not what it was about": ((FAILING,), facts(deaths=9, started_at=at(0)), (answer(G),), False),
    "children out of memory all the while": ((NO_MEMORY,), facts(ooms=OOMS_MANY), (answer(G),), True),
    "children out of memory are not what it was about": ((FAILING,), facts(ooms=OOMS_MANY), (answer(G),), False),
    "the loop is over": ((LOOP,), facts(deaths=9), (answer(G), answer(G, probe=OTHER)), False),
}  # fmt: skip


@pytest.mark.parametrize(("original", "sight", "probes", "expected"), STILL.values(), ids=STILL.keys())
def test_a_live_look_still_shows_the_deviation(
    original: Sequence[Deviation], sight: Sight, probes: tuple[object, ...], expected: bool | None
) -> None:
    assert still_deviates(TWO, original, seen(*probes, sight=sight)) is expected  # type: ignore[arg-type]


def test_without_probes_running_is_enough() -> None:
    bare = declared(target={"process": {"command": ["./app"], "workingDir": "."}}, probes=[])
    assert still_deviates(bare, (NOT_RUNNING,), seen(sight=facts(kind=TargetKind.PROCESS))) is False
    assert deviates(observe(Watch(), bare, seen()), at(0)) is False


def test_a_broken_check_holds_nothing_open_and_proves_nothing_alone() -> None:
    beside = observe(Watch(), TWO, seen(answer(G), BROKEN))
    assert (health(beside, at(0)), deviates(beside, at(0))) == (Health.UNKNOWN, False)
    alone = observe(
        Watch(), declared(probes=[]), seen(answer(U, probe="dockerhealth-0", reason=ProbeReason.CHECK_BROKEN))
    )
    assert deviates(alone, at(0)) is None


@pytest.mark.parametrize(
    ("outcomes", "sight", "expected"),
    [
        ((G,), facts(), False),
        ((B, B, B), facts(), True),
        ((G, U), facts(), None),
        ((B,), facts(), None),
        ((), BLIND, None),
        ((), facts(RuntimeState.RESTARTING), None),
        ((), facts(EXITED, exit_code=0), False),
    ],
    ids=["good", "failing", "unknown", "not yet", "blind", "starting", "completed"],
)
def test_whether_a_service_deviates_may_be_unknown(
    outcomes: Sequence[Outcome], sight: Sight, expected: bool | None
) -> None:
    watch = observe(watched(outcomes), declared(), seen(sight=sight, seconds=len(outcomes)))
    assert deviates(watch, at(len(outcomes))) is expected


def test_before_the_first_look_nothing_is_known() -> None:
    assert (health(Watch(), at(0)), deviates(Watch(), at(0)), deviations(Watch(), at(0))) == (Health.UNKNOWN, None, ())


def test_a_probe_that_is_no_longer_declared_is_forgotten() -> None:
    assert set(observe(watched((B, B, B)), declared(probes=[]), seen()).tracks) == {"dockerhealth-0"}


@pytest.mark.parametrize("criticality", list(Level))
def test_severity_is_the_criticality_and_one_step_less_for_a_part(criticality: Level) -> None:
    service = declared(probes=[PROBE, {**PROBE, "name": "other"}], criticality=criticality)
    both = (FAILING, Deviation(kind=DeviationKind.PROBE_FAILING, probe="other"))
    assert severity(service, both) is criticality
    assert severity(service, (NOT_RUNNING,)) is criticality
    assert severity(service, (FAILING,)).rank == max(0, criticality.rank - 1)


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("CRITICAL", Level.CRITICAL),
        ("SEV1", Level.CRITICAL),
        ("sev-1", Level.CRITICAL),
        ("P1", Level.CRITICAL),
        ("fatal", Level.CRITICAL),
        ("SEV 2", Level.HIGH),
        ("major", Level.HIGH),
        ("Warning", Level.MEDIUM),
        ("P3", Level.MEDIUM),
        ("info", Level.LOW),
        ("", Level.CRITICAL),
        ("who knows", Level.CRITICAL),
    ],
)
def test_severity_words_from_outside_are_normalised(word: str, level: Level) -> None:
    assert normalised_severity(word) is level


@given(st.lists(st.sampled_from((U,)), max_size=40))
def test_a_history_of_unknown_alone_never_deviates(outcomes: list[Outcome]) -> None:
    watch = watched(outcomes)
    assert deviations(watch, at(len(outcomes))) == ()
    assert deviates(watch, at(len(outcomes))) is None


@given(st.lists(st.sampled_from((G, U)), max_size=60))
def test_a_healthy_history_never_deviates(outcomes: list[Outcome]) -> None:
    assert deviations(watched(outcomes), at(len(outcomes))) == ()


@given(st.lists(st.sampled_from((G, B, U)), max_size=60), st.integers(1, 5), st.integers(1, 3))
def test_failing_is_reached_by_failures_in_a_row_alone(outcomes: list[Outcome], most: int, least: int) -> None:
    service = declared(probes=[{**PROBE, "failureThreshold": most, "successThreshold": least}])
    watch, before = Watch(), None
    for place, outcome in enumerate(outcomes):
        watch = observe(watch, service, seen(answer(outcome, place), seconds=place))
        now = watch.tracks[NAME].failing
        told = [one for one in outcomes[: place + 1] if one is not U]
        if now and not before:
            assert told[-most:] == [B] * most
        if before and not now:
            assert told[-least:] == [G] * least
        before = now
