"""Whether the journal's disk would take one more record."""

import os
from pathlib import Path

from pitcrew.core.record import RECORD_BYTES_MAX


def no_room(directory: Path) -> str:
    """Why no record could be written there now; empty when one could. Looks only, and may block as disks do."""
    try:
        if not os.access(directory, os.W_OK | os.X_OK):
            return f"{directory}: cannot be written"
        room = os.statvfs(directory)
    except OSError as error:
        return f"{directory}: {error.strerror}"
    free = room.f_bavail * room.f_frsize
    return f"{directory}: {free} bytes are free" if free < RECORD_BYTES_MAX else ""
