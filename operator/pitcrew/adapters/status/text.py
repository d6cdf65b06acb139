"""Status documents as YAML text, written and read; apart from the rest, so that reading one needs little else."""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from pitcrew.core.errors import InvalidInput
from pitcrew.core.record import Json
from pitcrew.core.untrusted import clean

FILE_BYTES_MAX = 1 << 20
"""Larger is no status that PitCrew wrote."""


class _Dumper(yaml.SafeDumper):
    """Plain documents: no anchors, since a reader may refuse them."""

    def ignore_aliases(self, data: object) -> bool:
        return True


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
        return [read_one(path) for path in paths if not path.name.startswith(".")]
    except OSError as error:
        raise InvalidInput(f"{error.filename}: cannot be read ({error.strerror}); look at its mode") from None


def read_one(path: Path) -> Mapping[str, Json]:
    """One status. Raises InvalidInput where it is none, OSError where it cannot be read."""
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
