"""Small worlds for tests of single stages: a service as declared, its runtime facts, the answers of its probes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pitcrew.core.deviation import Watch, observe
from pitcrew.core.observation import (
    Observation,
    Outcome,
    ProbeReason,
    ProbeResult,
    RuntimeFacts,
    RuntimeState,
    Sight,
)
from pitcrew.core.resource import HealthyService, TargetKind

T0 = datetime(2026, 3, 4, 5, 0, 0, tzinfo=UTC)
FLAG = "/app/broken.flag"
ALL_ACTIONS: dict[str, object] = {"removeFile": {"paths": [FLAG]}, "restart": {}, "start": {}}
PROBE: dict[str, object] = {"httpGet": {"path": "/health", "port": 8080}}


def at(seconds: float) -> datetime:
    """An instant of the test's own time."""
    return T0 + timedelta(seconds=seconds)


def manifest(**spec: object) -> dict[str, object]:
    """A manifest; what is named replaces that part of the spec."""
    base: dict[str, object] = {
        "target": {"docker": {"container": "victim"}},
        "probes": [PROBE],
        "remediation": {"actions": ALL_ACTIONS},
    }
    return {
        "apiVersion": "pitcrew.dev/v1alpha1",
        "kind": "HealthyService",
        "metadata": {"name": "victim"},
        "spec": {**base, **spec},
    }


def declared(**spec: object) -> HealthyService:
    """A service as declared."""
    return HealthyService.model_validate(manifest(**spec))


def facts(state: RuntimeState = RuntimeState.RUNNING, **changes: object) -> RuntimeFacts:
    """What the runtime says; a container that runs since long ago, unless changed."""
    base: dict[str, object] = {
        "kind": TargetKind.DOCKER,
        "target_id": "c0ffee",
        "instance": "run-1",
        "name": "victim",
        "state": state,
        "started_at": at(-3600),
    }
    return RuntimeFacts(**{**base, **changes})  # type: ignore[arg-type]


_USUAL = {
    Outcome.SUCCESS: ProbeReason.OK,
    Outcome.FAILURE: ProbeReason.STATUS,
    Outcome.UNKNOWN: ProbeReason.NO_ADDRESS,
}
GOOD, BAD, UNKNOWN = Outcome.SUCCESS, Outcome.FAILURE, Outcome.UNKNOWN


def answer(
    outcome: Outcome,
    seconds: float = 0,
    *,
    probe: str = "httpget-0",
    reason: ProbeReason | None = None,
    detail: str = "",
) -> ProbeResult:
    """One answer of a probe."""
    return ProbeResult(probe=probe, at=at(seconds), outcome=outcome, reason=reason or _USUAL[outcome], detail=detail)


def seen(*probes: ProbeResult, sight: Sight | None = None, seconds: float = 0) -> Observation:
    """One look."""
    return Observation(service=declared().key, at=at(seconds), sight=sight or facts(), probes=probes)


def watched(
    outcomes: Sequence[Outcome],
    service: HealthyService | None = None,
    *,
    sight: Sight | None = None,
    every_s: float = 1,
) -> Watch:
    """What is remembered after these answers, one every `every_s` seconds from T0 on."""
    watch = Watch()
    for place, outcome in enumerate(outcomes):
        when = place * every_s
        watch = observe(watch, service or declared(), seen(answer(outcome, when), sight=sight, seconds=when))
    return watch
