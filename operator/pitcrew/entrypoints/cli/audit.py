"""The journal as proof: whether its chain holds, and a person's acknowledgement where it does not."""

import asyncio
import os
import pwd
from pathlib import Path

from pitcrew.adapters.clock.boot import BootClock
from pitcrew.adapters.journal.disk import read_key
from pitcrew.adapters.journal.files import JournalFiles
from pitcrew.adapters.lock.state import StateLock, holder
from pitcrew.adapters.status.text import read_status
from pitcrew.core.chain import Chain
from pitcrew.core.errors import InvalidInput
from pitcrew.core.record import Json
from pitcrew.entrypoints.cli.output import Output, mapping, say, say_data, say_table
from pitcrew.entrypoints.cli.state import audited, journal_of


def verify_journal(state: Path, head: str | None, key_file: Path | None, output: Output) -> bool:
    """Print what the journal proves; whether its chain holds.

    Without `head` the newest head in the status files is the one that must be there.
    """
    awaited = (head.rpartition(":")[2] or None) if head else newest_head(state)
    key = read_key(key_file) if key_file else None
    chain = audited(state, key=key, head=awaited, in_use=holder(state) is not None)
    if output.for_tools:
        say_data(_data(chain, awaited, keyed=key is not None), output)
    else:
        _show(chain, awaited, keyed=key is not None)
    return chain.fault is None


def newest_head(state: Path) -> str | None:
    """The head of the journal that the status files know, or None."""
    heads = [mapping(mapping(one.get("status")).get("journalHead")) for one in read_status(state / "status")]
    found = [(one["seq"], str(one["hash"])) for one in heads if isinstance(one.get("seq"), int) and one.get("seq")]
    return max(found, key=lambda pair: int(str(pair[0])))[1] if found else None


def _data(chain: Chain, awaited: str | None, *, keyed: bool) -> dict[str, Json]:
    return {
        "holds": chain.fault is None,
        "head": {"seq": chain.head.seq, "hash": chain.head.hash},
        "awaitedHead": awaited,
        "keyChecked": keyed,
        "recordsWithoutMac": chain.unkeyed,
        "fault": str(chain.fault) if chain.fault else None,
        "acknowledged": [str(one) for one in chain.acknowledged],
    }


def _show(chain: Chain, awaited: str | None, *, keyed: bool) -> None:
    rows = [
        ["head", f"{chain.head.seq}:{chain.head.hash}"],
        ["compared with", awaited or "no head from outside: a cut tail cannot be seen; give --head"],
        ["macs", _macs(chain, keyed)],
    ]
    rows += [["sealed", str(one)] for one in chain.acknowledged]
    rows += [["first bad record", str(chain.fault)]] if chain.fault else []
    say_table(["JOURNAL", "holds" if chain.fault is None else "DOES NOT HOLD"], rows)


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
