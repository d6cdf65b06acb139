"""A witness outside PitCrew: every appearance and disappearance of a name in a directory, as the kernel tells it."""

import ctypes
import os
import struct
from collections import Counter
from pathlib import Path

IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_Q_OVERFLOW = 0x40, 0x80, 0x100, 0x200, 0x4000
_COME, _GONE = IN_CREATE | IN_MOVED_TO, IN_DELETE | IN_MOVED_FROM
_HEAD = struct.Struct("iIII")
_BYTES_MAX = 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryWitness:
    """Watches one directory from now on (inotify(7)); the kernel keeps what happens until it is asked for."""

    def __init__(self, directory: Path) -> None:
        self._queue = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        _checked(_libc.inotify_add_watch(self._queue, os.fsencode(directory), _COME | _GONE))
        self._seen: Counter[str] = Counter()

    def seen(self) -> Counter[str]:
        """How often each `removed NAME` and `restored NAME` happened so far."""
        while data := self._read():
            while data:
                data = self._take(data)
        return Counter(self._seen)

    def close(self) -> None:
        os.close(self._queue)

    def _read(self) -> bytes:
        try:
            return os.read(self._queue, _BYTES_MAX)
        except BlockingIOError:
            return b""

    def _take(self, data: bytes) -> bytes:
        _, mask, _, length = _HEAD.unpack_from(data)
        assert not mask & IN_Q_OVERFLOW, "the kernel's queue overflowed, so the witness has not seen everything"
        name = data[_HEAD.size : _HEAD.size + length].rstrip(b"\0").decode()
        self._seen[f"{'restored' if mask & _COME else 'removed'} {name}"] += 1
        return data[_HEAD.size + length :]


def _checked(number: int) -> int:
    if number < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return number
