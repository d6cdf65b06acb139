"""Status as files: `DIRECTORY/NAMESPACE.NAME.yaml`, one per service, readable by all, replaced at once.

Names are DNS labels and hold no dot, so that no two services share a file.
"""

import asyncio
import logging
import os
import stat
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from pitcrew.adapters.durable import make_directory, remove, replace
from pitcrew.adapters.status.document import comparable, document
from pitcrew.core.conditions import ServiceStatus
from pitcrew.core.errors import InvalidInput
from pitcrew.core.record import Json
from pitcrew.core.resource import ServiceKey
from pitcrew.core.untrusted import clean

DIRECTORY_MODE = 0o755
FILE_MODE = 0o644
HEARTBEAT_S = 10
"""Seconds after which an unchanged status is written again, so that its age tells whether the operator lives."""
FILE_BYTES_MAX = 1 << 20
"""Larger is no status that PitCrew wrote."""

_log = logging.getLogger("pitcrew.status")


class _Dumper(yaml.SafeDumper):
    """Plain documents: no anchors, since a reader may refuse them."""

    def ignore_aliases(self, data: object) -> bool:
        return True


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


def rendered(found: Mapping[str, Json]) -> bytes:
    """A document as YAML."""
    text: str = yaml.dump(found, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text.encode()


def read_status(directory: Path) -> Sequence[Mapping[str, Json]]:
    """Every status in a directory, by file name; none where the directory is not there.

    Raises InvalidInput naming a file that is no status of PitCrew, or that cannot be read.
    """
    try:
        paths = sorted(directory.glob("*.yaml"))
        return [_read(path) for path in paths if not path.name.startswith(".")]
    except OSError as error:
        raise InvalidInput(f"{error.filename}: cannot be read ({error.strerror}); look at its mode") from None


def _read(path: Path) -> Mapping[str, Json]:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InvalidInput(f"{path}: not a regular file; the operator writes it anew")
        raw = file.read(FILE_BYTES_MAX + 1)
    found = _parsed(path, raw)
    if not isinstance(found, Mapping) or not isinstance(found.get("status"), Mapping):
        raise InvalidInput(f"{path}: holds no status; the operator writes it anew")
    return found


def _parsed(path: Path, raw: bytes) -> Json:
    if len(raw) > FILE_BYTES_MAX:
        raise InvalidInput(f"{path}: larger than {FILE_BYTES_MAX} bytes; the operator writes it anew")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(raw, Loader=loader)):
            raise InvalidInput(f"{path}: holds aliases, which no status has; the operator writes it anew")
        found: Json = yaml.load(raw, Loader=loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidInput(f"{path}: no YAML: {clean(str(error), 200)}; the operator writes it anew") from None
    return found
