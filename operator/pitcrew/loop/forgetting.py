"""Transcripts are kept for a set number of days; the loop has the older ones removed, beside its work."""

import asyncio
import logging
from datetime import timedelta
from typing import NoReturn

from pitcrew.core.errors import Unavailable
from pitcrew.loop.crew import Crew
from pitcrew.ports import Transcripts

EVERY_S = 3_600
"""Seconds between two removals; bounds by days need no more."""

_log = logging.getLogger("pitcrew.loop")


async def forget(crew: Crew, transcripts: Transcripts) -> NoReturn:
    """Remove old transcripts now and every hour, until cancelled; what fails is tried again."""
    while True:
        before = crew.clock.now().at - timedelta(days=crew.settings.model_transcripts_days)
        try:
            await transcripts.prune(before)
        except Unavailable as error:
            _log.warning("transcripts not removed", extra={"text": str(error)})
        await asyncio.sleep(EVERY_S)
