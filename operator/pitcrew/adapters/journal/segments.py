"""The files of a journal: where segments, their archive and fragments lie, and how their lines are read.

DIRECTORY/000001.jsonl              a segment, one record a line; the one with the highest number is written
DIRECTORY/archive/000001.jsonl.gz   an old one, compressed; still a part of the chain
DIRECTORY/fragments/000002-4711-c0..  bytes that a crash left at the end of segment 2 after 4711 good ones
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pitcrew.adapters.journal.disk import Disk
from pitcrew.core.record import RECORD_BYTES_MAX

_NAME = re.compile(r"(\d{6,12})\.jsonl(\.gz)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The paths of one journal."""

    directory: Path

    @property
    def archive(self) -> Path:
        return self.directory / "archive"

    @property
    def fragments(self) -> Path:
        return self.directory / "fragments"

    def plain(self, number: int) -> Path:
        return self.directory / f"{number:06}.jsonl"

    def compressed(self, number: int) -> Path:
        return self.archive / f"{number:06}.jsonl.gz"

    def fragment(self, number: int, offset: int, sha256: str) -> Path:
        return self.fragments / f"{number:06}-{offset}-{sha256[:12]}"

    def numbers(self) -> list[int]:
        """Of all segments, in order."""
        return sorted({*self.plain_numbers(), *_numbers(self.archive, compressed=True)})

    def plain_numbers(self) -> list[int]:
        return sorted(_numbers(self.directory, compressed=False))

    def create(self, disk: Disk) -> None:
        for directory in (self.directory, self.archive, self.fragments):
            disk.make_directory(directory)


def _numbers(directory: Path, *, compressed: bool) -> Iterator[int]:
    for path in directory.iterdir() if directory.is_dir() else ():
        name = _NAME.fullmatch(path.name)
        if name is not None and bool(name[2]) is compressed:
            yield int(name[1])


def lines(layout: Layout) -> Iterator[tuple[str, bytes]]:
    """Every stored line with its place, over all segments. Raises OSError when a file cannot be read."""
    for number in layout.numbers():
        for index, line in enumerate(segment_lines(layout, number), start=1):
            yield f"{number:06}.jsonl:{index}", line


def segment_lines(layout: Layout, number: int) -> Iterator[bytes]:
    """The lines of one segment, from its plain file, else from the archive.

    Where both are there, archiving was cut short and the plain file is the one that is whole. An archive that cannot be
    decompressed ends in an empty line, which no chain accepts.
    """
    try:
        with open(layout.plain(number), "rb") as file:
            yield from iter(lambda: file.readline(RECORD_BYTES_MAX + 1), b"")
            return
    except FileNotFoundError:
        pass
    with gzip.open(layout.compressed(number), "rb") as packed:
        try:
            yield from iter(lambda: packed.readline(RECORD_BYTES_MAX + 1), b"")
        except (gzip.BadGzipFile, EOFError, zlib.error):
            yield b"\n"


def archive_segment(layout: Layout, number: int, disk: Disk) -> None:
    """Compress one closed segment; the plain file goes only when the compressed one is durable."""
    plain = layout.plain(number)
    disk.replace(layout.compressed(number), gzip.compress(plain.read_bytes(), mtime=0))
    disk.remove(plain)
