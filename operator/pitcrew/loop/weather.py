"""The weather over all services: whether many fail at once, kept durably, and told on every desk."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from pitcrew.core import storm
from pitcrew.core.conditions import storm_notice
from pitcrew.core.record import Entry
from pitcrew.core.resource import ServiceKey
from pitcrew.core.storm import Spell
from pitcrew.loop.crew import Crew
from pitcrew.loop.desk import Desk

CALL_EVERY_S = 10
"""Seconds between two calls to look at all services at once: one that begins to deviate may be the first of many."""

_log = logging.getLogger("pitcrew.loop")


class Weather:
    """Looked at when a service begins or ends to deviate. `desks` are those of all declared services; `wake` has each
    of them shown anew."""

    def __init__(self, crew: Crew, desks: Callable[[], Mapping[ServiceKey, Desk]], wake: Callable[[], None]) -> None:
        self._crew = crew
        self._desks = desks
        self._wake = wake
        self._seen: dict[ServiceKey, Spell] = {}
        self._recorded = crew.sky.storm is not None
        self._turn = asyncio.Lock()
        self._called_at: datetime | None = None

    async def look(self) -> None:
        """Decide anew where a service changed since the last look.

        Raises:
            JournalError: a storm began or ended and that could not be kept; it is tried again with the next look, and
            nothing is acted on meanwhile.
        """
        async with self._turn:
            spells = {key: desk.spell for key, desk in self._desks().items()}
            settled = self._recorded == (self._crew.sky.storm is not None)
            if spells and (spells != self._seen or not settled):
                await self._decide(spells)
                self._call(spells)
                self._seen = spells

    def _call(self, spells: Mapping[ServiceKey, Spell]) -> None:
        """Have all looked at where one newly deviates, before its remedy, so that a storm is seen in time."""
        before = {key for key, one in self._seen.items() if not one.deviates}
        fresh = [key for key, one in spells.items() if one.deviates and key in before]
        now = self._crew.clock.now().at
        called = self._called_at is not None and now - self._called_at < timedelta(seconds=CALL_EVERY_S)
        if fresh and not called and len(spells) >= self._crew.settings.storm_services_min:
            self._called_at = now
            self._wake()

    async def _decide(self, spells: Mapping[ServiceKey, Spell]) -> None:
        sky, settings = self._crew.sky, self._crew.settings
        found = storm.forecast(
            sky.storm,
            list(spells.values()),
            services_min=settings.storm_services_min,
            window_s=settings.storm_window_s,
        )
        if found is not None:
            sky.storm = found
            if not self._recorded:
                await self._record(storm.began(found))
                self._recorded = True
                self._wake()
        elif sky.storm is not None:
            still = [spell.service for spell in spells.values() if spell.deviates]
            if self._recorded:
                await self._record(storm.ended(sky.storm, still))
                self._recorded = False
            sky.storm = None
            self._wake()

    async def _record(self, entry: Entry) -> None:
        record = await self._crew.journal.append(entry)
        told = storm_notice(record)
        for desk in self._desks().values():
            desk.tell(told)
        _log.warning("storm", extra={"reason": record.type, "text": told.message})
