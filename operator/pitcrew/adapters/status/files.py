"""Status as files: `DIRECTORY/NAMESPACE.NAME.yaml`, one per service, readable by all, replaced at once.

Names are DNS labels and hold no dot, so that no two services share a file.
"""

import asyncio
import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pitcrew.adapters.durable import make_directory, remove, replace
from pitcrew.adapters.status.document import comparable, document
from pitcrew.adapters.status.text import rendered
from pitcrew.core.conditions import ServiceStatus
from pitcrew.core.record import Json
from pitcrew.core.resource import ServiceKey

DIRECTORY_MODE = 0o755
FILE_MODE = 0o644
HEARTBEAT_S = 10
"""Seconds after which an unchanged status is written again, so that its age tells whether the operator lives."""

_log = logging.getLogger("pitcrew.status")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Written:
    said: Json
    at: datetime


class StatusFiles:
    """The StatusSink port on disk. What changed is durable; a heartbeat is only whole, which spares the disk."""

    def __init__(self, directory: Path, *, heartbeat_s: int = HEARTBEAT_S) -> None:
        self._directory = directory
        self._heartbeat_s = heartbeat_s
        self._written: dict[ServiceKey, _Written] = {}
        self._writing = threading.Lock()

    async def write(self, status: ServiceStatus) -> None:
        await asyncio.to_thread(self._write, status)

    async def forget(self, service: ServiceKey) -> None:
        await asyncio.to_thread(self._forget, service)

    def _write(self, status: ServiceStatus) -> None:
        found = document(status)
        said, key = comparable(found), status.service.key
        with self._writing:
            before = self._written.get(key)
            changed = before is None or before.said != said
            if not changed and before and status.at - before.at < timedelta(seconds=self._heartbeat_s):
                return
            try:
                make_directory(self._directory, DIRECTORY_MODE)
                replace(self._path(key), rendered(found), mode=FILE_MODE, sync=changed)
            except OSError as error:
                _log.warning("status not written", extra={"service": key, "error": str(error)})
                return
            self._written[key] = _Written(said=said, at=status.at)

    def _forget(self, service: ServiceKey) -> None:
        with self._writing:
            self._written.pop(service, None)
            try:
                remove(self._path(service))
            except OSError as error:
                _log.warning("status not removed", extra={"service": service, "error": str(error)})

    def _path(self, service: ServiceKey) -> Path:
        namespace, _, name = service.partition("/")
        return self._directory / f"{namespace}.{name}.yaml"
