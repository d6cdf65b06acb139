"""Deviations: named differences between what is desired and what is observed, by thresholds and with flaps damped.

A `Track` remembers one probe's recent answers; `observe` moves it on; `deviations` reads the whole picture. Unknown
moves nothing (S5). A target that a person stopped, or that its engine brings back by itself, does not deviate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pitcrew.core.observation import (
    Absent,
    Blind,
    Observation,
    Outcome,
    ProbeReason,
    ProbeResult,
    RuntimeFacts,
    RuntimeState,
    Sight,
    StoppedBy,
)
from pitcrew.core.resource import ANSWERS_MAX, HealthyService, Level, Probe

CONFIRM_INTERVAL_S = 1
"""Seconds to the next probe after a first failure: detection does not wait for period x threshold."""
FLAP_CHANGES = 6
"""Changes between good and failing inside the window that count as flapping; three full swings."""
FLAP_WINDOW_S = 300
"""Window in which changes are counted."""
FLAP_CALM_S = 60
"""Seconds without a change after which a probe no longer counts as flapping."""
LOOP_DEATHS = 4
"""Own deaths inside the runtime's ten-minute memory that make a restart loop; a few crashes are no loop."""
OOMS_MANY = 3
"""Processes that the kernel ended for memory inside the runtime's ten-minute memory, while the main one runs on, that
are a deviation; one may be a single large request (FAULTS row 8)."""
LOOP_CALM_S = 60
"""Seconds of running after which a target is out of its restart loop."""
ENDED_SETTLE_S = 2
"""Seconds after its end in which a target does not yet count as not running: an engine that brings it back by itself
does so in under 100 ms, and then there is nothing to do."""
ENGINE_BACKOFF_S = 15
"""How long an engine that restarts a target by itself is left to it; Docker is back in under 100 ms at first."""

LISTENS_WITHIN_S = 10
"""Seconds after a start in which a refused connection does not count, whatever `initialDelaySeconds` says: until a
program listens, that is what every start looks like, and a restart would only begin it anew."""

STOPPED_BY_PERSON = "StoppedByPerson"
"""Why a target that a person stopped is left alone."""


class DeviationKind(StrEnum):
    """What may differ."""

    PROBE_FAILING = "ProbeFailing"
    NOT_RUNNING = "NotRunning"
    PAUSED = "Paused"
    RESTART_LOOP = "RestartLoop"
    OUT_OF_MEMORY = "OutOfMemory"
    MISSING = "Missing"
    NETWORK_DETACHED = "NetworkDetached"
    FLAPPING = "Flapping"
    LATENCY_HIGH = "LatencyHigh"
    ERROR_RATIO_HIGH = "ErrorRatioHigh"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Deviation:
    """One named difference; `probe` says which probe, where there is one."""

    kind: DeviationKind
    probe: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.probe}" if self.probe else str(self.kind)


