"""Postmortems as files: `DIRECTORY/INCIDENT.md`, durable. They cite log templates, so not everyone may read them."""

import asyncio
import re
from pathlib import Path

from pitcrew.adapters.durable import make_directory, replace
from pitcrew.core.errors import InvalidInput, Unavailable

DIRECTORY_MODE = 0o750
FILE_MODE = 0o640

_INCIDENT = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,126}[a-z0-9])?")
"""What an incident id may look like before it is used as a file name: `victim-7`."""


def report_path(directory: Path, incident: str) -> Path:
    """Where the postmortem of an incident is. Raises InvalidInput when the id cannot be a file name."""
    if not _INCIDENT.fullmatch(incident):
        raise InvalidInput(f"{incident[:80]!r} is no incident id, such as victim-7; `pitcrew incidents` lists them")
    return directory / f"{incident}.md"


class ReportFiles:
    """The ReportSink port on disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def write(self, incident: str, text: str) -> str:
        """Raises InvalidInput for an id that cannot be a file name, Unavailable when the disk refuses."""
        path = report_path(self._directory, incident)
        try:
            await asyncio.to_thread(self._write, path, text)
        except OSError as error:
            raise Unavailable(f"{path}: the report cannot be written ({error.strerror}); mend the disk") from None
        return str(path)

    def _write(self, path: Path, text: str) -> None:
        make_directory(self._directory, DIRECTORY_MODE)
        replace(path, text.encode("utf-8", "backslashreplace"), mode=FILE_MODE)
