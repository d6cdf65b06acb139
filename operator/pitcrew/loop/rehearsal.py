"""A rehearsal: what would be done about a service now, by the loop's own steps, up to the first that would act or ask.

Nothing is written and nothing is acted on: the journal is a sheet of paper, the Mechanic refuses, and whoever
gives it eyes gives it some that run no command. A model is asked where the eyes have one, and waited for.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pitcrew.core.action import Seen, Trace
from pitcrew.core.conditions import ServiceStatus
from pitcrew.core.dependency import Dependency, unknown
from pitcrew.core.deviation import Deviation, Watch, deviating_since, observe, severity
from pitcrew.core.errors import Refused
from pitcrew.core.event import Opened, Reconsidered
from pitcrew.core.history import Past
from pitcrew.core.incident import TRANSITIONS, Incident
from pitcrew.core.observation import Observation
from pitcrew.core.order import Standing
from pitcrew.core.permit import Permit
from pitcrew.core.policy import Guardrails
from pitcrew.core.proposal import Plan
from pitcrew.core.record import GENESIS, Entry, Head, Record
from pitcrew.core.resource import HealthyService, ServiceKey, TargetKind
from pitcrew.core.step import (
    BeginInvestigating,
    Consult,
    Diagnose,
    GatherEvidence,
    Investigate,
    Judge,
    LeaveUnasked,
    MakePlan,
    Step,
    Wait,
    next_step,
)
from pitcrew.core.storm import Sky
from pitcrew.loop.consulting import hear
from pitcrew.loop.crew import Crew
from pitcrew.loop.desk import PAST_MAX, Desk
from pitcrew.loop.expenses import Expenses
from pitcrew.loop.fleet import remember
from pitcrew.loop.perform import perform
from pitcrew.loop.situation import situation_at
from pitcrew.ports import Clock, Consultant, Observer, Official, RunbookSearch, RunbookSource, Runtime
from pitcrew.settings import Settings

_THOUGHT = (GatherEvidence, Diagnose, Consult, LeaveUnasked, BeginInvestigating, Investigate, MakePlan, Judge)
"""The steps that touch nothing: they look, think, and ask for a verdict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsal:
    """What came of it. `deviates` is None where it cannot be told. `step` is the first that was not taken; None where
    there is no incident, or where a step could not be told. `was_open` is the incident as it was before."""

    seen: Observation | None
    deviates: bool | None
    found: tuple[Deviation, ...]
    was_open: Incident | None
    incident: Incident | None
    step: Step | None
    dependencies: tuple[Dependency, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Eyes:
    """What a rehearsal looks with; `records` are those of the journal, and `standing` is filled from them.

    It looks at one service only: how those are that it depends on is told by `told_of`.
    """

    settings: Settings
    clock: Clock
    records: Sequence[Record]
    runtimes: Mapping[TargetKind, Runtime]
    observer: Observer
    official: Official
    runbooks: RunbookSource
    standing: Standing
    guardrails: Guardrails
    consultant: Consultant | None = None
    search: RunbookSearch | None = None
    told_of: Callable[[HealthyService], tuple[Dependency, ...]] = unknown


async def rehearse(eyes: Eyes, service: HealthyService) -> Rehearsal:
    """Look once, as if the same had been seen as often as the thresholds ask, and think it through.

    Raises:
        Impossible, ValueError: the records are those of another version.
    """
    seen = await eyes.observer.look(service)
    watch = Watch()
    for _ in range(_looks(service)):
        watch = observe(watch, service, seen)
    return await rehearse_from(eyes, service, watch)


async def rehearse_from(eyes: Eyes, service: HealthyService, watch: Watch, before: tuple[Past, ...] = ()) -> Rehearsal:
    """Think through what the watch remembers, with runtimes that change nothing; `before` are earlier incidents of
    which no record is there.

    An open incident that waits is looked at anew; one that is being acted on is left as it is.

    Raises:
        Impossible, ValueError: the records are those of another version.
    """
    crew = _crew(eyes)
    memory = remember(crew)
    for order in memory.orders:
        eyes.standing.obey(order)
    was_open = memory.open.get(service.key)
    desk = Desk(
        crew=crew,
        service=service,
        acting=asyncio.Semaphore(1),
        ending=asyncio.Event(),
        incident=was_open,
        guardrails=eyes.guardrails.binding(service),
        ended=memory.ended.get(service.key, [])[-PAST_MAX:],
        watch=watch,
        before=before,
        told_of=eyes.told_of,
    )
    step = await _think(desk, memory.next_id(service.metadata.name))
    return Rehearsal(
        seen=watch.seen,
        deviates=desk.deviates(),
        found=desk.found(),
        was_open=was_open,
        incident=desk.incident,
        step=step,
        dependencies=desk.dependencies,
    )


def _looks(service: HealthyService) -> int:
    return max((max(probe.failure_threshold, probe.success_threshold) for _, probe in service.probes), default=1)


async def _think(desk: Desk, name: str) -> Step | None:
    if desk.deviates() is not True:
        return None
    if desk.incident is None:
        await desk.record(_opened(desk, name), name)
    elif (desk.incident.phase, "Reconsidered") in TRANSITIONS:
        await desk.record(Reconsidered(reason="a person asked what would be done now"))
    step = await _thought(desk)
    while desk.consultation.asks_about(desk.case.id):
        await _hear(desk)
    return step


async def _thought(desk: Desk) -> Step | None:
    """The first step that is not only thought."""
    while True:
        step = _next(desk)
        if isinstance(step, Wait) and desk.consultation.asks_about(desk.case.id):
            await _hear(desk)
            continue
        if not isinstance(step, _THOUGHT):
            return step
        event = await perform(step, desk)
        if event is not None:
            await desk.record(event)
        elif not isinstance(step, Consult):
            return None


async def _hear(desk: Desk) -> None:
    """Wait for the answer that a model owes, and take it."""
    await desk.consultation.answered()
    await hear(desk)


def _next(desk: Desk) -> Step:
    return next_step(desk.case, situation_at(desk), desk.now())


def _opened(desk: Desk, name: str) -> Opened:
    return Opened(
        id=name,
        service=desk.service.key,
        target=desk.service.spec.target.label,
        severity=severity(desk.service, desk.found()),
        deviations=desk.found(),
        detected_from=deviating_since(desk.watch, desk.now()),
    )


def _crew(eyes: Eyes) -> Crew:
    """A crew without hands, and with paper in place of everything that lasts."""
    return Crew(
        settings=eyes.settings,
        clock=eyes.clock,
        journal=_Paper(clock=eyes.clock, records=list(eyes.records)),
        runtimes=eyes.runtimes,
        observer=eyes.observer,
        official=eyes.official,
        mechanic=_NoHands(),
        status=_NoStatus(),
        reports=_NoReports(),
        runbooks=eyes.runbooks,
        standing=eyes.standing,
        sky=Sky(),
        expenses=Expenses(),
        halted=lambda: "",
        consultant=eyes.consultant,
        search=eyes.search,
    )


@dataclass(kw_only=True)
class _Paper:
    """A journal that is thrown away."""

    clock: Clock
    records: list[Record]

    async def append(self, entry: Entry) -> Record:
        instant = self.clock.now()
        record = Record(
            seq=len(self.records) + 1,
            at=instant.at,
            boot=instant.boot,
            boottime_ns=instant.boottime_ns,
            service=entry.service,
            incident=entry.incident,
            type=entry.type,
            data=entry.data,
            prev=GENESIS,
            hash=GENESIS,
        )
        self.records.append(record)
        return record

    def read(self, incident: str | None = None) -> Iterator[Record]:
        return iter([record for record in self.records if incident in (None, record.incident)])

    @property
    def head(self) -> Head:
        return Head()


class _NoHands:
    """A Mechanic that does nothing, whatever it is shown."""

    async def prepare(self, permit: Permit, plan: Plan, service: HealthyService) -> Trace:
        raise Refused("a rehearsal acts on nothing")

    async def execute(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> None:
        raise Refused("a rehearsal acts on nothing")

    async def look_back(self, permit: Permit, plan: Plan, service: HealthyService, trace: Trace) -> Seen:
        raise Refused("a rehearsal acts on nothing")


class _NoStatus:
    """A status nobody sees."""

    async def write(self, status: ServiceStatus) -> None:
        """Nowhere."""

    async def forget(self, service: ServiceKey) -> None:
        """Nothing is there."""


class _NoReports:
    """Reports that are not written."""

    async def write(self, incident: str, text: str) -> str:
        return ""
