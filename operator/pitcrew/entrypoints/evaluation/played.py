"""A recorded incident played to the loop: its own steps look, think and judge, and nothing can be acted on.

The runtime, the prober and the clock are those of the record. What thresholds, swings and objectives said then is put
into the memory of the watch, and must come out of it as the deviations that were recorded.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pitcrew.adapters.observer.local import LocalObserver
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import (
    FLAP_CHANGES,
    STOPPED_BY_PERSON,
    Deviation,
    DeviationKind,
    Told,
    Track,
    Watch,
    respected,
)
from pitcrew.core.diagnosis import Cause
from pitcrew.core.errors import InvalidInput, Refused, Unavailable
from pitcrew.core.history import Past
from pitcrew.core.incident import Incident
from pitcrew.core.observation import (
    Absent,
    Blind,
    EngineHealth,
    EventKind,
    FileFact,
    LogLine,
    NetworkFact,
    Observation,
    Outcome,
    ProbeReason,
    ProbeResult,
    RuntimeEvent,
    RuntimeFacts,
    RuntimeState,
    Sight,
)
from pitcrew.core.order import Standing
from pitcrew.core.policy import NO_GUARDRAILS
from pitcrew.core.record import Instant
from pitcrew.core.resource import HealthyService, HttpGet, Probe, ServiceKey, TcpSocket
from pitcrew.core.step import Step
from pitcrew.entrypoints.evaluation.case import Case, RecordedAbsence, RecordedBlindness, RecordedFacts
from pitcrew.loop.rehearsal import Eyes, Rehearsal, rehearse_from
from pitcrew.ports import Consultant, ExecAnswer, Official, RunbookSearch, RunbookSource
from pitcrew.settings import Settings

TARGET_ID = "0" * 64
INSTANCE = "recorded"
FAILING_FOR_S = 60
SAME_DEATH = timedelta(seconds=2)
"""How far apart a runtime's word, a death and a kill for memory may lie that are one end."""
OOMS_WINDOW = timedelta(minutes=10)
"""What a runtime remembers of kills for memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Came:
    """What came of one case: the incident as far as it went, the step that was not taken, and the deviations found.

    `told` is the cause that the status names where no incident is opened: a stop that is respected, a broken check.
    """

    case: Case
    incident: Incident | None
    step: Step | None
    found: tuple[Deviation, ...]
    told: Cause = Cause.UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What all cases share. `official` judges at the time of a case; `consultant` is None for rules alone."""

    settings: Settings
    runbooks: RunbookSource
    official: Callable[["PlayedClock"], Official]
    consultant: Consultant | None = None
    search: RunbookSearch | None = None


async def play(stage: Stage, case: Case) -> Came:
    """Play one case up to the first step that would act or ask."""
    clock, runtimes = PlayedClock(case), {case.service.spec.target.kind: PlayedRuntime(case)}
    eyes = Eyes(
        settings=stage.settings,
        clock=clock,
        records=(),
        runtimes=runtimes,
        observer=LocalObserver(runtimes=runtimes, prober=PlayedProber(case), clock=clock),
        official=stage.official(clock),
        runbooks=stage.runbooks,
        standing=Standing(),
        guardrails=NO_GUARDRAILS,
        consultant=stage.consultant,
        search=stage.search,
        told_of=lambda service: dependencies_of(case),
    )
    came: Rehearsal = await rehearse_from(eyes, case.service, watch_of(case), past_of(case))
    told = Cause.UNKNOWN if came.incident or came.seen is None else _told_by_status(came.seen)
    return Came(case=case, incident=came.incident, step=came.step, found=came.found, told=told)


def _told_by_status(seen: Observation) -> Cause:
    """The condition Ready says StoppedByPerson, or lists the check that is broken; there is nothing to diagnose."""
    if respected(seen.sight, seen.at) == STOPPED_BY_PERSON:
        return Cause.STOPPED_BY_SOMEONE
    broken = any(result.reason is ProbeReason.CHECK_BROKEN for result in seen.probes)
    return Cause.CHECK_BROKEN if broken else Cause.UNKNOWN


class PlayedClock:
    """The time of the record, which stands still."""

    def __init__(self, case: Case) -> None:
        self._instant = Instant(at=case.at, boot="recorded", boottime_ns=0)

    def now(self) -> Instant:
        """The instant the evidence was gathered."""
        return self._instant


