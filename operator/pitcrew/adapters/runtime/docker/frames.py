"""Log streams and command output as the engine sends them: eight-byte headers per frame, or raw with a terminal.

Source: Engine API, "Attach to a container: stream format". Memory stays bounded whatever length a header claims.
"""

import re
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from pitcrew.core.observation import LogLine

LINE_BYTES_MAX = 16 * 1024
"""The engine cuts longer messages into parts of this size itself."""
_STREAMS = {1: "stdout", 2: "stderr"}
_HEADER_BYTES = 8
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_ZERO = "0001-01-01"


def parse_instant(text: object) -> datetime | None:
    """An instant of the engine (RFC 3339 with nanoseconds) in UTC; None for its zero value and for anything else."""
    match = _STAMP.match(text) if isinstance(text, str) and not text.startswith(_ZERO) else None
    if match is None:
        return None
    micros = (match[2] or "0").ljust(6, "0")[:6]
    try:
        return datetime.fromisoformat(f"{match[1]}.{micros}{match[3].replace('Z', '+00:00')}").astimezone(UTC)
    except ValueError:
        return None


def split_frames(chunks: Iterable[bytes], *, tty: bool) -> Iterator[tuple[str, bytes]]:
    """Pieces of (stream, bytes) in the order they came; one frame may come in several pieces."""
    if tty:
        yield from (("stdout", chunk) for chunk in chunks)
        return
    held, stream, left = b"", "stdout", 0
    for chunk in chunks:
        held += chunk
        while held:
            if left == 0:
                if len(held) < _HEADER_BYTES:
                    break
                number, left = struct.unpack(">BxxxL", held[:_HEADER_BYTES])
                stream, held = _STREAMS.get(number, "stdout"), held[_HEADER_BYTES:]
            piece, held = held[:left], held[left:]
            left -= len(piece)
            if piece:
                yield stream, piece


def split_lines(pieces: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Lines of each stream, without their ends; a line is cut at LINE_BYTES_MAX."""
    open_lines: dict[str, bytes] = {}
    for stream, piece in pieces:
        *whole, rest = (open_lines.get(stream, b"") + piece).split(b"\n")
        for line in whole:
            yield stream, line.removesuffix(b"\r")[:LINE_BYTES_MAX]
        open_lines[stream] = rest[:LINE_BYTES_MAX]
    yield from ((stream, line) for stream, line in open_lines.items() if line)


def last_lines(lines: Iterable[tuple[str, bytes]], *, lines_max: int, bytes_max: int) -> list[LogLine]:
    """The last lines that fit both limits, oldest first; each starts with the engine's time stamp."""
    kept: deque[LogLine] = deque()
    size = 0
    for stream, line in lines:
        parsed = _log_line(stream, line)
        kept.append(parsed)
        size += _size(parsed)
        while kept and (len(kept) > lines_max or size > bytes_max):
            size -= _size(kept.popleft())
    return list(kept)


def _log_line(stream: str, line: bytes) -> LogLine:
    stamp, _, text = line.decode("utf-8", "replace").partition(" ")
    at = parse_instant(stamp)
    return LogLine(at=at, stream=stream, text=text if at is not None else line.decode("utf-8", "replace"))


def _size(line: LogLine) -> int:
    return len(line.text.encode("utf-8", "replace"))


def head_of(pieces: Iterable[tuple[str, bytes]], *, bytes_max: int) -> str:
    """The beginning of what a command wrote, both streams in the order they came; the rest is read and dropped."""
    kept = bytearray()
    for _, piece in pieces:
        if len(kept) < bytes_max:
            kept += piece[: bytes_max - len(kept)]
    return kept.decode("utf-8", "replace")[:bytes_max]
