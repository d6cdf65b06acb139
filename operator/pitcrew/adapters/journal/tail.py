"""The end of the journal that is written: what is durable, and what may not be trusted."""

import contextlib
from datetime import datetime, timedelta

from pitcrew.adapters.journal.disk import Disk
from pitcrew.adapters.journal.segments import Layout
from pitcrew.core.errors import JournalDamaged


class Tail:
    """The segment being written. Only one thread at a time uses it.

    After a failed write or fsync nothing of that write is trusted: the kernel may have dropped the dirty pages and will
    report success next time (fsync(2), "PostgreSQL's fsync() surprise"). The file is opened anew and cut back to what
    was durable before anything else is written.
    """

    def __init__(
        self, layout: Layout, disk: Disk, *, number: int, size: int = 0, begun_at: datetime | None = None
    ) -> None:
        self.number = number
        self._layout = layout
        self._disk = disk
        self._durable = size
        self._begun_at = begun_at
        self._descriptor: int | None = None
        self._suspect = False

    def is_full(self, now: datetime, *, bytes_max: int, age_max_s: int) -> bool:
        """Whether the next record belongs in a new segment."""
        aged = self._begun_at is not None and now - self._begun_at >= timedelta(seconds=age_max_s)
        return self._durable > 0 and (self._durable >= bytes_max or aged)

    def rotate(self) -> None:
        """Go on in a new segment, which comes to be with the next write. Raises OSError when this one is not mended."""
        if self._suspect:
            self._mend()
        self.close()
        self.number += 1
        self._durable = 0
        self._begun_at = None

    def write(self, data: bytes, at: datetime) -> None:
        """Append and make durable, whole or not at all.

        Raises OSError when it is not durable, JournalDamaged when somebody else wrote to the segment.
        """
        if self._suspect:
            self._mend()
        descriptor = self._opened()
        if self._disk.size(descriptor) != self._durable:
            raise JournalDamaged(
                f"{self._layout.plain(self.number)}: not {self._durable} bytes long as it was left: something else"
                " writes to it; find out what, and acknowledge it with `pitcrew audit seal`"
            )
        try:
            self._disk.write(descriptor, data)
            self._disk.sync(descriptor)
        except OSError:
            self._suspect = True
            with contextlib.suppress(OSError):
                self._mend()
            raise
        self._durable += len(data)
        self._begun_at = self._begun_at or at

    def close(self) -> None:
        """Let go of the file; what is durable stays so."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                self._disk.close(descriptor)

    def _opened(self) -> int:
        if self._descriptor is None:
            self._descriptor = self._disk.open_append(self._layout.plain(self.number))
        if self._durable == 0:
            self._disk.sync_directory(self._layout.directory)
        return self._descriptor

    def _mend(self) -> None:
        self.close()
        descriptor = self._opened()
        self._disk.truncate(descriptor, self._durable)
        self._disk.sync(descriptor)
        self._suspect = False
