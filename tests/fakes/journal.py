"""A journal in memory, with the same chain and the same refusals as the one on disk."""

from collections.abc import Iterator

from pitcrew.core.chain import verify
from pitcrew.core.errors import InvalidInput, JournalError
from pitcrew.core.record import SEALED, Entry, Head, Record, parse, seal
from pitcrew.ports import Clock


class FakeJournal:
    """Keeps stored lines; `refuse_with` plays a full disk or damage."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lines: list[bytes] = []
        self.refuse_with: JournalError | None = None
        self._verified: tuple[tuple[int, bytes], Head] | None = None

    async def append(self, entry: Entry) -> Record:
        if entry.type == SEALED:
            raise InvalidInput("Sealed: only a person seals damage")
        line = seal(entry, self.clock.now(), self.head)
        if self.refuse_with is not None:
            raise self.refuse_with
        self.lines.append(line)
        return parse(line)

    def read(self, incident: str | None = None) -> Iterator[Record]:
        records = map(parse, tuple(self.lines))
        return (record for record in records if incident is None or record.incident == incident)

    @property
    def head(self) -> Head:
        state = (len(self.lines), self.lines[-1] if self.lines else b"")
        if self._verified is None or self._verified[0] != state:
            self._verified = state, verify(("memory", line) for line in self.lines).head
        return self._verified[1]
