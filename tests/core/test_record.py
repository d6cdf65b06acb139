"""Records have one spelling, and the chain names the first bad one."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitcrew.core.chain import Chain, Damage, verify
from pitcrew.core.errors import InvalidInput
from pitcrew.core.heads import OutsideHead
from pitcrew.core.record import (
    GENESIS,
    RECORD_BYTES_MAX,
    SCHEMA,
    SEALED,
    Entry,
    Head,
    Instant,
    canonical,
    digest,
    parse,
    seal,
)

AT = Instant(at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), boot="b0", boottime_ns=77)
KEY = b"k" * 32


def chain_of(count: int, key: bytes | None = None, after: Head | None = None, note: str = "n") -> list[bytes]:
    stored: list[bytes] = []
    head = after or Head()
    for number in range(count):
        entry = Entry(type="Opened", service="default/victim", incident="victim-1", data={note: number})
        stored.append(seal(entry, AT, head, key))
        head = parse(stored[-1]).head
    return stored


def check(stored: Sequence[bytes], key: bytes | None = None, *heads: OutsideHead) -> Chain:
    return verify(((f"f:{number}", line) for number, line in enumerate(stored, start=1)), key=key, heads=heads)


def first_fault(stored: Sequence[bytes], key: bytes | None = None, *heads: OutsideHead) -> tuple[str, int, Damage]:
    fault = check(stored, key, *heads).fault
    assert fault is not None
    return fault.place, fault.seq, fault.damage


# Spelling


def test_canonical_json_has_one_spelling() -> None:
    assert canonical({"b": [1, None, True], "a": {"ü": "x\n"}}) == '{"a":{"ü":"x\\n"},"b":[1,null,true]}'.encode()


def test_invisible_characters_are_spelt_as_escapes() -> None:
    assert canonical("\x1b[0m\x7f\x9b\u202e\u200b\u2028") == rb'"\u001b[0m\u007f\u009b\u202e\u200b\u2028"'


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": [{"b": 1.5}]}, r"\$\.a\[0\]\.b: 1\.5 is a float"),
        ({"a": float("nan")}, r"\$\.a: nan is a float"),
        ({"a": {1: 2}}, r"\$\.a: the key 1 is not text"),
        ({"a": "\ud800"}, r"\$\.a: holds lone surrogates"),
        ({"a": b"x"}, r"\$\.a: bytes is not JSON"),
        ({"a": {1, 2}}, r"\$\.a: set is not JSON"),
    ],
)
def test_what_has_no_one_spelling_is_refused_by_its_path(value: object, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        canonical(value)  # type: ignore[arg-type]


def test_deep_nesting_is_refused_before_the_interpreter_is() -> None:
    nested: list[object] = []
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(InvalidInput, match="deeper than 32"):
        canonical(nested)  # type: ignore[arg-type]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.text(max_size=9))
def test_what_is_sealed_is_what_is_parsed(data: dict[str, object], word: str) -> None:
    entry = Entry(type=word, service=word, incident=word, data=data)  # type: ignore[arg-type]
    line = seal(entry, AT, Head(), KEY)
    record = parse(line)
    assert (record.type, record.service, record.incident, record.data) == (word, word, word, data)
    assert (record.seq, record.prev, record.instant) == (1, GENESIS, AT)
    assert line.count(b"\n") == 1
    assert check([line], KEY).fault is None


def test_instants_are_stored_as_utc_with_microseconds() -> None:
    away = AT.at.replace(microsecond=0).astimezone(timezone(timedelta(hours=5)))
    line = seal(Entry(type="T", data={}), Instant(at=away, boot="b", boottime_ns=0), Head())
    assert b'"at":"2026-01-02T03:04:05.000000Z"' in line


def test_an_instant_without_zone_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no zone"):
        seal(Entry(type="T", data={}), Instant(at=datetime(2026, 1, 1), boot="b", boottime_ns=0), Head())


def test_a_record_above_the_limit_is_refused() -> None:
    with pytest.raises(InvalidInput, match="above 1048576"):
        seal(Entry(type="T", data={"x": "y" * RECORD_BYTES_MAX}), AT, Head())


LINE = seal(Entry(type="Opened", data={"a": 1, "b": 2}), AT, Head())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        LINE.replace(b'"a":1', b'"a":1,"a":1'),
        LINE.replace(b'{"v":1', b'{"v":1,"v":1'),
        LINE.replace(b'"a":1,"b":2', b'"b":2,"a":1'),
        LINE.replace(b'"seq":1', b'"seq": 1'),
        LINE.replace(b'"a":1', b'"a":1.0'),
        LINE.replace(b'"a":1', b'"a":NaN'),
        LINE.replace(b'"a":1', b'"a":1e5'),
        LINE.replace(b'"a":1', b'"a":"\\u0041"'),
        LINE.replace(b'"a":1', b'"a":"\\ud800"'),
        LINE.replace(b'"a":1', b'"a":' + b"9" * 5000),
        LINE.replace(b'"seq":1', b'"seq":true'),
        LINE.replace(b'"seq":1', b'"seq":-1'),
        LINE.replace(b'"seq":1,', b""),
        LINE.replace(b'"seq":1,', b'"seq":1,"extra":1,'),
        LINE.replace(b'"type":"Opened"', b'"type":1'),
        LINE.replace(b'"data":{"a":1,"b":2}', b'"data":[]'),
        LINE.replace(b"03:04:05.678901Z", b"03:04:05Z"),
        LINE.replace(b"2026-01-02T", b"2026-13-02T"),
        LINE.replace(GENESIS.encode(), b"0" * 63),
        LINE.rstrip()[:-1] + b',"more":1}',
        LINE.rstrip() + b" ",
    ],
)
def test_a_line_in_any_other_form_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse(line)


def test_a_schema_from_the_future_is_refused_by_its_number() -> None:
    with pytest.raises(InvalidInput, match="schema 2 is not known"):
        parse(LINE.replace(b'"v":1', b'"v":2'))


def test_an_older_schema_is_read_through_its_upcaster_and_its_hash_still_covers_the_stored_bytes() -> None:
    older = json.loads(LINE)
    older["v"] = 0
    older["kind"] = older.pop("type")
    stored = json.dumps({name: older[name] for name in ("v", "seq", "kind")}, separators=(",", ":"))[:-1]
    line = f'{stored},"hash":"{"0" * 64}"}}'.encode()
    rest = {name: value for name, value in json.loads(LINE).items() if name not in ("v", "seq", "type", "hash")}

    def upcast(fields: dict[str, object]) -> dict[str, object]:
        fields["type"] = fields.pop("kind")
        whole = {**rest, **fields}
        return {name: whole[name] for name in json.loads(LINE)}

    record = parse(line, {0: upcast})  # type: ignore[dict-item]
    assert (record.v, record.type, SCHEMA) == (0, "Opened", 1)


# The chain


def test_a_whole_chain_holds_and_tells_its_head() -> None:
    stored = chain_of(5)
    chain = check(stored)
    assert chain.fault is None
    assert chain.head == parse(stored[-1]).head
    assert (chain.head.seq, chain.lines, chain.unkeyed) == (5, 5, 5)


def test_nothing_is_a_chain_that_begins_at_genesis() -> None:
    assert check([]) == Chain()
    assert check([], None, OutsideHead(hash=GENESIS)).fault is None


@pytest.mark.parametrize("key", [None, KEY], ids=["without key", "with key"])
def test_every_flipped_bit_is_found_at_its_record(key: bytes | None) -> None:
    stored = chain_of(3, key)
    whole = b"".join(stored)
    ends = [len(b"".join(stored[: index + 1])) for index in range(3)]
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        fault = check(io.BytesIO(flipped).readlines(), key).fault
        assert fault is not None, at
        assert fault.damage in (Damage.ALTERED, Damage.FRAGMENT), at
        assert fault.seq == 1 + sum(end <= at for end in ends), at


def test_a_changed_last_newline_is_damage_and_no_fragment() -> None:
    stored = chain_of(3)
    assert first_fault([*stored[:2], stored[2][:-1] + b"\x0b"]) == ("f:3", 3, Damage.ALTERED)


@pytest.mark.parametrize("cut", [1, 40, 200, -1])
def test_a_write_cut_short_is_a_fragment(cut: int) -> None:
    stored = chain_of(3)
    assert first_fault([*stored[:2], stored[2][:cut]]) == ("f:3", 3, Damage.FRAGMENT)


def test_a_lost_newline_inside_is_damage() -> None:
    stored = chain_of(3)
    assert first_fault([stored[0], stored[1][:-1], stored[2]]) == ("f:2", 2, Damage.ALTERED)


def test_an_edited_record_with_its_old_hash_is_found() -> None:
    stored = chain_of(3)
    stored[1] = stored[1].replace(b'"n":1', b'"n":9')
    assert first_fault(stored) == ("f:2", 2, Damage.ALTERED)


def test_a_rewritten_record_with_a_new_hash_breaks_the_link_after_it() -> None:
    stored = chain_of(4)
    stored[1] = chain_of(1, after=parse(stored[0]).head, note="forged")[0]
    assert first_fault(stored) == ("f:3", 3, Damage.RELINKED)


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_removed_record_is_found(gone: int) -> None:
    stored = chain_of(4)
    del stored[gone]
    assert first_fault(stored) == (f"f:{gone + 1}", gone + 1, Damage.REMOVED)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_swapped_records_are_found(at: int) -> None:
    stored = chain_of(4)
    stored[at], stored[at + 1] = stored[at + 1], stored[at]
    assert first_fault(stored) == (f"f:{at + 1}", at + 1, Damage.SWAPPED)


def test_a_record_put_in_again_is_found() -> None:
    stored = chain_of(4)
    assert first_fault([*stored[:3], stored[0], stored[3]]) == ("f:4", 4, Damage.INSERTED)
    assert first_fault([*stored[:2], stored[1], *stored[2:]]) == ("f:3", 3, Damage.INSERTED)


def test_a_forged_record_put_in_is_found_at_the_first_that_no_longer_follows() -> None:
    stored = chain_of(4)
    forged = chain_of(1, after=parse(stored[1]).head, note="forged")[0]
    assert first_fault([*stored[:2], forged, *stored[2:]]) == ("f:4", 4, Damage.INSERTED)


def test_a_record_of_another_chain_is_found() -> None:
    other = chain_of(4, note="other")
    assert first_fault([*chain_of(2), *other[2:]]) == ("f:3", 3, Damage.RELINKED)


def test_a_cut_tail_shows_against_a_head_kept_elsewhere_only() -> None:
    stored = chain_of(4)
    head = parse(stored[-1]).hash
    assert check(stored[:3]).fault is None
    assert first_fault(stored[:3], None, OutsideHead(hash=head)) == ("f:3", 4, Damage.TRUNCATED)
    assert first_fault([], None, OutsideHead(hash=head)) == ("journal", 1, Damage.TRUNCATED)


def test_a_chain_that_went_on_still_holds_an_earlier_head() -> None:
    stored = chain_of(4)
    assert all(check(stored, None, OutsideHead(hash=parse(line).hash)).fault is None for line in stored)


def test_a_chain_written_anew_without_the_key_is_found_with_it() -> None:
    stored = chain_of(2, KEY)
    forged = chain_of(2, b"another key, as long as the other", after=parse(stored[1]).head)
    assert check([*stored, *forged]).fault is None
    assert first_fault([*stored, *forged], KEY) == ("f:3", 3, Damage.FORGED)
    assert first_fault([*stored, *chain_of(1, None, parse(stored[1]).head)], KEY) == ("f:3", 3, Damage.FORGED)


def test_records_from_before_the_key_are_counted_as_such() -> None:
    before = chain_of(2)
    chain = check([*before, *chain_of(3, KEY, parse(before[-1]).head)], KEY)
    assert (chain.fault, chain.unkeyed, chain.head.seq) == (None, 2, 5)


# Acknowledged damage


def sealed_after(stored: Sequence[bytes], key: bytes | None = None) -> list[bytes]:
    chain = check(stored, key)
    return [*stored, seal(Entry(type=SEALED, data={"skipped": chain.skipped}), AT, chain.head, key)]


def damaged() -> list[bytes]:
    stored = chain_of(5)
    stored[2] = stored[2].replace(b'"n":2', b'"n":9')
    return stored


def test_sealed_damage_stays_reported_and_the_chain_goes_on() -> None:
    stored = sealed_after(damaged())
    stored += chain_of(2, after=parse(stored[-1]).head)
    chain = check(stored)
    assert chain.fault is None
    assert chain.head.seq == 5
    assert [(gone.fault.place, gone.lines, gone.sealed.seq) for gone in chain.acknowledged] == [("f:3", range(2, 5), 3)]
    assert [chain.reads(line) for line in range(9)] == [True, True, False, False, False, True, True, True, False]


def test_damage_after_a_seal_needs_another_one() -> None:
    stored = sealed_after(damaged())
    stored += chain_of(3, after=parse(stored[-1]).head)
    stored[7] = stored[7].replace(b'"n":1', b'"n":9')
    assert first_fault(stored) == ("f:8", 5, Damage.ALTERED)
    assert len(check(sealed_after(stored)).acknowledged) == 2


def test_what_was_sealed_away_cannot_be_changed_unnoticed() -> None:
    stored = sealed_after(damaged())
    stored[3] = stored[3].replace(b'"n":3', b'"n":8')
    fault = check(stored).fault
    assert fault is not None
    assert fault.place == "f:3"
    assert "sealed at f:6, but what was sealed has changed since" in fault.detail


def test_a_seal_that_covers_other_lines_does_not_count() -> None:
    whole, stored = chain_of(5), sealed_after(damaged())
    assert first_fault([*whole[:2], stored[-1]]) == ("f:3", 3, Damage.REMOVED)
    assert first_fault([*damaged()[:4], stored[-1]]) == ("f:3", 3, Damage.ALTERED)
