"""The desk of one service: what the loop remembers of it between two steps, its eyes, its pen and its window.

Everything here is memory that can be lost: the journal holds what matters, and the live world the rest.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from pitcrew.core import dependency
from pitcrew.core.asking import Terms, terms_for
from pitcrew.core.conditions import Condition, Notice, ServiceStatus, conditions, notice
from pitcrew.core.context import changes
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import (
    Deviation,
    Health,
    Watch,
    deviates,
    deviating_since,
    deviations,
    failing_since,
    forgiven,
    health,
    observe,
)
from pitcrew.core.errors import JournalError
from pitcrew.core.event import (
    Event,
    Verified,
    to_entry,
)
from pitcrew.core.history import Past
from pitcrew.core.incident import (
    Incident,
    advance,
)
from pitcrew.core.observation import Observation, RuntimeFacts
from pitcrew.core.policy import NO_GUARDRAILS, Guardrails, policy_digest, suspension
from pitcrew.core.record import Entry, Record
from pitcrew.core.resource import HealthyService
from pitcrew.core.storm import Spell
from pitcrew.loop.consultation import Consultation
from pitcrew.loop.crew import Crew
from pitcrew.loop.inbox import Inbox
from pitcrew.loop.telling import tell

NOTICES_MAX = 50
"""Events kept in the status of a service; the whole record is the journal."""
PAST_MAX = 200
"""Earlier incidents kept in memory for risk and policy."""
LAST_MAX = 5
"""Ended incidents shown in the status."""

_log = logging.getLogger("pitcrew.loop")


@dataclass(kw_only=True)
class Desk:
    """Mutable on purpose, and used by one worker only."""

    crew: Crew
    service: HealthyService
    acting: asyncio.Semaphore
    ending: asyncio.Event
    source: str = ""
    stale: str = ""
    halted: str = ""
    watch: Watch = field(default_factory=Watch)
    incident: Incident | None = None
    ended: list[Incident] = field(default_factory=list)
    before: tuple[Past, ...] = ()
    """Earlier incidents of which no journal is here, as somebody told them."""
    notices: list[Notice] = field(default_factory=list)
    shown: tuple[Condition, ...] = ()
    guardrails: Guardrails = NO_GUARDRAILS
    well: bool = False
    """Whether it was ever seen not to deviate."""
    healthy: Observation | None = None
    """The last look at which it ran and did not deviate; with it one sees what changed since."""
    unchanged: Observation | None = None
    """The last healthy look before the target changed while it was healthy."""
    hired_at: datetime | None = None
    """When its watch began; None in a rehearsal, which watches nothing."""
    writing_since: datetime | None = None
    unwritten: str = ""
    healthy_since: datetime | None = None
    told_of: Callable[[HealthyService], tuple[Dependency, ...]] = dependency.unknown
    """How the services that this one depends on are now."""
    looked_around: Callable[[HealthyService, datetime], bool] = lambda service, since: True
    """Whether all of them were looked at since an instant, without a doubt; those that were not are looked at now."""
    neighbours: Callable[[HealthyService], "tuple[Desk, ...]"] = lambda service: ()
    """Those of its dependencies of which a model may be shown more."""
    nudge: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the worker should take its next turn now."""
    spell: Spell = field(init=False)
    """Whether it deviated when it was looked at last and since when, for the weather over all services."""
    consultation: Consultation = field(init=False)
    inbox: Inbox = field(default_factory=Inbox)
    """What assistants propose for the worker to record."""

    def __post_init__(self) -> None:
        self.spell = Spell(service=self.service.key, deviates=None, depends_on=self.service.depends_on)
        self.consultation = Consultation(self.nudge.set)

    @property
    def case(self) -> Incident:
        """The open incident; only asked for while there is one."""
        assert self.incident is not None
        return self.incident

    @property
    def known(self) -> tuple[Incident, ...]:
        """The open incident, if any, and those that ended, as far as they are remembered."""
        return (*([self.incident] if self.incident is not None else []), *self.ended)

    @property
    def past(self) -> tuple[Past, ...]:
        """Earlier incidents of this service."""
        ended = (
            Past(
                incident=one.id,
                opened_at=one.opened_at,
                cause=one.cause,
                effects=one.effects,
                recovered=one.recovery is not None,
                outcome=one.outcome,
            )
            for one in self.ended
        )
        return (*self.before, *ended)

    def now(self) -> datetime:
        """Trusted time."""
        return self.crew.clock.now().at

    async def look(self, due: Collection[str] | None = None) -> Observation:
        """A new observation, of every probe or of those due, taken into memory."""
        seen = await self.crew.observer.look(self.service, due)
        self.watch = observe(self.watch, self.service, seen)
        self._note_spell()
        tell(self.crew, lambda witness: witness.observed(self.service, seen))
        return seen

    def _note_spell(self) -> None:
        state, failing = self.deviates(), failing_since(self.watch)
        began_at = self.spell.began_at
        if state is False and failing is None:
            self.well, began_at = True, None
            self._note_healthy()
        elif self.well and began_at is None and (state or failing):
            began_at = min(deviating_since(self.watch, self.now()), failing or self.now())
        self.spell = Spell(
            service=self.service.key,
            deviates=state,
            began_at=began_at,
            failing=failing is not None,
            depends_on=self.service.depends_on,
        )
        is_healthy = health(self.watch, self.now()) is Health.HEALTHY
        self.healthy_since = (self.healthy_since or self.now()) if is_healthy else None

    @property
    def dependencies(self) -> tuple[Dependency, ...]:
        """The services that this one is declared to depend on, as they are now."""
        return self.told_of(self.service)

    def certain_since(self, instant: datetime) -> bool:
        """Whether the service is known to deviate, or every probe of it was asked since then and gave no doubt."""
        if self.deviates():
            return True
        last = [track.last.at if track.last else None for track in self.watch.tracks.values()]
        looks = last or [self.watch.seen.at if self.watch.seen else None]
        return not self.spell.failing and all(at is not None and at >= instant for at in looks)

    def _note_healthy(self) -> None:
        seen = self.watch.seen
        if seen is None or not isinstance(seen.sight, RuntimeFacts) or not seen.sight.running:
            return
        if changes(seen, self.healthy):
            self.unchanged = self.healthy
        self.healthy = seen

    @property
    def policy_digest(self) -> str:
        """Digest of what is declared now and a verdict would rest on."""
        return policy_digest(self.service, self.guardrails)

    @property
    def terms(self) -> Terms:
        """On which terms a model may be asked about the service, as declared now."""
        return terms_for(self.service, self.guardrails)

    def tell(self, told: Notice) -> None:
        """Keep an event for people in the status."""
        self.notices = [*self.notices, told][-NOTICES_MAX:]

    def found(self) -> tuple[Deviation, ...]:
        """Deviations by thresholds."""
        return deviations(self.watch, self.now())

    def deviates(self) -> bool | None:
        """Whether the service deviates by thresholds; None when it cannot be told."""
        return deviates(self.watch, self.now())

    async def record(self, event: Event, incident_id: str = "") -> None:
        """Write an event durably, then move the incident on.

        Raises:
            JournalError: it could not be kept, and nothing moved.
        """
        moved = await self._written(incident_id or self.case.id, self.incident, event)
        self.incident = moved if moved.open else None
        if isinstance(event, Verified) and event.passed:
            self.watch = forgiven(self.watch)
        if not moved.open:
            self.ended = [*self.ended, moved][-PAST_MAX:]
            head = self.crew.journal.head
            _log.info("journal head", extra={"service": self.service.key, "seq": head.seq, "hash": head.hash})

    async def record_late(self, ended: Incident, event: Event) -> Incident:
        """Write an event of an incident that has ended, durably; it stays ended.

        Raises:
            JournalError: it could not be kept, and nothing changed.
        """
        moved = await self._written(ended.id, ended, event)
        self.ended = [moved if one.id == moved.id else one for one in self.ended]
        return moved

    async def _written(self, incident_id: str, before: Incident | None, event: Event) -> Incident:
        """The incident after an event that is durable now, and was told to all who are told."""
        record, took_s = await self._keep(to_entry(incident_id, self.service.key, event))
        moved = advance(before, event, record.at)
        tell(self.crew, lambda witness: witness.recorded(event, moved, record.at, took_s))
        self.crew.expenses.take(moved.id, event, record.at)
        told = notice(event, moved, record.at)
        self.tell(told)
        _log.info(
            "incident event",
            extra={"service": self.service.key, "incident": told.incident, "reason": told.reason, "text": told.message},
        )
        return moved

    async def _keep(self, entry: Entry) -> tuple[Record, float]:
        """Write an entry durably; the record, and the seconds it took."""
        began = self.crew.clock.now()
        self.writing_since = self.writing_since or began.at
        try:
            record = await self.crew.journal.append(entry)
        except JournalError as error:
            self.unwritten = str(error)
            raise
        self.writing_since, self.unwritten = None, ""
        return record, (self.crew.clock.now().boottime_ns - began.boottime_ns) / 1e9

    async def pause(self, seconds: float) -> bool:
        """Wait a little; False when PitCrew is ending, so that the step is left to the next run."""
        try:
            await asyncio.wait_for(self.ending.wait(), seconds)
        except TimeoutError:
            return True
        return False

    async def show(self, waits_for: str = "") -> None:
        """Write the status back."""
        now, halted = self.now(), self.halted or self.crew.halted()
        held = suspension(self.service, self.crew.standing.of(self.service.key, now), now)
        self.shown = conditions(
            self.service,
            self.watch,
            self.incident,
            waits_for,
            self.stale,
            halted,
            held,
            self.shown,
            now,
            self.guardrails,
            str(self.crew.sky),
            self.dependencies,
        )
        await self.crew.status.write(
            ServiceStatus(
                service=self.service,
                at=now,
                health=health(self.watch, now),
                conditions=self.shown,
                deviations=self.found(),
                probes=tuple(track.last for track in self.watch.tracks.values() if track.last),
                flapping=tuple(name for name, track in self.watch.tracks.items() if track.flapping(now)),
                sight=self.watch.sight,
                incident=self.incident,
                waits_for=waits_for,
                last_incidents=tuple(reversed(self.ended[-LAST_MAX:])),
                notices=tuple(self.notices),
                journal_head=self.crew.journal.head,
                source=self.source,
                stale=self.stale,
                policies=tuple(policy.name for policy in self.guardrails.policies),
                terms=self.terms if self.crew.consultant is not None else None,
            )
        )
