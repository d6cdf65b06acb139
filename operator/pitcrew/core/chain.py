"""Whether the stored lines of a journal are one unbroken chain, and where it breaks first (S12).

`verify` reads lines as they are stored, newline included, each with its place (`file:line`). It stops believing at the
first bad record; only a `Sealed` record, which follows the last good one and carries the digest of every line skipped,
lets the chain go on. What was sealed away is no longer read, stays reported, and cannot be changed unnoticed either.

What a chain without an outside head cannot prove is told in `record`; heads that left the host are compared here.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pitcrew.core.errors import InvalidInput
from pitcrew.core.heads import OutsideHead
from pitcrew.core.record import GENESIS, SEALED, Head, Json, Record, hash_holds, mac_holds, parse


class Damage(StrEnum):
    """What is wrong with the first bad record, as far as the chain shows."""

    ALTERED = "altered"
    """Its bytes are not those that were hashed."""
    RELINKED = "relinked"
    """Whole by itself, but it does not follow: the record before was rewritten, or this one is of another chain."""
    REMOVED = "removed"
    """Records are missing before it."""
    SWAPPED = "swapped"
    """It stands before its predecessor."""
    INSERTED = "inserted"
    """A record with an earlier number, put in here."""
    FORGED = "forged"
    """Its mac was not made with the key, or is missing."""
    FRAGMENT = "fragment"
    """The last line has no newline: a write that a crash cut short, set aside when the journal is opened."""
    TRUNCATED = "truncated"
    """A head from outside is nowhere in the chain: its end was cut off, or it is another chain."""
    REWRITTEN = "rewritten"
    """The chain is whole, but a head from outside tells of another record in this place: it was written anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """The first bad record."""

    place: str
    """`file:line`."""
    line: int
    """Its number among all lines, from 0."""
    seq: int
    """The sequence number that belongs there."""
    damage: Damage
    detail: str

    def __str__(self) -> str:
        return f"{self.place}: record {self.seq}: {self.damage}: {self.detail}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledged:
    """Damage that a person has sealed."""

    fault: Fault
    lines: range
    """The lines that are no longer read, by their number among all lines."""
    sealed: Record

    def __str__(self) -> str:
        return f"{self.fault} (sealed as record {self.sealed.seq}: {len(self.lines)} lines are no longer read)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """What a journal proves."""

    head: Head = field(default_factory=Head)
    """Of the last good record."""
    last: Record | None = None
    lines: int = 0
    """How many lines there are up to the last good record, sealed ones included."""
    unkeyed: int = 0
    """How many records at the beginning carry no mac; the key does not vouch for them."""
    fault: Fault | None = None
    acknowledged: tuple[Acknowledged, ...] = ()
    skipped: Mapping[str, Json] = field(default_factory=dict)
    """Of the lines from `fault` on: how many, and their SHA-256. A `Sealed` record must carry it as `skipped`."""
    unheld: tuple[OutsideHead, ...] = ()
    """Heads from outside that are not of this chain, in the order given; of a sound chain the first is its fault."""
    sealed_away: tuple[OutsideHead, ...] = ()
    """Heads from outside of records in damage that a person has sealed since."""

    def reads(self, line: int) -> bool:
        """Whether the line of this number is a record of the chain."""
        return line < self.lines and not any(line in gone.lines for gone in self.acknowledged)


def verify(lines: Iterable[tuple[str, bytes]], *, key: bytes | None = None, heads: Sequence[OutsideHead] = ()) -> Chain:
    """Follow the chain over (place, stored line), naming the first bad record.

    `key` checks the macs: from the first record that has one, all must have one. `heads` are records that are known to
    have been there; a chain that does not hold all of them was cut or written anew.
    """
    walk = _Walk(
        key=key,
        heads=heads,
        awaited=frozenset(head.seq for head in heads if head.seq is not None),
        awaited_hashes=frozenset(head.hash for head in heads),
    )
    place = "journal"
    for place, line, following in _with_following(lines):
        walk.take(place, line, following)
    return walk.result(place)


def _with_following(lines: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes, bytes | None]]:
    before: tuple[str, bytes] | None = None
    for place, line in lines:
        if before is not None:
            yield (*before, line)
        before = (place, line)
    if before is not None:
        yield (*before, None)


@dataclass(kw_only=True, slots=True)
class _Walk:
    """Where a verification has got to."""

    key: bytes | None
    heads: Sequence[OutsideHead]
    awaited: frozenset[int]
    awaited_hashes: frozenset[str]
    stood: dict[int, Fault] = field(default_factory=dict)
    """Where the records of awaited numbers stand, as the faults that they are if they are not the awaited ones."""
    hashes: set[str] = field(default_factory=lambda: {GENESIS})
    """Of the awaited heads that were found."""
    chain: Chain = field(default_factory=Chain)
    line: int = 0
    keyed: bool = False
    skipped: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def take(self, place: str, line: bytes, following: bytes | None) -> None:
        if self.chain.fault is not None:
            self._take_skipped(place, line)
        else:
            self._take_next(place, line, following)
        self.line += 1

    def result(self, place: str) -> Chain:
        away = tuple(head for head in self.heads if head.hash not in self.hashes and self._is_sealed_away(head))
        unheld = tuple(head for head in self.heads if head.hash not in self.hashes and head not in away)
        chain = replace(self.chain, unheld=unheld, sealed_away=away)
        if chain.fault is not None:
            return replace(chain, skipped=self._digest_skipped())
        return replace(chain, fault=self._against(unheld[0], place)) if unheld else chain

    def _against(self, head: OutsideHead, place: str) -> Fault:
        """What a head that is not of this whole chain says of it."""
        if head.seq is not None and (found := self.stood.get(head.seq)) is not None:
            return replace(found, detail=f"{found.detail}, and {head} says {head.hash}: it was written anew")
        detail = f"the chain ends at {self.chain.head.hash}, and {head.hash} is nowhere in it: its end was cut off"
        return self._fault(place, Damage.TRUNCATED, f"{detail} ({head})" if head.place else detail)

    def _is_sealed_away(self, head: OutsideHead) -> bool:
        """Whether the record of a head was among the lines that a person sealed away after it had been passed on."""
        return head.seq is not None and any(
            gone.fault.seq <= head.seq < gone.fault.seq + len(gone.lines)
            and (head.at is None or head.at <= gone.sealed.at)
            for gone in self.chain.acknowledged
        )

    def _take_next(self, place: str, line: bytes, following: bytes | None) -> None:
        read = self._whole(line, following)
        broken = self._unlinked(read, following) if isinstance(read, Record) else read
        if isinstance(read, Record) and read.type == SEALED and broken is None:
            broken = Damage.REMOVED, "it seals damage, and the damaged lines are no longer before it"
        if isinstance(read, Record) and broken is None:
            self._accept(read, place)
        elif isinstance(broken, tuple):
            self.chain = replace(self.chain, fault=self._fault(place, *broken))
            self.skipped = hashlib.sha256(line)

    def _take_skipped(self, place: str, line: bytes) -> None:
        """A line after the first bad record: the person's acknowledgement of it, or more that is not believed."""
        sealed = self._whole(line, None)
        if isinstance(sealed, Record) and sealed.type == SEALED and self._unlinked(sealed, None) is None:
            if sealed.data.get("skipped") == self._digest_skipped():
                self._acknowledge(sealed, place)
                return
            self._note(f"sealed at {place}, but what was sealed has changed since")
        self.skipped.update(line)

    def _whole(self, line: bytes, following: bytes | None) -> Record | tuple[Damage, str]:
        """The record of a line, if its bytes are those that were hashed under the key."""
        if not line.endswith(b"\n"):
            return _without_newline(line, following)
        try:
            record = parse(line)
        except InvalidInput as error:
            return Damage.ALTERED, str(error)
        if not hash_holds(record, line):
            return Damage.ALTERED, "its bytes do not have the hash it carries"
        if self.key is not None and (record.mac or self.keyed) and not mac_holds(record, line, self.key):
            return (
                Damage.FORGED,
                "its mac was not made with this key" if record.mac else "it has no mac; earlier ones do",
            )
        return record

    def _unlinked(self, record: Record, following: bytes | None) -> tuple[Damage, str] | None:
        """How a whole record fails to follow the last good one; nothing when it does."""
        expected = self.chain.head.seq + 1
        if record.seq > expected and following is not None and _seq(following) == expected:
            return Damage.SWAPPED, f"record {record.seq} stands here, before record {expected}"
        if record.seq > expected:
            return Damage.REMOVED, f"record {record.seq} stands here; {expected} to {record.seq - 1} were before it"
        if record.seq < expected:
            return Damage.INSERTED, f"a record with number {record.seq} stands here, after number {expected - 1}"
        if record.prev != self.chain.head.hash:
            return Damage.RELINKED, f"its prev is not the hash of record {expected - 1}: one of the two was rewritten"
        return None

    def _accept(self, record: Record, place: str) -> None:
        self.keyed = self.keyed or bool(record.mac)
        if record.seq in self.awaited:
            self.stood[record.seq] = self._fault(place, Damage.REWRITTEN, f"its hash is {record.hash}")
        if record.hash in self.awaited_hashes:
            self.hashes.add(record.hash)
        self.chain = replace(
            self.chain,
            head=record.head,
            last=record,
            lines=self.line + 1,
            unkeyed=self.chain.unkeyed + (not self.keyed),
        )

    def _acknowledge(self, sealed: Record, place: str) -> None:
        fault = self.chain.fault
        if fault is not None:
            gone = Acknowledged(fault=fault, lines=range(fault.line, self.line), sealed=sealed)
            self.chain = replace(self.chain, fault=None, acknowledged=(*self.chain.acknowledged, gone))
            self._accept(sealed, place)

    def _note(self, note: str) -> None:
        fault = self.chain.fault
        if fault is not None:
            self.chain = replace(self.chain, fault=replace(fault, detail=f"{fault.detail}; {note}"))

    def _digest_skipped(self) -> dict[str, Json]:
        fault = self.chain.fault
        return {"lines": self.line - fault.line if fault else 0, "sha256": self.skipped.hexdigest()}

    def _fault(self, place: str, damage: Damage, detail: str) -> Fault:
        return Fault(place=place, line=self.line, seq=self.chain.head.seq + 1, damage=damage, detail=detail)


def _without_newline(line: bytes, following: bytes | None) -> tuple[Damage, str]:
    """A crash leaves the beginning of a line as the last one; anything else without a newline was altered."""
    if following is None and not _is_record(line[:-1]):
        return Damage.FRAGMENT, f"{len(line)} bytes without a newline at the end: a write that was cut short"
    return Damage.ALTERED, "it does not end in a newline"


def _is_record(line: bytes) -> bool:
    try:
        record = parse(line)
    except InvalidInput:
        return False
    return hash_holds(record, line)


def _seq(line: bytes) -> int | None:
    try:
        return parse(line).seq
    except InvalidInput:
        return None
