"""A journal in memory, with the same chain and the same refusals as the one on disk."""

from collections.abc import Iterator

from pitcrew.core.errors import InvalidInput, JournalError
from pitcrew.core.record import SEALED, Entry, Head, Record, parse, seal
from pitcrew.ports import Clock


class FakeJournal:
    """Keeps stored lines; `refuse_with` plays a full disk or damage."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lines: list[bytes] = []
        self._parsed: dict[bytes, Record] = {}
        self.refuse_with: JournalError | None = None
        self.head = Head()

    async def append(self, entry: Entry) -> Record:
        if entry.type == SEALED:
            raise InvalidInput("Sealed: only a person seals damage")
        line = seal(entry, self.clock.now(), self.head)
        if self.refuse_with is not None:
            raise self.refuse_with
        record = parse(line)
        self.lines.append(line)
        self.head = record.head
        return record

    def read(self, incident: str | None = None) -> Iterator[Record]:
        records = map(self._record, tuple(self.lines))
        return (record for record in records if incident is None or record.incident == incident)

    def _record(self, line: bytes) -> Record:
        """What is stored in a line, read once: a record is a value, and worlds read theirs over and over."""
        if line not in self._parsed:
            self._parsed[line] = parse(line)
        return self._parsed[line]
