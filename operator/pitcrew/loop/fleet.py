"""All services of this operator: workers come and go as people declare and withdraw, and go on where the journal ends.

Incidents found open in the journal are handed to the worker of their service. A withdrawn service's incident is closed
as abandoned; a service that cannot be read stays as it was.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pitcrew.core import order, storm
from pitcrew.core.conditions import Notice, notice, storm_notice
from pitcrew.core.dependency import Graph, graph_of
from pitcrew.core.event import (
    EVENT_TYPES,
    Abandoned,
    from_record,
    to_entry,
)
from pitcrew.core.incident import (
    TRANSITIONS,
    Incident,
    advance,
)
from pitcrew.core.order import Order
from pitcrew.core.policy import Guardrails
from pitcrew.core.record import Record
from pitcrew.core.resource import ServiceKey
from pitcrew.core.storm import Storm
from pitcrew.loop.around import Around
from pitcrew.loop.crew import Crew
from pitcrew.loop.desk import NOTICES_MAX, PAST_MAX, Desk
from pitcrew.loop.forgetting import forget
from pitcrew.loop.pulse import beat
from pitcrew.loop.telling import tell
from pitcrew.loop.weather import Weather
from pitcrew.loop.worker import RETRY_S, Worker
from pitcrew.ports import Declared, Loaded, ManifestSource, Runtime

_log = logging.getLogger("pitcrew.loop")


@dataclass(kw_only=True)
class Memory:
    """What the journal says of all services: open and ended incidents, the last notices, and the highest numbers."""

    open: dict[str, Incident] = field(default_factory=dict)
    ended: dict[str, list[Incident]] = field(default_factory=dict)
    notices: dict[str, list[Notice]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    storm: Storm | None = None

    def next_id(self, name: str) -> str:
        """A typeable id that no incident ever had."""
        self.numbers[name] = self.numbers.get(name, 0) + 1
        return f"{name}-{self.numbers[name]}"

    def tell(self, service: str, told: Notice) -> None:
        """Keep an event for people."""
        notices = self.notices.setdefault(service, [])
        notices.append(told)
        del notices[:-NOTICES_MAX]

    def take_storm(self, record: Record) -> None:
        """Note that a storm began or ended."""
        found = storm.from_record(record)
        self.storm = found if record.type == storm.STORM_BEGAN else None
        for service in found.services:
            self.tell(service, storm_notice(record))


def remember(crew: Crew) -> Memory:
    """Replay the journal.

    Raises:
        Impossible: the journal holds an event that the machine does not know; it was written by another version.
    """
    memory = Memory()
    incidents: dict[str, Incident] = {}
    for record in crew.journal.read():
        if record.type == order.ORDERED:
            memory.orders.append(order.from_record(record))
        if record.type in storm.STORM_TYPES:
            memory.take_storm(record)
        if record.type not in EVENT_TYPES:
            continue
        event = from_record(record)
        incident = advance(incidents.get(record.incident), event, record.at)
        incidents[record.incident] = incident
        crew.expenses.take(record.incident, event, record.at)
        name, _, number = record.incident.rpartition("-")
        memory.numbers[name] = max(memory.numbers.get(name, 0), int(number))
        memory.tell(record.service, notice(event, incident, record.at))
    for incident in incidents.values():
        if incident.open:
            memory.open[incident.service] = incident
        else:
            memory.ended.setdefault(incident.service, []).append(incident)
    return memory


class Fleet:
    """Runs one worker per declared service until `ending` is set."""

    def __init__(self, crew: Crew, manifests: ManifestSource, ending: asyncio.Event) -> None:
        self._crew = crew
        self._manifests = manifests
        self._ending = ending
        self._memory = remember(crew)
        for given in self._memory.orders:
            crew.standing.obey(given)
        self._memory.orders.clear()
        self._acting = asyncio.Semaphore(crew.settings.acting_at_once_max)
        self._workers: dict[ServiceKey, Worker] = {}
        self._tasks: dict[ServiceKey, asyncio.Task[None]] = {}
        self._claims: dict[str, ServiceKey] = {}
        self._policies: dict[str, str] = {}
        crew.sky.storm = self._memory.storm
        self._weather = Weather(crew, lambda: self.desks, self.wake)
        self._graph: Graph = {}
        self._around = Around(lambda: self.desks, lambda: self._graph, self.wake)

    async def run(self) -> None:
        """Follow the declarations and the runtimes' events until PitCrew ends; effects under way are finished."""
        followers = [asyncio.create_task(self._follow_manifests())]
        followers += [asyncio.create_task(self._follow_wakes(runtime)) for runtime in self._crew.runtimes.values()]
        if self._crew.witnesses:
            followers.append(asyncio.create_task(beat(self._crew, lambda: self.desks.values())))
        if self._crew.transcripts is not None:
            followers.append(asyncio.create_task(forget(self._crew, self._crew.transcripts)))
        ended = asyncio.create_task(self._ending.wait())
        try:
            done, _ = await asyncio.wait([*followers, ended], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._ending.set()
            for task in (*followers, ended):
                task.cancel()
            await asyncio.gather(*followers, ended, return_exceptions=True)
            await self._finish(list(self._workers))

    @property
    def desks(self) -> Mapping[ServiceKey, Desk]:
        """The desk of each declared service."""
        return {key: worker.desk for key, worker in self._workers.items()}

    @property
    def policies(self) -> Mapping[str, str]:
        """The place of each policy's declaration, by its name."""
        return self._policies

    def wake(self, key: ServiceKey | None = None) -> None:
        """Have one service looked at again at once, or all."""
        for name, worker in self._workers.items():
            if key is None or name == key:
                worker.wake()

    async def _follow_manifests(self) -> None:
        async for loaded in self._manifests.changes():
            await self._take(loaded)

    async def _take(self, loaded: Loaded) -> None:
        for problem in loaded.problems:
            _log.warning("manifest problem", extra={"text": str(problem)})
        self._policies = {name: f"{one.file}:{one.line}" for name, one in loaded.policies.items()}
        services = [declared.service for declared in loaded.services.values()]
        self._graph = graph_of(services)
        for runtime in self._crew.runtimes.values():
            runtime.declare([service for service in services if service.spec.target.kind is runtime.kind])
        gone = [key for key, worker in self._workers.items() if self._must_end(worker, loaded.services.get(key))]
        await self._withdraw(gone)
        await self._abandon_orphans(loaded)
        for key, declared in loaded.services.items():
            self._declare(key, declared, loaded.guardrails)

    def _must_end(self, worker: Worker, declared: Declared | None) -> bool:
        return declared is None or declared.service.spec.target != worker.desk.service.spec.target

    def _declare(self, key: ServiceKey, declared: Declared, guardrails: Guardrails) -> None:
        worker = self._workers.get(key)
        if worker is None:
            worker = self._hire(key, declared)
        desk = worker.desk
        bound = guardrails.binding(declared.service)
        changed = desk.service != declared.service
        guarded = desk.guardrails != bound
        desk.service, desk.source, desk.stale = declared.service, f"{declared.file}:{declared.line}", declared.stale
        desk.guardrails = bound
        desk.consultation.tighten(desk.terms)
        if guarded:
            names = ", ".join(policy.name for policy in bound.policies) or "none"
            _log.info("guardrails changed", extra={"service": key, "text": f"bound by: {names}"})
            worker.wake()
        if changed:
            _log.info("declaration changed", extra={"service": key, "text": desk.source})
            worker.wake()

    def _hire(self, key: ServiceKey, declared: Declared) -> Worker:
        desk = Desk(
            crew=self._crew,
            service=declared.service,
            acting=self._acting,
            ending=asyncio.Event(),
            incident=self._memory.open.pop(key, None),
            ended=self._memory.ended.pop(key, [])[-PAST_MAX:],
            notices=self._memory.notices.pop(key, []),
            hired_at=self._crew.clock.now().at,
            told_of=self._around.told_of,
            looked_around=self._around.looked,
        )
        name = declared.service.metadata.name
        worker = Worker(
            desk,
            claim=self._claim_for(key),
            name_incident=lambda: self._memory.next_id(name),
            weather=self._weather.look,
        )
        self._workers[key] = worker
        self._start(key)
        text = f"{declared.service.spec.target.label} from {declared.file}"
        _log.info("service declared", extra={"service": key, "text": text})
        return worker

    def _start(self, key: ServiceKey) -> None:
        task = asyncio.create_task(self._workers[key].run(), name=f"worker {key}")
        task.add_done_callback(lambda ended: self._on_end(key, ended))
        self._tasks[key] = task

    def _on_end(self, key: ServiceKey, task: "asyncio.Task[None]") -> None:
        """A worker that ends by a bug of ours is started again, a moment later; its incident is in its memory."""
        if task.cancelled() or task.exception() is None:
            return
        _log.critical("worker failed", extra={"service": key}, exc_info=task.exception())
        if key in self._workers and not self._ending.is_set():
            asyncio.get_running_loop().call_later(RETRY_S, self._restart, key)

    def _restart(self, key: ServiceKey) -> None:
        if key in self._workers and not self._ending.is_set():
            self._start(key)

    def _claim_for(self, key: ServiceKey) -> Callable[[str], str]:
        def claim(target_id: str) -> str:
            holder = self._claims.setdefault(target_id, key)
            if holder == key:
                return ""
            return f"target {target_id[:24]} already belongs to {holder}; two services on one target are refused"

        return claim

    async def _finish(self, keys: list[ServiceKey]) -> None:
        for key in keys:
            self._workers[key].desk.ending.set()
        await asyncio.gather(*(self._tasks[key] for key in keys), return_exceptions=True)

    async def _withdraw(self, keys: list[ServiceKey]) -> None:
        await self._finish(keys)
        for key in keys:
            worker = self._workers.pop(key)
            await worker.withdraw()
            self._memory.ended[key], self._memory.notices[key] = worker.desk.ended, worker.desk.notices
            self._claims = {target: holder for target, holder in self._claims.items() if holder != key}
            await self._crew.status.forget(key)
            _log.info("service withdrawn", extra={"service": key})

    async def _abandon_orphans(self, loaded: Loaded) -> None:
        """Close incidents that the journal holds open, of services that are certainly no longer declared so."""
        for key in [key for key, incident in self._memory.open.items() if _is_orphan(incident, loaded)]:
            incident = self._memory.open.pop(key)
            _log.warning("incident of a withdrawn service", extra={"service": key, "incident": incident.id})
            self._memory.ended.setdefault(key, []).append(await self._abandoned(incident))

    async def _abandoned(self, incident: Incident) -> Incident:
        event = Abandoned(reason="the service is no longer declared")
        if (incident.phase, event.type) not in TRANSITIONS:
            return incident
        record = await self._crew.journal.append(to_entry(incident.id, incident.service, event))
        moved = advance(incident, event, record.at)
        tell(self._crew, lambda witness: witness.recorded(event, moved, record.at, 0.0))
        return moved

    async def _follow_wakes(self, runtime: Runtime) -> None:
        async for key in runtime.wakes():
            if key in self._workers:
                self._workers[key].wake()


def _is_orphan(incident: Incident, loaded: Loaded) -> bool:
    """Whether the service is declared with another target, or, where all could be read, not at all."""
    declared = loaded.services.get(ServiceKey(incident.service))
    if declared is None:
        return not loaded.problems
    return declared.service.spec.target.label != incident.target
