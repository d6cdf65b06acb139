"""Objectives over a window: latency and error ratio, never below a minimum volume, and never by what is Unknown."""

from dataclasses import replace

import pytest

from pitcrew.core.deviation import Deviation, DeviationKind, Watch, deviates, deviations, observe
from pitcrew.core.observation import Outcome, ProbeReason, ProbeResult
from pitcrew.core.resource import HealthyService, Probe
from tests.core.scene import at, declared, facts, seen

SLOW, ERRORS = DeviationKind.LATENCY_HIGH, DeviationKind.ERROR_RATIO_HIGH
PROBE = {
    "httpGet": {"port": 8080},
    "periodSeconds": 1,
    "failureThreshold": 100,
    "maxLatency": "200ms",
    "maxErrorRatio": "20%",
    "objectiveWindow": "30s",
    "minimumVolume": 10,
}


def service(**changes: object) -> HealthyService:
    return declared(probes=[{**PROBE, **changes}])


def said(second: float, *, good: bool = True, latency_ms: int = 5, reason: ProbeReason | None = None) -> ProbeResult:
    why = reason or (ProbeReason.OK if good else ProbeReason.STATUS)
    outcome = Outcome.SUCCESS if good else Outcome.FAILURE
    return ProbeResult(probe="httpget-0", at=at(second), outcome=outcome, reason=why, latency_ms=latency_ms)


def watched(*results: ProbeResult, service_: HealthyService | None = None) -> Watch:
    watch = Watch()
    for result in results:
        look = replace(seen(result, sight=facts(started_at=at(-600))), at=result.at)
        watch = observe(watch, service_ or service(), look)
    return watch


def kinds(watch: Watch, second: float) -> set[DeviationKind]:
    return {deviation.kind for deviation in deviations(watch, at(second))}


def test_more_than_half_of_the_answers_slow_is_a_deviation_and_half_is_none() -> None:
    half = [said(n, latency_ms=900 if n % 2 else 5) for n in range(20)]
    assert kinds(watched(*half), 19) == set()
    assert kinds(watched(*half, said(20, latency_ms=900)), 20) == {SLOW}
    assert Deviation(kind=SLOW, probe="httpget-0") in deviations(watched(*half, said(20, latency_ms=900)), at(20))


def test_a_timeout_is_slow() -> None:
    timeouts = [said(n, good=False, reason=ProbeReason.TIMEOUT) for n in range(12)]
    assert SLOW in kinds(watched(*timeouts), 12)


@pytest.mark.parametrize(("bad", "missed"), [(4, set()), (5, {ERRORS})], ids=["at the ratio", "above it"])
def test_a_share_of_errors_above_the_ratio_is_a_deviation(bad: int, missed: set[DeviationKind]) -> None:
    answers = [said(n, good=n % 4 != 0 or n // 4 >= bad) for n in range(20)]
    assert kinds(watched(*answers), 19) == missed


def test_below_the_minimum_volume_nothing_is_said() -> None:
    assert kinds(watched(*(said(n, good=False) for n in range(9))), 9) == set()
    assert kinds(watched(*(said(n, good=False) for n in range(10))), 10) == {ERRORS}


def test_what_is_unknown_counts_neither_way() -> None:
    unknown = [replace(said(n), outcome=Outcome.UNKNOWN, reason=ProbeReason.OUR_LIMITS) for n in range(20)]
    assert kinds(watched(*unknown, *(said(20 + n, good=False) for n in range(9))), 29) == set()


def test_an_objective_is_met_again_once_its_window_is() -> None:
    bad, good = [said(n, good=False) for n in range(15)], [said(15 + n) for n in range(30)]
    assert deviates(watched(*bad), at(15)) is True
    assert kinds(watched(*bad, *good), 45) == set()
    assert deviates(watched(*bad, *good), at(45)) is False


def test_answers_of_an_earlier_run_say_nothing_about_this_one() -> None:
    watch = watched(*(said(n, good=False) for n in range(15)))
    fresh = replace(seen(said(16), sight=facts(instance="another", started_at=at(15))), at=at(16))
    assert kinds(observe(watch, service(), fresh), 16) == set()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"maxLatency": "fast"}, "500ms or 2s"),
        ({"maxErrorRatio": "0.2"}, "5%"),
        ({"maxErrorRatio": "100%"}, "less than or equal to 99"),
        ({"periodSeconds": 10}, "sees 3 answers at this periodSeconds, and minimumVolume wants 10"),
        ({"objectiveWindow": "1h"}, "would hold 3600 answers"),
        ({"httpGet": None, "exec": {"command": ["true"]}}, "maxLatency goes with httpGet and tcpSocket"),
    ],
)
def test_an_objective_that_could_never_be_told_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Probe.model_validate({key: value for key, value in {**PROBE, **changes}.items() if value is not None})
