"""The weather over all services: whether many fail at once, kept durably, and told on every desk."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from pitcrew.core import storm
from pitcrew.core.conditions import storm_notice
from pitcrew.core.record import Entry
from pitcrew.core.resource import ServiceKey
from pitcrew.core.storm import Spell
from pitcrew.loop.crew import Crew
from pitcrew.loop.desk import Desk

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

    async def look(self) -> None:
        """Decide anew where a service changed since the last look.

        Raises:
            JournalError: a storm began or ended and that could not be kept; it is tried again with the next look, and
            nothing is acted on meanwhile.
        """
        spells = {key: desk.spell for key, desk in self._desks().items()}
        if not spells or (spells == self._seen and self._recorded == (self._crew.sky.storm is not None)):
            return
        async with self._turn:
            await self._decide(spells)
            self._seen = spells

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
