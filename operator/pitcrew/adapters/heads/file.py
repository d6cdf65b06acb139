"""A file of somebody else's: opened for appending only, never made, so that PitCrew's user need not own it.

Whether lines in it can be changed is up to its owner: `chattr +a`, or a mode that lets PitCrew append and no more.
"""

import asyncio
import os
import stat
import threading
from pathlib import Path

from pitcrew.core.errors import Unavailable

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class HeadFile:
    """Appends lines to a file, each in a thread that holds up neither the loop nor the end when the disk hangs."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._writing: asyncio.Future[str] | None = None

    @property
    def name(self) -> str:
        return str(self._path)

    async def send(self, line: str) -> None:
        """Append one line, durably; while an earlier one hangs, none is added to it.

        Raises:
            Unavailable: it could not be appended.
        """
        if self._writing is not None and not self._writing.done():
            raise Unavailable(f"{self.name}: its disk does not answer")
        loop = asyncio.get_running_loop()
        self._writing = written = loop.create_future()
        threading.Thread(target=self._write, args=(line, loop, written), name="pitcrew-heads", daemon=True).start()
        if trouble := await asyncio.shield(written):
            raise Unavailable(f"{self.name}: {trouble}")

    async def close(self) -> None:
        """Nothing is held."""

    def _write(self, line: str, loop: asyncio.AbstractEventLoop, written: "asyncio.Future[str]") -> None:
        try:
            trouble = _append(self._path, f"{line}\n".encode())
        except OSError as error:
            trouble = error.strerror or type(error).__name__
        try:
            loop.call_soon_threadsafe(_settle, written, trouble)
        except RuntimeError:
            return  # The loop was closed meanwhile, and with it all who asked.


def _settle(written: "asyncio.Future[str]", trouble: str) -> None:
    if not written.done():
        written.set_result(trouble)


def _append(path: Path, data: bytes) -> str:
    """Why it could not be appended whole; empty when it was. Raises OSError."""
    descriptor = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "not a regular file"
        if os.write(descriptor, data) != len(data):
            return "written in part; its disk may be full"
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return ""
