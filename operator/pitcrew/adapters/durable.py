"""Files that are replaced whole: a reader sees the old one or the new one, also after a power cut."""

import os
from pathlib import Path


def make_directory(path: Path, mode: int) -> None:
    """Create a directory with exactly this mode, durably; one that is there keeps its mode. Raises OSError."""
    if path.is_dir():
        return
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    _sync_directory(path.parent)


def replace(path: Path, data: bytes, *, mode: int, sync: bool = True) -> None:
    """Put a file in the place of `path` at once: written beside it, synced, renamed. No link is followed.

    Without `sync` it is still whole or not there, and the newest one may be lost in a power cut. Raises OSError.
    """
    beside = path.with_name(f".{path.name}.partial")
    beside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(beside, flags, 0o600), "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
    if sync:
        _sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file durably; one that is not there is removed already. Raises OSError."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
