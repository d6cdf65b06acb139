"""One regular file out of a container and back into it, through the engine's archives."""

import io
import posixpath
import tarfile
from typing import Any

from pitcrew.adapters.runtime.docker.engine import Session, checked, url
from pitcrew.adapters.runtime.docker.undo import Kept
from pitcrew.adapters.runtime.docker.wire import READ_S
from pitcrew.core.errors import Refused

FILE_BYTES_MAX = 1 << 20
"""Largest file that is removed: it must be kept for the undo first."""
_ARCHIVE_BYTES_MAX = FILE_BYTES_MAX + 64 * 1024
"""The file with its headers and padding."""


def take(session: Session, container_id: str, path: str) -> Kept:
    """The file at a path with its owner and mode.

    Raises:
        Refused: it is not one regular file of a size that can be kept.
        docker.errors.NotFound: nothing is there.
    """
    response = session.client.get(
        url(session.client, "containers", container_id, "archive"), params={"path": path}, stream=True, timeout=READ_S
    )
    with checked(response):
        packed = _read(response.raw, path)
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            return _only_file(archive, path)
    except tarfile.TarError as error:
        raise Refused(f"{path!r}: the engine sent no archive that can be read: {type(error).__name__}") from error


def _read(raw: Any, path: str) -> bytes:
    packed = bytearray()
    while chunk := raw.read(65536):
        packed += chunk
        if len(packed) > _ARCHIVE_BYTES_MAX:
            raise Refused(f"{path!r}: more than {FILE_BYTES_MAX} bytes cannot be kept for the undo")
    return bytes(packed)


def _only_file(archive: tarfile.TarFile, path: str) -> Kept:
    members = archive.getmembers()
    content = archive.extractfile(members[0]) if len(members) == 1 and members[0].isreg() else None
    if content is None:
        raise Refused(f"{path!r} is not a regular file")
    member = members[0]
    return Kept(
        path=path, data=content.read(), uid=member.uid, gid=member.gid, mode=member.mode & 0o7777, mtime=member.mtime
    )


def put(session: Session, container_id: str, kept: Kept) -> None:
    """Put a file back where it was, with its name, owner and mode."""
    member = tarfile.TarInfo(posixpath.basename(kept.path))
    member.size, member.mode, member.mtime = len(kept.data), kept.mode, kept.mtime
    member.uid, member.gid = kept.uid, kept.gid
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(kept.data))
    response = session.client.put(
        url(session.client, "containers", container_id, "archive"),
        params={"path": posixpath.dirname(kept.path), "noOverwriteDirNonDir": "1"},
        data=packed.getvalue(),
        headers={"Content-Type": "application/x-tar"},
        timeout=READ_S,
    )
    checked(response)
