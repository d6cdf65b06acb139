"""Locks of targets as files under a directory of the whole machine, so that two state directories see each other.

A lock is `flock` on an open file: the kernel lets go of it when its holder dies, whatever way. The directory is like
/tmp (everyone may create, only owners remove), since operators may run as different users; files are never removed,
because removing a locked file would let a second holder in.
"""

import fcntl
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from pitcrew.core.errors import Refused

PREFERRED, FALLBACK = Path("/var/lock/pitcrew"), Path("/tmp/pitcrew-locks")
_HOLDER_BYTES_MAX = 512


def default_directory() -> Path:
    """The directory of locks of this machine: under /var/lock where it exists or can be made, else under /tmp."""
    for directory in (PREFERRED, FALLBACK):
        with suppress(OSError):
            _make(directory)
            return directory
    return FALLBACK


class TargetLocks:
    """Locks held by this process; see `TargetLock` for the contract. `owner` is what others are told, one line."""

    def __init__(self, directory: Path, *, owner: str) -> None:
        self._directory = directory
        self._owner = owner
        self._held: dict[str, int] = {}

    def acquire(self, engine_id: str, target_id: str) -> bool:
        """See `TargetLock.acquire`."""
        name = _name(engine_id, target_id)
        if name in self._held:
            return True
        file = self._open(name)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        os.ftruncate(file, 0)
        os.pwrite(file, f"pid {os.getpid()}, {self._owner}".encode()[:_HOLDER_BYTES_MAX], 0)
        self._held[name] = file
        return True

    def holder(self, engine_id: str, target_id: str) -> str:
        """See `TargetLock.holder`."""
        file = self._open(_name(engine_id, target_id))
        try:
            text = os.pread(file, _HOLDER_BYTES_MAX, 0).decode("utf-8", "replace")
        finally:
            os.close(file)
        return "".join(char if char.isprintable() else "?" for char in text) or "another process"

    def release(self, engine_id: str, target_id: str) -> None:
        """Let go of one lock."""
        file = self._held.pop(_name(engine_id, target_id), None)
        if file is not None:
            os.close(file)

    def close(self) -> None:
        """See `TargetLock.close`."""
        while self._held:
            os.close(self._held.popitem()[1])

    def _open(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            _make(self._directory)
            file = _open_shared(self._directory / name, flags)
        except OSError as error:
            raise Refused(f"{self._directory / name}: lock of a target, cannot be opened: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise Refused(f"{self._directory / name}: the lock of the target is not a regular file; remove it")
        return file


def _open_shared(path: Path, flags: int) -> int:
    try:
        # With fs.protected_regular an existing file of another user may not be opened with O_CREAT.
        return os.open(path, flags & ~os.O_CREAT)
    except FileNotFoundError:
        file = os.open(path, flags, 0o666)
    with suppress(PermissionError):
        os.fchmod(file, 0o666)  # the umask took away what other users need
    return file


def _make(directory: Path) -> None:
    with suppress(FileExistsError):
        directory.mkdir(mode=0o1777)
        directory.chmod(0o1777)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(20, "not a directory of its own (a link or a file)", str(directory))


def _name(engine_id: str, target_id: str) -> str:
    return hashlib.sha256(f"{engine_id}\0{target_id}".encode()).hexdigest() + ".lock"