class PlayedRuntime:
    """`Runtime` over a case."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.kind = case.service.spec.target.kind

    async def look(self, service: HealthyService) -> Sight:
        return sight_of(self._case)

    async def logs(
        self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int, bytes_max: int
    ) -> Sequence[LogLine]:
        self._refuse_missing("logs")
        kept = self._case.logs[-lines_max:]
        while kept and sum(len(line.text.encode()) + 1 for line in kept) > bytes_max:
            kept = kept[1:]
        return [LogLine(at=line.at, stream=line.stream, text=line.text) for line in kept]

    async def processes(self, service: HealthyService, facts: RuntimeFacts, *, lines_max: int) -> Sequence[str]:
        self._refuse_missing("processes")
        return self._case.processes[:lines_max]

    async def stats(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        return _told(self._case.stats)

    async def makeup(self, service: HealthyService, facts: RuntimeFacts) -> Sequence[str]:
        return _told(self._case.makeup)

    def events(self, service: HealthyService) -> Sequence[RuntimeEvent]:
        return tuple(
            RuntimeEvent(at=event.at, kind=event.kind, detail=event.detail, exit_code=event.exit_code)
            for event in self._case.events
        )

    async def run(
        self, service: HealthyService, facts: RuntimeFacts, argv: Sequence[str], *, timeout_s: float, bytes_max: int
    ) -> ExecAnswer:
        for name, probe in self._case.service.probes:
            if probe.exec is not None and tuple(probe.exec.command) == tuple(argv):
                return _exec_answer(next(one for one in results_of(self._case) if one.probe == name))
        raise Refused("a recorded target runs no command but its probes")

    async def wakes(self) -> AsyncIterator[ServiceKey]:
        return
        yield

    def declare(self, services: Iterable[HealthyService]) -> None:
        """Nothing is followed."""

    async def close(self) -> None:
        """Nothing is held."""

    def _refuse_missing(self, what: str) -> None:
        for part in self._case.missing:
            if part.startswith(what):
                raise Unavailable(part.partition(":")[2].strip() or "not recorded")


class PlayedProber:
    """`HttpProber` over a case."""

    def __init__(self, case: Case) -> None:
        self._results = {result.probe: result for result in results_of(case)}

    async def get(self, name: str, http_get: HttpGet, *, address: str | None, timeout_s: float) -> ProbeResult:
        return self._results[name]

    async def connect(self, name: str, tcp: TcpSocket, *, address: str | None, timeout_s: float) -> ProbeResult:
        return self._results[name]


def _told(lines: Sequence[str]) -> Sequence[str]:
    if not lines:
        raise Unavailable("not recorded")
    return lines


def sight_of(case: Case) -> Sight:
    """The recorded look at the runtime."""
    match case.sight:
        case RecordedAbsence(detail=detail):
            return Absent(detail=detail)
        case RecordedBlindness(reason=reason, detail=detail):
            return Blind(reason=reason, detail=detail)
        case RecordedFacts() as facts:
            return _facts(case, facts)


def _facts(case: Case, facts: RecordedFacts) -> RuntimeFacts:
    return RuntimeFacts(
        kind=case.service.spec.target.kind,
        target_id=TARGET_ID,
        instance=INSTANCE,
        name=case.service.metadata.name,
        state=facts.state,
        started_at=facts.started_at,
        finished_at=facts.finished_at,
        exit_code=facts.exit_code,
        error=facts.error,
        oom_killed=_ended_for_memory(case, facts),
        stopped_by=facts.stopped_by,
        ever_started=facts.ever_started,
        restarts_by_itself=facts.restarts_by_itself,
        deaths=facts.deaths,
        ooms=_ooms(case, facts),
        suspended=facts.suspended,
        engine_health=_own_health(case, facts),
        image=facts.image,
        env_names=facts.env_names,
        networks=facts.networks,
        files=tuple(FileFact(path=file.path, present=file.present) for file in facts.files),
        desired=tuple(
            NetworkFact(name=network.name, attached=network.attached, named=network.named) for network in facts.desired
        ),
    )


def _ended_for_memory(case: Case, facts: RecordedFacts) -> bool:
    """As a runtime tells it: by the events beside the death where it remembers them, else by its own word."""
    ooms, at = _ooms_at(case), facts.finished_at
    ends = [one.at for one in case.events if at and one.kind is EventKind.DIED and abs(one.at - at) <= SAME_DEATH]
    if not ends or not ooms:
        return facts.oom_killed
    return any(abs(oom - end) <= SAME_DEATH for oom in ooms for end in ends)


def _ooms(case: Case, facts: RecordedFacts) -> int:
    """How often the kernel ended a process of the present run in ten minutes, while its main process ran on."""
    since = max(case.at - OOMS_WINDOW, facts.started_at or case.at)
    return sum(since <= at for at in _ooms_at(case)) if facts.state is RuntimeState.RUNNING else 0


def _ooms_at(case: Case) -> list[datetime]:
    return [one.at for one in case.events if one.kind is EventKind.OUT_OF_MEMORY]


def _own_health(case: Case, facts: RecordedFacts) -> EngineHealth | None:
    own = facts.engine_health
    if own is None:
        return None
    return EngineHealth(
        status=own.status,
        failing_streak=own.failing_streak,
        exit_code=own.exit_code,
        output=own.output,
        checked_at=case.at,
    )


def dependencies_of(case: Case) -> tuple[Dependency, ...]:
    """What the service depends on, as it was then."""
    return tuple(Dependency(service=ServiceKey(one.service), health=one.health) for one in case.dependencies)


def results_of(case: Case) -> tuple[ProbeResult, ...]:
    """The recorded answer to each declared probe; one that was not recorded could not be told."""
    recorded = {result.probe: result for result in case.probes}
    if unknown := set(recorded) - {name for name, _ in case.service.probes}:
        raise InvalidInput(f"{case.id}: probes: the service declares no {', '.join(sorted(unknown))}")
    found = []
    for name, _ in case.service.probes:
        result = recorded.get(name)
        found.append(
            ProbeResult(probe=name, at=case.at, outcome=Outcome.UNKNOWN, reason=ProbeReason.NOT_REPORTED)
            if result is None
            else ProbeResult(
                probe=name,
                at=case.at,
                outcome=result.outcome,
                reason=result.reason,
                detail=result.detail,
                status=result.status,
                latency_ms=result.latency_ms,
            )
        )
    return tuple(found)


def _exec_answer(result: ProbeResult) -> ExecAnswer:
    match result.reason:
        case ProbeReason.OK:
            return ExecAnswer(exit_code=0, output=result.detail)
        case ProbeReason.TIMEOUT:
            return ExecAnswer(exit_code=None, output=result.detail)
        case ProbeReason.EXIT_CODE:
            return ExecAnswer(exit_code=1 if result.status is None else result.status, output=result.detail)
        case ProbeReason.CHECK_BROKEN:
            return ExecAnswer(exit_code=127, output=result.detail)
        case _:
            raise Unavailable(result.detail or str(result.reason))


def past_of(case: Case) -> tuple[Past, ...]:
    """The earlier incidents of the service."""
    return tuple(
        Past(
            incident=one.incident,
            opened_at=case.at - timedelta(minutes=one.minutes_ago),
            cause=one.cause,
            effects=one.effects,
            recovered=one.recovered,
            outcome="",
        )
        for one in case.former
    )


# The memory of the watch


def watch_of(case: Case) -> Watch:
    """What the watch remembered at the instant of the record."""
    seen = Observation(service=case.service.key, at=case.at, sight=sight_of(case), probes=results_of(case))
    probes = dict(case.service.probes)
    tracks = {result.probe: _track(case, probes[result.probe], result) for result in seen.probes}
    return Watch(tracks=tracks, seen=seen)


def _track(case: Case, probe: Probe, result: ProbeResult) -> Track:
    kinds = {one.kind for one in case.deviations if one.probe == result.probe}
    failing = DeviationKind.PROBE_FAILING in kinds or DeviationKind.FLAPPING in kinds
    since = case.at - timedelta(seconds=FAILING_FOR_S)
    track = Track(
        instance=INSTANCE,
        failing=failing,
        failures=probe.failure_threshold if failing else 0,
        successes=0 if failing else probe.success_threshold,
        last=result,
        failed_since=since if failing else None,
    )
    if DeviationKind.FLAPPING in kinds:
        swings = tuple(case.at - timedelta(seconds=10 * place) for place in range(FLAP_CHANGES, 0, -1))
        track = replace(track, changed_at=swings)
    return replace(track, answers=_answers(case, probe, kinds), objective=probe) if probe.has_objective else track


def _answers(case: Case, probe: Probe, kinds: set[DeviationKind]) -> tuple[Told, ...]:
    """A full window of answers that misses just the objectives that were missed then."""
    slow, bad = DeviationKind.LATENCY_HIGH in kinds, DeviationKind.ERROR_RATIO_HIGH in kinds
    asked = probe.objective_window // probe.period_seconds
    return tuple(
        Told(at=case.at - timedelta(seconds=place * probe.period_seconds), good=not (bad and place % 2), slow=slow)
        for place in range(asked - 1, -1, -1)
    )
