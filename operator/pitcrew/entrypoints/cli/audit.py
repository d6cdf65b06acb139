"""The journal as proof: whether its chain holds, and a person's acknowledgement where it does not."""

import asyncio
import os
import pwd
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pitcrew.adapters.clock.boot import BootClock
from pitcrew.adapters.heads.state_id import read_state_id
from pitcrew.adapters.journal.disk import read_key
from pitcrew.adapters.journal.files import JournalFiles
from pitcrew.adapters.lock.state import StateLock, holder
from pitcrew.adapters.status.text import read_status
from pitcrew.core.chain import Chain
from pitcrew.core.errors import InvalidInput
from pitcrew.core.heads import LINE_BYTES_MAX, OutsideHead, read_heads
from pitcrew.core.record import Json
from pitcrew.entrypoints.cli.output import Output, mapping, say, say_data, say_table
from pitcrew.entrypoints.cli.state import audited, journal_of


def verify_journal(state: Path, head: str | None, files: Sequence[Path], key_file: Path | None, output: Output) -> bool:
    """Print what the journal proves; whether its chain holds, against every head that is known.

    Without `head` the newest head in the status files must be there; all heads in `files` must be there as well.

    Raises InvalidInput where a file holds no heads that can be read.
    """
    awaited = _given(head) if head else newest_head(state)
    outside = read_heads(_lines(files)) if files else ()
    key = read_key(key_file) if key_file else None
    known = [*outside, *([awaited] if awaited else [])]
    chain = audited(state, key=key, heads=known, in_use=holder(state) is not None)
    proof = _Proof(chain=chain, awaited=awaited, outside=outside, keyed=key is not None, state=read_state_id(state))
    if output.for_tools:
        say_data(_data(proof), output)
    else:
        _show(proof)
    return chain.fault is None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Proof:
    """What was compared with what. `state` is the id of the state directory, empty where it has none."""

    chain: Chain
    awaited: OutsideHead | None
    outside: Sequence[OutsideHead]
    keyed: bool
    state: str

    @property
    def unheld(self) -> OutsideHead | None:
        """The first of the outside heads that does not hold."""
        return next((head for head in self.outside if head in self.chain.unheld), None)

    @property
    def last_held(self) -> OutsideHead | None:
        """The last of the outside heads before that one that holds."""
        before = self.outside[: self.outside.index(self.unheld)] if self.unheld else self.outside
        held = [head for head in before if head not in self.chain.sealed_away]
        return held[-1] if held else None

    @property
    def foreign(self) -> str:
        """That the heads name another state directory, where they do."""
        named = self.outside[0].state if self.outside else self.state
        return (
            "" if named == self.state else f"they are of state {named}, and this directory is {self.state or 'unnamed'}"
        )


def _given(head: str) -> OutsideHead:
    """`HASH` or `SEQ:HASH`."""
    seq, _, hash_ = head.rpartition(":")
    if seq and not seq.isdecimal():
        raise InvalidInput(f"--head {head!r}: not HASH or SEQ:HASH, as the log and the status show it")
    return OutsideHead(hash=hash_, seq=int(seq) if seq else None)


