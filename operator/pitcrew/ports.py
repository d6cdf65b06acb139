"""What the core needs of the world: Protocols only. Each docstring is the contract that the tests of its port check."""

from collections.abc import Iterator
from typing import Protocol

from pitcrew.core.record import Entry, Head, Instant, Record


class Clock(Protocol):
    """The trusted clock: never behind the last record, never backwards, whatever happens to the wall clock."""

    def now(self) -> Instant:
        """One reading. Cheap, from any thread."""
        ...


class Journal(Protocol):
    """The append-only chain of everything that was seen, decided and done: audit trail and recovery log in one."""

    async def append(self, entry: Entry) -> Record:
        """Add one record; it is durable when this returns.

        Records appended at once share one write. A waiter that is cancelled takes nothing back: its record is kept.

        Raises
            InvalidInput: the entry cannot be spelt as JSON without floats, or is too large; nothing was written.
            JournalUnwritable: it could not be made durable. Later appends try anew.
            JournalDamaged: the chain does not hold; a person must seal it first.
        """
        ...

    def read(self, incident: str | None = None) -> Iterator[Record]:
        """Every durable record in order, or those of one incident; of a damaged journal, the good beginning."""
        ...

    @property
    def head(self) -> Head:
        """The last durable record."""
        ...
