"""The file that says whose keys sign: read whole, and only where nobody else could have written it."""

import os
import stat
from pathlib import Path

from pitcrew.core.errors import InvalidInput

ALLOWED_BYTES_MAX = 256 * 1024
"""Bytes of an `allowed_signers` file: some hundreds of people with long RSA keys."""


def read_allowed(path: Path) -> bytes:
    """The file as it is now.

    Raises:
        InvalidInput: it cannot be read, is no plain file, is too long, or it or a directory above it can be written by
            others than root and the user of this process; names which, and what to do.
    """
    path = path.absolute()
    try:
        for directory in {*path.parents, *path.resolve(strict=True).parents}:
            _check(directory, directory.stat())
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InvalidInput(f"{path}: is no plain file")
            _check(path, status)
            found = file.read(ALLOWED_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror}); name another file, no link") from None
    if len(found) > ALLOWED_BYTES_MAX:
        raise InvalidInput(f"{path}: is longer than {ALLOWED_BYTES_MAX} bytes")
    return found


def _check(path: Path, status: os.stat_result) -> None:
    """A directory such as /tmp, in which others can write but not replace what is ours, will do."""
    shared = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_uid not in (0, os.geteuid()):
        raise InvalidInput(f"{path}: belongs to uid {status.st_uid}, who could put in keys; chown it to root")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not shared:
        raise InvalidInput(f"{path}: can be written by others, who could put in keys; chmod go-w it")