def _lines(files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for path in files:
        with path.open(encoding="utf-8", errors="replace") as file:
            number = 0
            while line := file.readline(LINE_BYTES_MAX):
                number += 1
                yield f"{path}:{number}", line


def newest_head(state: Path) -> OutsideHead | None:
    """The head of the journal that the status files know, or None."""
    heads = [mapping(mapping(one.get("status")).get("journalHead")) for one in read_status(state / "status")]
    found = [(one["seq"], str(one["hash"])) for one in heads if isinstance(one.get("seq"), int) and one.get("seq")]
    return OutsideHead(hash=max(found, key=lambda pair: int(str(pair[0])))[1]) if found else None


def _data(proof: _Proof) -> dict[str, Json]:
    chain, outside = proof.chain, proof.outside
    return {
        "holds": chain.fault is None,
        "head": {"seq": chain.head.seq, "hash": chain.head.hash},
        "awaitedHead": proof.awaited.hash if proof.awaited else None,
        "keyChecked": proof.keyed,
        "recordsWithoutMac": chain.unkeyed,
        "fault": str(chain.fault) if chain.fault else None,
        "acknowledged": [str(one) for one in chain.acknowledged],
        "outsideHeads": {
            "count": len(outside),
            "state": outside[0].state,
            "foreign": proof.foreign or None,
            "from": _head(_by_time(outside)[0]),
            "to": _head(_by_time(outside)[-1]),
            "holding": sum(one not in chain.unheld and one not in chain.sealed_away for one in outside),
            "sealedAway": [str(one) for one in outside if one in chain.sealed_away],
            "firstNotHolding": _head(proof.unheld),
            "lastHoldingBefore": _head(proof.last_held),
        }
        if outside
        else None,
    }


def _head(head: OutsideHead | None) -> Json:
    if head is None:
        return None
    return {"seq": head.seq, "hash": head.hash, "at": head.at.isoformat() if head.at else None, "place": head.place}


def _by_time(heads: Sequence[OutsideHead]) -> Sequence[OutsideHead]:
    return sorted(heads, key=lambda head: str(head.at))


def _show(proof: _Proof) -> None:
    chain = proof.chain
    rows = [
        ["head", f"{chain.head.seq}:{chain.head.hash}"],
        ["compared with", _compared(proof)],
        ["macs", _macs(chain, proof.keyed)],
    ]
    rows += _outside(proof) if proof.outside else []
    rows += [["sealed", str(one)] for one in chain.acknowledged]
    rows += [["first bad record", str(chain.fault)]] if chain.fault else []
    say_table(["JOURNAL", "holds" if chain.fault is None else "DOES NOT HOLD"], rows)


def _compared(proof: _Proof) -> str:
    if proof.awaited:
        return proof.awaited.hash
    return (
        "the heads given"
        if proof.outside
        else "no head from outside: a cut tail cannot be seen; give --head or --heads"
    )


def _outside(proof: _Proof) -> list[list[str]]:
    """What the heads that left the host say, and from when to when they say anything."""
    heads, chain = proof.outside, proof.chain
    first, last = _by_time(heads)[0], _by_time(heads)[-1]
    covered = f"from {first.at:%Y-%m-%d %H:%M:%S} to {last.at:%Y-%m-%d %H:%M:%S} UTC, up to record {heads[-1].seq}"
    rows = [
        ["outside heads", f"{len(heads)} of state {heads[0].state}, {covered}; they prove nothing of what came later"]
    ]
    rows += [["", proof.foreign]] if proof.foreign else []
    if away := [str(head) for head in heads if head in chain.sealed_away]:
        rows += [["sealed away", f"{len(away)} heads are of records that a person sealed away; the first: {away[0]}"]]
    if proof.unheld is None:
        return [*rows, ["", "each holds"]]
    before = f"the last that holds before it is {proof.last_held}" if proof.last_held else "none before it holds"
    return [*rows, ["first head", f"that does not hold: {proof.unheld}; {before}"]]


def _macs(chain: Chain, keyed: bool) -> str:
    if not keyed:
        return "not checked: no --journal-key"
    return f"hold; {chain.unkeyed} records at the beginning carry none" if chain.unkeyed else "hold"


def seal_journal(state: Path, reason: str, key_file: Path | None) -> None:
    """Acknowledge damage in the name of the user who runs this, while no operator runs.

    Raises InvalidInput where an operator runs, nothing is damaged, or no reason is given.
    """
    journal_of(state)
    lock = StateLock.acquire(state)
    try:
        key = read_key(key_file) if key_file else None
        journal = JournalFiles.open(state / "journal", BootClock.after, key=key)
        try:
            record = asyncio.run(journal.seal_damage(_user(), reason))
        finally:
            journal.close()
    finally:
        lock.close()
    say(f"sealed as record {record.seq}: {record.hash}")


def _user() -> str:
    """Who acknowledges: the user of the system, and nothing that could be typed in."""
    try:
        return f"uid {os.getuid()} ({pwd.getpwuid(os.getuid()).pw_name})"
    except KeyError:
        raise InvalidInput(f"uid {os.getuid()} has no name on this machine; seal as a user that has one") from None