class Health(StrEnum):
    """The service in one word; Stopped is a stop that is respected, Starting a target that its engine brings back."""

    UNKNOWN = "Unknown"
    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"
    STOPPED = "Stopped"
    STARTING = "Starting"


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One answer as the objectives count it: when, whether it was good, and whether it took too long."""

    at: datetime
    good: bool
    slow: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """What is remembered of one probe; `failing` is None until a threshold was reached for the first time in this run.

    `instance` is the run of the target that the counts belong to: what one run answered says nothing about the next,
    as with Kubernetes; only the swings, and when it was last good, are remembered across runs.
    """

    instance: str = ""
    failing: bool | None = None
    failures: int = 0
    successes: int = 0
    last: ProbeResult | None = None
    failed_since: datetime | None = None
    good_at: datetime | None = None
    changed_at: tuple[datetime, ...] = ()
    answers: tuple[Told, ...] = ()
    objective: Probe | None = None

    def missed(self, now: datetime) -> tuple[DeviationKind, ...]:
        """Which objectives the answers of the window miss; none below the minimum volume."""
        probe = self.objective
        if probe is None:
            return ()
        since = now - timedelta(seconds=probe.objective_window)
        told = [answer for answer in self.answers if answer.at > since]
        if len(told) < probe.minimum_volume:
            return ()
        slow, bad = sum(answer.slow for answer in told), sum(not answer.good for answer in told)
        missed = []
        if probe.max_latency is not None and 2 * slow > len(told):
            missed.append(DeviationKind.LATENCY_HIGH)
        if probe.max_error_ratio is not None and 100 * bad > probe.max_error_ratio * len(told):
            missed.append(DeviationKind.ERROR_RATIO_HIGH)
        return tuple(missed)

    def flapping(self, now: datetime) -> bool:
        """Whether it swings between good and failing faster than anyone should act on."""
        recent = [at for at in self.changed_at if now - at <= timedelta(seconds=FLAP_WINDOW_S)]
        return len(recent) >= FLAP_CHANGES and now - recent[-1] < timedelta(seconds=FLAP_CALM_S)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """Everything remembered of one service between two observations."""

    tracks: Mapping[str, Track] = field(default_factory=dict)
    seen: Observation | None = None

    @property
    def sight(self) -> Sight | None:
        """The last look at the runtime."""
        return self.seen.sight if self.seen else None


def observe(watch: Watch, service: HealthyService, seen: Observation) -> Watch:
    """The memory after one more observation; probes that are no longer declared are forgotten."""
    results = {result.probe: result for result in seen.probes}
    tracks = {name: _of_this_run(watch.tracks.get(name, Track()), seen.sight) for name, _ in service.probes}
    moved = {
        name: _moved(tracks[name], probe, results[name], seen) for name, probe in service.probes if name in results
    }
    return Watch(tracks={**tracks, **moved}, seen=seen)


def _of_this_run(track: Track, sight: Sight) -> Track:
    if not isinstance(sight, RuntimeFacts) or sight.instance == track.instance:
        return track
    if not track.instance:
        return replace(track, instance=sight.instance)
    return Track(instance=sight.instance, last=track.last, good_at=track.good_at, changed_at=track.changed_at)


def _counted(track: Track, probe: Probe, result: ProbeResult) -> Track:
    """The answers of the window; what is Unknown is no answer (S5)."""
    if not probe.has_objective:
        return replace(track, answers=(), objective=None)
    since = result.at - timedelta(seconds=probe.objective_window)
    slow = result.reason is ProbeReason.TIMEOUT or (
        probe.max_latency is not None and result.latency_ms is not None and result.latency_ms > probe.max_latency
    )
    told = Told(at=result.at, good=result.outcome is Outcome.SUCCESS, slow=slow)
    kept = [answer for answer in track.answers if answer.at > since]
    return replace(track, answers=(*kept, told)[-ANSWERS_MAX:], objective=probe)


def _moved(track: Track, probe: Probe, result: ProbeResult, seen: Observation) -> Track:
    if result.outcome is Outcome.UNKNOWN or (result.outcome is Outcome.FAILURE and _too_early(probe, result, seen)):
        return replace(track, last=result)
    track = _counted(track, probe, result)
    if result.outcome is Outcome.SUCCESS:
        good = track.successes + 1
        still_failing = track.failing is True and good < probe.success_threshold
        succeeded = replace(track, failures=0, successes=good, last=result, good_at=result.at)
        return _turned(succeeded, still_failing, result.at)
    bad = track.failures + 1
    since = track.failed_since if track.failures or track.failing else result.at
    fails = bad >= probe.failure_threshold or bool(track.failing)
    failed = replace(track, failures=bad, successes=0, last=result, failed_since=since)
    return _turned(failed, True if fails else track.failing, result.at)


def _turned(track: Track, failing: bool | None, at: datetime) -> Track:
    if failing == track.failing:
        return track
    changes = track.changed_at if track.failing is None else (*track.changed_at, at)[-FLAP_CHANGES:]
    return replace(track, failing=failing, changed_at=changes)


def _too_early(probe: Probe, result: ProbeResult, seen: Observation) -> bool:
    """Whether a failure comes so soon after a start that it does not count yet."""
    started = seen.sight.started_at if isinstance(seen.sight, RuntimeFacts) else None
    delay_s = probe.initial_delay_seconds
    if result.reason is ProbeReason.REFUSED:
        delay_s = max(delay_s, LISTENS_WITHIN_S)
    return started is not None and seen.at - started < timedelta(seconds=delay_s)


def forgiven(watch: Watch) -> Watch:
    """The memory after a remedy helped: a swing that PitCrew itself ended is no flap."""
    return replace(watch, tracks={name: replace(track, changed_at=()) for name, track in watch.tracks.items()})


def next_probe_in_s(track: Track, probe: Probe) -> int:
    """Seconds until the probe should be asked again: soon while a first failure waits for its confirmation."""
    confirming = track.failures > 0 and not track.failing
    return min(CONFIRM_INTERVAL_S, probe.period_seconds) if confirming else probe.period_seconds


def respected(sight: Sight | None, now: datetime) -> str | None:
    """Why a target that does not run is left alone, or None."""
    if not isinstance(sight, RuntimeFacts) or sight.state not in (RuntimeState.EXITED, RuntimeState.DEAD):
        return None
    if sight.stopped_by is StoppedBy.PERSON:
        return STOPPED_BY_PERSON
    if sight.exit_code == 0 and not sight.restarts_by_itself:
        return "Completed"
    return None


def _engine_restarts(sight: RuntimeFacts, now: datetime) -> bool:
    if sight.state is RuntimeState.RESTARTING:
        return True
    if sight.state is not RuntimeState.EXITED or sight.finished_at is None:
        return sight.state is RuntimeState.EXITED and sight.restarts_by_itself
    settle_s = ENGINE_BACKOFF_S if sight.restarts_by_itself else ENDED_SETTLE_S
    return now - sight.finished_at < timedelta(seconds=settle_s)


def _looping(sight: RuntimeFacts, now: datetime) -> bool:
    if sight.deaths < LOOP_DEATHS or respected(sight, now) is not None:
        return False
    calm = sight.running and sight.started_at is not None
    return not (calm and sight.started_at and now - sight.started_at >= timedelta(seconds=LOOP_CALM_S))


def runtime_deviations(sight: Sight | None, now: datetime) -> tuple[Deviation, ...]:
    """What the runtime facts alone say; nothing where the runtime could not be seen."""
    match sight:
        case None | Blind():
            return ()
        case Absent():
            return (Deviation(kind=DeviationKind.MISSING),)
        case RuntimeFacts(state=RuntimeState.PAUSED):
            return (Deviation(kind=DeviationKind.PAUSED),)
        case RuntimeFacts() as facts:
            return _life_deviations(facts, now)


def _life_deviations(sight: RuntimeFacts, now: datetime) -> tuple[Deviation, ...]:
    found = []
    if _looping(sight, now):
        found.append(Deviation(kind=DeviationKind.RESTART_LOOP))
    if sight.running and sight.ooms >= OOMS_MANY:
        found.append(Deviation(kind=DeviationKind.OUT_OF_MEMORY))
    if sight.running and not all(network.attached and network.named for network in sight.desired):
        found.append(Deviation(kind=DeviationKind.NETWORK_DETACHED))
    if not sight.running and respected(sight, now) is None and not _engine_restarts(sight, now):
        found.append(Deviation(kind=DeviationKind.NOT_RUNNING))
    return tuple(found)


def deviations(watch: Watch, now: datetime) -> tuple[Deviation, ...]:
    """Every deviation of the service, sorted; probes count only while the target runs."""
    found = list(runtime_deviations(watch.sight, now))
    if isinstance(watch.sight, RuntimeFacts) and watch.sight.running:
        for name, track in watch.tracks.items():
            if track.flapping(now):
                found.append(Deviation(kind=DeviationKind.FLAPPING, probe=name))
            elif track.failing:
                found.append(Deviation(kind=DeviationKind.PROBE_FAILING, probe=name))
            found += [Deviation(kind=kind, probe=name) for kind in track.missed(now)]
    return tuple(sorted(found))


_REMEMBERED = (DeviationKind.RESTART_LOOP, DeviationKind.OUT_OF_MEMORY)
"""Deviations that are counted over minutes, and so outlast their cause."""


def still_deviates(service: HealthyService, original: Sequence[Deviation], seen: Observation) -> bool | None:
    """Whether one live observation still shows what an incident is about, without thresholds (S4).

    None when it cannot be told (S5). What the runtime remembers of the last minutes is still shown only where the
    incident is about it. Where the runtime itself deviated, every probe counts; otherwise the probes that
    failed do. A check that is itself broken says nothing and is left out; where a container has no HEALTHCHECK to
    report at all, that it runs is all there is to tell.
    """
    live = runtime_deviations(seen.sight, seen.at)
    if set(original) & set(live) or any(deviation.kind not in _REMEMBERED for deviation in live):
        return True
    if respected(seen.sight, seen.at):
        return False
    if not isinstance(seen.sight, RuntimeFacts) or not seen.sight.running:
        return None
    named = {deviation.probe for deviation in original}
    mute = {result.probe for result in seen.probes if result.reason is ProbeReason.NOT_REPORTED}
    relevant = {name for name, _ in service.probes if name in named or "" in named} - mute
    results = [r for r in seen.probes if r.probe in relevant and r.reason is not ProbeReason.CHECK_BROKEN]
    if any(result.outcome is Outcome.FAILURE for result in results):
        return True
    told = bool(results) or not relevant
    return False if told and all(result.outcome is Outcome.SUCCESS for result in results) else None


def health(watch: Watch, now: datetime) -> Health:
    """The service in one word."""
    sight = watch.sight
    if sight is None or isinstance(sight, Blind):
        return Health.UNKNOWN
    if respected(sight, now):
        return Health.STOPPED
    if deviations(watch, now):
        return Health.UNHEALTHY
    if isinstance(sight, RuntimeFacts) and _engine_restarts(sight, now):
        return Health.STARTING
    return Health.HEALTHY if all(map(good, watch.tracks.values())) else Health.UNKNOWN


def good(track: Track) -> bool:
    """Whether a probe is known to be good: by its thresholds, and by a last answer that could be told."""
    return track.failing is False and track.last is not None and track.last.outcome is not Outcome.UNKNOWN


def _broken(track: Track) -> bool:
    return track.last is not None and track.last.reason is ProbeReason.CHECK_BROKEN


def _mute(track: Track) -> bool:
    return track.last is not None and track.last.reason is ProbeReason.NOT_REPORTED


def deviating_since(watch: Watch, now: datetime) -> datetime:
    """When the first of the present deviations began, as far as it was seen."""
    began = [track.failed_since for track in watch.tracks.values() if track.failing and track.failed_since]
    sight = watch.sight
    if isinstance(sight, RuntimeFacts) and not sight.running and sight.finished_at:
        began.append(sight.finished_at)
    return min([*began, now])


def failing_since(watch: Watch) -> datetime | None:
    """When the first of the probes whose last answers were failures began to fail; None where none does."""
    running = isinstance(watch.sight, RuntimeFacts) and watch.sight.running
    began = [track.failed_since for track in watch.tracks.values() if track.failures and track.failed_since]
    return min(began, default=None) if running else None


def deviates(watch: Watch, now: datetime) -> bool | None:
    """Whether the service deviates, by thresholds; None while that cannot be told.

    A check that is itself broken is left out beside others, as in `still_deviates`; alone it tells nothing.
    """
    match health(watch, now):
        case Health.UNHEALTHY:
            return True
        case Health.HEALTHY | Health.STOPPED:
            return False
        case Health.STARTING:
            return None
        case Health.UNKNOWN:
            asked = [track for track in watch.tracks.values() if not _mute(track)]
            working = [track for track in asked if not _broken(track)]
            running = isinstance(watch.sight, RuntimeFacts) and watch.sight.running
            return False if running and (working or not asked) and all(map(good, working)) else None


def severity(service: HealthyService, found: tuple[Deviation, ...]) -> Level:
    """How bad it is for users: the criticality, one step lower while only a part of the probes fails."""
    levels = list(Level)
    rank = service.spec.criticality.rank
    failing = {deviation.probe for deviation in found if deviation.probe}
    partly = all(deviation.probe for deviation in found) and len(failing) < len(service.probes)
    return levels[max(0, rank - 1)] if partly else levels[rank]


_WORDS = {
    Level.LOW: ("low", "minor", "info", "informational", "sev4", "sev5", "p4", "p5"),
    Level.MEDIUM: ("medium", "moderate", "warning", "warn", "sev3", "p3"),
    Level.HIGH: ("high", "major", "error", "sev2", "p2"),
    Level.CRITICAL: ("critical", "fatal", "emergency", "sev1", "sev0", "p1", "p0"),
}
_SEVERITIES = {word: level for level, words in _WORDS.items() for word in words}


def normalised_severity(word: str) -> Level:
    """A severity word from outside on our ladder; a word nobody knows is Critical."""
    return _SEVERITIES.get("".join(c for c in word.lower() if c.isalnum()), Level.CRITICAL)
