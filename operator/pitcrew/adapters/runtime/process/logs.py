"""The last lines of a workload's two log files. Blocking; belongs in a worker thread."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pitcrew.core.observation import LogLine


def last_lines(folder: Path, *, lines_max: int, bytes_max: int) -> list[LogLine]:
    """The last lines of both streams, each oldest first, the stream that was written last at the end.

    Neither stream can push the other out: each has half of the room, and what one does not need goes to the other.
    Only the last line of a stream has a time, that of the last write. Raises: OSError.
    """
    files = sorted((_written_at(folder / stream), stream) for stream in ("stdout", "stderr"))
    first, second = (_tail(folder, stream, bytes_max) for _, stream in files)
    room = _share(len(first), len(second), lines_max)
    first, second = first[len(first) - room[0] :], second[len(second) - room[1] :]
    room = _share(_size(first), _size(second), bytes_max)
    fits = (_fit(first, room[0]), _fit(second, room[1]))
    return [
        line for (written_ns, stream), fit in zip(files, fits, strict=True) for line in _told(fit, stream, written_ns)
    ]


def _told(lines: list[bytes], stream: str, written_ns: int) -> list[LogLine]:
    told = [LogLine(at=None, stream=stream, text=line.decode(errors="replace")) for line in lines]
    written_at = datetime.fromtimestamp(written_ns / 1e9, UTC)
    return [*told[:-1], *(replace(line, at=written_at) for line in told[-1:])]


def _share(first: int, second: int, total: int) -> tuple[int, int]:
    mine = min(first, max(total // 2, total - second))
    return mine, min(second, total - mine)


def _size(lines: list[bytes]) -> int:
    return sum(len(line) + 1 for line in lines)


def _fit(lines: list[bytes], bytes_max: int) -> list[bytes]:
    kept: list[bytes] = []
    for line in reversed(lines):
        if bytes_max <= 1:
            break
        kept.append(line[: bytes_max - 1])
        bytes_max -= len(kept[-1]) + 1
    return kept[::-1]


def _written_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _tail(folder: Path, stream: str, bytes_max: int) -> list[bytes]:
    newer, newer_is_cut = _end_of(folder / stream, bytes_max)
    older, older_is_cut = (b"", newer_is_cut)
    if not newer_is_cut and len(newer) < bytes_max:
        older, older_is_cut = _end_of(folder / f"{stream}.1", bytes_max - len(newer))
    lines = (older + newer).splitlines()
    return lines[1:] if older_is_cut and len(lines) > 1 else lines


def _end_of(path: Path, bytes_max: int) -> tuple[bytes, bool]:
    """The end of a file, and whether something stands before it."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - bytes_max))
            return file.read(bytes_max), size > bytes_max
    except FileNotFoundError:
        return b"", False
