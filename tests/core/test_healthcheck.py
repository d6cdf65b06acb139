"""A container's own health check counts by its rules, and only where the container runs."""

import pytest

from pitcrew.core.healthcheck import ENGINE_TIMEOUT_WORDS, engine_verdict
from pitcrew.core.observation import Blind, EngineHealth, Outcome, ProbeReason, RuntimeFacts, RuntimeState, Sight
from pitcrew.core.resource import TargetKind
from tests.core.scene import BAD, GOOD, UNKNOWN, at, facts

BLIND = Blind(reason="EngineAway", detail="no answer")
SICK = EngineHealth(status="unhealthy", failing_streak=3, exit_code=1, output="bad\npassword=hunter2")


def own(**changes: object) -> RuntimeFacts:
    values = {"status": "unhealthy", "failing_streak": 3, "exit_code": 1, "output": ""}
    return facts(engine_health=EngineHealth(**{**values, **changes}))  # type: ignore[arg-type]


VERDICTS: dict[str, tuple[Sight, Outcome, ProbeReason]] = {
    "healthy": (own(status="healthy", failing_streak=0, exit_code=0), GOOD, ProbeReason.OK),
    "healthy for now": (own(status="healthy", failing_streak=2), GOOD, ProbeReason.OK),
    "unhealthy": (own(), BAD, ProbeReason.ENGINE_UNHEALTHY),
    "unhealthy without a streak": (own(failing_streak=0), UNKNOWN, ProbeReason.STARTING),
    "starting": (own(status="starting"), UNKNOWN, ProbeReason.STARTING),
    "a word nobody knows": (own(status="degraded"), UNKNOWN, ProbeReason.STARTING),
    "no check": (facts(), UNKNOWN, ProbeReason.NOT_REPORTED),
    "command not found": (own(exit_code=127), UNKNOWN, ProbeReason.CHECK_BROKEN),
    "command not executable": (own(exit_code=126), UNKNOWN, ProbeReason.CHECK_BROKEN),
    "too slow": (own(exit_code=-1, output=f"{ENGINE_TIMEOUT_WORDS} (3s)"), BAD, ProbeReason.TIMEOUT),
    "not run": (own(exit_code=-1, output="OCI runtime exec failed"), UNKNOWN, ProbeReason.CHECK_BROKEN),
    "paused": (facts(RuntimeState.PAUSED, engine_health=SICK), UNKNOWN, ProbeReason.NOT_RUNNING),
    "restarting": (facts(RuntimeState.RESTARTING, engine_health=SICK), UNKNOWN, ProbeReason.NOT_RUNNING),
    "a process has none": (facts(kind=TargetKind.PROCESS, engine_health=SICK), UNKNOWN, ProbeReason.NOT_RUNNING),
    "blind": (BLIND, UNKNOWN, ProbeReason.NOT_RUNNING),
}


@pytest.mark.parametrize(("sight", "outcome", "reason"), VERDICTS.values(), ids=VERDICTS.keys())
def test_the_engines_own_check_counts_by_its_rules(sight: Sight, outcome: Outcome, reason: ProbeReason) -> None:
    verdict = engine_verdict("own", sight, at(0))
    assert (verdict.outcome, verdict.reason) == (outcome, reason)


def test_the_output_of_a_check_is_cleaned() -> None:
    assert "hunter2" not in engine_verdict("own", facts(engine_health=SICK), at(0)).detail
