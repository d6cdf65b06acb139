"""A ledger as one file of hash-chained lines, in the same spelling as the journal.

The chain shows an edited, removed, swapped or inserted line; that the end was cut off at a line, or the whole file
removed, it cannot show while nothing runs. While PitCrew runs, a file that is not the one it read refuses appends.

The file only grows: about 800 bytes for each permit, so that at thirty permits an hour around the clock a year takes
about 200 MB, and in practice some kilobytes. It is read once, at the start.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pitcrew.core.chain import verify
from pitcrew.core.errors import JournalDamaged, JournalUnwritable
from pitcrew.core.record import RECORD_BYTES_MAX, Entry, Head, Instant, Record, parse, seal

_FLAGS = os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


@dataclass(frozen=True, kw_only=True, slots=True)
class _End:
    """The file as it was read or last written: which file (None: absent), its length in bytes, the chain's head."""

    inode: int | None
    size: int
    head: Head


@dataclass(kw_only=True, slots=True)
class LedgerFile:
    """One ledger at `path`; `write` and `sync` are the system's, so that a failing disk can be played."""

    path: Path
    write: Callable[[int, bytes], int] = os.write
    sync: Callable[[int], None] = os.fsync
    _end: _End | None = field(default=None, init=False)

    def read(self) -> Sequence[Record]:
        """Every record, in order, after the chain was checked."""
        try:
            return self._read()
        except OSError as error:
            raise JournalUnwritable(f"{self.path}: {error.strerror}; make it readable and writable") from None

    def append(self, entry: Entry, at: Instant) -> Record:
        """Add one record durably."""
        end = self._end
        if end is None:
            raise JournalDamaged(
                f"{self.path}: it must be read, or read again after a failure, before anything can follow"
            )
        line = seal(entry, at, end.head)
        self._end = None
        try:
            inode = self._append(line, end)
        except OSError as error:
            raise JournalUnwritable(f"{self.path}: {error.strerror}; free the disk or mend its rights") from None
        record = parse(line)
        self._end = _End(inode=inode, size=end.size + len(line), head=record.head)
        return record

    def _read(self) -> tuple[Record, ...]:
        self._end = None
        try:
            descriptor = os.open(self.path, os.O_RDWR | _FLAGS)
        except FileNotFoundError:
            self._end = _End(inode=None, size=0, head=Head())
            return ()
        with os.fdopen(descriptor, "rb") as file:
            self._set_fragment_aside(file)
            chain = verify((f"{self.path}:{number}", line) for number, line in enumerate(_lines(file), 1))
            if chain.fault is not None:
                raise JournalDamaged(f"{chain.fault}; restore the file, or move it away to begin anew")
            records = tuple(parse(line) for line in _lines(file))
            self._end = _End(inode=os.fstat(descriptor).st_ino, size=os.fstat(descriptor).st_size, head=chain.head)
            return records

    def _set_fragment_aside(self, file: BinaryIO) -> None:
        """Move bytes after the last newline beside the file: a write never answered, so that nothing rests on it."""
        whole, fragment = 0, b""
        for line in _lines(file):
            whole, fragment = (whole + len(line), b"") if line.endswith(b"\n") else (whole, fragment + line)
            if len(fragment) > RECORD_BYTES_MAX:
                raise JournalDamaged(f"{self.path}: a line longer than {RECORD_BYTES_MAX} bytes; restore the file")
        if fragment:
            self._keep(fragment)
            os.ftruncate(file.fileno(), whole)
            self.sync(file.fileno())

    def _keep(self, fragment: bytes) -> None:
        name = f"{self.path.name}.fragment-{hashlib.sha256(fragment).hexdigest()[:16]}"
        with suppress(FileExistsError):
            descriptor = os.open(self.path.with_name(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, FILE_MODE)
            self._write_all(descriptor, fragment)
        self._sync_directory()

    def _append(self, line: bytes, end: _End) -> int:
        descriptor = self._open(end)
        try:
            status = os.fstat(descriptor)
            if end.inode is not None and (status.st_ino, status.st_size) != (end.inode, end.size):
                raise JournalDamaged(f"{self.path}: it changed since it was read; restore it, then start PitCrew anew")
            self._write_or_take_back(descriptor, line, end.size)
            if end.inode is None:
                self._sync_directory()
            return status.st_ino
        finally:
            os.close(descriptor)

    def _open(self, end: _End) -> int:
        if end.inode is None:
            self.path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            return self._create()
        try:
            return os.open(self.path, os.O_WRONLY | _FLAGS)
        except FileNotFoundError:
            raise JournalDamaged(f"{self.path}: it was removed while PitCrew ran; restore it") from None

    def _create(self) -> int:
        try:
            return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, FILE_MODE)
        except FileExistsError:
            raise JournalDamaged(f"{self.path}: it appeared since it was read; start PitCrew anew") from None

    def _write_or_take_back(self, descriptor: int, line: bytes, size: int) -> None:
        try:
            view = memoryview(line)
            while view:
                view = view[self.write(descriptor, bytes(view)) :]
            self.sync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise

    def _write_all(self, descriptor: int, data: bytes) -> None:
        try:
            self._write_or_take_back(descriptor, data, 0)
        finally:
            os.close(descriptor)

    def _sync_directory(self) -> None:
        for directory in (self.path.parent, self.path.parent.parent):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self.sync(descriptor)
            finally:
                os.close(descriptor)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The stored lines from the beginning, none longer than a record may be."""
    file.seek(0)
    while line := file.readline(RECORD_BYTES_MAX):
        yield line
