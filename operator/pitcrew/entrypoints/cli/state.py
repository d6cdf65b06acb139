"""What the state directory tells, read while an operator may run: nothing here locks or writes anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pitcrew.adapters.journal.files import audit
from pitcrew.adapters.journal.segments import Layout, lines
from pitcrew.core.chain import Chain, Damage, verify
from pitcrew.core.errors import InvalidInput, JournalUnwritable
from pitcrew.core.heads import OutsideHead
from pitcrew.core.incident import (
    Impossible,
    Incident,
    replay_all,
)
from pitcrew.core.record import Record, parse

REREADS_MAX = 3
"""How often the end of a journal in use is read again before half a line counts as damage."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """The records that can be believed, and why there may be more."""

    records: Sequence[Record]
    doubt: str


def journal_of(state: Path) -> Path:
    """The journal of a state directory. Raises InvalidInput where there is none."""
    journal = state / "journal"
    if not journal.is_dir():
        raise InvalidInput(f"{state}: no journal here; name the state directory of an operator with --state")
    return journal


def told_by(state: Path) -> Told:
    """The good beginning of the journal. Half a line at its end is a write under way, and no doubt.

    Raises InvalidInput where there is no journal, JournalUnwritable where it cannot be read.
    """
    layout = Layout(directory=journal_of(state))
    try:
        stored = list(lines(layout))
    except OSError as error:
        raise JournalUnwritable(
            f"{layout.directory}: cannot be read ({error.strerror}); use its owner's user"
        ) from None
    chain = verify(stored)
    whole = chain.fault is None or chain.fault.damage is Damage.FRAGMENT
    records = [parse(line) for number, (_, line) in enumerate(stored) if chain.reads(number)]
    return Told(records=records, doubt="" if whole else f"{chain.fault}; shown is what comes before")


def audited(state: Path, *, key: bytes | None, heads: Sequence[OutsideHead], in_use: bool) -> Chain:
    """What the journal proves; where it is in use, half a line at its end is read again.

    Raises as `audit` does.
    """
    chain = audit(journal_of(state), key=key, heads=heads)
    for _ in range(REREADS_MAX if in_use else 0):
        if chain.fault is None or chain.fault.damage is not Damage.FRAGMENT:
            break
        chain = audit(journal_of(state), key=key, heads=heads)
    return chain


def incidents_of(told: Told) -> Sequence[Incident]:
    """Every incident. Raises InvalidInput where the records do not fit the machine of this version."""
    try:
        return replay_all(told.records)
    except (Impossible, ValueError) as error:
        raise InvalidInput(f"the journal cannot be replayed: {error}; read it with the PitCrew that wrote it") from None


def one_incident(told: Told, name: str) -> tuple[Incident, Sequence[Record]]:
    """One incident with its records. Raises InvalidInput where there is none of that name."""
    records = [record for record in told.records if record.incident == name]
    found = incidents_of(Told(records=records, doubt=told.doubt))
    if not found:
        raise InvalidInput(f"no incident {name!r} in the journal; `pitcrew incidents` lists them")
    return found[0], records
