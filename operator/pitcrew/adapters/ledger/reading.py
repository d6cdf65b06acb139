"""A ledger as somebody reads it who may not write: nothing is locked, set aside or made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pitcrew.core.chain import Damage, verify
from pitcrew.core.errors import JournalDamaged, JournalUnwritable
from pitcrew.core.record import Entry, Instant, Record, parse


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerReader:
    """The Ledger port over the file of another; a line that is being written is left out, and nothing is appended."""

    path: Path

    def read(self) -> Sequence[Record]:
        """Every whole record; none where there is no ledger yet."""
        try:
            lines = self.path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise JournalUnwritable(f"{self.path}: cannot be read ({error.strerror}); use its owner's user") from None
        chain = verify((f"{self.path}:{number}", line) for number, line in enumerate(lines, 1))
        if chain.fault is not None and chain.fault.damage is not Damage.FRAGMENT:
            raise JournalDamaged(f"{chain.fault}; nothing may rest on it")
        return tuple(parse(line) for number, line in enumerate(lines) if chain.reads(number))

    def append(self, entry: Entry, at: Instant) -> Record:
        """Never. Raises JournalUnwritable."""
        raise JournalUnwritable(f"{self.path}: it is only read here")
