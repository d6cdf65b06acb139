"""The few operations on files that durability is made of, in one place, so that a failing disk can be played."""

import os
import stat
from pathlib import Path

from pitcrew.core.errors import InvalidInput

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


class Disk:
    """The real disk. Every method raises OSError as the system does."""

    def make_directory(self, path: Path) -> None:
        """Create the directory, open to its owner only, durably; an existing one is closed to others."""
        if not path.is_dir():
            path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            self.sync_directory(path.parent)
        path.chmod(DIRECTORY_MODE)

    def open_append(self, path: Path) -> int:
        """A descriptor that appends to the file, which is created when absent; no link is followed."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)

    def size(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def write(self, descriptor: int, data: bytes) -> None:
        """Write all of it; a short write goes on until the system says why not."""
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Make creations, renames and removals inside the directory durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, path: Path, data: bytes) -> None:
        """The whole file at once, durably: beside it, synced, renamed, directory synced."""
        beside = path.with_name(f".{path.name}.partial")
        beside.unlink(missing_ok=True)
        descriptor = self.open_append(beside)
        try:
            self.write(descriptor, data)
            self.sync(descriptor)
        finally:
            self.close(descriptor)
        beside.replace(path)
        self.sync_directory(path.parent)

    def remove(self, path: Path) -> None:
        path.unlink()
        self.sync_directory(path.parent)


KEY_BYTES_MIN = 32
"""As many as SHA-256 gives; a shorter key would be the weakest part."""


def read_key(path: Path, what: str = "journal key") -> bytes:
    """The HMAC key in a file; `what` names it.

    Raises InvalidInput when it is not a private file of this user, or too short.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInput(f"{path}: the {what} cannot be read ({error.strerror}); give a readable file") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInput(f"{path}: the {what} is not a regular file")
        if status.st_mode & 0o077 or status.st_uid != os.geteuid():
            raise InvalidInput(f"{path}: the {what} is open to others; own it and chmod 600 it")
        key = os.read(descriptor, 4096).rstrip(b"\r\n")
    finally:
        os.close(descriptor)
    if len(key) < KEY_BYTES_MIN:
        raise InvalidInput(f"{path}: the {what} has {len(key)} bytes; at least {KEY_BYTES_MIN} are needed")
    return key
