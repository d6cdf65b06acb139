"""Heads that left the host: read out of whatever they were copied from, and compared with the whole journal."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from pitcrew.core.chain import Chain, Damage, verify
from pitcrew.core.errors import InvalidInput
from pitcrew.core.heads import OutsideHead, read_heads, spell
from pitcrew.core.record import SEALED, Entry, Head, Instant, parse, seal

AT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
STATE = "0123456789abcdef"


def chain_of(count: int, *, note: str = "n", after: Sequence[bytes] = ()) -> list[bytes]:
    stored = list(after)
    while len(stored) < count:
        head = parse(stored[-1]).head if stored else Head()
        at = Instant(at=AT + timedelta(seconds=head.seq), boot="b", boottime_ns=head.seq)
        stored.append(seal(Entry(type="Opened", data={note: head.seq}), at, head))
    return stored


def heads_of(stored: Sequence[bytes]) -> list[OutsideHead]:
    records = [parse(line) for line in stored]
    lines = [(f"kept:{one.seq}", spell(one.head, one.at, STATE)) for one in records]
    return list(read_heads(lines))


def check(stored: Sequence[bytes], heads: Sequence[OutsideHead]) -> Chain:
    return verify(((f"f:{number}", line) for number, line in enumerate(stored, start=1)), heads=heads)


LINE = spell(Head(seq=7, hash="ab" * 32), AT, STATE)


@pytest.mark.parametrize(
    "copied",
    [
        LINE,
        f"<109>1 - host pitcrew 17 head - {LINE}",
        f"Jan  2 03:04:05 host pitcrew[17]: {LINE}",
        f"2026-01-02T03:04:05+00:00 host pitcrew 17 head - {LINE}\r\n",
        json.dumps({"schema": 1, "event": "JournalHead", "text": LINE}),
        f'{{"received":"now","body":{json.dumps(json.dumps({"text": LINE}))}}}',
    ],
    ids=["the file", "RFC 5424", "RFC 3164", "rsyslog", "a body of the webhook", "a body inside a receiver's log"],
)
def test_a_head_is_read_out_of_whatever_it_was_copied_from(copied: str) -> None:
    (head,) = read_heads([("kept:1", copied)])
    assert head == OutsideHead(seq=7, hash="ab" * 32, at=AT, state=STATE, place="kept:1")


def test_lines_without_a_head_are_passed_over_and_a_head_kept_twice_counts_once() -> None:
    lines = [("a:1", "something else"), ("a:2", LINE), ("b:1", f"again {LINE}")]
    assert len(read_heads(lines)) == 1


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([LINE[:60]], "not whole"),
        ([LINE.replace("ab", "AB")], "not whole"),
        ([LINE.replace("-01-02T", "-13-02T")], "no such instant"),
        (["nothing of the kind"], "no line holds a head"),
        ([LINE, LINE.replace(STATE, "f" * 16)], "several state directories"),
    ],
    ids=["cut", "changed", "no instant", "none", "of two states"],
)
def test_heads_that_prove_nothing_are_refused(lines: list[str], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read_heads((f"f:{number}", line) for number, line in enumerate(lines))


def test_a_whole_journal_holds_against_every_head_and_may_have_gone_on() -> None:
    stored = chain_of(9)
    chain = check(stored, heads_of(stored[:7]))
    assert (chain.fault, chain.unheld) == (None, ())


def test_a_cut_journal_is_found_and_the_first_lost_head_is_named() -> None:
    stored = chain_of(9)
    chain = check(stored[:5], heads_of(stored))
    assert chain.fault is not None
    assert (chain.fault.damage, chain.fault.seq) == (Damage.TRUNCATED, 6)
    assert [head.seq for head in chain.unheld] == [6, 7, 8, 9]
    assert "kept:6" in str(chain.fault)


def test_a_journal_written_anew_is_whole_by_itself_and_does_not_hold_against_heads() -> None:
    stored = chain_of(9)
    forged = chain_of(12, note="other", after=stored[:4])
    assert check(forged, []).fault is None
    chain = check(forged, heads_of(stored[::3]))
    assert chain.fault is not None
    assert (chain.fault.damage, chain.fault.seq, chain.fault.place) == (Damage.REWRITTEN, 7, "f:7")
    assert [head.seq for head in chain.unheld] == [7]


def test_records_put_in_another_order_and_chained_anew_are_found() -> None:
    stored = chain_of(6)
    swapped = list(stored[:2])
    for line in (stored[3], stored[2], *stored[4:]):
        record = parse(line)
        swapped.append(seal(Entry(type=record.type, data=record.data), record.instant, parse(swapped[-1]).head))
    assert check(swapped, []).fault is None
    chain = check(swapped, heads_of(stored))
    assert chain.fault is not None
    assert (chain.fault.damage, chain.fault.seq) == (Damage.REWRITTEN, 3)


def _sealed(stored: Sequence[bytes], bad: int) -> list[bytes]:
    """The journal after record `bad` was damaged and everything from it on was sealed by a person."""
    broken = [*stored[: bad - 1], stored[bad - 1].replace(b"Opened", b"0pened"), *stored[bad:]]
    skipped = dict(check(broken, []).skipped)
    after = parse(stored[bad - 2]).head
    at = Instant(at=AT + timedelta(hours=1), boot="b", boottime_ns=99)
    return [*broken, seal(Entry(type=SEALED, data={"skipped": skipped, "by": "uid 0", "reason": "x"}), at, after)]


def test_heads_of_records_that_a_person_sealed_away_are_told_apart() -> None:
    stored = chain_of(5)
    chain = check(_sealed(stored, 4), heads_of(stored))
    assert chain.fault is None
    assert [head.seq for head in chain.sealed_away] == [4, 5]


def test_a_seal_does_not_excuse_what_was_written_anew_after_it() -> None:
    stored = _sealed(chain_of(5), 4)
    later = heads_of([seal(Entry(type="Opened", data={}), parse(stored[-1]).instant, parse(stored[-1]).head)])
    other = seal(Entry(type="Closed", data={}), parse(stored[-1]).instant, parse(stored[-1]).head)
    late = [OutsideHead(seq=5, hash=later[0].hash, at=AT + timedelta(hours=2), state=STATE)]
    chain = check([*stored, other], late)
    assert chain.fault is not None
    assert (chain.fault.damage, chain.fault.seq) == (Damage.REWRITTEN, 5)
