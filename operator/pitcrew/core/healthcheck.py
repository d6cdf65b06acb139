"""Health check: what a container's own HEALTHCHECK, as its engine reports it, counts as."""

from datetime import datetime

from pitcrew.core.observation import EngineHealth, Outcome, ProbeReason, ProbeResult, RuntimeFacts, Sight
from pitcrew.core.resource import TargetKind
from pitcrew.core.untrusted import clean

ENGINE_TIMEOUT_WORDS = "Health check exceeded timeout"
"""How Docker begins its output where a HEALTHCHECK took too long."""
DETAIL_BYTES_MAX = 256
"""Bytes of a health check's output that are kept."""


def engine_verdict(name: str, sight: Sight, at: datetime) -> ProbeResult:
    """The container's own HEALTHCHECK as a probe result, by rule 1 of FAULTS: it counts only with a failing streak."""
    if not isinstance(sight, RuntimeFacts) or sight.kind is not TargetKind.DOCKER or not sight.running:
        return ProbeResult(probe=name, at=at, outcome=Outcome.UNKNOWN, reason=ProbeReason.NOT_RUNNING)
    own = sight.engine_health
    detail = clean(own.output, DETAIL_BYTES_MAX) if own else ""
    if own is not None and own.status == "healthy":
        return ProbeResult(probe=name, at=at, outcome=Outcome.SUCCESS, reason=ProbeReason.OK, detail=detail)
    if own is None or own.status in ("", "none"):
        return ProbeResult(probe=name, at=at, outcome=Outcome.UNKNOWN, reason=ProbeReason.NOT_REPORTED, detail=detail)
    if own.status != "unhealthy" or own.failing_streak == 0:
        return ProbeResult(probe=name, at=at, outcome=Outcome.UNKNOWN, reason=ProbeReason.STARTING, detail=detail)
    reason = _why_unhealthy(own)
    outcome = Outcome.UNKNOWN if reason is ProbeReason.CHECK_BROKEN else Outcome.FAILURE
    return ProbeResult(probe=name, at=at, outcome=outcome, reason=reason, detail=detail, status=own.exit_code)


def _why_unhealthy(own: EngineHealth) -> ProbeReason:
    """Docker gives -1 both for a check that took too long, which is an answer, and for one it could not run; only its
    own words tell them apart, and a container cannot forge them, since its exit codes are 0 to 255."""
    if own.exit_code == -1 and own.output.startswith(ENGINE_TIMEOUT_WORDS):
        return ProbeReason.TIMEOUT
    return ProbeReason.CHECK_BROKEN if own.exit_code in (-1, 126, 127) else ProbeReason.ENGINE_UNHEALTHY
