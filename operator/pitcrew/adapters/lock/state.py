"""The lock of a state directory: one operator at a time, told apart by the kernel and not by a file left behind."""

import fcntl
import os
from pathlib import Path

from pitcrew.core.errors import InvalidInput


class StateLock:
    """Held from `acquire` until `close`, or until the process dies, whatever way."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, state: Path) -> "StateLock":
        """Lock a state directory.

        Raises:
            InvalidInput: another process holds it; names the process and the remedy.
        """
        descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise InvalidInput(
                f"{state}: another operator (process {holder}) uses this state directory; "
                "stop it or name another --state"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(descriptor)

    def close(self) -> None:
        """Let go."""
        os.close(self._descriptor)


def holder(state: Path) -> int | None:
    """The process that holds a state directory now, or None."""
    try:
        descriptor = os.open(state / "lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return None
