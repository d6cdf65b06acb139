"""Reporting: the postmortem of an incident as a file, a projection of the journal that may be written anew."""

import logging

from pitcrew.core.errors import PitCrewError
from pitcrew.core.incident import Incident
from pitcrew.core.report import postmortem
from pitcrew.loop.crew import Crew

_log = logging.getLogger("pitcrew.loop")


async def write_report(crew: Crew, incident: Incident) -> str:
    """Write the postmortem of an incident as it is now, and give its place.

    Raises:
        JournalError, InvalidInput, Unavailable: it could not be read or written.
    """
    text = postmortem(incident, tuple(crew.journal.read(incident.id)))
    return await crew.reports.write(incident.id, text)


async def renew_report(crew: Crew, ended: Incident) -> None:
    """Write it anew after the end. What fails is logged: `pitcrew report` reads the journal, which has it all."""
    try:
        await write_report(crew, ended)
    except PitCrewError as error:
        _log.warning("report not renewed", extra={"incident": ended.id, "text": str(error)})
